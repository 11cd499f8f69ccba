"""The numbers of a workspace's history: which of them calls have, and which a time begins with.

Calls and postings take them from the wallet's row, without gaps (docs/decisions/0003).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from credits.models import Entry
from usage.models import Call

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID


def calls_between(
    workspace_id: UUID, first: int, last: int, page: int, limit: int
) -> tuple[int, int, int]:
    """Return how many calls have these numbers, and the oldest and newest number of a page.

    The numbers that entries took are skipped: there are few of them beside the calls.
    """
    taken = list(
        Entry.objects.filter(event_wallet=workspace_id, event_number__range=(first, last))
        .order_by("-event_number")
        .values_list("event_number", flat=True)
    )
    total = max(0, last - first + 1 - len(taken))
    newest = _skip(taken, last, (page - 1) * limit)
    return total, max(first, _skip(taken, last, page * limit) + 1), newest


def _skip(taken: list[int | None], last: int, calls: int) -> int:
    """Return the number that stands `calls` calls below `last`, counted without `taken`."""
    number = last - calls
    for entry in taken:
        if entry is not None and entry > number:
            number -= 1
        else:
            break
    return number


def first_at(workspace_id: UUID, instant: datetime, total: int) -> int:
    """Return the least number whose time is `instant` or later (total + 1 if none is).

    Numbers follow time up to the length of a commit, so a search by halves finds it with
    some twenty index probes, where a scan by time would need an index of its own.
    """
    low, high = 1, total + 1
    while low < high:
        middle = (low + high) // 2
        if _at(workspace_id, middle) < instant:
            low = middle + 1
        else:
            high = middle
    return low


def _at(workspace_id: UUID, number: int) -> datetime:
    calls = Call.objects.filter(workspace_id=workspace_id, number=number)
    if (at := calls.values_list("settled_at", flat=True).first()) is not None:
        return at
    entries = Entry.objects.filter(event_wallet=workspace_id, event_number=number)
    return entries.values_list("created_at", flat=True).get()
