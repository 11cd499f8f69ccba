"""What becomes of a key: disabled for a while, or revoked for good; it is noted by whom, and why.

    living <--> disabled
       '-----------'--> revoked

Each takes effect at once: every call looks in the statement that sets its money aside.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from apikeys import keys
from apikeys.models import ApiKey
from common.errors import InvalidRequest, NotFound
from credits.books import reasons

if TYPE_CHECKING:
    from django.db.models import QuerySet

PREFIX_FORM = re.compile(rf"{keys.PREFIX}[0-9a-f]{{1,8}}")
LIVING = Q(revoked_at=None, disabled_at=None)


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
                f"A key is named by its id, or by its beginning, like {keys.PREFIX}0a1b2c3d."
            ) from None
    some = list(found.select_related("user")[:2])
    if not some:
        raise NotFound("There is no such key.")
    if len(some) > 1:
        raise InvalidRequest(f"More than one key begins with {text}: give the id of one.")
    return some[0]


def disable(key: ApiKey, *, by: UUID, reason: str) -> bool:
    """Let a key do nothing until it is enabled; False if it did nothing already."""
    living = ApiKey.objects.filter(LIVING, pk=key.pk)
    return _change(living, by=by, reason=reason, disabled_at=timezone.now())


def enable(key: ApiKey, *, by: UUID, reason: str) -> bool:
    """Let a disabled key act again; False if it was not disabled. Raises InvalidRequest if revoked.

    What has expired, or whose person is deactivated, still does nothing.
    """
    disabled = ApiKey.objects.filter(pk=key.pk, revoked_at=None, disabled_at__isnull=False)
    if _change(disabled, by=by, reason=reason, disabled_at=None):
        return True
    if ApiKey.objects.filter(pk=key.pk, revoked_at__isnull=False).exists():
        raise InvalidRequest("This key was revoked, which is for good: issue another.")
    return False


def revoke(key: ApiKey, *, by: UUID, reason: str) -> bool:
    """End a key for good; False if it was revoked already."""
    left = ApiKey.objects.filter(pk=key.pk, revoked_at=None)
    return _change(left, by=by, reason=reason, revoked_at=timezone.now())


def _change(rows: QuerySet[ApiKey], *, by: UUID, reason: str, **fields: object) -> bool:
    """Change what is left of the rows to change, and note who did it; True if something was."""
    note = {
        "status_changed_at": timezone.now(),
        "status_changed_by": by,
        "status_reason": reasons.given(reason, to="This"),
    }
    return bool(rows.update(**fields, **note))
