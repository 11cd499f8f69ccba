"""Up to where the books were proved, and what is carried forward from there.

A proof that finds nothing moves the mark: for each account, its entries up to one id as two sums,
how many rows its history had, and how many of its lines were sealed. The next proof begins there.
The mark is an id below which no entry can come any more (books/complete.py), read before the
proof's snapshot began; so what a snapshot sees behind the mark is all that there ever will be.

Who changes what was proved is found by a deep run, which reads everything and believes no mark.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from django.db import connection

from common.rows import rows, values
from credits.models import Proof as Proved
from credits.proofs import since
from credits.proofs.reconciliation import Check

if TYPE_CHECKING:
    from collections.abc import Sequence

    from credits.proofs.reconciliation import Proof

SLACK: Final = timedelta(days=1)
"""A call that came after a proof was settled so long before it at the most, by its own time."""

# A clock that was ahead then, and is right now, would have new calls look old.
NEWEST: Final = """
    SELECT upto_entry AS entry, upto_tally AS tallied, least(began_at, now()) AS at
      FROM credits_proof WHERE upto_entry IS NOT NULL ORDER BY id DESC LIMIT 1
"""
CARRY: Final = f"""
    WITH moved AS ({since.moved(until="id <= %(until)s")})
    INSERT INTO credits_carried (account_id, balance_micros, paid_micros, events, sealed)
    SELECT account.id, coalesce(carried.balance_micros, 0) + coalesce(moved.micros, 0),
           coalesce(carried.paid_micros, 0) + coalesce(moved.own, 0),
           account.events, coalesce(seal.position, 0)
      FROM credits_account account
      LEFT JOIN credits_carried carried ON carried.account_id = account.id
      LEFT JOIN moved ON moved.account = account.id
      LEFT JOIN LATERAL (SELECT position FROM credits_seal WHERE wallet_id = account.id
                          ORDER BY position DESC LIMIT 1) seal ON true
     WHERE moved.account IS NOT NULL
        OR (account.events, coalesce(seal.position, 0))
           <> (coalesce(carried.events, 0), coalesce(carried.sealed, 0))
        ON CONFLICT (account_id) DO UPDATE
       SET balance_micros = excluded.balance_micros, paid_micros = excluded.paid_micros,
           events = excluded.events, sealed = excluded.sealed
"""  # noqa: S608 - constants of our own
TALLIED: Final = "SELECT coalesce(max(last_entry), 0) FROM credits_tally"
OLDEST_BOOKS: Final = """
    SELECT coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8
      FROM credits_account WHERE kind <> 'wallet'
"""

CARRIED: Final = Check(
    "what is carried forward from the last proof is the sum of the entries up to there",
    "SELECT count(*) AS rows, 0 AS micros FROM credits_carried",
    """
    WITH mark AS (
        SELECT coalesce((SELECT upto_entry FROM credits_proof WHERE upto_entry IS NOT NULL
                          ORDER BY id DESC LIMIT 1), 0) AS entry
    ), moved AS (
        SELECT account, sum(amount) AS micros, coalesce(sum(amount) FILTER (
                   WHERE kind IN ('top_up', 'refund', 'dispute')), 0) AS own
          FROM (SELECT credit_id AS account, kind, amount_micros AS amount, id FROM credits_entry
                 UNION ALL
                SELECT debit_id, kind, -amount_micros, id FROM credits_entry) AS side
         WHERE id <= (SELECT entry FROM mark)
         GROUP BY account)
    SELECT 'account ' || coalesce(account, account_id) || ': carried '
           || coalesce(balance_micros, 0) || ', entries ' || coalesce(micros, 0)
      FROM moved FULL JOIN credits_carried ON account_id = account
     WHERE (coalesce(balance_micros, 0), coalesce(paid_micros, 0))
           <> (coalesce(micros, 0), coalesce(own, 0))
    """,
)
"""Of a deep run alone: the others believe it."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a proof begins."""

    entry: int
    tallied: int
    """The last entry of the sums by day that were proved."""
    at: datetime

    @property
    def parameters(self) -> dict[str, Any]:
        """Return what `since` forms are given."""
        return {"after": self.entry, "tallied": self.tallied, "recent": self.at - SLACK}


START: Final = Mark(0, 0, datetime(1970, 1, 2, tzinfo=UTC))
"""Nothing was proved yet."""


def clock() -> datetime:
    """Return the time as the database has it, whose times calls have."""
    found: datetime = values("SELECT now()")[0]
    return found


def newest() -> Mark:
    """Return up to where all was proved."""
    return next(rows(Mark, NEWEST), START)


def carry(mark: Mark, *, until: int, anew: bool = False) -> None:
    """Carry forward what a proof from `mark` on found right, up to entry `until`.

    `anew`: all that was carried before is made again from the entries, as a deep run proved them.
    """
    after = 0 if anew else mark.entry
    with connection.cursor() as cursor:
        if anew:
            cursor.execute("DELETE FROM credits_carried")
        cursor.execute(CARRY, {"after": after, "until": until})


def note(
    proofs: Sequence[Proof], *, deep: bool, began_at: datetime, until: int | None = None
) -> Proved:
    """Write down that books were proved, and that the mark moved to entry `until`, if it did."""
    (tallied,) = values(TALLIED)
    return Proved.objects.create(
        deep=deep,
        began_at=began_at,
        upto_entry=until,
        upto_tally=None if until is None else tallied,
        differing=[proof.name for proof in proofs if proof.differences],
        differences=sum(len(proof.differences) for proof in proofs),
    )


def ages() -> tuple[float, float]:
    """Return the seconds since books were proved, and since all was read for it.

    Where that never was, they are as old as the books.
    """
    (books,) = values(OLDEST_BOOKS)
    return _age(_newest(), books), _age(_newest(deep=True), books)


def gauges() -> dict[str, tuple[str, float]]:
    """Return what a monitor watches: how old the proofs are, and what the last one found."""
    (proved, deep), newest = ages(), _newest()
    found = newest.differences if newest else 0
    return {
        "platform_proof_age_seconds": ("Since books were proved", proved),
        "platform_deep_proof_age_seconds": ("Since all was read for it", deep),
        "platform_proof_differences": ("What the last proof found", found),
    }


def _newest(**of: bool) -> Proved | None:
    return Proved.objects.filter(**of).order_by("-pk").first()


def _age(proof: Proved | None, otherwise: float) -> float:
    return (datetime.now(UTC) - proof.began_at).total_seconds() if proof else float(otherwise)
