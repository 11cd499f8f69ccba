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
from django.utils.translation import gettext

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
    """The calls of one day, and of what they were told apart by."""

    day: date
    of: str
    calls: int
    uncharged: int
    micros: Micros


@dataclass(frozen=True, slots=True)
class Total:
    """The calls of all those days, and of one of what they were told apart by."""

    of: str
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

    def totals(self) -> list[Total]:
        """Return what each vendor, or whatever it is, cost in all, the dearest first."""
        found: dict[str, tuple[int, int, int]] = {}
        for each in self.sums:
            calls, uncharged, micros = found.get(each.of, (0, 0, 0))
            found[each.of] = (calls + each.calls, uncharged + each.uncharged, micros + each.micros)
        totals = [
            Total(of, calls, uncharged, Micros(micros))
            for of, (calls, uncharged, micros) in found.items()
        ]
        return sorted(totals, key=lambda each: (-each.micros, -each.calls, each.of))

    def dearest(self, most: int) -> list[str]:
        """Return which of them cost the most, the dearest first; none that cost nothing."""
        return [each.of for each in self.totals() if each.micros][:most]

    def table(self, named: list[str]) -> list[tuple[date, list[Micros]]]:
        """Return for each day what each of these cost, and last what all others did."""
        found = {day: [0] * (len(named) + 1) for day in self.days}
        for each in self.sums:
            place = named.index(each.of) if each.of in named else -1
            if each.day in found:
                found[each.day][place] += each.micros
        return [(day, [Micros(amount) for amount in amounts]) for day, amounts in found.items()]


def by_day(
    workspace_id: UUID,
    *,
    days: int,
    today: date,
    user_id: UUID | None = None,
    by: By = By.VENDOR,
) -> Spend:
    """Return what the last so many days cost, of one member if one is named."""
    first = today - timedelta(days=days - 1)
    found = _of(workspace_id, CallSum.Span.DAY).filter(
        begins_at__gte=datetime.combine(first, time(), UTC)
    )
    if user_id is not None:
        found = found.filter(user_id=user_id)
    of = F(COLUMN.get(by, by.value))
    each = found.values(of=of, day=TruncDate("begins_at", tzinfo=UTC)).annotate(
        made=Sum("calls"), free=Sum("uncharged"), micros=Sum("charged_micros")
    )
    return Spend(
        [first + timedelta(days=n) for n in range(days)],
        [
            DaySum(row["day"], _named(row["of"]), row["made"], row["free"], Micros(row["micros"]))
            for row in each.order_by("day", "of")
        ],
    )


def by_span(workspace_id: UUID, wanted: Wanted, *, span: str, by: By | None) -> Iterator[Part]:
    """Yield the sums of the calls that are wanted, the oldest first; spans without calls are none.

    The times of what is wanted are those in which a span begins. Raises InvalidRequest for more
    than MOST_ROWS, and for what sums do not tell apart: states and runs.
    """
    if wanted.outcome or wanted.run:
        raise InvalidRequest(
            gettext("Sums are of all states and runs: leave `status` and `run` out.")
        )
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
        raise InvalidRequest(
            gettext("These are too many rows. Ask for less time, or for longer spans.")
        )
    for row in some:
        yield Part(
            row["begins_at"],
            _named(row.get("of", "")),
            row["made"],
            row["good"],
            row["free"],
            Micros(row["micros"]),
        )


def _named(of: UUID | str) -> str:
    return "" if of == NOBODY else f"{of}"


def _of(workspace_id: UUID, span: str) -> QuerySet[CallSum]:
    sums.catch_up(workspace_id)
    return CallSum.objects.filter(workspace_id=workspace_id, span=span)
