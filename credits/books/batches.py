"""The batched forms of holds.py: what all who wait at one moment ask, in one statement and commit.

The statements that `place_many` and `settle_many` build do for a list of asks what `place`,
`capture`, `void` and `expire` do for one; a test runs both against each other. A layer above may
pass down who pays (`Payer`) and what is to be written in the same commit (`record`).

An UPDATE begins with the rows as they were when its statement did, also where the statement waited
for their locks since: its WHERE and the table's constraints look at those first. So whoever judged
a row that it locked, and takes from it, writes all that a constraint compares as it was judged.

The statements look rows up by `= ANY (array)` or by LATERAL with a limit, not by a plain join: the
planner sees a table of holds that is almost empty, and would read it whole, dead rows and all.
"""

from __future__ import annotations

from dataclasses import dataclass

from credits.books.processes import orphaned
from credits.models import HOUSE, LARGE_MICROS, Account


@dataclass(frozen=True, slots=True)
class Payer:
    """Who pays for an ask, as SQL over the row `asked`, passed down by the layer that knows.

    `columns` are further fields of an ask, `join` finds what they mean, `wallet` is the account,
    `refusal` a word if this payer may not (null if it may), `memo` what the hold shall remember,
    `facts` a text that is answered to the caller. `budgets` is an array of the ids of the budgets
    that it is under, each once, and `concurrency` how many holds its wallet may have open at once;
    either may be null. `slots` is what that is where `concurrency` says nothing, as SQL over the
    wallet's own row, which is locked; also null where there is no such limit.

    `meanwhile` is a word like `refusal`, over the row `payer`, looked at once all is locked. What a
    statement reads is as it was when it began, before it waited for its locks: so this is for what
    a volatile function sees as it is now, for each row, or once for all rows of `payer`.
    """

    columns: str = "wallet uuid"
    join: str = ""
    wallet: str = "asked.wallet"
    refusal: str = "NULL::text"
    memo: str = "asked.memo"
    facts: str = "NULL::text"
    meanwhile: str = "NULL::text"
    budgets: str = ""
    concurrency: str = ""
    slots: str = "NULL::int"


@dataclass(frozen=True, slots=True)
class _Limits:
    """The parts of the statement that a payer's budgets and concurrency need; none, if it has none.

    Budgets are locked after all wallets, in the order of their ids. A large hold has slots of its
    own: a quarter of all, and at least one (limits.py).
    """

    named: str = ""
    wallet: str = ""
    locked: str = ""
    verdicts: str = ""
    verdict: str = "alone"
    columns: str = ""
    join: str = ""
    taken: str = ""
    budgets: str = "NULL::bigint[]"
    room: str = "NULL::int, NULL::int, NULL::jsonb"
    told: str = "NULL::int, NULL::int, NULL::jsonb"


_BUDGETS = """(
               SELECT jsonb_agg(jsonb_build_object(
                          'id', id, 'kind', owner_kind, 'owner', owner,
                          'limit', limit_micros, 'left', left_micros,
                          'resets_at', ends_at) ORDER BY id)
                 FROM budget WHERE id = ANY (judged.budgets))"""
"""What there was of each budget that a row of `judged` is under."""
_LOCK = "FOR NO KEY UPDATE"
_PLACED = "verdict = 'placed' AND (wallet IN (SELECT id FROM taken)) IS TRUE"
"""Of a row of `judged`: whether it was. Looked up in a hash; a join would compare each with each,
for its plan is made while the planner expects one row."""


def _of(shares: str, column: str) -> str:
    """Return a budget's part of a CTE that is one row of arrays, found by halving among its ids.

    Not by a join: its plan is made while there are few budgets, and compares each with each.
    """
    of = f"(SELECT {{}} FROM {shares})".format  # noqa: S608 - of our own
    return f"({of(column)})[width_bucket(id, {of('ids')})]"


def _limits(payer: Payer, lock: str) -> _Limits:
    if not (payer.budgets or payer.concurrency):
        return _Limits()
    return _Limits(
        wallet=f", {payer.slots} AS slots, open_apart",
        named=f""",
               {payer.budgets or "NULL::bigint[]"} AS budgets,
               {payer.concurrency or "NULL::int"} AS concurrency""",
        locked=f"""
    ), wanted AS MATERIALIZED (
        SELECT array_agg(id ORDER BY id) AS ids, array_agg(amount ORDER BY id) AS amounts FROM (
            SELECT id, sum(amount)::bigint AS amount
              FROM (SELECT unnest(budgets) AS id, amount FROM payer WHERE refusal IS NULL) one
             GROUP BY id) of_each
    ), budget AS MATERIALIZED (
        SELECT id, owner_kind, owner, limit_micros, taken_micros, over_micros, ends_at,
               limit_micros - taken_micros AS left_micros,
               limit_micros - taken_micros < {_of("wanted", "amounts")} AS is_short
          FROM credits_budget
         WHERE id = ANY ((SELECT ids FROM wanted)::bigint[])
           AND (SELECT count(*) FROM wallet) > 0  -- Reads, and so locks, all wallets first.
         ORDER BY id
           {lock}
    ), over AS MATERIALIZED (
        SELECT n FROM (
            SELECT one.n, budget.left_micros,
                   sum(one.amount) OVER (PARTITION BY budget.id ORDER BY one.n) AS running
              FROM (SELECT n, amount, unnest(budgets) AS id FROM payer WHERE refusal IS NULL) one
              JOIN budget ON budget.id = one.id AND budget.is_short
        ) drawn WHERE running > left_micros""",  # noqa: S608 - of our own
        # Sums of each budget are run up only where not all that is wanted of one is there.
        verdicts="""
                    WHEN CASE WHEN at_once.is_large
                              THEN count(*) FILTER (WHERE refusal IS NULL AND at_once.is_large)
                                   OVER (PARTITION BY payer.wallet ORDER BY payer.n)
                              ELSE count(*) FILTER (WHERE refusal IS NULL AND NOT at_once.is_large)
                                   OVER (PARTITION BY payer.wallet ORDER BY payer.n) END
                         + at_once.open > at_once.most
                    THEN 'busy'
                    WHEN CASE WHEN (SELECT bool_or(is_short) FROM budget)
                              THEN payer.n IN (SELECT n FROM over) END
                    THEN 'budget'""",
        # A sum counts also who did not fit in another. So who comes after one that was refused
        # waits (turns.py), or it would be served before one for whom there was room.
        verdict="""CASE WHEN alone = 'placed'
                             AND bool_or(alone IN ('short', 'busy', 'budget'))
                                 OVER (PARTITION BY wallet ORDER BY n)
                            THEN 'waits' ELSE alone END""",
        columns=", at_once.open, at_once.most",
        join=f"""
          LEFT JOIN LATERAL (
              SELECT large.is_large,
                     CASE WHEN large.is_large THEN wallet.open_large
                          ELSE wallet.open_holds - wallet.open_large - wallet.open_apart
                     END AS open,
                     CASE WHEN large.is_large AND every.slots > 0 THEN greatest(every.slots / 4, 1)
                          ELSE every.slots END AS most
                FROM (SELECT payer.amount >= {LARGE_MICROS} AS is_large) large,
                     (SELECT coalesce(payer.concurrency, wallet.slots) AS slots) every
          ) at_once ON true""",  # noqa: S608 - a constant of our own
        taken=f"""
    ), share AS MATERIALIZED (
        SELECT array_agg(id ORDER BY id) AS ids, array_agg(limit_micros ORDER BY id) AS limits,
               array_agg(taken_micros + amount ORDER BY id) AS taken,
               array_agg(over_micros ORDER BY id) AS over
          FROM (SELECT id, sum(amount)::bigint AS amount
                  FROM (SELECT unnest(budgets) AS id, amount FROM judged WHERE {_PLACED}) one
                 GROUP BY id) of_each
          JOIN budget USING (id)
    ), taken_of AS (
        UPDATE credits_budget
           SET limit_micros = {_of("share", "limits")}, taken_micros = {_of("share", "taken")},
               over_micros = {_of("share", "over")}
         WHERE id = ANY ((SELECT ids FROM share)::bigint[])""",  # noqa: S608 - of our own
        # One that is gone was over: nothing is taken from it.
        budgets="""CASE WHEN (SELECT count(*) FROM budget) = (SELECT cardinality(ids) FROM wanted)
                   THEN nullif(budgets, '{}')
                   ELSE nullif(ARRAY(SELECT id FROM budget WHERE id = ANY (judged.budgets)), '{}')
               END""",
        room=f"open, most, {_BUDGETS}",
        # Budgets are looked at only where a neighbour, or itself, did not fit (turns.py).
        told=f"""open, most,
           CASE WHEN (SELECT bool_or(verdict IN ('short', 'busy', 'budget')) FROM judged)
                THEN {_BUDGETS} END""",  # noqa: S608 - constants of our own
    )


def _judged(payer: Payer, limits: _Limits, lock: str) -> str:
    """Return the beginning of a statement, up to within its CTE `judged`: a verdict of each ask."""
    return f"""
    WITH asked AS MATERIALIZED (
        SELECT * FROM json_to_recordset(%s::json) AS asked(
            n int, hold uuid, amount bigint, ttl int, intent uuid, keyed bool, process uuid,
            memo jsonb,
            {payer.columns})
    ), payer AS MATERIALIZED (
        SELECT asked.n, asked.hold, asked.amount, asked.ttl, asked.intent, asked.keyed,
               asked.process,
               {payer.wallet} AS wallet, {payer.memo} AS memo, {payer.facts} AS facts,
               earlier.id AS earlier,
               coalesce({payer.refusal}, CASE WHEN earlier.id IS NOT NULL THEN 'repeat' END)
               AS refusal {limits.named}
          FROM asked
          {payer.join}
          LEFT JOIN LATERAL (
              SELECT id FROM credits_hold hold WHERE hold.intent = asked.intent LIMIT 1
          ) earlier ON true
    ), wallet AS MATERIALIZED (
        SELECT id, balance_micros, held_micros, balance_micros - held_micros AS available,
               open_holds, open_large, frozen_reason {limits.wallet}
          FROM credits_account
         WHERE id = ANY (ARRAY(SELECT DISTINCT wallet FROM payer WHERE refusal IS NULL))
           AND kind = 'wallet'
         ORDER BY id
           {lock} {limits.locked}
    ), judged AS MATERIALIZED (
        SELECT one.*, {limits.verdict} AS verdict FROM (
        SELECT payer.*, wallet.balance_micros, wallet.held_micros, wallet.available,
               wallet.open_holds, wallet.open_large, wallet.frozen_reason {limits.columns},
               CASE WHEN refusal IS NOT NULL THEN refusal
                    WHEN wallet.id IS NULL THEN 'short'
                    WHEN wallet.frozen_reason <> '' THEN 'frozen'
                    WHEN sum(amount) FILTER (WHERE refusal IS NULL)
                         OVER (PARTITION BY payer.wallet ORDER BY payer.n) > wallet.available
                    THEN 'short' {limits.verdicts}
                    ELSE coalesce({payer.meanwhile}, 'placed')
               END AS alone
          FROM payer LEFT JOIN wallet ON wallet.id = payer.wallet {limits.join}
        ) one
    """  # noqa: S608 - the parts are constants of our own modules


def judge_many(payer: Payer) -> str:
    """Return the statement that judges asks as `place_many` does: nothing is locked or set aside.

    A row is as there, with all that there is of each limit.
    """
    limits = _limits(payer, lock="")
    return f"""
    {_judged(payer, limits, lock="")}
    )
    SELECT n, wallet::text, verdict, available, frozen_reason, facts, earlier::text, {limits.room}
      FROM judged
     ORDER BY n
    """  # noqa: S608 - the parts are constants of our own modules


def place_many(payer: Payer) -> str:
    """Return the statement that places all holds it is asked for (one JSON parameter, a list).

    An ask has `n` (its place in the list), `hold`, `amount`, `ttl` (seconds), `intent`, `keyed`
    (whether the hold takes the intent for itself), `process` (the program that will end it, if no
    other can), `memo`, and the payer's columns. A row answers each ask, in the order of `n`
    (turns.py names its columns). The verdict is `placed`, `repeat` of an open hold with that
    intent, `frozen`, a limit (limits.py), or the payer's refusal.

    Of what asks share they are served in order while the running sum fits; so a verdict that is a
    limit is exact only for the first of them (turns.py). Two keyed asks with one intent do not go
    in one batch: the second would break the unique intent, and the whole batch.
    """
    limits = _limits(payer, _LOCK)
    return f"""
    {_judged(payer, limits, _LOCK)}
    ), taken AS (
        UPDATE credits_account account
           SET balance_micros = share.balance_micros,
               held_micros = share.held_micros + share.amount,
               open_holds = share.open_holds + share.n,
               open_large = share.open_large + share.large
          FROM (SELECT wallet, sum(amount)::bigint AS amount, count(*) AS n,
                       count(*) FILTER (WHERE amount >= {LARGE_MICROS}) AS large,
                       -- Of one wallet all are the same.
                       min(balance_micros) AS balance_micros, min(held_micros) AS held_micros,
                       min(open_holds) AS open_holds, min(open_large) AS open_large
                  FROM judged WHERE verdict = 'placed' GROUP BY wallet) share
         WHERE account.id = share.wallet
           AND share.balance_micros - share.held_micros >= share.amount
     RETURNING account.id {limits.taken}
    ), opened AS (
        INSERT INTO credits_hold (id, account_id, amount_micros, intent, budgets, process_id, memo,
                                  expires_at)
        SELECT hold, wallet, amount, CASE WHEN keyed THEN intent END, {limits.budgets}, process,
               memo, statement_timestamp() + ttl * interval '1 second'
          FROM judged WHERE {_PLACED}
    )
    SELECT n, wallet::text,
           CASE WHEN verdict = 'placed' AND taken.id IS NULL THEN 'short' ELSE verdict END,
           available, frozen_reason, facts, earlier::text, {limits.told}
      FROM judged LEFT JOIN taken ON taken.id = judged.wallet
     ORDER BY n
    """  # noqa: S608 - the parts are constants of our own modules


_GIVEN_BACK = f"""
    ), unspent AS MATERIALIZED (
        SELECT array_agg(id ORDER BY id) AS ids, array_agg(rest ORDER BY id) AS rests FROM (
            SELECT id, sum(rest)::bigint AS rest
              FROM (SELECT unnest(budgets) AS id, held - charged AS rest
                      FROM ended WHERE charged < held) one
             GROUP BY id) of_each
    ), budget AS MATERIALIZED (
        SELECT id FROM credits_budget
         WHERE id = ANY ((SELECT ids FROM unspent)::bigint[])
         ORDER BY id
           FOR NO KEY UPDATE
    ), given_back AS (
        UPDATE credits_budget SET taken_micros = taken_micros - {_of("unspent", "rests")}
         WHERE id = ANY (ARRAY(SELECT id FROM budget))
"""  # noqa: S608 - constants of our own


def settle_many(columns: str = "", record: str = "", *, budgets: bool = True) -> str:
    """Return the statement that ends all holds it is asked for (one JSON parameter, a list).

    An ask has `hold`, `wallet`, `charged` (micros; 0 voids), `only_expired`, `silent` (whether it
    takes no place in the wallet's history: nothing may be charged then), and `columns`. It
    answers a row (hold id, charged micros, shortfall micros) for each hold that this statement
    ended; a hold without a row had ended before. `record` is SQL of further CTEs (each begins
    with a comma), written in the same commit; it reads `ended`: id, wallet, held, charged,
    shortfall, memo, placed_at, number (its place in the wallet's history), and the columns.

    A statement without `budgets` is for where no payer has any: it leaves holds alone that took
    from one, and costs less.
    """
    names = [column.split()[0] for column in columns.split(",") if column.strip()]
    asked = "".join(f", asked.{name}" for name in names)
    return f"""
    WITH asked AS MATERIALIZED (
        SELECT * FROM json_to_recordset(%s::json) AS asked(
            hold uuid, wallet uuid, charged bigint, only_expired bool, silent bool
            {"," if columns else ""} {columns})
    ), wallet AS MATERIALIZED (
        SELECT id, events FROM credits_account
         WHERE id = ANY (ARRAY(SELECT DISTINCT wallet FROM asked))
         ORDER BY id
           FOR NO KEY UPDATE
    ), gone AS (
        DELETE FROM credits_hold
         WHERE id = ANY (ARRAY(SELECT hold FROM asked))
           AND account_id = (ARRAY(SELECT wallet FROM asked))[
                   array_position(ARRAY(SELECT hold FROM asked), id)]
           AND account_id = ANY (ARRAY(SELECT id FROM wallet))
           {"" if budgets else "AND budgets IS NULL"}
           AND (id <> ALL (ARRAY(SELECT hold FROM asked WHERE only_expired))
                OR expires_at <= now() OR {orphaned("credits_hold")})
     RETURNING id, account_id, amount_micros, budgets, memo, placed_at, apart
    ), ended AS MATERIALIZED (
        SELECT gone.id, gone.account_id AS wallet, gone.amount_micros AS held,
               least(asked.charged, gone.amount_micros) AS charged,
               greatest(asked.charged - gone.amount_micros, 0) AS shortfall,
               gone.budgets, gone.memo, gone.placed_at, gone.apart,
               coalesce(asked.silent, false) AS silent,
               wallet.events + sum(CASE WHEN asked.silent THEN 0 ELSE 1 END)
                                   OVER (PARTITION BY gone.account_id ORDER BY gone.id)
               AS number {asked}
          FROM gone JOIN asked ON asked.hold = gone.id JOIN wallet ON wallet.id = gone.account_id
    ), freed AS (
        UPDATE credits_account account
           SET balance_micros = account.balance_micros - share.charged,
               held_micros = account.held_micros - share.held,
               open_holds = account.open_holds - share.holds,
               open_large = account.open_large - share.large,
               open_apart = account.open_apart - share.apart,
               events = account.events + share.n
          FROM (SELECT wallet, sum(charged)::bigint AS charged, sum(held)::bigint AS held,
                       count(*) AS holds,
                       count(*) FILTER (WHERE held >= {LARGE_MICROS} AND NOT apart) AS large,
                       count(*) FILTER (WHERE apart) AS apart,
                       count(*) FILTER (WHERE NOT silent) AS n
                  FROM ended GROUP BY wallet) share
         WHERE account.id = share.wallet
    {_GIVEN_BACK if budgets else ""}
    ), posted AS (
        INSERT INTO credits_entry (kind, debit_id, credit_id, amount_micros, key)
        SELECT 'call', wallet, '{HOUSE[Account.Kind.SALES]}'::uuid, charged, 'call:' || id
          FROM ended WHERE charged > 0
         UNION ALL
        SELECT 'shortfall', '{HOUSE[Account.Kind.SHORTFALL]}'::uuid,
               '{HOUSE[Account.Kind.SALES]}'::uuid, shortfall, 'shortfall:' || id
          FROM ended WHERE shortfall > 0
    )
    {record}
    SELECT id::text, charged, shortfall FROM ended
    """  # noqa: S608 - the parts are constants of our own modules


def prolong_many(columns: str, record: str, *, answers: str = "prolonged") -> str:
    """Return the statement that gives open holds a later end (one JSON parameter, a list).

    The intent is free again: its answer is known now, and the layer above keeps it. Any program
    may end it from now on. An ask has
    `hold`, `ttl` (seconds from now) and `columns`. `record` reads `prolonged`, the holds that were
    still open (id, wallet, memo and the columns); it answers the ids in `answers`, if not all of
    these.
    """
    names = [column.split()[0] for column in columns.split(",") if column.strip()]
    asked = "".join(f", asked.{name}" for name in names)
    return f"""
    WITH asked AS MATERIALIZED (
        SELECT * FROM json_to_recordset(%s::json) AS asked(hold uuid, ttl int, {columns})
    ), wallet AS MATERIALIZED (
        SELECT id FROM credits_account
         WHERE id = ANY (ARRAY(SELECT account_id FROM credits_hold
                                WHERE id = ANY (ARRAY(SELECT hold FROM asked))))
         ORDER BY id
           FOR NO KEY UPDATE
    ), kept_open AS (
        UPDATE credits_hold
           SET intent = NULL, process_id = NULL,
               expires_at = statement_timestamp() + interval '1 second'
                          * (ARRAY(SELECT ttl FROM asked))[
                                array_position(ARRAY(SELECT hold FROM asked), id)]
         WHERE id = ANY (ARRAY(SELECT hold FROM asked))
           AND account_id = ANY (ARRAY(SELECT id FROM wallet))
     RETURNING id, account_id, memo
    ), prolonged AS MATERIALIZED (
        SELECT kept_open.id, kept_open.account_id AS wallet, kept_open.memo {asked}
          FROM kept_open JOIN asked ON asked.hold = kept_open.id
    )
    {record}
    SELECT id::text FROM {answers}
    """  # noqa: S608 - the parts are constants of our own modules
