"""What each of staff may do: roles are groups, and each role is a set of rights.

Who is of staff and which roles they have is said by command alone (`manage.py member role`): so
nobody gives themselves more from a page. Everybody with a role reads what members did; what else
they may is told here, and nowhere else.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from django.contrib.auth.models import Group
from django.db import transaction

from audit import log
from common.errors import AccessDisabled, InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Collection
    from uuid import UUID

    from accounts.models import User


class Right(StrEnum):
    """One thing that somebody of staff may or may not do."""

    READ = "read"
    """Find members, calls and purchases, and read what became of them."""
    RECORDS = "records"
    """Read the audit log and the tables as they are."""
    HELP = "help"
    """Act on people and their keys: end, pause, let go, look at pages as they see them."""
    ADJUST = "adjust"
    """Give, take and refund up to the limit, and ask for more."""
    DECIDE = "decide"
    """Decide as a second person, and make and stop vouchers."""
    ORIGINS = "origins"
    """Say from where people sign in."""
    PRICES = "prices"
    """Draft and publish prices, and bring in what vendors charged."""
    OPERATE = "operate"
    """Vendors, their accounts, machines, events, and what all members read."""


ROLES: Final[dict[str, frozenset[Right]]] = {
    "support": frozenset({Right.READ, Right.HELP, Right.ADJUST, Right.ORIGINS}),
    "finance": frozenset({Right.READ, Right.RECORDS, Right.ADJUST, Right.DECIDE, Right.PRICES}),
    "operations": frozenset(
        {Right.READ, Right.RECORDS, Right.HELP, Right.ORIGINS, Right.PRICES, Right.OPERATE}
    ),
    "auditor": frozenset({Right.READ, Right.RECORDS}),
}
"""The groups that a migration makes, and what they may."""


def of(user: Any) -> list[str]:
    """Return the roles of somebody, one question for each request."""
    if (known := getattr(user, "roles_of_staff", None)) is None:
        names = Group.objects.filter(user=user, name__in=ROLES).values_list("name", flat=True)
        known = user.roles_of_staff = sorted(names)
    return list(known)


def rights(user: Any) -> frozenset[Right]:
    """Return all that somebody may, by all their roles; nothing if they are not of staff."""
    if not (user.is_active and user.is_staff):
        return frozenset()
    return frozenset().union(*(ROLES[name] for name in of(user)))


def having(right: Right) -> list[str]:
    """Return the roles that bring a right."""
    return [name for name, some in ROLES.items() if right in some]


def require(user: Any, right: Right) -> None:
    """Raise AccessDisabled unless one of somebody's roles has that right."""
    if right not in rights(user):
        some = " or ".join(having(right))
        raise AccessDisabled(f"This is for {some}. Your roles: {', '.join(of(user)) or 'none'}.")


@transaction.atomic
def assign(user: User, names: Collection[str], *, by: UUID | None) -> bool:
    """Have somebody have these roles and no others; False if they have them already.

    Raises InvalidRequest for a role that there is not.
    """
    if unknown := sorted(set(names) - set(ROLES)):
        raise InvalidRequest(f"There is no role {unknown[0][:50]}: there are {', '.join(ROLES)}.")
    type(user).objects.select_for_update(no_key=True).get(pk=user.pk)
    groups = user.groups.filter(name__in=ROLES)
    before = sorted(groups.values_list("name", flat=True))
    if before == sorted(set(names)):
        return False
    user.groups.remove(*groups)
    user.groups.add(*Group.objects.filter(name__in=names))
    log.note(
        "member.roles_set",
        actor=by,
        subject=user.pk,
        before={"roles": before},
        after={"roles": sorted(set(names))},
    )
    return True
