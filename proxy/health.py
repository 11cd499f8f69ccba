"""How vendors serve us, under each account: counted in memory, and summed over all processes.

A call costs an addition. What a process counted is added to rows of five minutes every few seconds;
who reads sums them. The workspaces' own accounts are counted together, as `own`.
"""

from __future__ import annotations

import contextlib
import time
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
from django.db import connection

from common.errors import Unavailable
from common.rows import in_steps

if TYPE_CHECKING:
    from datetime import datetime

    from proxy.books import Books

OUTCOMES = (
    "delivered",
    "accepted",
    "rejected",
    "moderated",
    "failed",
    "expired",
    "operator",
    "busy",
    "broken",
    "unknown",
    "unreachable",
)
"""What becomes of a call, or of its job's end. A new one comes last: rows hold them in order."""
GOOD = frozenset(("delivered", "accepted"))
NOBODYS = frozenset(("rejected", "moderated"))
"""Neither good nor bad: the vendor served us, and said no to what was asked."""
BOUNDS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 3600.0)
"""Seconds until an answer's head: a count for each, of those that took no longer."""
PLACES = {name: place for place, name in enumerate(OUTCOMES)}
FIRST = len(BOUNDS) + 1
"""Where the outcomes begin: before them are the bounds, and what took longer than any."""
SIZE = FIRST + len(OUTCOMES)
FLUSH_SECONDS = 5.0
KEPT_DAYS = 7
MINUTES = 60

ADD = """
    INSERT INTO proxy_vendorhealth (vendor, account, since, counts, last_error, last_error_at)
    SELECT vendor, account, date_bin('5 minutes', now(), 'epoch'), counts,
           coalesce(error, ''), CASE WHEN error <> '' THEN to_timestamp(error_at) END
      FROM json_to_recordset(%s::json)
           AS given(vendor text, account text, counts bigint[], error text, error_at float8)
     ORDER BY vendor, account
        ON CONFLICT (vendor, account, since) DO UPDATE
       SET counts = ARRAY(
               SELECT coalesce(had, 0) + coalesce(more, 0)
                 FROM unnest(proxy_vendorhealth.counts, excluded.counts)
                      WITH ORDINALITY AS both_of(had, more, place)
                ORDER BY place),
           last_error = CASE WHEN excluded.last_error <> '' THEN excluded.last_error
                             ELSE proxy_vendorhealth.last_error END,
           last_error_at = coalesce(excluded.last_error_at, proxy_vendorhealth.last_error_at)
"""
READ = """
    SELECT vendor, account, array_agg(n ORDER BY place) AS counts,
           (SELECT last_error FROM proxy_vendorhealth last
             WHERE last.vendor = summed.vendor AND last.account = summed.account
               AND last.last_error <> '' ORDER BY last_error_at DESC LIMIT 1),
           (SELECT max(last_error_at) FROM proxy_vendorhealth last
             WHERE last.vendor = summed.vendor AND last.account = summed.account)
      FROM (SELECT vendor, account, place, sum(n)::bigint AS n
              FROM proxy_vendorhealth, unnest(counts) WITH ORDINALITY AS one(n, place)
             WHERE since > now() - %s * interval '1 minute' AND (%s = '' OR vendor = %s)
             GROUP BY vendor, account, place) summed
     GROUP BY vendor, account ORDER BY vendor, account
"""
FORGET = """
    DELETE FROM proxy_vendorhealth WHERE id IN (
        SELECT id FROM proxy_vendorhealth WHERE since < now() - %(days)s * interval '1 day'
         LIMIT %(batch)s FOR UPDATE SKIP LOCKED)
"""


class Health:
    """What one process counted and has not written yet."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], list[int]] = {}
        self._errors: dict[tuple[str, str], tuple[str, float]] = {}

    def note(self, vendor: str, account: str, outcome: str, *, seconds: float = 0.0) -> None:
        """Count what became of a call; `seconds` until its answer's head, 0 if none came."""
        counts = self._counts.get((vendor, account))
        if counts is None:
            counts = self._counts[vendor, account] = [0] * SIZE
        counts[FIRST + PLACES[outcome]] += 1
        if seconds:
            counts[bisect_left(BOUNDS, seconds)] += 1

    def error(self, vendor: str, account: str, told: str) -> None:
        """Remember the last thing that went wrong, in our own words: no vendor's, no secret."""
        self._errors[vendor, account] = told[:100], time.time()

    async def write(self, books: Books) -> None:
        """Add what was counted to the rows of all; what cannot be written now is written later."""
        if not self._counts and not self._errors:
            return
        counts, errors = self._counts, self._errors
        self._counts, self._errors = {}, {}
        try:
            await books.query(ADD, _document(counts, errors))
        except Unavailable:
            for pair, had in counts.items():
                now = self._counts.setdefault(pair, [0] * SIZE)
                self._counts[pair] = [one + other for one, other in zip(now, had, strict=True)]
            self._errors = {**errors, **self._errors}

    async def finish(self, books: Books) -> None:
        """Write what is left, if that can be: the process ends."""
        with contextlib.suppress(Unavailable):
            await self.write(books)


def _document(
    counts: dict[tuple[str, str], list[int]], errors: dict[tuple[str, str], tuple[str, float]]
) -> str:
    rows: list[dict[str, Any]] = []
    for vendor, account in {**counts, **errors}:
        told, at = errors.get((vendor, account), ("", 0.0))
        given = counts.get((vendor, account), [0] * SIZE)
        rows.append({"vendor": vendor, "account": account, "counts": given, "error": told,
                     "error_at": at})  # fmt: skip
    return orjson.dumps(rows).decode()


@dataclass(frozen=True, slots=True)
class Served:
    """How a vendor served an account in the last minutes."""

    vendor: str
    account: str
    outcomes: dict[str, int]
    success: float | None
    """The part of what it should have served that it did; None if there was nothing."""
    p50_seconds: float | None
    """Half of its answers took no longer, to the next bound; None if none came."""
    p90_seconds: float | None
    busy: int
    last_error: str
    last_error_at: datetime | None


def read(*, vendor: str = "", minutes: int = MINUTES) -> list[Served]:
    """Return how vendors served us lately, in all processes together."""
    with connection.cursor() as cursor:
        cursor.execute(READ, [minutes, vendor, vendor])
        return [_served(*row) for row in cursor.fetchall()]


def forget() -> None:
    """Delete what is older than a week."""
    in_steps(FORGET, days=KEPT_DAYS)


def _served(
    vendor: str, account: str, counts: list[int], error: str | None, at: datetime | None
) -> Served:
    took, said = counts[:FIRST], counts[FIRST:]
    outcomes = dict.fromkeys(OUTCOMES, 0) | dict(zip(OUTCOMES, said, strict=False))
    good = sum(n for name, n in outcomes.items() if name in GOOD)
    due = sum(n for name, n in outcomes.items() if name not in NOBODYS)
    return Served(
        vendor=vendor,
        account=account,
        outcomes={name: n for name, n in outcomes.items() if n},
        success=good / due if due else None,
        p50_seconds=_quantile(took, 0.5),
        p90_seconds=_quantile(took, 0.9),
        busy=outcomes["busy"],
        last_error=error or "",
        last_error_at=at,
    )


def _quantile(took: list[int], part: float) -> float | None:
    """Return the bound within which that part of the answers came."""
    wanted, so_far = part * sum(took), 0
    for bound, n in zip((*BOUNDS, BOUNDS[-1]), took, strict=True):
        so_far += n
        if so_far and so_far >= wanted:
            return bound
    return None
