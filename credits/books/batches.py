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
    a volatile function sees as it is now.
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
    room: str = "NULL::jsonb"
    told: str = "NULL::jsonb"


_ROOM = """jsonb_build_object('open', open, 'concurrency', most, 'budgets', (
                    SELECT jsonb_agg(jsonb_build_object(
                               'id', id, 'kind', owner_kind, 'owner', owner,
                               'limit', limit_micros, 'left', left_micros,
                               'resets_at', ends_at) ORDER BY id)
                      FROM drawn WHERE drawn.n = judged.n))"""
"""What there was of each limit, of a row of `judged`."""
_LOCK = "FOR NO KEY UPDATE"


def _of_share(column: str) -> str:
    """Return a budget's part of the CTE `share`, found by halving among its sorted ids.

    Not by a join: its plan is made while there are few budgets, and compares each with each.
    """
    of = "ARRAY(SELECT {} FROM share ORDER BY id)".format
    return f"({of(column)})[width_bucket(id, {of('id')})]"


def _limits(payer: Payer, lock: str) -> _Limits:
    if not (payer.budgets or payer.concurrency):
        return _Limits()
    return _Limits(
        wallet=f", {payer.slots} AS slots",
        named=f""",
               {payer.budgets or "NULL::bigint[]"} AS budgets,
               {payer.concurrency or "NULL::int"} AS concurrency""",
        locked=f"""
    ), budget AS MATERIALIZED (
        SELECT id, owner_kind, owner, limit_micros, ends_at, held_micros, spent_micros, over_micros,
               limit_micros - held_micros - spent_micros AS left_micros
          FROM credits_budget
         WHERE id = ANY (ARRAY(SELECT DISTINCT unnest(budgets) FROM payer WHERE refusal IS NULL))
           AND (SELECT count(*) FROM wallet) > 0  -- Reads, and so locks, all wallets first.
         ORDER BY id {lock}
    ), drawn AS MATERIALIZED (
        SELECT payer.n, budget.*,
               sum(payer.amount) OVER (PARTITION BY budget.id ORDER BY payer.n) AS running
          FROM payer CROSS JOIN LATERAL unnest(payer.budgets) AS one (id) JOIN budget USING (id)
         WHERE payer.refusal IS NULL
    ), within AS MATERIALIZED (
        SELECT n, bool_and(running <= left_micros) IS NOT FALSE AS fits,
               array_agg(id ORDER BY id) AS ids
          FROM drawn GROUP BY n""",  # noqa: S608 - of our own
        verdicts="""
                    WHEN count(*) FILTER (WHERE refusal IS NULL)
                         OVER (PARTITION BY payer.wallet, at_once.is_large ORDER BY payer.n)
                         + at_once.open > at_once.most
                    THEN 'busy'
                    WHEN NOT within.fits THEN 'budget'""",
        # A sum counts also who did not fit in another. So who comes after one that was refused
        # waits (turns.py), or it would be served before one for whom there was room.
        verdict="""CASE WHEN alone = 'placed'
                             AND bool_or(alone IN ('short', 'busy', 'budget'))
                                 OVER (PARTITION BY wallet ORDER BY n)
                            THEN 'waits' ELSE alone END""",
        columns=", at_once.open, at_once.most, within.ids",
        join=f"""
          LEFT JOIN within ON within.n = payer.n
          LEFT JOIN LATERAL (
              SELECT large.is_large,
                     CASE WHEN large.is_large THEN wallet.open_large
                          ELSE wallet.open_holds - wallet.open_large END AS open,
                     CASE WHEN large.is_large AND every.slots > 0 THEN greatest(every.slots / 4, 1)
                          ELSE every.slots END AS most
                FROM (SELECT payer.amount >= {LARGE_MICROS} AS is_large) large,
                     (SELECT coalesce(payer.concurrency, wallet.slots) AS slots) every
          ) at_once ON true""",  # noqa: S608 - a constant of our own
        taken=f"""
    ), share AS MATERIALIZED (
        SELECT one.id, sum(judged.amount)::bigint AS amount, now.limit_micros, now.held_micros,
               now.spent_micros, now.over_micros
          FROM judged JOIN taken ON taken.id = judged.wallet
         CROSS JOIN LATERAL unnest(judged.ids) AS one (id)
          JOIN budget now ON now.id = one.id
         WHERE judged.verdict = 'placed'
         GROUP BY one.id, now.limit_micros, now.held_micros, now.spent_micros, now.over_micros
    ), taken_of AS (
        UPDATE credits_budget
           SET limit_micros = {_of_share("limit_micros")},
               held_micros = {_of_share("held_micros + amount")},
               spent_micros = {_of_share("spent_micros")},
               over_micros = {_of_share("over_micros")}
         WHERE id = ANY (ARRAY(SELECT id FROM share))""",  # noqa: S608 - of our own
        budgets="ids",
        room=_ROOM,
        # All of it is looked at only where a neighbour, or itself, did not fit (turns.py).
        told=f"""
           CASE WHEN (SELECT bool_or(verdict IN ('short', 'busy', 'budget')) FROM judged)
                THEN {_ROOM}
                WHEN most IS NOT NULL
                THEN jsonb_build_object('open', open, 'concurrency', most) END""",  # noqa: S608 - of our own
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
        SELECT payer.*, wallet.available, wallet.frozen_reason {limits.columns},
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
           SET balance_micros = wallet.balance_micros,
               held_micros = wallet.held_micros + share.amount,
               open_holds = wallet.open_holds + share.n,
               open_large = wallet.open_large + share.large
          FROM (SELECT wallet AS id, sum(amount)::bigint AS amount, count(*) AS n,
                       count(*) FILTER (WHERE amount >= {LARGE_MICROS}) AS large
                  FROM judged WHERE verdict = 'placed' GROUP BY wallet) share
          JOIN wallet USING (id)
         WHERE account.id = share.id AND wallet.available >= share.amount
     RETURNING account.id {limits.taken}
    ), opened AS (
        INSERT INTO credits_hold (id, account_id, amount_micros, intent, budgets, process_id, memo,
                                  expires_at)
        SELECT hold, wallet, amount, CASE WHEN keyed THEN intent END, {limits.budgets}, process,
               memo, statement_timestamp() + ttl * interval '1 second'
          FROM judged JOIN taken ON taken.id = judged.wallet
         WHERE verdict = 'placed'
    )
    SELECT n, wallet::text,
           CASE WHEN verdict = 'placed' AND taken.id IS NULL THEN 'short' ELSE verdict END,
           available, frozen_reason, facts, earlier::text, {limits.told}
      FROM judged LEFT JOIN taken ON taken.id = judged.wallet
     ORDER BY n
    """  # noqa: S608 - the parts are constants of our own modules


_GIVEN_BACK = f"""
    ), budget AS MATERIALIZED (
        SELECT id FROM credits_budget
         WHERE id = ANY (ARRAY(SELECT DISTINCT unnest(budgets) FROM ended))
         ORDER BY id
           FOR NO KEY UPDATE
    ), share AS MATERIALIZED (
        SELECT one.id, sum(held)::bigint AS held, sum(charged)::bigint AS charged
          FROM ended CROSS JOIN LATERAL unnest(ended.budgets) AS one (id)
         GROUP BY one.id
    ), given_back AS (
        UPDATE credits_budget
           SET held_micros = held_micros - {_of_share("held")},
               spent_micros = spent_micros + {_of_share("charged")}
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
     RETURNING id, account_id, amount_micros, budgets, memo, placed_at
    ), ended AS MATERIALIZED (
        SELECT gone.id, gone.account_id AS wallet, gone.amount_micros AS held,
               least(asked.charged, gone.amount_micros) AS charged,
               greatest(asked.charged - gone.amount_micros, 0) AS shortfall,
               gone.budgets, gone.memo, gone.placed_at,
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
               events = account.events + share.n
          FROM (SELECT wallet, sum(charged)::bigint AS charged, sum(held)::bigint AS held,
                       count(*) AS holds,
                       count(*) FILTER (WHERE held >= {LARGE_MICROS}) AS large,
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
