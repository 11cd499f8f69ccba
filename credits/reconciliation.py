"""Prove that the numbers which are kept equal the numbers they are kept of.

Each check is a query that returns only what differs, so an empty answer is the proof. All run in
one repeatable-read snapshot: calls go on meanwhile and cannot make a difference of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection


@dataclass(frozen=True, slots=True)
class Check:
    """One equality: its name, what is counted (for the proof), and the rows that break it."""

    name: str
    counted: str
    differences: str


CHECKS = (
    Check(
        "each wallet's balance is the sum of its entries",
        "SELECT count(*), coalesce(sum(balance_micros), 0)"
        " FROM credits_account WHERE kind = 'wallet'",
        """
        WITH moved AS (
            SELECT account, sum(amount) AS micros FROM (
                SELECT credit_id AS account, amount_micros AS amount FROM credits_entry
                UNION ALL SELECT debit_id, -amount_micros FROM credits_entry) AS side
             GROUP BY account)
        SELECT 'wallet ' || id || ': balance ' || balance_micros || ', entries '
               || coalesce(moved.micros, 0)
          FROM credits_account LEFT JOIN moved ON moved.account = id
         WHERE kind = 'wallet' AND balance_micros <> coalesce(moved.micros, 0)
        """,
    ),
    Check(
        "each wallet's held amount is the sum of its open holds",
        "SELECT count(*), coalesce(sum(amount_micros), 0) FROM credits_hold",
        """
        WITH open AS (
            SELECT account_id, sum(amount_micros) AS micros FROM credits_hold GROUP BY account_id)
        SELECT 'wallet ' || id || ': held ' || held_micros || ', open holds '
               || coalesce(open.micros, 0)
          FROM credits_account LEFT JOIN open ON open.account_id = id
         WHERE held_micros <> coalesce(open.micros, 0)
        """,
    ),
    Check(
        "no wallet is below what it holds, or below zero",
        "SELECT count(*), coalesce(min(balance_micros - held_micros), 0)"
        " FROM credits_account WHERE kind = 'wallet'",
        """
        SELECT 'wallet ' || id || ': balance ' || balance_micros || ', held ' || held_micros
          FROM credits_account WHERE held_micros < 0 OR held_micros > balance_micros
        """,
    ),
    Check(
        "no hold is open past its time by more than ten minutes",
        "SELECT count(*), coalesce(sum(amount_micros), 0) FROM credits_hold"
        " WHERE expires_at < now()",
        """
        SELECT 'hold ' || id || ' expired at ' || expires_at
          FROM credits_hold WHERE expires_at < now() - interval '10 minutes'
        """,
    ),
)


@dataclass(frozen=True, slots=True)
class Proof:
    """What one check found: rows and micros that were looked at, and the differences."""

    name: str
    rows: int
    micros: int
    differences: list[str]


def prove(checks: tuple[Check, ...]) -> list[Proof]:
    """Run the checks; each difference is a line that names its row. Reads only."""
    proofs = []
    for check in checks:
        with connection.cursor() as cursor:
            cursor.execute(check.counted)
            rows, micros = cursor.fetchone()
            cursor.execute(check.differences)
            proofs.append(Proof(check.name, rows, int(micros), [row[0] for row in cursor]))
    return proofs
