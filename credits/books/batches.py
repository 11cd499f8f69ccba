"""The batched forms of holds.py: what all who wait at one moment ask, in one statement and commit.

The statements that `place_many` and `settle_many` build do for a list of asks what `place`,
`capture`, `void` and `expire` do for one; a test runs both against each other. A layer above may
pass down who pays (`Payer`) and what is to be written in the same commit (`record`).

The statements look rows up by `= ANY (array)` or by LATERAL with a limit, not by a plain join: the
planner sees a table of holds that is almost empty, and would read it whole, dead rows and all.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar

from credits.books.processes import orphaned
from credits.models import HOUSE, Account


@dataclass(frozen=True, slots=True)
class Payer:
    """Who pays for an ask, as SQL over the row `asked`, passed down by the layer that knows.

    `columns` are further fields of an ask, `join` finds what they mean, `wallet` is the account,
    `refusal` a word if this payer may not (null if it may), `memo` what the hold shall remember,
    `facts` a text that is answered to the caller.
    """

    columns: str = "wallet uuid"
    join: str = ""
    wallet: str = "asked.wallet"
    refusal: str = "NULL::text"
    memo: str = "asked.memo"
    facts: str = "NULL::text"


def place_many(payer: Payer) -> str:
    """Return the statement that places all holds it is asked for (one JSON parameter, a list).

    An ask has `n` (its place in the list), `hold`, `amount`, `ttl` (seconds), `intent`, `keyed`
    (whether the hold takes the intent for itself), `process` (the program that will end it, if no
    other can), `memo`, and the payer's columns. One row answers each ask, in the order of `n`:
    `n`, wallet, verdict (`placed`, `repeat` of an open
    hold with that intent, `frozen`, `short`, or the payer's refusal), available micros before
    this batch, the sentence of a freeze, the payer's facts, and the id of the earlier hold.

    Within one wallet, asks are served in order while the running sum fits. Two keyed asks with one
    intent do not go in one batch: the second would break the unique intent, and the whole batch.
    """
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
               AS refusal
          FROM asked
          {payer.join}
          LEFT JOIN LATERAL (
              SELECT id FROM credits_hold hold WHERE hold.intent = asked.intent LIMIT 1
          ) earlier ON true
    ), wallet AS MATERIALIZED (
        SELECT id, balance_micros - held_micros AS available, frozen_reason
          FROM credits_account
         WHERE id = ANY (ARRAY(SELECT DISTINCT wallet FROM payer WHERE refusal IS NULL))
           AND kind = 'wallet'
         ORDER BY id
           FOR NO KEY UPDATE
    ), judged AS MATERIALIZED (
        SELECT payer.*, wallet.available, wallet.frozen_reason,
               CASE WHEN refusal IS NOT NULL THEN refusal
                    WHEN wallet.id IS NULL THEN 'short'
                    WHEN wallet.frozen_reason <> '' THEN 'frozen'
                    WHEN sum(amount) FILTER (WHERE refusal IS NULL)
                         OVER (PARTITION BY payer.wallet ORDER BY n) > wallet.available
                    THEN 'short'
                    ELSE 'placed'
               END AS verdict
          FROM payer LEFT JOIN wallet ON wallet.id = payer.wallet
    ), taken AS (
        UPDATE credits_account account
           SET held_micros = account.held_micros + share.amount
          FROM (SELECT wallet, sum(amount)::bigint AS amount
                  FROM judged WHERE verdict = 'placed' GROUP BY wallet) share
         WHERE account.id = share.wallet
           AND account.balance_micros - account.held_micros >= share.amount
     RETURNING account.id
    ), opened AS (
        INSERT INTO credits_hold (id, account_id, amount_micros, intent, process_id, memo,
                                  expires_at)
        SELECT hold, wallet, amount, CASE WHEN keyed THEN intent END, process, memo,
               statement_timestamp() + ttl * interval '1 second'
          FROM judged JOIN taken ON taken.id = judged.wallet
         WHERE verdict = 'placed'
    )
    SELECT n, wallet::text,
           CASE WHEN verdict = 'placed' AND taken.id IS NULL THEN 'short' ELSE verdict END,
           available, frozen_reason, facts, earlier::text
      FROM judged LEFT JOIN taken ON taken.id = judged.wallet
     ORDER BY n
    """  # noqa: S608 - the parts are constants of our own modules


class Ask(Protocol):
    """What `in_turn` looks at in an ask."""

    @property
    def amount(self) -> int:
        """Micros to set aside."""

    @property
    def intent(self) -> str | None:
        """The caller's name for its intention."""

    @property
    def keyed(self) -> bool:
        """Whether the hold takes the intent for itself."""


Asks = TypeVar("Asks", bound=Ask)
Row: TypeAlias = tuple[Any, ...]
Run: TypeAlias = Callable[[Sequence[Asks]], Awaitable[list[Row]]]


async def in_turn(asks: Sequence[Asks], run: Run[Asks]) -> list[Row | Exception]:
    """Place a batch with the outcome of one after the other; return the statement's rows.

    What the first statement raises is raised: then nothing was placed. What a later one raises is
    the answer of those who were in it: the others keep theirs.

    `run` sends the statement of `place_many`. Mostly that is once: again for who still fits after
    a larger neighbour of its wallet did not, and for who has a key and too little; and a batch is
    parted before an ask whose intent it holds already.
    """
    rows: list[Row | Exception] = []
    while len(rows) < len(asks):
        part: list[Asks] = []
        intents: set[str | None] = set()
        for ask in asks[len(rows) :]:
            if ask.keyed and ask.intent in intents:
                break
            intents.add(ask.intent if ask.keyed else None)
            part.append(ask)
        try:
            rows += await _twice(part, run)
        except Exception as exc:
            if not rows:
                raise
            rows += [exc] * len(part)
    return rows


async def _twice(asks: Sequence[Asks], run: Run[Asks]) -> list[Row | Exception]:
    first = await run(asks)
    rows: list[Row | Exception] = [*first]
    again = _who_fit(asks, first)
    if again and len(asks) > 1:
        await _rerun(again, asks, rows, run)
    # What is missing may be held by its own first try, placed by another process while this
    # statement waited for the wallet: then its intent is seen only now, and it is a repeat.
    await _rerun([n for n, row in enumerate(rows) if _may_repeat(asks[n], row)], asks, rows, run)
    return rows


async def _rerun(
    places: list[int], asks: Sequence[Asks], rows: list[Row | Exception], run: Run[Asks]
) -> None:
    if not places:
        return
    try:
        answers: Sequence[Row | Exception] = await run([asks[place] for place in places])
    except Exception as exc:
        answers = [exc] * len(places)
    for place, row in zip(places, answers, strict=True):
        rows[place] = row


def _may_repeat(ask: Ask, row: Row | Exception) -> bool:
    return ask.keyed and not isinstance(row, Exception) and row[2] == "short"


def _who_fit(asks: Sequence[Ask], rows: list[Row]) -> list[int]:
    """Return whose turn it would have been, had no neighbour asked for more than there was."""
    left: dict[str, int] = {}
    for ask, (_, wallet, verdict, available, *_) in zip(asks, rows, strict=True):
        if available is not None:
            left.setdefault(wallet, available)
            left[wallet] -= ask.amount if verdict == "placed" else 0
    again = []
    for place, (_, wallet, verdict, *_) in enumerate(rows):
        if verdict == "short" and left.get(wallet, 0) >= asks[place].amount:
            left[wallet] -= asks[place].amount
            again.append(place)
    return again


def settle_many(columns: str = "", record: str = "") -> str:
    """Return the statement that ends all holds it is asked for (one JSON parameter, a list).

    An ask has `hold`, `wallet`, `charged` (micros; 0 voids), `only_expired`, `silent` (whether it
    takes no place in the wallet's history: nothing may be charged then), and `columns`. It
    answers a row (hold id, charged micros, shortfall micros) for each hold that this statement
    ended; a hold without a row had ended before. `record` is SQL of further CTEs (each begins
    with a comma), written in the same commit; it reads `ended`: id, wallet, held, charged,
    shortfall, memo, placed_at, number (its place in the wallet's history), and the columns.
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
           AND (id <> ALL (ARRAY(SELECT hold FROM asked WHERE only_expired))
                OR expires_at <= now() OR {orphaned("credits_hold")})
     RETURNING id, account_id, amount_micros, memo, placed_at
    ), ended AS MATERIALIZED (
        SELECT gone.id, gone.account_id AS wallet, gone.amount_micros AS held,
               least(asked.charged, gone.amount_micros) AS charged,
               greatest(asked.charged - gone.amount_micros, 0) AS shortfall,
               gone.memo, gone.placed_at,
               coalesce(asked.silent, false) AS silent,
               wallet.events + sum(CASE WHEN asked.silent THEN 0 ELSE 1 END)
                                   OVER (PARTITION BY gone.account_id ORDER BY gone.id)
               AS number {asked}
          FROM gone JOIN asked ON asked.hold = gone.id JOIN wallet ON wallet.id = gone.account_id
    ), freed AS (
        UPDATE credits_account account
           SET balance_micros = account.balance_micros - share.charged,
               held_micros = account.held_micros - share.held,
               events = account.events + share.n
          FROM (SELECT wallet, sum(charged)::bigint AS charged, sum(held)::bigint AS held,
                       count(*) FILTER (WHERE NOT silent) AS n
                  FROM ended GROUP BY wallet) share
         WHERE account.id = share.wallet
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
