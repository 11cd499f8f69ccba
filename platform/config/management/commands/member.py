"""`manage.py member`: who is here, and who may act.

    member add EMAIL [--key NAME [--scope S ...]] [--password P] [--verified] [--json]
    member add EMAIL --credits 5 --by STAFF --reason R
    member add EMAIL --staff [--role R ...] [--by STAFF]     the first of staff needs nobody
    member role EMAIL [R ...] --by STAFF     these roles of staff and no others
    member list [TEXT] [--staff] [--json]
    member show EMAIL [--json]
    member deactivate EMAIL --by STAFF --reason R     with all keys, at once
    member reactivate EMAIL --by STAFF --reason R
    member limit EMAIL|WORKSPACE COUNT --by STAFF --reason R     calls at once, whatever was paid

COUNT is a number (0: none may run), `any`, or `paid`: as many as follow from what was paid
(CONCURRENCY_TIERS). A team's workspace is named by its id.

Roles are support, finance, operations and auditor (docs/staff.md). Who is of staff without one
reads nothing; the first of staff has all of them, unless they are named.

Credits are a gift as `money give` makes one: above ADJUSTMENT_LIMIT_USD it waits for a second
person of staff (`money pending`, `money approve`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError
from django.db import transaction
from django.db.models import Q

from accounts import status
from accounts.models import User
from accounts.signup import is_verified, sign_up, verify_email
from apikeys import keys
from apikeys.models import SCOPES, ApiKey
from common.money import Micros, show
from config.management import staff
from config.management.arguments import calls_at_once, dollars_or_none
from config.management.staff import Row, StaffCommand, Told
from credits.books import limits
from credits.gifts import adjustments
from credits.models import Account
from desk import roles
from desk.roles import Right

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from uuid import UUID

    from django.core.management.base import CommandParser

MOST_SHOWN = 200


class Command(StaffCommand):
    """Make a member, look at one, let one act or not."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the actions."""
        actions = staff.formatted(parser).add_subparsers(dest="action", required=True)
        _declare_add(staff.action(actions, "add"))
        listing = staff.action(actions, "list")
        listing.add_argument("text", nargs="?", default="")
        listing.add_argument("--staff", action="store_true", help="only who acts for the house")
        staff.action(actions, "show").add_argument("email")
        for name in ("deactivate", "reactivate"):
            staff.action(actions, name, by=True, reason=True).add_argument("email")
        role = staff.action(actions, "role", by=True)
        role.add_argument("email")
        role.add_argument("roles", nargs="*", metavar="ROLE", help=", ".join(roles.ROLES))
        limit = staff.action(actions, "limit", by=True, reason=True)
        limit.add_argument("whose", help="e-mail of a member, or id of a workspace")
        limit.add_argument("count", type=calls_at_once, help="a number, `any` or `paid`")

    @transaction.atomic
    def _add(self, options: dict[str, Any]) -> Told:
        """Make a member, or find the one with that e-mail; all of what is asked for, or nothing."""
        email = options["email"]
        wanted = _rights_for(options)
        by = staff.member_of_staff(options["by"], *wanted) if options["by"] else None
        user = User.objects.filter(email=email.strip().lower()).first()
        user = user or sign_up(email=email, password=options["password"])
        if options["staff"] and not user.is_staff:
            _appoint(user, options["role"], by=by)
        if options["verified"]:
            verify_email(user)
        workspace = user.personal_workspace.pk
        made: Row = {"user_id": user.pk, "email": user.email, "workspace_id": workspace}
        if options["amount"]:
            made |= _give(workspace, options["amount"], by=by, reason=options["reason"])
        if options["key"]:
            made["api_key"], record = keys.issue(
                workspace_id=workspace,
                user_id=user.pk,
                name=options["key"],
                scopes=options["scope"],
            )
            made["key_id"] = record.pk
        return made, _lines

    def _list(self, options: dict[str, Any]) -> Told:
        text = options["text"].strip()
        found = User.objects.filter(Q(email__icontains=text) | Q(name__icontains=text))
        if options["staff"]:
            found = found.filter(is_staff=True, is_active=True)
        some = found.select_related("personal_workspace__wallet").order_by("-created_at", "id")
        return [{**_brief(user), "roles": _roles_of(user)} for user in some[:MOST_SHOWN]], _line

    def _show(self, options: dict[str, Any]) -> Told:
        user = staff.user(options["email"])
        changed_by = staff.emails([user.status_changed_by]).get(user.status_changed_by)
        living = ApiKey.objects.filter(user=user, revoked_at=None).count()
        workspace = getattr(user, "personal_workspace", None)
        return {
            **_brief(user),
            "roles": _roles_of(user),
            "name": user.name,
            "created_at": user.created_at,
            "email_verified": is_verified(user),
            "held_micros": workspace.wallet.held_micros if workspace else 0,
            "paused_because": workspace.wallet.frozen_reason if workspace else "",
            "keys_not_revoked": living,
            "status_changed_at": user.status_changed_at,
            "status_changed_by": changed_by or user.status_changed_by,
            "status_reason": user.status_reason,
        }, _lines

    def _deactivate(self, options: dict[str, Any]) -> Told:
        user = staff.user(options["email"])
        change = status.deactivate if options["action"] == "deactivate" else status.reactivate
        by = staff.member_of_staff(options["by"], Right.HELP)
        changed = change(user, by=by, reason=options["reason"])
        user.refresh_from_db()
        row = {"email": user.email, "is_active": user.is_active, "changed": changed}
        return row, _told_status

    _reactivate = _deactivate

    def _role(self, options: dict[str, Any]) -> Told:
        """Have somebody of staff have these roles, and no others."""
        by = staff.member_of_staff(options["by"], *_brought_by(options["roles"]))
        user = staff.user(options["email"])
        if not user.is_staff:
            raise CommandError(f"{user.email} is not of our staff (manage.py member add --staff).")
        changed = roles.assign(user, options["roles"], by=by)
        row = {"email": user.email, "roles": roles.of(staff.user(user.email)), "changed": changed}
        return row, lambda row: f"{row['email']}: {', '.join(row['roles']) or 'no role'}."

    def _limit(self, options: dict[str, Any]) -> Told:
        """Say how many calls of a workspace may run at once; tell how many may now."""
        by, whose = staff.member_of_staff(options["by"], Right.HELP), options["whose"]
        where = staff.workspace(whose) if "@" in whose else staff.workspace_by_id(whose)
        limits.set_concurrency(where, options["count"], by=by, reason=options["reason"])
        usual, large = limits.slots_of(where)
        row = {"workspace_id": where, "calls_at_once": usual.most, "of_them_large": large.most}
        return row, _told_limit


def _declare_add(add: ArgumentParser) -> None:
    add.add_argument("email")
    add.add_argument(
        "--credits", dest="amount", type=dollars_or_none, default="0",
        help="dollars to give, like 5 or 0.06; needs --by and --reason",
    )  # fmt: skip
    add.add_argument("--by", metavar="STAFF", help="e-mail of who gives, or appoints")
    add.add_argument("--reason", default="", help="why credits are given")
    add.add_argument("--key", help="name of a key to issue")
    add.add_argument("--password")
    add.add_argument("--verified", action="store_true", help="the address is theirs")
    add.add_argument("--staff", action="store_true", help="may act for the house")
    add.add_argument(
        "--role",
        action="append",
        default=[],
        choices=list(roles.ROLES),
        help="of staff; again for more",
    )
    add.add_argument(
        "--scope",
        action="append",
        choices=SCOPES,
        help="what the key may do; again for more (without: proxy, usage:read)",
    )


def _rights_for(options: dict[str, Any]) -> set[Right]:
    """Return what somebody must have who adds a member so."""
    gives = {Right.ADJUST} if options["amount"] else set()
    return gives | (_brought_by(options["role"]) if options["staff"] else set())


def _brought_by(names: list[str]) -> set[Right]:
    """Return the rights of these roles: nobody gives one that they have not."""
    known = [roles.ROLES[name] for name in names if name in roles.ROLES]
    return set().union(*known)


def _appoint(user: User, names: list[str], *, by: UUID | None) -> None:
    """Let somebody act for the house, whom one of the house appoints, or who is the first."""
    is_first = not User.objects.filter(is_staff=True, is_active=True).exists()
    if by is None and not is_first:
        raise CommandError("--staff needs --by: somebody of staff appoints the next.")
    status.appoint(user, by=by)
    roles.assign(user, names or (list(roles.ROLES) if is_first else []), by=by)


def _give(workspace: UUID, amount: Micros, *, by: UUID | None, reason: str) -> Row:
    if by is None or not reason:
        raise CommandError("--credits needs --by and --reason: each gift is somebody's.")
    given = adjustments.request(
        workspace, amount=amount, reason=reason, requested_by=by, is_gift=True
    )
    return {"adjustment_id": given.pk, "credits": given.state}


def _roles_of(user: User) -> list[str]:
    return roles.of(user) if user.is_staff else []


def _brief(user: User) -> Row:
    workspace = getattr(user, "personal_workspace", None)
    wallet = workspace.wallet if workspace else Account()
    return {
        "user_id": user.pk,
        "email": user.email,
        "is_active": user.is_active,
        "is_staff": user.is_staff,
        "workspace_id": workspace.pk if workspace else None,
        "balance_micros": wallet.balance_micros,
    }


def _line(row: Row) -> str:
    marks = ["staff"] * row["is_staff"] + ["deactivated"] * (not row["is_active"])
    return "  ".join(
        [row["email"], show(Micros(row["balance_micros"])), *marks, str(row["user_id"])]
    )


def _lines(row: Row) -> str:
    return "\n".join(f"{name}: {value}" for name, value in row.items())


def _told_limit(row: Row) -> str:
    most, large = row["calls_at_once"], row["of_them_large"]
    if most is None:
        return "Any number of calls may run at once."
    return f"{most} calls may run at once, and {large} large ones beside."


def _told_status(row: Row) -> str:
    now = "may act" if row["is_active"] else "is deactivated, with all keys"
    return f"{row['email']} {now}" + ("." if row["changed"] else ", as before.")
