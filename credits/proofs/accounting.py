"""The books as an accountant reads them: a trial balance for each day.

Debit and credit are the usual ones: a purchase debits `stripe` (money at the processor, an asset)
and credits the wallet (a liability); a call debits the wallet and credits `sales` (revenue). A
balance is credits less debits, so assets and expenses are below zero, and all together are zero.
Wallets are one line, credits outstanding. Of these, what was given (`granted`) is told from what
was bought (`paid`) by walking along each wallet's entries in their order: calls use what was given
first (lots.py).

Entries are summed by day once, range by range of their ids (`tally`); a report adds the sums and
reads only the entries behind the last range, in one query, which sees one moment. A range is
summed when it is complete, and that is certain: an id below one that is visible belongs to a
transaction that has ended, or to one that was inside the table when we looked, and for these we
wait (`settled_entry`). So there is no "late" entry; one that is dated before midnight and comes
after it is in a later range, under its own day.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from django.db import connection, transaction
from django.utils import timezone

from common.errors import InvalidRequest
from common.rows import rows, values
from credits.books.complete import settled_entry
from credits.models import Account

RANGE: Final = 1_000_000
"""Entries of one tally: what is sorted at once."""
MOST_DAYS: Final = 3660

MEANING: Final[dict[str, tuple[str, str]]] = {
    Account.Kind.WALLET: ("Credits outstanding", "bought or given, and not used yet; a liability"),
    Account.Kind.SALES: ("Sales", "credits that calls used: revenue recognised"),
    Account.Kind.STRIPE: ("Stripe", "money at the processor, less refunds and lost disputes"),
    Account.Kind.PROMOTION: ("Promotion", "credits given away; an expense"),
    Account.Kind.SHORTFALL: ("Shortfall", "what calls cost above their hold; an expense"),
    Account.Kind.ADJUSTMENT: ("Adjustment", "what staff corrected by hand"),
    Account.Kind.DISPUTED: ("Disputed", "credits set aside while a bank decides"),
    Account.Kind.RECEIVABLE: ("Receivable", "credits used whose money went back; due from members"),
    Account.Kind.TAX: ("Tax", "collected with purchases; owed to the state"),
    Account.Kind.EXPIRED: ("Expired", "credits whose time was over; revenue of its own"),
    Account.Kind.MOVED: ("Moved between cells", "what wallets took along; nothing over all cells"),
}

# The entries of a range as sums (`summed`), and each wallet's granted part after each (`level`).
# The granted part is a level that outflows lower to zero and no further: what they take beyond is
# paid for. Such a level is the running sum, less its lowest point if that is below zero. A wallet
# that came from another cell brought its keys, which name lots by their ids there; which they are
# here stands in the facts (config/cells).
WALK: Final = """
    picked AS MATERIALIZED (
        SELECT entry.id, (entry.created_at AT TIME ZONE 'UTC')::date AS day, entry.kind, entry.key,
               entry.debit_id, entry.credit_id, entry.amount_micros AS micros,
               (entry.facts->>'brought_lot')::bigint AS brought_lot,
               coalesce(debit.kind, 'wallet') AS debit_kind,
               coalesce(credit.kind, 'wallet') AS credit_kind
          FROM credits_entry entry
          LEFT JOIN credits_account debit ON debit.id = entry.debit_id AND debit.kind <> 'wallet'
          LEFT JOIN credits_account credit
                 ON credit.id = entry.credit_id AND credit.kind <> 'wallet'
         WHERE entry.id > {after} AND entry.id <= {until}
    ), side AS (
        SELECT picked.*, debit_id AS wallet, -micros AS amount,
               coalesce(brought_lot, substring(
                   key FROM '^(?:expiry|reversal):([0-9]{{1,18}})(?::|$)')::bigint) AS lot
          FROM picked WHERE debit_kind = 'wallet'
         UNION ALL
        SELECT picked.*, credit_id, micros, id FROM picked WHERE credit_kind = 'wallet'
    ), move AS (
        SELECT side.id, side.day, side.kind, debit_kind, credit_kind, side.wallet,
               CASE WHEN side.amount > 0 AND lot.kind IS DISTINCT FROM 'granted' THEN 0
                    WHEN side.amount < 0 AND side.kind IN ('refund', 'dispute', 'receivable') THEN 0
                    WHEN side.amount < 0 AND lot.kind = 'paid' THEN 0
                    ELSE side.amount
               END AS amount
          FROM side LEFT JOIN credits_lot lot ON lot.entry_id = side.lot
    ), walked AS (
        SELECT move.*, coalesce(before.micros, 0) AS start,
               coalesce(before.micros, 0) + sum(amount) OVER way AS run
          FROM move LEFT JOIN credits_grantedleft before ON before.wallet_id = wallet
        WINDOW way AS (PARTITION BY wallet ORDER BY id)
    ), level AS (
        SELECT walked.*, run - least(0, min(run) OVER (PARTITION BY wallet ORDER BY id)) AS granted
          FROM walked
    ), changed AS (
        SELECT day, kind, debit_kind, credit_kind,
               granted - lag(granted, 1, start::numeric) OVER (PARTITION BY wallet ORDER BY id)
               AS change
          FROM level
    ), summed AS (
        SELECT day, kind, debit_kind, credit_kind, sum(entries)::bigint AS entries,
               sum(micros)::bigint AS micros, sum(granted)::bigint AS granted_micros
          FROM (SELECT day, kind, debit_kind, credit_kind, 1 AS entries, micros, 0 AS granted
                  FROM picked
                 UNION ALL
                SELECT day, kind, debit_kind, credit_kind, 0, 0, change FROM changed) AS part
         GROUP BY day, kind, debit_kind, credit_kind
    )
"""
TALLY: Final = f"""
    WITH {WALK.format(after="%(after)s", until="%(until)s")}, made AS (
        INSERT INTO credits_tally (after_entry, last_entry) VALUES (%(after)s, %(until)s)
     RETURNING id
    ), stored AS (
        INSERT INTO credits_daysum (tally_id, day, kind, debit_kind, credit_kind, entries, micros,
                                    granted_micros)
        SELECT made.id, day, kind, debit_kind, credit_kind, entries, micros, granted_micros
          FROM summed, made
    )
    INSERT INTO credits_grantedleft (wallet_id, micros)
    SELECT DISTINCT ON (wallet) wallet, granted FROM level ORDER BY wallet, id DESC
        ON CONFLICT (wallet_id) DO UPDATE SET micros = excluded.micros
"""  # noqa: S608 - constants of this module
BEHIND: Final = WALK.format(
    after="(SELECT coalesce(max(last_entry), 0) FROM credits_tally)", until="9223372036854775807"
)
REPORT: Final = f"""
    WITH {BEHIND}
    SELECT CASE WHEN day >= %(first)s THEN day END AS day, debit_kind, credit_kind,
           sum(micros)::bigint AS micros, sum(granted_micros)::bigint AS granted
      FROM (SELECT day, debit_kind, credit_kind, micros, granted_micros FROM credits_daysum
             UNION ALL
            SELECT day, debit_kind, credit_kind, micros, granted_micros FROM summed) AS part
     WHERE day < %(until)s
     GROUP BY 1, 2, 3
"""  # noqa: S608 - constants of this module


@dataclass(frozen=True, slots=True)
class _Flow:
    """A row of `REPORT`: what went from accounts of one kind to those of another on a day."""

    day: date | None
    """None: before the first day of the report."""
    debit_kind: str
    credit_kind: str
    micros: int
    granted: int
    """By how much it changed what was given of the credits outstanding."""


@dataclass(frozen=True, slots=True)
class Movement:
    """One account on one day."""

    kind: str
    opening: int
    debits: int
    credits: int

    @property
    def closing(self) -> int:
        """What the next day opens with."""
        return self.opening + self.credits - self.debits


@dataclass(frozen=True, slots=True)
class Day:
    """One day of the books; every account that had a balance or moved."""

    day: date
    accounts: list[Movement]
    granted: int
    """Of the credits outstanding at its end, what was given."""

    def of(self, kind: str) -> Movement:
        """Return an account's day, empty if there is nothing of it."""
        for movement in self.accounts:
            if movement.kind == kind:
                return movement
        return Movement(kind, 0, 0, 0)

    @property
    def outstanding(self) -> int:
        """Credits that members have at its end."""
        return self.of(Account.Kind.WALLET).closing

    @property
    def paid(self) -> int:
        """What was bought of them."""
        return self.outstanding - self.granted

    @property
    def revenue(self) -> int:
        """What calls used on this day, at the price that they were sold for."""
        sales = self.of(Account.Kind.SALES)
        return sales.credits - sales.debits


def days(first: date, until: date | None = None) -> list[Day]:
    """Return each day from `first` to before `until` (or today, as far as it went), in UTC.

    All of it is of one moment. Raises InvalidRequest if that is no day, or more than ten years.
    """
    end = until or timezone.now().date() + timedelta(days=1)
    count = (end - first).days
    if not 0 < count <= MOST_DAYS:
        raise InvalidRequest(f"The period has {count} days; it may have 1 to {MOST_DAYS}.")
    flows: dict[date | None, list[_Flow]] = defaultdict(list)
    for flow in rows(_Flow, REPORT, {"first": first, "until": end}):
        flows[flow.day].append(flow)
    balances = _after(dict.fromkeys(MEANING, 0), flows[None])
    granted, found = _granted(flows[None]), []
    for day in (first + timedelta(days=n) for n in range(count)):
        granted += _granted(flows[day])
        found.append(Day(day, _movements(balances, flows[day]), granted))
        balances = _after(balances, flows[day])
    return found


def _granted(flows: list[_Flow]) -> int:
    return sum(flow.granted for flow in flows)


def _movements(balances: dict[str, int], flows: list[_Flow]) -> list[Movement]:
    debits: dict[str, int] = defaultdict(int)
    credits_: dict[str, int] = defaultdict(int)
    for flow in flows:
        debits[flow.debit_kind] += flow.micros
        credits_[flow.credit_kind] += flow.micros
    return [
        Movement(kind, opening, debits[kind], credits_[kind])
        for kind, opening in balances.items()
        if opening or debits[kind] or credits_[kind]
    ]


def _after(balances: dict[str, int], flows: list[_Flow]) -> dict[str, int]:
    after = dict(balances)
    for flow in flows:
        after[flow.debit_kind] -= flow.micros
        after[flow.credit_kind] += flow.micros
    return after


def tally() -> int:
    """Sum the entries that are complete and not summed yet; return how many ranges that were.

    Nobody waits for it. Two at once share the work.
    """
    last, ranges = settled_entry(), 0
    while last is not None and _tally_one(last):
        ranges += 1
    return ranges


@transaction.atomic
def _tally_one(last: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('tally', 0))")
        (after,) = values("SELECT coalesce(max(last_entry), 0) FROM credits_tally")
        if after >= last:
            return False
        # Ids of a cell begin far above zero: what no entry has is no range of its own.
        (first,) = values(f"SELECT min(id) FROM credits_entry WHERE id > {after}")  # noqa: S608
        cursor.execute(TALLY, {"after": after, "until": min(first - 1 + RANGE, last)})
    return True
