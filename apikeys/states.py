"""What becomes of a key: disabled for a while, or revoked for good; it is noted by whom, and why.

    enabled <--> disabled
       '------------'--> revoked

Each takes effect at once: every call looks in the query that sets its money aside. A key that is
enabled may be used until it expires, and while its person is active (`keys.LIVING`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext, gettext_noop

from accounts.models import User
from apikeys import keys
from apikeys.models import ApiKey
from audit import log
from common.errors import InvalidRequest, NotFound
from common.rows import values
from credits.books import reasons

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.db.models import QuerySet

PREFIX_FORM = re.compile(rf"{keys.PREFIX}{keys.OWN_PART}[0-9a-f]{{1,8}}")
MADE_WITH = """
    WITH RECURSIVE made AS (
        SELECT id, revoked_at FROM apikeys_apikey WHERE made_by_id = %s
         UNION ALL
        SELECT key.id, key.revoked_at FROM apikeys_apikey key JOIN made ON key.made_by_id = made.id
    )
    SELECT id FROM made WHERE revoked_at IS NULL
"""
ENABLED = Q(revoked_at=None, disabled_at=None)


def find(text: str) -> ApiKey:
    """Return the key that a whole key, its id, or the beginning that is shown of it names.

    Raises NotFound, and InvalidRequest for what names none or several.
    """
    text = text.strip()
    if keys.is_wellformed(text):
        found = ApiKey.objects.filter(digest__in=keys.digests(text))
    elif PREFIX_FORM.fullmatch(text):
        found = ApiKey.objects.filter(prefix__startswith=text)
    else:
        try:
            found = ApiKey.objects.filter(pk=UUID(text))
        except ValueError:
            raise InvalidRequest(
                gettext("A key is named by its id, or by its beginning, like %(prefix)s0a1b2c3d.")
                % {"prefix": keys.PREFIX}
            ) from None
    some = list(found.select_related("user")[:2])
    if not some:
        raise NotFound(gettext("There is no such key."))
    if len(some) > 1:
        raise InvalidRequest(
            gettext("More than one key begins with %(text)s: give the id of one.") % {"text": text}
        )
    return some[0]


def told(key: ApiKey) -> str:
    """Return whether a key may be used, or why not, in a word or two: `keys.LIVING` of a row."""
    if key.revoked_at:
        return gettext_noop("revoked")
    if key.disabled_at:
        return gettext_noop("disabled")
    if key.expires_at and key.expires_at <= timezone.now():
        return gettext_noop("expired")
    if not key.user.is_active:
        return gettext_noop("of nobody active")
    return gettext_noop("living") if keys.has_seat(key) else gettext_noop("of nobody here")


def disable(key: ApiKey, *, by: UUID, reason: str) -> bool:
    """Let a key do nothing until it is enabled; False if it did nothing already."""
    enabled = ApiKey.objects.filter(ENABLED, pk=key.pk)
    return _change(key, enabled, "disabled", by=by, reason=reason, disabled_at=timezone.now())


def seize(key: ApiKey, *, by: UUID, reason: str) -> bool:
    """Let a key do nothing, also where others disabled it before: they do not enable it then.

    False if it was revoked, or disabled by the same already.
    """
    left = ApiKey.objects.filter(pk=key.pk, revoked_at=None)
    left = left.exclude(disabled_at__isnull=False, status_changed_by=by)
    return _change(key, left, "disabled", by=by, reason=reason, disabled_at=timezone.now())


def enable(key: ApiKey, *, by: UUID, reason: str) -> bool:
    """Let a disabled key act again; False if it was not disabled. Raises InvalidRequest if revoked.

    What has expired, or whose person is deactivated, still does nothing.
    """
    disabled = ApiKey.objects.filter(pk=key.pk, revoked_at=None, disabled_at__isnull=False)
    if _change(key, disabled, "enabled", by=by, reason=reason, disabled_at=None):
        return True
    if ApiKey.objects.filter(pk=key.pk, revoked_at__isnull=False).exists():
        raise InvalidRequest(gettext("This key was revoked, which is for good: issue another."))
    return False


def revoke(key: ApiKey, *, by: UUID, reason: str) -> bool:
    """End a key for good; False if it was revoked already."""
    left = ApiKey.objects.filter(pk=key.pk, revoked_at=None)
    return _change(key, left, "revoked", by=by, reason=reason, revoked_at=timezone.now())


def made_with(key: ApiKey) -> list[ApiKey]:
    """Return the keys that were made with a key, with these, and so on, and were not revoked.

    Those that were lead on to others, however many they are: what was made with one may work still.
    """
    found = ApiKey.objects.filter(pk__in=values(MADE_WITH, [key.pk])).select_related("user")
    return list(found.order_by("created_at", "id"))


def end_made(key: ApiKey, end: Callable[[ApiKey], bool]) -> list[ApiKey]:
    """End what was made with a key that was ended just now; return what was.

    Until there is none: a run of one of them that begins meanwhile has made a key by its end.
    """
    ended: list[ApiKey] = []
    while now := [each for each in made_with(key) if end(each)]:
        ended += now
    return ended


@transaction.atomic
def revoke_with_made(key: ApiKey, *, by: UUID, reason: str) -> int:
    """End a key for good, and all that were made with it; return how many were ended now.

    For a key that somebody else may have had: what it made may be theirs.
    """
    lock_owner(key.user_id)
    # First: a run of it that begins now has made its key by then, or makes none.
    ended = revoke(key, by=by, reason=reason)
    return ended + len(end_made(key, lambda each: revoke(each, by=by, reason=reason)))


@transaction.atomic
def _change(
    key: ApiKey, rows: QuerySet[ApiKey], done: str, *, by: UUID, reason: str, **fields: object
) -> bool:
    """Change the key if it is among the rows, and note who did it; True if something was."""
    reason = reasons.given(reason, to="This")
    before = told(key)
    note = {
        "status_changed_at": timezone.now(),
        "status_changed_by": by,
        "status_reason": reason,
    }
    changed = rows.update(**fields, **note)
    if changed:
        log.note(
            f"key.{done}",
            actor=by,
            subject=key.user_id,
            workspace=key.workspace_id,
            target=key.pk,
            before={"state": before},
            after={"state": done},
            reason=reason,
        )
    return bool(changed)


def lock_owner(user_id: UUID) -> None:
    """Let nobody else make, change or end keys of this person until the transaction is over."""
    User.objects.select_for_update(no_key=True).get(pk=user_id)


@transaction.atomic
def revoke_all(user_id: UUID, *, by: UUID, reason: str, workspace_id: UUID | None = None) -> int:
    """End all keys of somebody for good, in one workspace or in all; return how many there were.

    A key that is being made at this moment with one of them is not made, or is ended too.
    """
    lock_owner(user_id)
    left = ApiKey.objects.filter(user_id=user_id, revoked_at=None).select_related("user")
    if workspace_id is not None:
        left = left.filter(workspace_id=workspace_id)
    return sum(revoke(key, by=by, reason=reason) for key in left.order_by("id"))
