"""A draft beside the last week's calls: what they were charged, and what they would be.

A call is worked out again from what is written on it: the published price that was due (`retail`,
else what was charged), and the inputs of the price.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db import connection, transaction
from django.utils import timezone

from common.money import round_up
from prices import drafts, terms
from prices.models import Draft
from prices.units import units_of

if TYPE_CHECKING:
    from collections.abc import Iterator

DAYS = 7
CALLS = """
    SELECT vendor, operation, coalesce((facts->>'retail')::bigint, charged_micros),
           coalesce(facts->'inputs', '{}') - 'book', count(*), sum(charged_micros)::bigint
      FROM usage_call
     WHERE settled_at > now() - %s * interval '1 day' AND outcome = 'delivered'
     GROUP BY 1, 2, 3, 4
"""
FETCHED = 1000


@dataclass(slots=True)
class Compared:
    """An operation's calls: what they were charged (micros), and what they would be."""

    vendor: str
    operation: str
    calls: int = 0
    charged: int = 0
    would_be: int = 0

    @property
    def difference(self) -> int:
        """How much more would be charged; below zero: less."""
        return self.would_be - self.charged


def compare(draft_id: int, *, days: int = DAYS) -> list[Compared]:
    """Return the calls of the last days by operation, the greatest difference first.

    The draft may be published from then on.
    """
    found = drafts.find(draft_id)
    book = terms.book(found.based_on + 1, found.terms)
    compared: dict[tuple[str, str], Compared] = {}
    for vendor, operation, retail, inputs, calls, charged in _calls(days):
        row = compared.setdefault((vendor, operation), Compared(vendor, operation))
        row.calls += calls
        row.charged += charged
        row.would_be += calls * _asked(book.term(vendor, operation), retail, inputs)
    # Of these terms: whoever amended it meanwhile has it compared again.
    Draft.objects.filter(pk=found.pk, terms=found.terms).update(compared_at=timezone.now())
    return sorted(compared.values(), key=lambda row: (-abs(row.difference), row.operation))


def _calls(days: int) -> Iterator[tuple[str, str, int, dict[str, Any], int, int]]:
    # A cursor of the server's: calls whose inputs all differ are not held in memory at once.
    with transaction.atomic(), connection.chunked_cursor() as cursor:
        cursor.execute(CALLS, [days])
        while rows := cursor.fetchmany(FETCHED):
            for vendor, operation, retail, inputs, calls, charged in rows:
                read = json.loads(inputs) if isinstance(inputs, str) else inputs
                yield vendor, operation, retail, read, calls, charged


def _asked(term: terms.Term | None, retail: int, inputs: dict[str, Any]) -> int:
    if term is None:
        return retail
    if term.kind == terms.BY and (units := units_of(inputs, term.unit, retail)) is not None:
        return round_up(term.amount * units)
    return term.of(retail)


def total(rows: list[Compared]) -> Compared:
    """Return the sum of all rows."""
    made = Compared("", "all")
    for row in rows:
        made.calls += row.calls
        made.charged += row.charged
        made.would_be += row.would_be
    return made
