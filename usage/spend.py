"""What a workspace spent: by span of time (UTC's), and by vendor, operation, key, member, project.

Read from the sums of its calls, which are those of all of them (sums.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from django.db.models import F, Sum
from django.db.models.functions import TruncDate

from common.errors import InvalidRequest
from common.money import Micros
from usage import sums
from usage.models import NOBODY, CallSum

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any
    from uuid import UUID

    from django.db.models import QuerySet

    from usage.history import Wanted

MOST_ROWS = 10_000


class By(StrEnum):
    """What calls are told apart by."""

    VENDOR = "vendor"
    OPERATION = "operation"
    KEY = "key"
    MEMBER = "member"
    PROJECT = "project"


COLUMN = {By.KEY: "key_id", By.MEMBER: "user_id"}


@dataclass(frozen=True, slots=True)
class Part:
    """The calls of one span of time, and of what they were told apart by."""

    begins_at: datetime
    of: str
    """The vendor, or whichever it is; empty for calls of nobody, or in all."""
    calls: int
    delivered: int
    uncharged: int
    charged: Micros


@dataclass(frozen=True, slots=True)
class DaySum:
    """The calls of one day and one vendor."""

    day: date
    vendor: str
    calls: int
    uncharged: int
    micros: Micros


@dataclass(frozen=True, slots=True)
class Spend:
    """Some days up to today, and the sums of each."""

    days: list[date]
    sums: list[DaySum]

    def of_last(self, days: int) -> Micros:
        """Return what the last so many days cost, today among them."""
        first = self.days[-1] - timedelta(days=days - 1)
        return Micros(sum(each.micros for each in self.sums if each.day >= first))

    @property
    def calls(self) -> int:
        """How many calls there were."""
        return sum(each.calls for each in self.sums)

    @property
    def uncharged(self) -> int:
        """How many of them were not charged."""
        return sum(each.uncharged for each in self.sums)

    def vendors(self, most: int) -> list[str]:
        """Return the vendors that cost the most, dearest first; the rest is nobody by name."""
        cost: dict[str, int] = {}
        for each in self.sums:
            cost[each.vendor] = cost.get(each.vendor, 0) + each.micros
        return [name for name in sorted(cost, key=lambda name: -cost[name]) if cost[name]][:most]

    def table(self, vendors: list[str]) -> list[tuple[date, list[Micros]]]:
        """Return for each day what each of these vendors cost, and last what all others did."""
        found = {day: [0] * (len(vendors) + 1) for day in self.days}
        for each in self.sums:
            place = vendors.index(each.vendor) if each.vendor in vendors else -1
            if each.day in found:
                found[each.day][place] += each.micros
        return [(day, [Micros(amount) for amount in amounts]) for day, amounts in found.items()]


def by_day(workspace_id: UUID, *, days: int, today: date, user_id: UUID | None = None) -> Spend:
    """Return what the last so many days cost, of one member if one is named."""
    first = today - timedelta(days=days - 1)
    found = _of(workspace_id, CallSum.Span.DAY).filter(
        begins_at__gte=datetime.combine(first, time(), UTC)
    )
    if user_id is not None:
        found = found.filter(user_id=user_id)
    each = found.values("vendor", day=TruncDate("begins_at", tzinfo=UTC)).annotate(
        made=Sum("calls"), free=Sum("uncharged"), micros=Sum("charged_micros")
    )
    return Spend(
        [first + timedelta(days=n) for n in range(days)],
        [
            DaySum(row["day"], row["vendor"], row["made"], row["free"], Micros(row["micros"]))
            for row in each.order_by("day", "vendor")
        ],
    )


def by_span(workspace_id: UUID, wanted: Wanted, *, span: str, by: By | None) -> Iterator[Part]:
    """Yield the sums of the calls that are wanted, the oldest first; spans without calls are none.

    The times of what is wanted are those in which a span begins. Raises InvalidRequest for more
    than MOST_ROWS, and for what sums do not tell apart: states and runs.
    """
    if wanted.outcome or wanted.run:
        raise InvalidRequest("Sums are of all states and runs: leave `status` and `run` out.")
    found = _of(workspace_id, span).filter(**wanted.named)
    if wanted.since is not None:
        found = found.filter(begins_at__gte=wanted.since)
    if wanted.until is not None:
        found = found.filter(begins_at__lt=wanted.until)
    column = {"of": F(COLUMN.get(by, by.value))} if by else {}
    rows: Any = found.values("begins_at", **column).annotate(
        made=Sum("calls"),
        good=Sum("delivered"),
        free=Sum("uncharged"),
        micros=Sum("charged_micros"),
    )
    some = list(rows.order_by("begins_at", *column)[: MOST_ROWS + 1])
    if len(some) > MOST_ROWS:
        raise InvalidRequest("These are too many rows. Ask for less time, or for longer spans.")
    for row in some:
        of = row.get("of", "")
        yield Part(
            row["begins_at"],
            "" if of == NOBODY else f"{of}",
            row["made"],
            row["good"],
            row["free"],
            Micros(row["micros"]),
        )


def _of(workspace_id: UUID, span: str) -> QuerySet[CallSum]:
    sums.catch_up(workspace_id)
    return CallSum.objects.filter(workspace_id=workspace_id, span=span)
