"""A workspace's calls one by one: found by filters, read in full, given away as a file.

A page is found from the number of the call before it, so every page costs the same. A filter may
fit few calls among very many: a page looks at no more than `LOOKED_AT` of them, and says where the
next one goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db.models import Max, Min

from common.money import Micros
from credits.models import Account
from usage import numbers, sums
from usage.models import Call, RunSum

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from uuid import UUID

    from django.db.models import QuerySet

LOOKED_AT = 20_000
OF_A_RUN = 100
IN_A_FILE = 1_000
"""So many calls of a file are in memory at once."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which calls; all if every field is empty. Times are inclusive, exclusive."""

    user_id: UUID | None = None
    key_id: UUID | None = None
    vendor: str = ""
    operation: str = ""
    project: str = ""
    outcome: str = ""
    run: str = ""
    since: datetime | None = None
    until: datetime | None = None

    @property
    def named(self) -> dict[str, Any]:
        """What is wanted of the columns that calls and their sums have in common."""
        named = {
            "user_id": self.user_id,
            "key_id": self.key_id,
            "vendor": self.vendor,
            "operation": self.operation,
            "project": self.project,
            "outcome": self.outcome,
        }
        return {name: value for name, value in named.items() if value}

    @property
    def is_all(self) -> bool:
        """Whether every call of its time is wanted."""
        return not self.named and not self.run

    def rows(self, workspace_id: UUID) -> QuerySet[Call]:
        """Return them, but for the times, which are found by numbers."""
        run = {"run_id": self.run} if self.run else {}
        return Call.objects.filter(workspace_id=workspace_id, **self.named, **run)


@dataclass(frozen=True, slots=True)
class Receipt:
    """A call with all that its owner may know of it."""

    number: int
    id: UUID
    vendor: str
    operation: str
    title: str
    """What the client calls it, if it said."""
    run: str
    project: str
    user_id: UUID | None
    key_id: UUID | None
    outcome: Call.Outcome
    reason: str
    held: Micros
    charged: Micros
    price_version: str
    inputs: dict[str, Any]
    """Of what the price was made."""
    retail: Micros | None
    """The published price, where a term of the operator's book made another of it."""
    measured_seconds: float | None
    """How long what was delivered is, where that was charged by."""
    attempts: int
    vendor_request: str
    started_at: datetime
    settled_at: datetime

    @property
    def freed(self) -> Micros:
        """What was held and not charged."""
        return Micros(self.held - self.charged)

    @classmethod
    def of(cls, row: Call) -> Receipt:
        """Read it."""
        inputs = row.facts.get("inputs")
        return cls(
            number=row.number,
            id=row.id,
            vendor=row.vendor,
            operation=row.operation,
            title=row.facts.get("title") or "",
            run=row.run_id,
            project=row.project,
            user_id=row.user_id,
            key_id=row.key_id,
            outcome=Call.Outcome(row.outcome),
            reason=row.reason,
            held=Micros(row.held_micros),
            charged=Micros(row.charged_micros),
            price_version=row.price_version,
            inputs=inputs if isinstance(inputs, dict) else {},
            retail=row.facts.get("retail"),
            measured_seconds=row.facts.get("measured_seconds"),
            attempts=row.attempts,
            vendor_request=row.vendor_request_id or row.vendor_job_id,
            started_at=row.started_at,
            settled_at=row.settled_at,
        )


@dataclass(frozen=True, slots=True)
class Page:
    """Some calls, newest first, and from which numbers the pages beside it are found."""

    calls: list[Receipt]
    newer: int | None
    older: int | None
    is_cut: bool
    """Whether as many were looked at as are for one page, and fewer fit than it has room for."""


def page(
    workspace_id: UUID,
    wanted: Wanted,
    *,
    limit: int,
    older_than: int | None = None,
    newer_than: int | None = None,
) -> Page:
    """Return the newest calls below a number, or the oldest above one; or the newest of all."""
    first, last = bounds(workspace_id, wanted)
    if newer_than is not None:
        return _above(workspace_id, wanted, max(first, newer_than + 1), last, limit)
    high = last if older_than is None else min(last, older_than - 1)
    low = max(first, high - LOOKED_AT + 1)
    found = _between(workspace_id, wanted, low, high, "-number", limit + 1)
    calls, is_more = found[:limit], len(found) > limit
    older = calls[-1].number if is_more else low if low > first else None
    return Page(
        calls,
        newer=high if high < last else None,
        older=older,
        is_cut=not is_more and low > first,
    )


def _above(workspace_id: UUID, wanted: Wanted, low: int, last: int, limit: int) -> Page:
    high = min(last, low + LOOKED_AT - 1)
    found = _between(workspace_id, wanted, low, high, "number", limit + 1)
    calls, is_more = found[:limit], len(found) > limit
    newer = calls[-1].number if is_more else high if high < last else None
    return Page(calls[::-1], newer=newer, older=low, is_cut=not is_more and high < last)


def one(workspace_id: UUID, call_id: UUID, *, user_id: UUID | None = None) -> Receipt | None:
    """Return a call of the workspace, of that member if one is named; None if there is none."""
    sums.catch_up(workspace_id)
    own = Wanted(user_id=user_id).rows(workspace_id)
    row = own.filter(pk=call_id).first()
    return Receipt.of(row) if row else None


def by_id(call_id: UUID) -> tuple[UUID, Receipt] | None:
    """Return a call whoever made it, after its workspace: for who was shown that it is theirs."""
    row = Call.objects.filter(pk=call_id).first()
    return (row.workspace_id, Receipt.of(row)) if row else None


def of_run(workspace_id: UUID, receipt: Receipt) -> list[Receipt]:
    """Return the first calls of the same press of Run by the same person, in their order.

    What all of them came to is in the sums (`runs.of_call`).
    """
    if not receipt.run:
        return []
    wanted = Wanted(user_id=receipt.user_id, run=receipt.run)
    first, last = bounds(workspace_id, wanted)
    return _between(workspace_id, wanted, first, last, "number", OF_A_RUN)


def all_of(workspace_id: UUID, wanted: Wanted) -> Iterator[list[Receipt]]:
    """Yield all calls that are wanted, newest first, some at a time, however many there are."""
    first, last = bounds(workspace_id, wanted)
    while last >= first:
        low = max(first, last - IN_A_FILE + 1)
        found = _between(workspace_id, wanted, low, last, "-number", IN_A_FILE)
        if found:
            yield found
        last = low - 1


def bounds(workspace_id: UUID, wanted: Wanted) -> tuple[int, int]:
    """Return the first and the last number of the time, and of the run, that is wanted.

    The calls up to the last are of the projects that their runs were given (projects.py).
    """
    total = Account.objects.values_list("events", flat=True).get(pk=workspace_id)
    sums.catch_up(workspace_id)  # After it was asked: the sums are of all these numbers, too.
    first, last = 1, total
    if wanted.run:
        of_run = RunSum.objects.filter(workspace_id=workspace_id, run_id=wanted.run)
        ends = of_run.aggregate(first=Min("first_number"), last=Max("last_number"))
        if ends["first"] is None:
            return 1, 0
        first, last = ends["first"], ends["last"]
    if wanted.since is not None:
        first = max(first, numbers.first_at(workspace_id, wanted.since, total))
    if wanted.until is not None:
        last = min(last, numbers.first_at(workspace_id, wanted.until, total) - 1)
    return first, last


def _between(
    workspace_id: UUID, wanted: Wanted, low: int, high: int, order: str, limit: int
) -> list[Receipt]:
    if high < low:
        return []
    rows = wanted.rows(workspace_id).filter(number__range=(low, high)).order_by(order)
    return [Receipt.of(row) for row in rows[:limit]]
