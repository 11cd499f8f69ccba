"""What the audit log knows of people, and how it forgets it (common/personal.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import Q
from django.utils.translation import gettext_lazy

from audit import log
from audit.models import Event
from common.personal import ERASED, Fate, Kept, Known, Person, oldest

if TYPE_CHECKING:
    from datetime import datetime

KNOWN = (
    Known(
        "audit.Event",
        Fate.PSEUDONYM,
        gettext_lazy(
            "What was done, under numbers that are nobody's any more: without the addresses and "
            "browsers it came from, and without reasons that named you. Deleted when the log's "
            "time is over."
        ),
        whose=lambda person: Q(actor_id=person.id) | Q(subject_id=person.id),
        shown=("at", "action", "target", "before", "after", "reason", "source"),
    ),
)


def erase(person: Person) -> dict[str, int]:
    """Forget from where somebody acted, and what staff wrote of them by name."""
    named = Event.objects.filter(Q(subject_id=person.id) | Q(workspace_id__in=person.workspaces))
    blanked = 0
    for word in person.words:
        blanked += named.filter(reason__contains=word).update(reason=ERASED)
    return {"addresses": log.forget_where(person.id), "reasons": blanked}


def _forget_addresses(before: datetime, most: int) -> int:
    old = Event.objects.filter(at__lt=before).exclude(address="", agent="")
    return Event.objects.filter(pk__in=oldest(old, most)).update(address="", agent="")


def _forget(before: datetime, most: int) -> int:
    old = Event.objects.filter(at__lt=before)
    return Event.objects.filter(pk__in=oldest(old, most)).delete()[0]


KEPT = (Kept("addresses", _forget_addresses), Kept("audit", _forget))
