"""What members were charged against what vendors asked of us, by vendor and day (UTC).

What was charged is read from the sums of days (usage/sums.py), which the worker brings up each
minute; what vendors asked, from their exports (bills.py). A margin is of the calls alone whose cost
is known: what is charged for others says nothing of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Final

from common.errors import InvalidRequest
from common.rows import rows

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_DAYS: Final = 92
BY_DAY: Final = """
    WITH asked AS (
        SELECT vendor, (begins_at AT TIME ZONE 'UTC')::date AS day, sum(calls)::bigint AS calls,
               sum(charged_micros)::bigint AS charged
          FROM usage_callsum
         WHERE span = 'day' AND begins_at >= %(since)s AND begins_at < %(until)s
         GROUP BY 1, 2
    ), cost AS (
        SELECT vendor, day, sum(calls)::bigint AS known,
               sum(charged_micros)::bigint AS known_charged, sum(cost_micros)::bigint AS cost
          FROM prices_billedday WHERE day BETWEEN %(first)s AND %(last)s
         GROUP BY 1, 2
    )
    SELECT vendor, day, coalesce(calls, 0) AS calls, coalesce(charged, 0) AS charged,
           coalesce(known, 0) AS known, coalesce(known_charged, 0) AS known_charged, cost
      FROM asked FULL JOIN cost USING (vendor, day)
     WHERE %(vendor)s = '' OR vendor = %(vendor)s
     ORDER BY day DESC, vendor
"""


@dataclass(frozen=True, slots=True)
class Margin:
    """A vendor's calls of a day, or of all days asked for. Amounts are micros."""

    vendor: str
    day: date | None
    calls: int
    charged: int
    known: int
    """Of the calls, those whose cost an export said."""
    known_charged: int
    cost: int | None
    """What the vendor asked; None: no export says."""

    @property
    def margin(self) -> int | None:
        """What is left of what was charged for the calls whose cost is known."""
        return None if self.cost is None else self.known_charged - self.cost

    @property
    def percent(self) -> float | None:
        """The same as a part of what they were charged."""
        if self.margin is None or not self.known_charged:
            return None
        return round(100 * self.margin / self.known_charged, 1)


def by_day(first: date, last: date, *, vendor: str = "") -> list[Margin]:
    """Return the margins of days, the newest first; raise InvalidRequest for too many of them."""
    if not 0 <= (last - first).days < MOST_DAYS:
        raise InvalidRequest(f"From a day to one that is not before it: {MOST_DAYS} at most.")
    since = datetime.combine(first, time(), UTC)
    asked = {
        "since": since,
        "until": datetime.combine(last, time(), UTC) + timedelta(days=1),
        "first": first,
        "last": last,
        "vendor": vendor,
    }
    return list(rows(Margin, BY_DAY, asked))


def by_vendor(found: Iterable[Margin]) -> list[Margin]:
    """Return the sums of each vendor, the one that costs the most first."""
    of: dict[str, list[Margin]] = {}
    for each in found:
        of.setdefault(each.vendor, []).append(each)
    summed = [total(some, vendor) for vendor, some in of.items()]
    return sorted(summed, key=lambda each: (-(each.cost or 0), -each.charged, each.vendor))


def total(found: Iterable[Margin], vendor: str = "") -> Margin:
    """Return the sum of all."""
    some = list(found)
    costs = [each.cost for each in some if each.cost is not None]
    return Margin(
        vendor=vendor,
        day=None,
        calls=sum(each.calls for each in some),
        charged=sum(each.charged for each in some),
        known=sum(each.known for each in some),
        known_charged=sum(each.known_charged for each in some),
        cost=sum(costs) if costs else None,
    )
