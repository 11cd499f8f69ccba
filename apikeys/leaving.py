"""Keys of who leaves: they stop when that is confirmed, and go on if their owner stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from django.db import transaction
from django.utils import timezone

from apikeys import states
from apikeys.models import ApiKey
from audit import log

if TYPE_CHECKING:
    from uuid import UUID

    from django.db.models import QuerySet

WHY: Final = "its owner asked to be deleted"


@transaction.atomic
def stop(user_id: UUID) -> int:
    """Let all keys of somebody do nothing from now on; return how many did something."""
    states.lock_owner(user_id)
    enabled = ApiKey.objects.filter(states.ENABLED, user_id=user_id)
    return _change(enabled, user_id, "stopped", disabled_at=timezone.now(), status_reason=WHY)


@transaction.atomic
def restart(user_id: UUID) -> int:
    """Let those act again that `stop` ended; return how many there were."""
    states.lock_owner(user_id)
    stopped = ApiKey.objects.filter(
        user_id=user_id, revoked_at=None, disabled_at__isnull=False, status_reason=WHY,
        status_changed_by=user_id,
    )  # fmt: skip
    return _change(stopped, user_id, "restarted", disabled_at=None, status_reason="its owner stays")


def _change(rows: QuerySet[ApiKey], user_id: UUID, done: str, **fields: object) -> int:
    changed = rows.update(status_changed_at=timezone.now(), status_changed_by=user_id, **fields)
    if changed:
        log.note(f"keys.{done}", actor=user_id, subject=user_id, after={"keys": changed})
    return changed
