"""Sign-ins of programs: begun by a code, kept by refresh tokens, ended once.

    code given --> code used --> refreshed ... --> ended
               '--> (a minute) nothing

A code, and each refresh token, is good once: it is `<id>.<secret>`, kept as a digest, looked at
under the row's lock. Whoever brings a refresh token that is not the last has an old one, as a thief
or the robbed would: the sign-in ends, and with it, in the next statement, every token of it. A mark
in it tells that it was given: the id alone, which stands in every access token, ends nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from accounts.models import Membership, SignIn
from audit import log
from common import rotating
from common.personal import delete_in_steps

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from accounts.models import User
    from accounts.tokens import Claims

CODE_SECONDS = 60
LASTS = timedelta(days=30)
TWICE = "used twice"
MARK_DIGITS = 32

LIVING = """
      FROM accounts_signin signin
      JOIN accounts_user person ON person.id = signin.user_id AND person.is_active
      JOIN accounts_membership seat
        ON seat.workspace_id = signin.workspace_id AND seat.user_id = signin.user_id
       AND seat.created_at <= signin.created_at
      JOIN accounts_workspace workspace ON workspace.id = signin.workspace_id
     WHERE signin.ended_at IS NULL AND signin.expires_at > now()
"""
"""The sign-ins that may act: who asks for one, at whatever door, asks so.

As a key, one is its person's in that workspace for as long as they belong to it (`seat`): who comes
back signs in anew.
"""


def begin(
    *,
    user: User,
    workspace_id: UUID,
    client_id: str,
    redirect_uri: str,
    challenge: str,
    address: str = "",
    agent: str = "",
) -> str:
    """Note that somebody allowed a program to act for them; return the code for it, good once."""
    now = timezone.now()
    pk, secret = uuid4(), secrets.token_urlsafe(32)
    SignIn.objects.create(
        id=pk,
        user=user,
        workspace_id=workspace_id,
        client_id=client_id,
        redirect_uri=redirect_uri,
        challenge=challenge,
        code_digest=_digest(secret),
        code_expires_at=now + timedelta(seconds=CODE_SECONDS),
        expires_at=now + LASTS,
        address=address[:45],
        agent=agent.replace("\0", "")[:200],
    )
    _note("sign-in.begun", user.pk, workspace_id, pk)
    return f"{pk}.{secret}"


def by_code(code: str) -> SignIn | None:
    """Return the sign-in that a code begins, locked; None if it begins none.

    A code that was used before ends what it began.
    """
    found, secret = _locked(code)
    if found is None or not hmac.compare_digest(bytes(found.code_digest), _digest(secret)):
        return None
    if found.code_used_at is not None:
        end(found, why=f"a code {TWICE}")
        return None
    return found if found.code_expires_at > timezone.now() and may_act(found) else None


def by_refresh_token(token: str) -> SignIn | None:
    """Return the sign-in that a refresh token keeps, locked; None if it keeps none.

    One that was given, and is not the last, ends the sign-in; an invented one ends nothing.
    """
    found, secret = _locked(token)
    if found is None or found.refresh_digest is None or found.ended_at is not None:
        return None
    if not hmac.compare_digest(bytes(found.refresh_digest), _digest(secret)):
        if _was_given(found.pk, secret):
            end(found, why=f"a refresh token {TWICE}")
        return None
    return found if may_act(found) else None


def refreshed(signin: SignIn) -> str:
    """Use up the code or refresh token of a locked sign-in; return the next refresh token."""
    now, chance = timezone.now(), secrets.token_urlsafe(32)
    secret = chance + _mark(signin.pk, chance, by=rotating.secret_keys()[0])
    signin.code_used_at = signin.code_used_at or now
    signin.refresh_digest, signin.last_used_at = _digest(secret), now
    signin.save(update_fields=["code_used_at", "refresh_digest", "last_used_at"])
    return f"{signin.pk}.{secret}"


def _was_given(pk: UUID, secret: str) -> bool:
    """Whether a secret was once a refresh token of that sign-in, by a SECRET_KEY that is known."""
    chance, mark = secret[:-MARK_DIGITS], secret[-MARK_DIGITS:]
    given = mark.encode("utf-8", "replace")
    return any(
        hmac.compare_digest(given, _mark(pk, chance, by=key).encode())
        for key in rotating.secret_keys()
    )


def _mark(pk: UUID, chance: str, *, by: bytes) -> str:
    said = b"refresh\0" + pk.bytes + chance.encode("utf-8", "replace")
    return hmac.digest(by, said, "sha256").hex()[:MARK_DIGITS]


def may_act(signin: SignIn) -> bool:
    """Whether it may act now; LIVING of a row."""
    return (
        signin.ended_at is None
        and signin.expires_at > timezone.now()
        and signin.user.is_active
        and Membership.objects.filter(
            user=signin.user_id,
            workspace=signin.workspace_id,
            created_at__lte=signin.created_at,
        ).exists()
    )


def of_claims(claims: Claims) -> SignIn | None:
    """Return the sign-in of a token, if it may act."""
    found = SignIn.objects.select_related("user").filter(pk=claims.sid).first()
    if found is None or (found.user_id, found.workspace_id) != (
        claims.user_id,
        claims.workspace_id,
    ):
        return None
    return found if may_act(found) else None


def role_of(signin: SignIn) -> str:
    """Return what its person is in its workspace now; whoever has just left is a member."""
    seats = Membership.objects.filter(user=signin.user_id, workspace=signin.workspace_id)
    role: str | None = seats.values_list("role", flat=True).first()
    return role or Membership.Role.MEMBER


def open_of(user: User) -> QuerySet[SignIn]:
    """Return what acts for somebody now, the newest first."""
    return SignIn.objects.filter(
        user=user, ended_at=None, expires_at__gt=timezone.now(), code_used_at__isnull=False
    ).order_by("-created_at")


def end(signin: SignIn, *, why: str, by: UUID | None = None) -> bool:
    """End one; False if it had ended before. Its tokens do nothing from the next statement on."""
    return bool(_end(SignIn.objects.filter(pk=signin.pk), why=why, by=by))


def end_all(
    user_id: UUID, *, why: str, by: UUID | None = None, workspace_id: UUID | None = None
) -> int:
    """End all of somebody's, in one workspace or in all; return how many there were.

    For a changed password, a lost second factor, a member who is removed.
    """
    theirs = SignIn.objects.filter(user_id=user_id)
    return _end(
        theirs.filter(workspace_id=workspace_id) if workspace_id else theirs, why=why, by=by
    )


def forget() -> int:
    """Delete rows that say nothing any more, in steps: ended or expired long ago, or never used."""
    now = timezone.now()
    long_ago = now - timedelta(days=settings.RETENTION_DAYS["sign_ins"])
    yesterday = now - timedelta(days=1)
    old = Q(expires_at__lt=long_ago) | Q(ended_at__lt=long_ago)
    unused = Q(code_used_at=None, code_expires_at__lt=yesterday)
    return delete_in_steps(SignIn.objects.filter(old | unused))


def _end(rows: QuerySet[SignIn], *, why: str, by: UUID | None) -> int:
    ended = 0
    for row in rows.filter(ended_at=None).order_by("pk"):
        mine = SignIn.objects.filter(pk=row.pk, ended_at=None)
        if mine.update(ended_at=timezone.now(), why_ended=why[:100]):
            ended += 1
            _note("sign-in.ended", row.user_id, row.workspace_id, row.pk, by=by, reason=why)
    return ended


def _note(
    what: str,
    user_id: UUID,
    workspace_id: UUID,
    pk: UUID,
    *,
    by: UUID | None = None,
    reason: str = "",
) -> None:
    begun = what.endswith("begun")
    log.note(
        what,
        actor=user_id if begun else by,
        subject=user_id,
        workspace=workspace_id,
        target=pk,
        reason=reason,
    )


def _locked(credential: str) -> tuple[SignIn | None, str]:
    """Return the row that a code or refresh token names, locked until the transaction ends."""
    name, _, secret = credential.partition(".")
    try:
        pk = UUID(name)
    except ValueError:
        return None, ""
    rows = SignIn.objects.select_related("user").select_for_update(of=("self",), no_key=True)
    return rows.filter(pk=pk).first(), secret


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()
