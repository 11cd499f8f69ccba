"""Reads of a workspace's history: calls and postings in one numbered list, newest first.

Both take their numbers from the wallet's row, without gaps. So the total is one column, and page
p is a range of numbers on two indexes: the same cost at any depth (docs/decisions/0003).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from django.db.models import F, Q

from common.money import Micros
from credits.models import Account, Entry
from usage import depth, history, numbers
from usage.models import Call
from usage.record import OWN_ACCOUNT

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID


class Kind(StrEnum):
    """What a row of a history is."""

    CALLED = "called"
    ADDED = "added"
    REFUNDED = "refunded"
    DISPUTED = "disputed"
    OWED = "owed"
    RESTORED = "restored"
    EXPIRED = "expired"
    ADJUSTED = "adjusted"
    REVERSED = "reversed"


MOVED = {
    (Entry.Kind.TOP_UP, True): Kind.ADDED,
    (Entry.Kind.GRANT, True): Kind.ADDED,
    (Entry.Kind.REFUND, False): Kind.REFUNDED,
    (Entry.Kind.REFUND, True): Kind.RESTORED,
    (Entry.Kind.DISPUTE, False): Kind.DISPUTED,
    (Entry.Kind.DISPUTE, True): Kind.RESTORED,
    (Entry.Kind.RECEIVABLE, False): Kind.OWED,
    (Entry.Kind.RECEIVABLE, True): Kind.RESTORED,
    (Entry.Kind.EXPIRY, False): Kind.EXPIRED,
    (Entry.Kind.ADJUSTMENT, True): Kind.ADJUSTED,
    (Entry.Kind.ADJUSTMENT, False): Kind.ADJUSTED,
    (Entry.Kind.REVERSAL, True): Kind.REVERSED,
    (Entry.Kind.REVERSAL, False): Kind.REVERSED,
}
"""What an entry is in a wallet's history: by its kind, and whether the wallet received."""


@dataclass(frozen=True, slots=True)
class Called:
    """A call, as its owner sees it."""

    number: int
    at: datetime
    id: UUID
    vendor: str
    operation: str
    title: str
    """What the client calls it, if it said."""
    run: str
    outcome: Call.Outcome
    reason: str
    charged: Micros
    is_own_account: bool
    """Whether its workspace paid the vendor itself, and here a fee only."""

    @classmethod
    def of(cls, row: Call) -> Called:
        """Read it."""
        return cls(
            number=row.number,
            at=row.settled_at,
            id=row.id,
            vendor=row.vendor,
            operation=row.operation,
            title=row.facts.get("title") or "",
            run=row.run_id,
            outcome=Call.Outcome(row.outcome),
            reason=row.reason,
            charged=Micros(row.charged_micros),
            is_own_account=row.facts.get("account") == OWN_ACCOUNT,
        )


@dataclass(frozen=True, slots=True)
class Moved:
    """What gave credits to a wallet, or took them, other than a call."""

    number: int
    at: datetime
    kind: Kind
    entry: int
    key: str
    amount: Micros
    received: bool
    """Whether it came in; else it went."""

    @classmethod
    def of(cls, row: Entry) -> Moved:
        """Read a numbered entry."""
        assert row.event_number is not None, "only numbered entries are listed"
        received = row.credit_id == row.event_wallet_id
        return cls(
            number=row.event_number,
            at=row.created_at,
            kind=MOVED[Entry.Kind(row.kind), received],
            received=received,
            entry=row.pk,
            key=row.key,
            amount=Micros(row.amount_micros),
        )


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of one page, newest first, and how many there are on all pages."""

    total: int
    rows: list[Called | Moved]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows are wanted; all if every field is empty. Times are inclusive, exclusive."""

    kind: Kind | None = None
    start: datetime | None = None
    end: datetime | None = None
    user_id: UUID | None = None
    """Whose calls alone, and nothing of the workspace's credits; None: all there is."""


def events(workspace_id: UUID, *, page: int, limit: int, wanted: Filter) -> Page:
    """Return one page (1-based) of a workspace's history, with the exact total."""
    total = Account.objects.values_list("events", flat=True).get(pk=workspace_id)
    first, last = 1, total
    if wanted.start is not None:
        first = numbers.first_at(workspace_id, wanted.start, total)
    if wanted.end is not None:
        last = numbers.first_at(workspace_id, wanted.end, total) - 1
    if wanted.user_id is not None:
        return _calls_of(workspace_id, wanted, page, limit)
    if wanted.kind is Kind.CALLED:
        return _calls_only(workspace_id, first, last, page, limit)
    if wanted.kind is not None:
        return _entries_only(workspace_id, wanted.kind, first, last, page, limit)
    newest = last - (page - 1) * limit
    oldest = max(first, newest - limit + 1)
    return Page(max(0, last - first + 1), _between(workspace_id, oldest, newest))


def moves(workspace_id: UUID, *, limit: int, older_than: int | None = None) -> list[Moved]:
    """Return what gave or took credits other than calls, the newest first, below a number."""
    found = Entry.objects.filter(event_wallet=workspace_id, event_number__isnull=False)
    if older_than is not None:
        found = found.filter(event_number__lt=older_than)
    return [Moved.of(row) for row in found.order_by("-event_number")[:limit]]


def _between(workspace_id: UUID, oldest: int, newest: int) -> list[Called | Moved]:
    if newest < oldest:
        return []
    calls = Call.objects.filter(workspace_id=workspace_id, number__range=(oldest, newest))
    entries = Entry.objects.filter(event_wallet=workspace_id, event_number__range=(oldest, newest))
    rows: list[Called | Moved] = [*map(Called.of, calls), *map(Moved.of, entries)]
    return sorted(rows, key=lambda row: row.number, reverse=True)


def _entries_only(
    workspace_id: UUID, wanted_kind: Kind, first: int, last: int, page: int, limit: int
) -> Page:
    wanted = Q(pk__in=[])
    for (kind, received), moved in MOVED.items():
        if moved is wanted_kind:
            wanted |= Q(kind=kind, **{"credit" if received else "debit": F("event_wallet")})
    found = Entry.objects.filter(
        wanted, event_wallet=workspace_id, event_number__range=(first, last)
    ).order_by("-event_number")
    start = (page - 1) * limit
    return Page(found.count(), [Moved.of(row) for row in found[start : start + limit]])


def _calls_of(workspace_id: UUID, wanted: Filter, page: int, limit: int) -> Page:
    """Return one page of a person's own calls."""
    if wanted.kind not in (None, Kind.CALLED):
        return Page(0, [])
    own = history.Wanted(user_id=wanted.user_id, since=wanted.start, until=wanted.end)
    found = depth.page(workspace_id, own, page=page, limit=limit)
    return Page(found.total, list(map(Called.of, found.rows)))


def _calls_only(workspace_id: UUID, first: int, last: int, page: int, limit: int) -> Page:
    total, oldest, newest = numbers.calls_between(workspace_id, first, last, page, limit)
    if newest < oldest:
        return Page(total, [])
    calls = Call.objects.filter(workspace_id=workspace_id, number__range=(oldest, newest))
    return Page(total, [Called.of(row) for row in calls.order_by("-number")])
