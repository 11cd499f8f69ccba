"""Reads of a workspace's history: calls and postings in one numbered list, newest first.

Both take their numbers from the wallet's row, without gaps. So the total is one column, and page
p is a range of numbers on two indexes: the same cost at any depth (docs/decisions/0003).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db.models import F, Q

from credits.models import Account, Entry
from usage.models import Call

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

CALL_EVENT = "api_usage_completed"
ENTRY_EVENTS = {
    (Entry.Kind.TOP_UP, True): "credit_added",
    (Entry.Kind.GRANT, True): "credit_added",
    (Entry.Kind.REFUND, False): "credit_refunded",
    (Entry.Kind.REFUND, True): "credit_restored",
    (Entry.Kind.DISPUTE, False): "credit_disputed",
    (Entry.Kind.DISPUTE, True): "credit_restored",
    (Entry.Kind.RECEIVABLE, False): "credit_owed",
    (Entry.Kind.RECEIVABLE, True): "credit_restored",
    (Entry.Kind.EXPIRY, False): "credit_expired",
    (Entry.Kind.ADJUSTMENT, True): "credit_adjusted",
    (Entry.Kind.ADJUSTMENT, False): "credit_adjusted",
    (Entry.Kind.REVERSAL, True): "credit_reversed",
    (Entry.Kind.REVERSAL, False): "credit_reversed",
}
"""What an entry is called in a wallet's history: by its kind, and whether the wallet received."""


def entry_event(entry: Entry) -> str:
    """Return the event type of a numbered entry."""
    return ENTRY_EVENTS[Entry.Kind(entry.kind), entry.credit_id == entry.event_wallet_id]


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of one page, newest first, and how many there are on all pages."""

    total: int
    rows: list[Call | Entry]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events are wanted; all if every field is empty. Times are inclusive, exclusive."""

    event_type: str = ""
    start: datetime | None = None
    end: datetime | None = None


def events(workspace_id: UUID, *, page: int, limit: int, wanted: Filter) -> Page:
    """Return one page (1-based) of a workspace's history, with the exact total."""
    total = Account.objects.values_list("events", flat=True).get(pk=workspace_id)
    first, last = 1, total
    if wanted.start is not None:
        first = _first_at(workspace_id, wanted.start, total)
    if wanted.end is not None:
        last = _first_at(workspace_id, wanted.end, total) - 1
    if wanted.event_type == CALL_EVENT:
        return _calls_only(workspace_id, first, last, page, limit)
    if wanted.event_type:
        return _entries_only(workspace_id, wanted.event_type, first, last, page, limit)
    newest = last - (page - 1) * limit
    oldest = max(first, newest - limit + 1)
    return Page(max(0, last - first + 1), _between(workspace_id, oldest, newest))


def _between(workspace_id: UUID, oldest: int, newest: int) -> list[Call | Entry]:
    if newest < oldest:
        return []
    calls = Call.objects.filter(workspace_id=workspace_id, number__range=(oldest, newest))
    entries = Entry.objects.filter(event_wallet=workspace_id, event_number__range=(oldest, newest))
    rows: list[Call | Entry] = [*calls, *entries]
    return sorted(rows, key=number, reverse=True)


def number(row: Call | Entry) -> int:
    """Return the row's place in its workspace's history."""
    place = row.number if isinstance(row, Call) else row.event_number
    assert place is not None, "only numbered entries are listed"
    return place


def _entries_only(
    workspace_id: UUID, event_type: str, first: int, last: int, page: int, limit: int
) -> Page:
    wanted = Q(pk__in=[])
    for (kind, received), event in ENTRY_EVENTS.items():
        if event == event_type:
            wanted |= Q(kind=kind, **{"credit" if received else "debit": F("event_wallet")})
    found = Entry.objects.filter(
        wanted, event_wallet=workspace_id, event_number__range=(first, last)
    ).order_by("-event_number")
    start = (page - 1) * limit
    return Page(found.count(), list(found[start : start + limit]))


def _calls_only(workspace_id: UUID, first: int, last: int, page: int, limit: int) -> Page:
    """Skip the numbers that entries took: there are few of them beside the calls."""
    taken = list(
        Entry.objects.filter(event_wallet=workspace_id, event_number__range=(first, last))
        .order_by("-event_number")
        .values_list("event_number", flat=True)
    )
    total = max(0, last - first + 1 - len(taken))
    newest = _skip(taken, last, (page - 1) * limit)
    oldest = max(first, _skip(taken, last, page * limit) + 1)
    if newest < oldest:
        return Page(total, [])
    calls = Call.objects.filter(workspace_id=workspace_id, number__range=(oldest, newest))
    return Page(total, list(calls.order_by("-number")))


def _skip(taken: list[int | None], last: int, calls: int) -> int:
    """Return the number that stands `calls` calls below `last`, counted without `taken`."""
    place = last - calls
    for entry in taken:
        if entry is not None and entry > place:
            place -= 1
        else:
            break
    return place


def _first_at(workspace_id: UUID, instant: datetime, total: int) -> int:
    """Return the least number whose time is `instant` or later (total + 1 if none is).

    Numbers follow time up to the length of a commit, so a search by halves finds the place with
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


def _at(workspace_id: UUID, place: int) -> Any:
    call = Call.objects.filter(workspace_id=workspace_id, number=place)
    at = call.values_list("settled_at", flat=True).first()
    if at is None:
        entry = Entry.objects.filter(event_wallet=workspace_id, event_number=place)
        at = entry.values_list("created_at", flat=True).get()
    return at
