"""Prove that what is stored as a sum, or twice, agrees with what it was made of.

Each check is a query that returns only what differs, so an empty answer is the proof. All run in
one repeatable-read snapshot: calls go on meanwhile and cannot make a difference of their own.

What grows with every call is read once: a check that would read it all has a second form, `since`,
of what came after the last proof (since.py, marks.py). A deep run leaves that out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from common.rows import rows, values
from credits.proofs import accounting, since
from credits.proofs.since import Since
from credits.statements import sealing

if TYPE_CHECKING:
    from uuid import UUID


@dataclass(frozen=True, slots=True)
class Check:
    """One equality, by two queries that change nothing."""

    name: str
    counted: str
    """How much is looked at, as `rows` and `micros`: what a proof is a proof of."""
    differences: str
    """A sentence for each row that breaks it."""
    since: Since | None = None
    """The same of what came after a mark, if it does not read everything each time."""


CHECKS = (
    Check(
        "each wallet's balance is the sum of its entries",
        "SELECT count(*) AS rows, coalesce(sum(balance_micros), 0) AS micros"
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
        since.BALANCES,
    ),
    Check(
        "each wallet's held amount is the sum of its open holds",
        "SELECT count(*) AS rows, coalesce(sum(amount_micros), 0) AS micros FROM credits_hold",
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
        "what was paid for is the sum of each wallet's own money, come and gone back",
        "SELECT count(*) AS rows, coalesce(sum(paid_micros), 0) AS micros"
        " FROM credits_account WHERE kind = 'wallet'",
        """
        WITH own AS (
            SELECT * FROM credits_entry WHERE kind IN ('top_up', 'refund', 'dispute')
        ), moved AS (
            SELECT account, sum(amount) AS micros FROM (
                SELECT credit_id AS account, amount_micros AS amount FROM own
                UNION ALL SELECT debit_id, -amount_micros FROM own) AS side
             GROUP BY account)
        SELECT 'wallet ' || id || ': paid ' || paid_micros || ', entries '
               || coalesce(moved.micros, 0)
          FROM credits_account LEFT JOIN moved ON moved.account = id
         WHERE kind = 'wallet' AND paid_micros <> coalesce(moved.micros, 0)
        """,
        since.PAID,
    ),
    Check(
        "each wallet counts its open holds",
        "SELECT count(*) AS rows, 0 AS micros FROM credits_hold",
        """
        WITH open AS (SELECT account_id, count(*) AS n FROM credits_hold GROUP BY account_id)
        SELECT 'wallet ' || id || ': counts ' || open_holds || ', open holds '
               || coalesce(open.n, 0)
          FROM credits_account LEFT JOIN open ON open.account_id = id
         WHERE open_holds <> coalesce(open.n, 0)
        """,
    ),
    Check(
        "each wallet counts its large holds",
        "SELECT count(*) AS rows, 0 AS micros FROM credits_hold"
        " WHERE amount_micros >= 5000000 AND NOT apart",
        """
        WITH open AS (SELECT account_id, count(*) AS n FROM credits_hold
                       WHERE amount_micros >= 5000000 AND NOT apart GROUP BY account_id)
        SELECT 'wallet ' || id || ': counts ' || open_large || ' large, open are '
               || coalesce(open.n, 0)
          FROM credits_account LEFT JOIN open ON open.account_id = id
         WHERE open_large <> coalesce(open.n, 0)
        """,
    ),
    Check(
        "each wallet counts its holds that take no slot",
        "SELECT count(*) AS rows, 0 AS micros FROM credits_hold WHERE apart",
        """
        WITH open AS (SELECT account_id, count(*) AS n FROM credits_hold
                       WHERE apart GROUP BY account_id)
        SELECT 'wallet ' || id || ': counts ' || open_apart || ' apart, open are '
               || coalesce(open.n, 0)
          FROM credits_account LEFT JOIN open ON open.account_id = id
         WHERE open_apart <> coalesce(open.n, 0)
        """,
    ),
    Check(
        "each budget has as much taken as the open holds that took from it, or more",
        "SELECT count(*) AS rows, coalesce(sum(taken_micros), 0) AS micros FROM credits_budget",
        """
        WITH open AS (
            SELECT budget, sum(amount_micros) AS micros
              FROM credits_hold CROSS JOIN LATERAL unnest(budgets) AS budget GROUP BY budget)
        SELECT 'budget ' || id || ': taken ' || taken_micros || ', open holds ' || open.micros
          FROM credits_budget JOIN open ON open.budget = id
         WHERE taken_micros < open.micros
        """,
    ),
    Check(
        "no wallet is below what it holds, or below zero",
        "SELECT count(*) AS rows, coalesce(min(balance_micros - held_micros), 0) AS micros"
        " FROM credits_account WHERE kind = 'wallet'",
        """
        SELECT 'wallet ' || id || ': balance ' || balance_micros || ', held ' || held_micros
          FROM credits_account WHERE held_micros < 0 OR held_micros > balance_micros
        """,
    ),
    Check(
        "no hold is open past its time by more than ten minutes",
        "SELECT count(*) AS rows, coalesce(sum(amount_micros), 0) AS micros FROM credits_hold"
        " WHERE expires_at < now()",
        """
        SELECT 'hold ' || id || ' expired at ' || expires_at
          FROM credits_hold WHERE expires_at < now() - interval '10 minutes'
        """,
    ),
)

# What a house account has received, less what it gave.
_HOUSE = """
    SELECT coalesce(sum(CASE WHEN entry.credit_id = house.id THEN amount_micros
                             ELSE -amount_micros END), 0) AS micros
      FROM credits_account house
      JOIN credits_entry entry ON house.id IN (entry.debit_id, entry.credit_id)
     WHERE house.kind = '{kind}'
"""


def _house_equals(name: str, kind: str, counted: str, expected: str) -> Check:
    """Return the check that a house account holds exactly what our rows say that it must."""

    def differs(house: str) -> str:
        return f"""
        SELECT 'account {kind} holds ' || house.micros || ', expected ' || ours.micros
          FROM ({house.format(kind=kind)}) AS house, ({expected}) AS ours
         WHERE house.micros <> ours.micros
        """  # noqa: S608 - the parts are constants of our own

    return Check(name, counted, differs(_HOUSE), Since(counted, differs(since.HOUSE)))


_TOP_UPS = """(
    SELECT * FROM credits_topup
     WHERE wallet_id NOT IN (SELECT wallet_id FROM credits_move WHERE state IN ('closed', 'gone')))
"""
_REFUNDS = f"""(
    SELECT refund.* FROM credits_refund refund JOIN {_TOP_UPS} own ON own.id = top_up_id)
"""  # noqa: S608 - constants of our own
_DISPUTES = _REFUNDS.replace("refund", "dispute")
"""What is with the processor goes along with a wallet that moves (config/cells): of what is left
here as an archive the books of its new cell speak."""

MONEY = (
    Check(
        "each wallet's open lots cover its balance",
        "SELECT count(*) AS rows, coalesce(sum(left_micros), 0) AS micros FROM credits_lot"
        " WHERE left_micros > 0",
        """
        WITH lots AS (
            SELECT wallet_id, sum(left_micros) AS micros FROM credits_lot GROUP BY wallet_id)
        SELECT 'wallet ' || id || ': balance ' || balance_micros || ', lots '
               || coalesce(lots.micros, 0)
          FROM credits_account LEFT JOIN lots ON lots.wallet_id = id
         WHERE kind = 'wallet' AND balance_micros > coalesce(lots.micros, 0)
        """,
    ),
    Check(
        "each credited purchase is one entry, and each such entry one purchase",
        "SELECT count(*) AS rows, coalesce(sum(amount_micros), 0) AS micros FROM credits_topup"
        " WHERE state = 'credited'",
        """
        SELECT coalesce('purchase ' || top_up.id, 'entry ' || entry.key)
               || ': ' || coalesce(top_up.amount_micros::text, 'no purchase')
               || ', entry ' || coalesce(entry.amount_micros::text, 'missing')
          FROM (SELECT * FROM credits_topup WHERE state = 'credited') AS top_up
          FULL JOIN (SELECT * FROM credits_entry WHERE kind = 'top_up') AS entry
               ON entry.id = top_up.entry_id
         WHERE entry.amount_micros IS DISTINCT FROM top_up.amount_micros
            OR entry.credit_id <> top_up.wallet_id
            OR entry.key <> 'topup:' || top_up.payment_intent_id
        """,
        since.PURCHASES,
    ),
    Check(
        "each refund took its credits, and each failed one gave them back",
        "SELECT count(*) AS rows, coalesce(sum(taken_micros), 0) AS micros FROM credits_refund",
        """
        SELECT 'refund ' || refund.id || ' (' || refund.state || '): took '
               || coalesce(taken.amount_micros, 0) || ' of ' || refund.taken_micros
               || ', gave back ' || coalesce(back.amount_micros, 0)
          FROM credits_refund refund
          LEFT JOIN credits_entry taken ON taken.key = 'refund:' || refund.id
          LEFT JOIN credits_entry back ON back.key = 'refund:' || refund.id || ':failed'
         WHERE coalesce(taken.amount_micros, 0) <> refund.taken_micros
            OR coalesce(back.amount_micros, 0)
               <> CASE WHEN refund.state = 'failed' THEN refund.taken_micros ELSE 0 END
        """,
    ),
    _house_equals(
        "what is set aside for disputes is what open disputes took",
        "disputed",
        "SELECT count(*) AS rows, coalesce(sum(taken_micros), 0) AS micros FROM credits_dispute",
        "SELECT coalesce(sum(taken_micros), 0) AS micros FROM credits_dispute WHERE phase = 'open'",
    ),
    _house_equals(
        "what workspaces owe is what their receivables say",
        "receivable",
        "SELECT count(*) AS rows, coalesce(sum(amount_micros), 0) AS micros"
        " FROM credits_receivable",
        "SELECT coalesce(-sum(amount_micros - paid_micros - waived_micros), 0) AS micros"
        " FROM credits_receivable",
    ),
    _house_equals(
        "what is with the processor is purchases less refunds and lost disputes",
        "stripe",
        "SELECT count(*) AS rows, coalesce(sum(amount_micros), 0) AS micros"  # noqa: S608 - ours
        f" FROM {_TOP_UPS} top_up WHERE state = 'credited'",
        f"""
        SELECT (SELECT coalesce(-sum(amount_micros + tax_cents * 10000), 0)
                  FROM {_TOP_UPS} top_up WHERE state = 'credited')
             + (SELECT coalesce(sum(cents * 10000), 0) FROM {_REFUNDS} refund
                 WHERE state <> 'failed')
             + (SELECT coalesce(sum((cents - returned_cents) * 10000), 0)
                  FROM {_DISPUTES} dispute
                 WHERE phase IN ('withdrawn', 'lost')) AS micros
        """,  # noqa: S608 - constants of our own
    ),
    _house_equals(
        "the tax in the books is that of purchases less refunds and lost disputes",
        "tax",
        "SELECT count(*) AS rows, coalesce(sum(tax_cents * 10000), 0) AS micros"  # noqa: S608
        f" FROM {_TOP_UPS} top_up WHERE state = 'credited'",
        f"""
        SELECT 10000 * ((SELECT coalesce(sum(tax_cents), 0) FROM {_TOP_UPS} top_up
                          WHERE state = 'credited')
                      - (SELECT coalesce(sum(tax_cents), 0) FROM {_REFUNDS} refund
                          WHERE state <> 'failed')
                      - (SELECT coalesce(sum(tax_cents - returned_tax_cents), 0)
                           FROM {_DISPUTES} dispute
                          WHERE phase IN ('withdrawn', 'lost'))) AS micros
        """,  # noqa: S608 - constants of our own
    ),
    Check(
        "exactly the wallets that owe something are paused for it",
        "SELECT count(*) AS rows, 0 AS micros FROM credits_freeze"
        " WHERE cause = 'receivable' AND lifted_at IS NULL",
        """
        WITH owing AS (
            SELECT wallet_id, sum(amount_micros - paid_micros - waived_micros) AS micros
              FROM credits_receivable GROUP BY wallet_id
            HAVING sum(amount_micros - paid_micros - waived_micros) > 0)
        SELECT 'wallet ' || coalesce(owing.wallet_id, pause.wallet_id) || ' owes '
               || coalesce(owing.micros, 0)
               || CASE WHEN pause.id IS NULL THEN ', not paused' ELSE ', paused' END
          FROM owing
          FULL JOIN (SELECT * FROM credits_freeze
                      WHERE cause = 'receivable' AND lifted_at IS NULL) AS pause
               ON pause.wallet_id = owing.wallet_id
         WHERE owing.wallet_id IS NULL OR pause.id IS NULL
        """,
    ),
    Check(
        "no wallet with a reason to be paused takes calls",
        "SELECT count(DISTINCT wallet_id) AS rows, 0 AS micros FROM credits_freeze"
        " WHERE lifted_at IS NULL",
        """
        SELECT 'wallet ' || wallet_id || ' takes calls, though: ' || sentence
          FROM credits_freeze JOIN credits_account account ON account.id = wallet_id
         WHERE frozen_reason = '' AND lifted_at IS NULL
        """,
    ),
    Check(
        "nothing that the processor told waits for more than an hour",
        "SELECT count(*) AS rows, 0 AS micros FROM credits_stripeevent",
        """
        SELECT 'event ' || id || ' (' || type || ') waits since ' || received_at || ': ' || error
          FROM credits_stripeevent
         WHERE processed_at IS NULL AND received_at < now() - interval '1 hour'
        """,
    ),
    Check(
        "no refund waits for more than an hour to be taken by the processor",
        "SELECT count(*) AS rows, coalesce(sum(taken_micros), 0) AS micros FROM credits_refund"
        " WHERE state = 'requested'",
        """
        SELECT 'refund ' || id || ' of purchase ' || top_up_id || ' (' || cents
               || ' cents) waits since ' || created_at
          FROM credits_refund
         WHERE state = 'requested' AND created_at < now() - interval '1 hour'
        """,
    ),
    Check(
        "every difference from the processor was resolved",
        "SELECT count(*) AS rows, 0 AS micros FROM credits_finding",
        "SELECT key || ': ' || sentence FROM credits_finding"
        " WHERE resolved_at IS NULL AND kind NOT IN ('fraud', 'vendor')",
    ),
)

SEALS = (
    Check(
        "each wallet's seals are numbered without gaps, in the order of its entries",
        "SELECT count(*) AS rows, 0 AS micros FROM credits_seal",
        """
        SELECT 'wallet ' || wallet_id || ': ' || count(*) || ' seals, the last is position '
               || max(position) || CASE WHEN bool_and(follows) THEN '' ELSE ', out of order' END
          FROM (SELECT wallet_id, position,
                       entry_id > coalesce(lag(entry_id) OVER wallet, 0)
                       AND at >= coalesce(lag(at) OVER wallet, at) AS follows
                  FROM credits_seal WINDOW wallet AS (PARTITION BY wallet_id ORDER BY position)
               ) AS seal
         GROUP BY wallet_id
        HAVING count(*) <> max(position) OR NOT bool_and(follows)
        """,
        since.SEALED_IN_ORDER,
    ),
    Check(
        "each wallet's sealed balance is the sum of all its entries up to there",
        "SELECT count(*) AS rows, coalesce(sum(balance_micros), 0) AS micros FROM"
        " (SELECT DISTINCT ON (wallet_id) balance_micros FROM credits_seal"
        "   ORDER BY wallet_id, position DESC) AS last",
        """
        WITH last AS MATERIALIZED (
            SELECT DISTINCT ON (wallet_id) wallet_id, position, entry_id, balance_micros
              FROM credits_seal ORDER BY wallet_id, position DESC
        ), moved AS (
            SELECT wallet_id, count(*) AS n, sum(amount) AS micros
              FROM (SELECT debit_id AS wallet_id, id, -amount_micros AS amount FROM credits_entry
                    UNION ALL SELECT credit_id, id, amount_micros FROM credits_entry) AS side
              JOIN last USING (wallet_id)
             WHERE id <= entry_id
             GROUP BY wallet_id)
        SELECT 'wallet ' || wallet_id || ': sealed ' || position || ' lines, balance '
               || balance_micros || '; entries ' || coalesce(n, 0) || ', ' || coalesce(micros, 0)
          FROM last LEFT JOIN moved USING (wallet_id)
         WHERE (position, balance_micros) IS DISTINCT FROM (n, micros)
        """,
        since.SEALED_BALANCES,
    ),
)

DAYS = (
    Check(
        "the sums by day are those of the entries",
        "SELECT coalesce(sum(entries), 0) AS rows, coalesce(sum(micros), 0) AS micros"
        " FROM credits_daysum",
        since.days_differ(),
        since.DAYS,
    ),
    Check(
        "what entries say was given of each wallet is what its lots say",
        "SELECT count(*) AS rows, coalesce(sum(micros), 0) AS micros FROM credits_grantedleft",
        f"""
        WITH {accounting.BEHIND}, walked_to AS (
            SELECT DISTINCT ON (wallet) wallet, granted FROM level ORDER BY wallet, id DESC
        ), lots AS (
            SELECT wallet_id, sum(left_micros) AS micros,
                   coalesce(sum(left_micros) FILTER (WHERE kind = 'granted'), 0) AS granted
              FROM credits_lot WHERE left_micros > 0 GROUP BY wallet_id)
        SELECT 'wallet ' || account.id || ': given ' || said.micros || ' by its lots, '
               || coalesce(walked_to.granted, summed.micros, 0) || ' by its entries'
          FROM credits_account account
          LEFT JOIN lots ON lots.wallet_id = account.id
          LEFT JOIN credits_grantedleft summed ON summed.wallet_id = account.id
          LEFT JOIN walked_to ON walked_to.wallet = account.id,
               LATERAL (SELECT coalesce(greatest(0, lots.granted - (lots.micros - balance_micros)),
                                        0) AS micros) said
         WHERE account.kind = 'wallet'
           AND said.micros <> coalesce(walked_to.granted, summed.micros, 0)
        """,  # noqa: S608 - constants of our own modules
    ),
    Check(
        "what was given of all wallets, by day, is what was given of each",
        "SELECT count(*) AS rows, coalesce(sum(granted_micros), 0) AS micros FROM credits_daysum",
        """
        SELECT 'by day ' || day.micros || ', by wallet ' || wallet.micros
          FROM (SELECT coalesce(sum(granted_micros), 0) AS micros FROM credits_daysum) AS day,
               (SELECT coalesce(sum(micros), 0) AS micros FROM credits_grantedleft) AS wallet
         WHERE day.micros <> wallet.micros
        """,
    ),
)
SAMPLED_WALLETS, SAMPLED_LINES = 300, 20


@dataclass(frozen=True, slots=True)
class Proof:
    """What one check found: rows and micros that were looked at, and the differences."""

    name: str
    rows: int
    micros: int
    differences: list[str]


class _Counted(NamedTuple):
    """How much a check looks at."""

    rows: int
    micros: int


class _Chain(NamedTuple):
    """A wallet that has seals, and the position of the last."""

    wallet_id: UUID
    last: int


# Some, as chance has it; all, if `deep`.
CHAINS = """
    SELECT account.id AS wallet_id, seal.position AS last FROM credits_account account
      JOIN LATERAL (SELECT position FROM credits_seal WHERE wallet_id = account.id
                     ORDER BY position DESC LIMIT 1) seal ON true
     WHERE kind = 'wallet'
     ORDER BY CASE WHEN %(deep)s THEN 0 ELSE random() END LIMIT %(limit)s
"""


class _Fresh(NamedTuple):
    """A wallet with new seals that the database finds otherwise, and up to where it was proved."""

    wallet_id: UUID
    sealed: int


def prove(checks: tuple[Check, ...], after: dict[str, Any] | None = None) -> list[Proof]:
    """Run the checks; each difference is a line that names its row. Reads only.

    With `after`, the parameters of a mark, what was proved before that is not read again.
    """
    proofs = []
    for check in checks:
        short = check.since if after is not None else None
        counted, differences = short or (check.counted, check.differences)
        given = after if short else None
        (seen,) = rows(_Counted, counted, given)
        proofs.append(Proof(check.name, seen.rows, int(seen.micros), values(differences, given)))
    return proofs


def prove_chains(*, deep: bool = False) -> Proof:
    """Recompute hashes from the entries: a sample's newest lines, or (`deep`) every line."""
    lines, differences = 0, list[str]()
    limit = None if deep else SAMPLED_WALLETS
    for chain in list(rows(_Chain, CHAINS, {"deep": deep, "limit": limit})):
        after = 0 if deep else max(0, chain.last - SAMPLED_LINES)
        lines += chain.last - after
        differences += sealing.broken(chain.wallet_id, after=after)
    name = "each seal's hash is that of its entry and the seal before"
    return Proof(name if deep else f"{name} (a sample)", lines, 0, differences)


def prove_new_seals() -> Proof:
    """Recompute the hash of every seal that came after the last proof."""
    differences = list[str]()
    for fresh in list(rows(_Fresh, since.SEALED_BY_HASH)):
        differences += sealing.broken(fresh.wallet_id, after=fresh.sealed)
    (counted,) = rows(_Counted, since.FRESH_SEALS)
    name = "each new seal's hash is that of its entry and the seal before"
    return Proof(name, counted.rows, 0, differences)
