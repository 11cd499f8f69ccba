"""The thirty days: who waits to be deleted for too long is a finding, and a gauge."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from django.db.models import Count, Min, Q
from django.utils import timezone

from credits.books import findings
from credits.models import Finding
from privacy.models import Deletion

PREFIX: Final = "deletion:"
BEFORE: Final = timedelta(days=7)
"""So long before the last day staff read that something is in the way."""
STATES: Final = (Deletion.State.WAITING, Deletion.State.RUNNING)


def look() -> int:
    """Have a finding for each deletion that is late, or nearly; return how many there are."""
    found = {}
    late = Deletion.objects.filter(state__in=STATES, deadline_at__lt=timezone.now() + BEFORE)
    for each in late.order_by("deadline_at"):
        why = " ".join(each.blocked.values()) or each.error or "It waits for its day."
        sentence = f"Deletion {each.pk} must be done by {each.deadline_at:%Y-%m-%d}. {why}"
        found[f"{PREFIX}{each.pk}"] = sentence
        findings.report(f"{PREFIX}{each.pk}", kind=Finding.Kind.PRIVACY, sentence=sentence)
    findings.resolve_others(PREFIX, found.keys())
    return len(found)


def gauges() -> dict[str, tuple[str, float]]:
    """Return what a monitor watches: how many are open, how many late, and what time is left."""
    now = timezone.now()
    counted = Deletion.objects.filter(state__in=STATES).aggregate(
        open=Count("pk"), late=Count("pk", filter=Q(deadline_at__lt=now)), first=Min("deadline_at")
    )
    left = (counted["first"] - now).total_seconds() if counted["first"] else 30 * 86_400
    return {
        "platform_deletions_open": ("Deletions that are confirmed and not done", counted["open"]),
        "platform_deletions_late": ("Of these, beyond their thirty days", counted["late"]),
        "platform_deletion_seconds_left": ("Until the next must be done", left),
    }
