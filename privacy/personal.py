"""What this app knows of people itself (common/personal.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import Q
from django.utils.translation import gettext_lazy

from common.personal import Fate, Kept, Known, Person, oldest
from privacy.models import Deletion, Export
from uploads import shelf

if TYPE_CHECKING:
    from datetime import datetime

KNOWN = (
    Known(
        "privacy.Deletion",
        Fate.PSEUDONYM,
        gettext_lazy("That you asked to be deleted, and this certificate: numbers and days."),
        whose=lambda person: Q(user_id=person.id),
        shown=("id", "state", "asked_at", "confirmed_at", "due_at", "deadline_at", "ended_at"),
    ),
    Known(
        "privacy.Export",
        Fate.DELETED,
        gettext_lazy("Archives of your data."),
        whose=lambda person: Q(user_id=person.id),
        shown=("id", "state", "size_bytes", "asked_at", "ready_at", "expires_at"),
    ),
)


def erase(person: Person) -> dict[str, int]:
    """Leave no archive of somebody; raises OSError where storage is away."""
    theirs = Export.objects.filter(user_id=person.id)
    for export in theirs:
        shelf.drop(export.key)
    return {"archives": theirs.delete()[0]}


def _forget(before: datetime, most: int) -> int:
    """Forget certificates whose books are over, or that never came to be, and old archives."""
    ended = Deletion.objects.filter(ended_at__lt=before, books_until=None)
    gone = Deletion.objects.filter(pk__in=oldest(ended, most)).delete()[0]
    exports = Export.objects.filter(state__in=("gone", "failed"), asked_at__lt=before)
    return gone + Export.objects.filter(pk__in=oldest(exports, most)).delete()[0]


KEPT = (Kept("certificates", _forget),)
