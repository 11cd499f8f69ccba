"""The proofs of money again, of what came after the last proof alone (marks.py).

Each has the parameters of a `Mark`. What was proved is carried forward in one row for each account
(`credits_carried`): its entries up to the mark as two sums, how many rows its history had, how many
of its lines were sealed. So a wallet's whole life is that row and what stands behind it.

An entry is behind the mark by its id; a row of a history by its number; a seal by its position.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from credits.models import LAST_HOUSE
from credits.statements import chain, sealing


class Since(NamedTuple):
    """A check's two queries, of what came since; both take the parameters of a mark."""

    counted: str
    differences: str


_ENTRIES: Final = (
    "SELECT count(*) AS rows, coalesce(sum(amount_micros), 0) AS micros"
    " FROM credits_entry WHERE id > %(after)s"
)


def moved(only: str = "true", until: str = "true") -> str:
    """Return the query of what entries behind the mark moved: account, micros, own."""
    return f"""
        SELECT account, sum(amount) AS micros, coalesce(sum(amount) FILTER (
                   WHERE kind IN ('top_up', 'refund', 'dispute')), 0) AS own
          FROM (SELECT credit_id AS account, kind, amount_micros AS amount
                  FROM credits_entry WHERE id > %(after)s AND {only} AND {until}
                 UNION ALL
                SELECT debit_id, kind, -amount_micros
                  FROM credits_entry WHERE id > %(after)s AND {only} AND {until}) AS side
         GROUP BY account
    """  # noqa: S608 - constants of our own


def _of_wallets(column: str, of: str, word: str) -> Since:
    return Since(
        _ENTRIES,
        f"""
        WITH moved AS ({moved()}), due AS (
            SELECT account.id, account.{column} AS has,
                   coalesce(carried.{column}, 0) + coalesce(moved.{of}, 0) AS micros
              FROM credits_account account
              LEFT JOIN credits_carried carried ON carried.account_id = account.id
              LEFT JOIN moved ON moved.account = account.id
             WHERE account.kind = 'wallet')
        SELECT 'wallet ' || id || ': {word} ' || has || ', entries ' || micros
          FROM due WHERE has <> micros
        """,  # noqa: S608 - constants of our own
    )


BALANCES: Final = _of_wallets("balance_micros", "micros", "balance")
PAID: Final = _of_wallets("paid_micros", "own", "paid")

HOUSE: Final = f"""
    SELECT coalesce(carried.balance_micros, 0) + coalesce(moved.micros, 0) AS micros
      FROM credits_account house
      LEFT JOIN credits_carried carried ON carried.account_id = house.id
      LEFT JOIN ({moved()}) AS moved ON moved.account = house.id
     WHERE house.kind = '{{kind}}'
"""  # noqa: S608 - constants of our own
"""What a house account has received, less what it gave."""

PURCHASES: Final = Since(
    "SELECT count(*) AS rows, coalesce(sum(amount_micros), 0) AS micros FROM credits_topup"
    " WHERE state = 'credited' AND (entry_id > %(after)s) IS NOT FALSE",
    """
    SELECT coalesce('purchase ' || top_up.id, 'entry ' || entry.key)
           || ': ' || coalesce(top_up.amount_micros::text, 'no purchase')
           || ', entry ' || coalesce(entry.amount_micros::text, 'missing')
      FROM (SELECT * FROM credits_topup
             WHERE state = 'credited' AND (entry_id > %(after)s) IS NOT FALSE) AS top_up
      FULL JOIN (SELECT * FROM credits_entry WHERE kind = 'top_up' AND id > %(after)s) AS entry
           ON entry.id = top_up.entry_id
     WHERE entry.amount_micros IS DISTINCT FROM top_up.amount_micros
        OR entry.credit_id <> top_up.wallet_id
        OR entry.key <> 'topup:' || top_up.payment_intent_id
    """,
)

# Each wallet's last seal, and the one up to which it was proved.
_TIPS: Final = """
    tip AS MATERIALIZED (
        SELECT account.id AS wallet_id, coalesce(carried.sealed, 0) AS sealed,
               coalesce(last.position, 0) AS position, last.entry_id, last.balance_micros
          FROM credits_account account
          LEFT JOIN credits_carried carried ON carried.account_id = account.id
          LEFT JOIN LATERAL (
              SELECT position, entry_id, balance_micros FROM credits_seal
               WHERE wallet_id = account.id ORDER BY position DESC LIMIT 1) last ON true
         WHERE account.kind = 'wallet'
           AND coalesce(last.position, 0) <> coalesce(carried.sealed, 0)
    )
"""
FRESH_SEALS: Final = f"""
    WITH {_TIPS}
    SELECT coalesce(sum(greatest(position - sealed, 0)), 0)::bigint AS rows, 0 AS micros FROM tip
"""  # noqa: S608 - constants of our own
SEALED_IN_ORDER: Final = Since(
    FRESH_SEALS,
    f"""
    WITH {_TIPS}, seal AS (
        SELECT tip.wallet_id, tip.sealed, tip.position AS last, seal.position,
               seal.entry_id > coalesce(lag(seal.entry_id) OVER wallet, 0)
               AND seal.at >= coalesce(lag(seal.at) OVER wallet, seal.at) AS follows
          FROM tip LEFT JOIN LATERAL (
              -- With the last that was proved, to which the first one must be chained.
              SELECT * FROM credits_seal
               WHERE wallet_id = tip.wallet_id AND position >= tip.sealed) seal ON true
        WINDOW wallet AS (PARTITION BY tip.wallet_id ORDER BY seal.position)
    )
    SELECT 'wallet ' || wallet_id || ': ' || count(position) || ' seals from position '
           || greatest(sealed, 1) || ', the last is position ' || last
           || CASE WHEN bool_and(follows) THEN '' ELSE ', out of order' END
      FROM seal
     GROUP BY wallet_id, sealed, last
    HAVING count(position) <> last - greatest(sealed, 1) + 1 OR NOT bool_and(follows)
    """,  # noqa: S608 - constants of our own
)
SEALED_BALANCES: Final = Since(
    FRESH_SEALS,
    f"""
    WITH {_TIPS}
    SELECT 'wallet ' || tip.wallet_id || ': sealed ' || tip.position || ' lines, balance '
           || coalesce(tip.balance_micros, 0) || '; entries '
           || tip.sealed + moved.n || ', ' || coalesce(before.balance_micros, 0) + moved.micros
      FROM tip
      LEFT JOIN LATERAL (
          SELECT entry_id, balance_micros FROM credits_seal
           WHERE wallet_id = tip.wallet_id AND position = tip.sealed) before ON true
      CROSS JOIN LATERAL (
          SELECT count(*) AS n, coalesce(sum(amount), 0) AS micros FROM (
              SELECT -amount_micros AS amount FROM credits_entry
               WHERE debit_id = tip.wallet_id AND debit_id > '{LAST_HOUSE}'
                 AND id > coalesce(before.entry_id, 0) AND id <= coalesce(tip.entry_id, 0)
               UNION ALL
              SELECT amount_micros FROM credits_entry
               WHERE credit_id = tip.wallet_id AND credit_id > '{LAST_HOUSE}'
                 AND id > coalesce(before.entry_id, 0) AND id <= coalesce(tip.entry_id, 0)) AS side
      ) moved
     WHERE (tip.position, coalesce(tip.balance_micros, 0)) IS DISTINCT FROM
           (tip.sealed + moved.n, coalesce(before.balance_micros, 0) + moved.micros)
    """,  # noqa: S608 - constants of our own
)
SEALED_BY_HASH: Final = f"""
    WITH {_TIPS}, seal AS (
        SELECT tip.wallet_id, tip.sealed, seal.position, seal.entry_id, seal.at,
               seal.balance_micros, seal.hash, lag(seal.at) OVER wallet AS before_at,
               coalesce(encode(lag(seal.hash) OVER wallet, 'hex'), '{chain.GENESIS}') AS previous,
               coalesce(lag(seal.balance_micros) OVER wallet, 0) AS before_micros
          FROM tip CROSS JOIN LATERAL (
              SELECT * FROM credits_seal
               WHERE wallet_id = tip.wallet_id AND position >= tip.sealed) seal
        WINDOW wallet AS (PARTITION BY tip.wallet_id ORDER BY seal.position)
    ), made AS (
        SELECT seal.*, entry.kind, entry.key, {sealing.ABOUT} AS about,
               CASE seal.wallet_id WHEN entry.debit_id THEN -amount_micros
                                   WHEN entry.credit_id THEN amount_micros END AS amount,
               greatest(entry.created_at, seal.before_at) AS made_at
          FROM seal LEFT JOIN LATERAL (
              SELECT * FROM credits_entry WHERE id = seal.entry_id LIMIT 1) entry ON true
         WHERE seal.position > seal.sealed
    ), line AS (
        SELECT made.*, before_micros + amount AS micros FROM made
    )
    SELECT wallet_id, min(sealed) AS sealed
      FROM line
     WHERE (at, balance_micros, hash) IS DISTINCT FROM
           (made_at, micros, {sealing.LINK})
     GROUP BY wallet_id
"""  # noqa: S608 - constants of our own
"""The wallets whose new seals are not what the entries, and the seal before, make of each: as the
database reckons, which writes no letters but those of ASCII (sealing.broken has the last word)."""


def days_differ(sums: str = "", entries: str = "true") -> str:
    """Return the query of the sums by day that are not what entries make; of all, or of some."""
    return f"""
    WITH summed AS (
        SELECT day, kind, debit_kind, credit_kind, sum(entries) AS n, sum(micros) AS micros
          FROM credits_daysum {sums}
         GROUP BY day, kind, debit_kind, credit_kind
    ), house AS (
        SELECT id, kind FROM credits_account WHERE kind <> 'wallet'
    ), made AS (
        SELECT (created_at AT TIME ZONE 'UTC')::date AS day, entry.kind,
               coalesce(debit.kind, 'wallet') AS debit_kind,
               coalesce(credit.kind, 'wallet') AS credit_kind,
               count(*) AS n, sum(amount_micros) AS micros
          FROM credits_entry entry
          LEFT JOIN house debit ON debit.id = debit_id
          LEFT JOIN house credit ON credit.id = credit_id
         WHERE {entries}
           AND entry.id <= (SELECT coalesce(max(last_entry), 0) FROM credits_tally)
         GROUP BY 1, 2, 3, 4)
    SELECT day || ' ' || kind || ' ' || debit_kind || ' to ' || credit_kind || ': summed '
           || coalesce(summed.n, 0) || ', ' || coalesce(summed.micros, 0) || '; entries '
           || coalesce(made.n, 0) || ', ' || coalesce(made.micros, 0)
      FROM summed FULL JOIN made USING (day, kind, debit_kind, credit_kind)
     WHERE (summed.n, summed.micros) IS DISTINCT FROM (made.n, made.micros)
    """  # noqa: S608 - constants of our own


_NEW_SUMS: Final = (
    "JOIN credits_tally tally ON tally.id = tally_id WHERE tally.last_entry > %(tallied)s"
)
DAYS: Final = Since(
    f"""
    SELECT coalesce(sum(entries), 0) AS rows, coalesce(sum(micros), 0) AS micros
      FROM credits_daysum {_NEW_SUMS}
    """,  # noqa: S608 - constants of our own
    days_differ(_NEW_SUMS, "entry.id > %(tallied)s"),
)
