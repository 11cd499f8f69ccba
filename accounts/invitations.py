"""Invitations: a mail with a link, by which the owner of that address joins a team.

    open --> accepted       once, by who is signed in with that very address, and has verified it
      |----> withdrawn      by the owner, or by a newer invitation to the same address
      '----> expired        its time is over

The link holds 256 bits of chance, of which we keep a digest. By itself it is worth nothing: who
finds one in another's mailbox must also sign in as that address's owner.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone, translation
from django.utils.translation import gettext, gettext_lazy, gettext_noop

from accounts import signup, teams
from accounts.models import Invitation, Membership, User, Workspace
from audit import log
from common import ratelimits
from common.errors import AccessDisabled, InvalidRequest, NotFound
from outbox import mails

if TYPE_CHECKING:
    from uuid import UUID

    from django.db.models import QuerySet

LASTS = timedelta(days=7)
MOST_OPEN = 500
PER_DAY = 200
"""So many mails a workspace causes in a day."""
PER_PERSON = 400
"""So many a person causes, whatever number of teams they make."""
PER_ADDRESS = 20
"""So many an address is sent, by whomever."""
GONE = gettext_lazy("This invitation is not open any more. Ask for another.")
TEXT = gettext_noop("""\
%(who)s invites you to the team %(team)s, as %(role)s.

Sign in with this address (%(email)s), or make an account with it, and open:

%(link)s

The link works until %(until)s UTC. If you do not know of this, do nothing.
""")


def pending(workspace_id: UUID) -> QuerySet[Invitation]:
    """Return the invitations that can still be accepted, the newest first."""
    found = Invitation.objects.filter(
        workspace_id=workspace_id, accepted_at=None, withdrawn_at=None
    )
    return found.filter(expires_at__gt=timezone.now()).order_by("-created_at", "pk")


def invite(
    workspace_id: UUID, *, email: str, role: Membership.Role, by: User, base_url: str
) -> Invitation:
    """Invite an address, by mail; an earlier invitation to it is withdrawn.

    Raises InvalidRequest for what is no address, or a member's, and RateLimited.
    """
    try:
        email = signup.address(email)
    except ValidationError as exc:
        raise InvalidRequest(gettext("email: this is not an e-mail address.")) from exc
    if role == Membership.Role.OWNER:
        raise InvalidRequest(gettext("role: billing or member. The ownership passes to a member."))
    teams.seat(by.pk, workspace_id, Membership.Role.OWNER)
    for who, most in (
        (str(workspace_id), PER_DAY), (f"by {by.pk}", PER_PERSON), (f"to {email}", PER_ADDRESS)
    ):  # fmt: skip
        ratelimits.take("invitations", who, most=most, seconds=86_400)
    return _invite(workspace_id, email=email, role=role, by=by, base_url=base_url)


@transaction.atomic
def _invite(
    workspace_id: UUID, *, email: str, role: Membership.Role, by: User, base_url: str
) -> Invitation:
    workspace = teams.locked(by.pk, workspace_id, Membership.Role.OWNER)
    if workspace.kind != workspace.Kind.TEAM:
        raise InvalidRequest(gettext("A personal workspace is for one. Make a team."))
    if Membership.objects.filter(workspace=workspace, user__email=email).exists():
        raise InvalidRequest(gettext("%(email)s belongs to this team already.") % {"email": email})
    _open(workspace).filter(email=email).update(withdrawn_at=timezone.now())
    if pending(workspace_id).count() >= MOST_OPEN:
        raise InvalidRequest(
            gettext("%(most)s invitations are open. Withdraw some.") % {"most": MOST_OPEN}
        )
    token = secrets.token_urlsafe(32)
    made = Invitation.objects.create(
        workspace=workspace,
        email=email,
        role=role,
        token_digest=_digest(token),
        invited_by=by,
        expires_at=timezone.now() + LASTS,
    )
    with mails.in_language_of(email):
        facts = {
            "who": by.name or by.email,
            "team": workspace.name,
            "role": translation.gettext(role),
            "email": email,
            "link": f"{settings.PUBLIC_URL or base_url}/invitations/{token}",
            "until": f"{made.expires_at:%Y-%m-%d %H:%M}",
        }
        mails.write(
            f"invitation:{made.pk}",
            to=email,
            subject=gettext("Join %(team)s") % facts,
            text=translation.gettext(TEXT) % facts,
        )
    log.note(
        "member.invited",
        actor=by.pk,
        workspace=workspace_id,
        target=made.pk,
        after={"role": role},
    )
    return made


def open_one(token: str) -> Invitation:
    """Return the open invitation of a link; raise NotFound if there is none."""
    found = Invitation.objects.filter(
        token_digest=_digest(token),
        accepted_at=None,
        withdrawn_at=None,
        expires_at__gt=timezone.now(),
    )
    one = found.select_related("workspace", "invited_by").first()
    if one is None:
        raise NotFound(GONE)
    return one


@transaction.atomic
def withdraw(workspace_id: UUID, invitation_id: UUID, *, by: UUID) -> None:
    """Have an open invitation be none any more; raise NotFound if it is none."""
    workspace = teams.locked(by, workspace_id, Membership.Role.OWNER)
    if not _open(workspace).filter(pk=invitation_id).update(withdrawn_at=timezone.now()):
        raise NotFound(gettext("There is no such open invitation."))
    log.note("invitation.withdrawn", actor=by, workspace=workspace_id, target=invitation_id)


@transaction.atomic
def accept(token: str, *, user: User) -> Membership:
    """Have somebody join the team of an invitation to their own address, once.

    Raises NotFound if it is not open, AccessDisabled if it is another's or the address is not
    verified. Who accepted it already and is still there is told the same.
    """
    found = Invitation.objects.filter(token_digest=_digest(token)).first()
    if found is None:
        raise NotFound(GONE)
    workspace = Workspace.objects.select_for_update().get(pk=found.workspace_id)
    found.refresh_from_db()
    if found.email != user.email:
        raise AccessDisabled(
            gettext(
                "This invitation was sent to another address. Sign in with that one, or ask for "
                "an invitation to yours."
            )
        )
    if not signup.is_verified(user):
        raise AccessDisabled(gettext("Verify your e-mail address first; then the link works."))
    if found.accepted_at is not None:
        return _mine(workspace, user)
    if found.withdrawn_at is not None or found.expires_at <= timezone.now():
        raise NotFound(GONE)
    Invitation.objects.filter(pk=found.pk).update(accepted_at=timezone.now())
    return teams.join(workspace, user, role=Membership.Role(found.role), by=user.pk)


def _mine(workspace: Workspace, user: User) -> Membership:
    """Return the membership that an invitation once led to; who was removed since has none."""
    mine = Membership.objects.filter(workspace=workspace, user=user).first()
    if mine is None:
        raise NotFound(GONE)
    return mine


def _open(workspace: Workspace) -> QuerySet[Invitation]:
    return Invitation.objects.filter(workspace=workspace, accepted_at=None, withdrawn_at=None)


def _digest(token: str) -> bytes:
    """Return what is kept of a token: it is long enough for a plain hash."""
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()
