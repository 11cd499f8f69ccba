"""What a workspace spent, by day (UTC's) and vendor."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

from common.money import Micros
from common.rows import rows
from credits.models import Account
from usage import reports

if TYPE_CHECKING:
    from uuid import UUID

# The number is what finds them; the time is for the partitions, of which older ones are not read.
BY_DAY = """
    SELECT (settled_at AT TIME ZONE 'UTC')::date AS day, vendor, count(*) AS calls,
           count(*) FILTER (WHERE charged_micros = 0) AS uncharged,
           coalesce(sum(charged_micros), 0)::bigint AS micros
      FROM usage_call
     WHERE workspace_id = %s AND number >= %s AND settled_at >= %s
       AND (%s::uuid IS NULL OR user_id = %s)
     GROUP BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class Sum:
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
    sums: list[Sum]

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
    since = datetime.combine(first, time(), UTC)
    total = Account.objects.values_list("events", flat=True).get(pk=workspace_id)
    number = reports.first_at(workspace_id, since, total)
    given = [workspace_id, number, since, user_id, user_id]
    sums = list(rows(Sum, BY_DAY, given)) if number <= total else []
    return Spend([first + timedelta(days=n) for n in range(days)], sums)
