"""Teams: workspaces with members, each with one role, and exactly one of them its owner.

    owner      everything; there is one, and it passes on (`transfer`)
    billing    sees who is there and what was spent, and pays
    member     calls, from the workspace's wallet, within what is allowed to them

Whoever changes a team locks its workspace's row first, so two changes are one after the other.
Who leaves, or is removed, has no membership any more: their keys are looked up together with it in
the statement that places a hold, so they end with it. A key that was made before somebody left
stays dead when they come back.

A workspace that one does not belong to is as if it were not there.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext, gettext_lazy, gettext_noop

from accounts.models import Membership, User, Workspace
from audit import log
from common.errors import AccessDisabled, InvalidRequest, NotFound
from credits.books import ledger
from credits.payments import customers

if TYPE_CHECKING:
    from collections.abc import Collection
    from uuid import UUID

    from django.db.models import QuerySet

Role = Membership.Role
MOST_NAME = 100
MOST_OWNED = 20
"""So many teams one person owns at most."""
MOST_MEMBERS = 1000
NOT_YOURS = gettext_lazy("There is no such workspace, or you do not belong to it.")
NAMES = (gettext_noop("owner"), gettext_noop("billing"), gettext_noop("member"))
"""The roles, as sentences name them."""
SEES = (Role.OWNER, Role.BILLING)
"""Who sees the others."""


def of(user_id: UUID) -> list[Membership]:
    """Return the memberships of somebody, the personal workspace first."""
    found = Membership.objects.filter(user_id=user_id).select_related("workspace")
    return list(found.order_by("workspace__kind", "created_at", "pk"))


def seat(user_id: UUID, workspace_id: UUID, *roles: Role) -> Membership:
    """Return somebody's membership; raise NotFound without one, AccessDisabled in another role."""
    found = Membership.objects.filter(user_id=user_id, workspace_id=workspace_id)
    mine = found.select_related("workspace").first()
    if mine is None:
        raise NotFound(NOT_YOURS)
    if roles and mine.role not in roles:
        names = gettext(" or ").join(translation.gettext(each) for each in roles)
        raise AccessDisabled(
            gettext("For this one is %(roles)s of the workspace.") % {"roles": names}
        )
    return mine


def locked(by: UUID, workspace_id: UUID, *roles: Role) -> Workspace:
    """Lock a workspace until the end of the transaction, for who has one of the roles in it."""
    seat(by, workspace_id, *roles)  # So nobody locks what is not theirs; and again, under the lock.
    row = Workspace.objects.select_for_update().get(pk=workspace_id)
    seat(by, workspace_id, *roles)
    return row


def members(workspace_id: UUID) -> QuerySet[Membership]:
    """Return who is there, the owner first."""
    found = Membership.objects.filter(workspace_id=workspace_id).select_related("user")
    return found.order_by("-role", "created_at", "pk")


@transaction.atomic
def create(*, owner: User, name: str) -> Workspace:
    """Make a team with an empty wallet, of which that person is the owner."""
    User.objects.select_for_update(no_key=True).get(pk=owner.pk)
    owned = Membership.objects.filter(user=owner, role=Role.OWNER, workspace__kind="team")
    if owned.count() >= MOST_OWNED:
        raise InvalidRequest(
            gettext("You own %(most)s teams, which is the most.") % {"most": MOST_OWNED}
        )
    wallet = ledger.open_wallet(uuid.uuid4())
    customers.billing_of(wallet.pk, email=owner.email)
    workspace = Workspace.objects.create(
        wallet=wallet, kind=Workspace.Kind.TEAM, name=_named(name), personal_of=None
    )
    Membership.objects.create(workspace=workspace, user=owner, role=Role.OWNER)
    log.note("team.made", actor=owner.pk, workspace=workspace.pk)
    return workspace


@transaction.atomic
def rename(workspace_id: UUID, *, name: str, by: UUID) -> None:
    """Give a workspace another name."""
    locked(by, workspace_id, Role.OWNER)
    Workspace.objects.filter(pk=workspace_id).update(name=_named(name))
    log.note("workspace.renamed", actor=by, workspace=workspace_id)


@transaction.atomic
def allow_vendors(workspace_id: UUID, vendors: Collection[str] | None, *, by: UUID) -> None:
    """Have all keys of a workspace call these alone from now on; None is all there are."""
    before = locked(by, workspace_id, Role.OWNER).allowed_vendors
    after = None if vendors is None else sorted(set(vendors))
    Workspace.objects.filter(pk=workspace_id).update(allowed_vendors=after)
    log.note(
        "workspace.vendors_allowed",
        actor=by,
        workspace=workspace_id,
        before={"vendors": before},
        after={"vendors": after},
    )


@transaction.atomic
def join(workspace: Workspace, user: User, *, role: Role, by: UUID) -> Membership:
    """Have somebody belong to a team; who belongs to it already keeps their role."""
    Workspace.objects.select_for_update().get(pk=workspace.pk)
    here = Membership.objects.filter(workspace=workspace)
    if (mine := here.filter(user=user).first()) is not None:
        return mine
    if workspace.kind != Workspace.Kind.TEAM:
        raise InvalidRequest(gettext("A personal workspace is for one. Make a team."))
    if here.count() >= MOST_MEMBERS:
        raise InvalidRequest(
            gettext("This team has %(most)s members, which is the most.") % {"most": MOST_MEMBERS}
        )
    made = Membership.objects.create(workspace=workspace, user=user, role=role)
    log.note(
        "member.joined", actor=by, subject=user.pk, workspace=workspace.pk, after={"role": role}
    )
    return made


@transaction.atomic
def set_role(workspace_id: UUID, user_id: UUID, *, role: Role, by: UUID) -> None:
    """Give a member another role. The owner's passes on by `transfer` alone."""
    locked(by, workspace_id, Role.OWNER)
    theirs = _theirs(workspace_id, user_id)
    if Role.OWNER in (role, theirs.role):
        raise InvalidRequest(gettext("A team has one owner: pass the ownership on instead."))
    Membership.objects.filter(pk=theirs.pk).update(role=role)
    log.note(
        "member.role_changed",
        actor=by,
        subject=user_id,
        workspace=workspace_id,
        before={"role": theirs.role},
        after={"role": role},
    )


@transaction.atomic
def remove(workspace_id: UUID, user_id: UUID, *, by: UUID) -> None:
    """End a membership: by the owner, or by whoever leaves. Their keys here end with it.

    What runs for them is settled. The owner cannot leave: raises InvalidRequest.
    """
    locked(by, workspace_id, *(() if by == user_id else (Role.OWNER,)))
    theirs = _theirs(workspace_id, user_id)
    if theirs.role == Role.OWNER:
        raise InvalidRequest(gettext("The owner cannot leave: pass the ownership on first."))
    theirs.delete()
    log.note(
        "member.left" if by == user_id else "member.removed",
        actor=by,
        subject=user_id,
        workspace=workspace_id,
        before={"role": theirs.role},
    )


@transaction.atomic
def transfer(workspace_id: UUID, *, to: UUID, by: UUID) -> None:
    """Make another member the owner; who was it is a member from now on."""
    workspace = locked(by, workspace_id, Role.OWNER)
    if workspace.kind != Workspace.Kind.TEAM:
        raise InvalidRequest(gettext("A personal workspace stays its person's."))
    theirs = _theirs(workspace_id, to)
    if not theirs.user.is_active:
        raise InvalidRequest(gettext("Who is deactivated cannot own a team."))
    Membership.objects.filter(workspace=workspace, user_id=by).update(role=Role.MEMBER)
    Membership.objects.filter(pk=theirs.pk).update(role=Role.OWNER)
    log.note(
        "team.passed_on",
        actor=by,
        subject=to,
        workspace=workspace_id,
        before={"role": theirs.role},
        after={"role": Role.OWNER},
    )


def _theirs(workspace_id: UUID, user_id: UUID) -> Membership:
    found = Membership.objects.filter(workspace_id=workspace_id, user_id=user_id)
    theirs = found.select_related("user").first()
    if theirs is None:
        raise NotFound(gettext("There is no such member."))
    return theirs


def _named(name: str) -> str:
    name = " ".join(name.split())
    if not 0 < len(name) <= MOST_NAME:
        raise InvalidRequest(
            gettext("A workspace has a name of at most %(most)s characters.") % {"most": MOST_NAME}
        )
    return name
