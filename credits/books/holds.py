"""Two-phase spending: place a hold, then capture, void or expire it, exactly once.

    place --> open --> captured   the call was delivered: its price is spent, the rest is freed
                  |--> voided     it was certainly not: all is freed
                  '--> expired    nobody came back in time, or its program died (processes.py):
                                  the sweep frees all

A hold is a row of `credits_hold` exactly while it is open. Whoever ends it locks the wallet's row
first, then deletes the hold; who finds no row came too late and moves nothing. So each step is one
statement that happens whole or not at all, and two that race are one that wins.

Nobody waits in a circle, because everybody locks in one order, all of a kind before the next:

    wallets, by id -> holds and what else is a wallet's -> budgets, by id
    -> what else several wallets share (a voucher) -> jobs, by vendor and id -> answers

ledger.py states it of each transaction that locks wallets. A batch holds many wallets at once, so
it is the transaction beside it, which takes two the other way round, that would close a circle.
Should one close all the same, the server undoes one statement, and common/db.py runs it again.

A hold may take its amount from budgets, too, and a wallet may have only so many open at once, large
ones counted apart (limits.py). Whatever is summed is read from rows that the statement locked. The
hold writes down which budgets it took from: to these its end gives back what it did not cost, even
if the period is over meanwhile, or the limit another; what it did cost stays taken there.

What was locked is judged as it is then, not as it was when the statement began (batches.py).

Each step stands twice. The plain forms here (`place`, `capture`, `void`, `expire`) take one hold
and are the reference; batches.py does the same for all who wait at one moment (common/lanes.py).
What a layer above may want of an open hold beside that are the named statements below: nobody else
writes SQL on `credits_hold`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from django.db import connection
from psycopg.types.json import Json

from common.errors import NotFound
from common.ids import uuid7
from common.money import Micros
from credits.books import elsewhere, limits
from credits.books.processes import orphaned
from credits.models import HOUSE, LARGE_MICROS, Account, Budget

if TYPE_CHECKING:
    from collections.abc import Sequence

    from common.errors import PlatformError

PLACE = """
    WITH wallet AS MATERIALIZED (
        SELECT id, frozen_reason, balance_micros, held_micros, open_holds, open_large, open_apart
          FROM credits_account
         WHERE id = %(account)s AND kind = 'wallet'
           FOR NO KEY UPDATE
    ), may AS MATERIALIZED (
        SELECT * FROM wallet
         WHERE frozen_reason = ''
           AND balance_micros - held_micros >= %(amount)s
           AND (%(slots)s::int IS NULL
                OR CASE WHEN %(large)s THEN open_large
                        ELSE open_holds - open_large - open_apart END < %(slots)s)
    ), budget AS MATERIALIZED (
        SELECT id, limit_micros, taken_micros, over_micros,
               limit_micros - taken_micros AS left_micros
          FROM credits_budget
         WHERE id = ANY (%(budgets)s::bigint[]) AND EXISTS (SELECT FROM may)
         ORDER BY id
           FOR NO KEY UPDATE
    ), taken AS (
        UPDATE credits_account account
           SET balance_micros = may.balance_micros, held_micros = may.held_micros + %(amount)s,
               open_holds = may.open_holds + 1, open_large = may.open_large + %(large)s::int,
               open_apart = may.open_apart + %(apart)s::int
          FROM may
         WHERE account.id = may.id
           AND NOT EXISTS (SELECT FROM budget WHERE left_micros < %(amount)s)
     RETURNING account.id
    ), taken_of AS (
        UPDATE credits_budget
           SET limit_micros = budget.limit_micros, taken_micros = budget.taken_micros + %(amount)s,
               over_micros = budget.over_micros
          FROM budget
         WHERE credits_budget.id = budget.id AND EXISTS (SELECT FROM taken)
    )
    INSERT INTO credits_hold (id, account_id, amount_micros, intent, budgets, memo, apart,
                              expires_at)
    SELECT %(hold)s, id, %(amount)s, %(intent)s,
           nullif(ARRAY(SELECT id FROM budget ORDER BY id), '{}'), %(memo)s::jsonb, %(apart)s,
           statement_timestamp() + %(ttl)s * interval '1 second'
      FROM taken
 RETURNING id
"""

EXTEND = """
    WITH wallet AS MATERIALIZED (
        SELECT id, frozen_reason, balance_micros, held_micros, open_holds
          FROM credits_account
         WHERE id = %(account)s AND kind = 'wallet'
           FOR NO KEY UPDATE
    ), held AS MATERIALIZED (
        SELECT id, amount_micros, budgets FROM credits_hold
         WHERE id = %(hold)s AND apart AND account_id = (SELECT id FROM wallet)
           FOR NO KEY UPDATE
    ), may AS MATERIALIZED (
        SELECT * FROM wallet
         WHERE frozen_reason = '' AND balance_micros - held_micros >= %(amount)s
           AND EXISTS (SELECT FROM held)
    ), budget AS MATERIALIZED (
        SELECT id, limit_micros, taken_micros, over_micros,
               limit_micros - taken_micros AS left_micros
          FROM credits_budget
         WHERE id = ANY (ARRAY(SELECT unnest(budgets) FROM held)) AND EXISTS (SELECT FROM may)
         ORDER BY id
           FOR NO KEY UPDATE
    ), taken AS (
        UPDATE credits_account account
           SET balance_micros = may.balance_micros, held_micros = may.held_micros + %(amount)s,
               open_holds = may.open_holds
          FROM may
         WHERE account.id = may.id
           AND NOT EXISTS (SELECT FROM budget WHERE left_micros < %(amount)s)
     RETURNING account.id
    ), taken_of AS (
        UPDATE credits_budget
           SET limit_micros = budget.limit_micros, taken_micros = budget.taken_micros + %(amount)s,
               over_micros = budget.over_micros
          FROM budget
         WHERE credits_budget.id = budget.id AND EXISTS (SELECT FROM taken)
    )
    UPDATE credits_hold hold
       SET amount_micros = held.amount_micros + %(amount)s,
           expires_at = statement_timestamp() + %(ttl)s * interval '1 second'
      FROM held
     WHERE hold.id = held.id AND EXISTS (SELECT FROM taken)
 RETURNING hold.amount_micros
"""

END = f"""
    WITH wallet AS MATERIALIZED (
        SELECT id FROM credits_account WHERE id = %(account)s FOR NO KEY UPDATE
    ), ended AS (
        DELETE FROM credits_hold hold USING wallet
         WHERE hold.id = %(hold)s AND hold.account_id = wallet.id
           AND (NOT %(only_expired)s OR hold.expires_at <= now() OR {orphaned("hold")})
     RETURNING hold.id, hold.account_id, hold.amount_micros AS held, hold.budgets, hold.apart,
               least(%(charged)s::bigint, hold.amount_micros) AS charged,
               greatest(%(charged)s::bigint - hold.amount_micros, 0) AS shortfall
    ), freed AS (
        UPDATE credits_account account
           SET balance_micros = balance_micros - ended.charged,
               held_micros = held_micros - ended.held,
               open_holds = open_holds - 1,
               open_large = open_large
                          - (ended.held >= {LARGE_MICROS} AND NOT ended.apart)::int,
               open_apart = open_apart - ended.apart::int,
               events = events + 1
          FROM ended
         WHERE account.id = ended.account_id
    ), budget AS MATERIALIZED (
        SELECT id FROM credits_budget
         WHERE id = ANY (ARRAY(SELECT unnest(budgets) FROM ended WHERE charged < held))
         ORDER BY id
           FOR NO KEY UPDATE
    ), given_back AS (
        UPDATE credits_budget budget
           SET taken_micros = taken_micros - (ended.held - ended.charged)
          FROM ended
         WHERE budget.id = ANY (ARRAY(SELECT id FROM budget))
    ), posted AS (
        INSERT INTO credits_entry (kind, debit_id, credit_id, amount_micros, key)
        SELECT 'call', account_id, %(sales)s::uuid, charged, 'call:' || id
          FROM ended WHERE charged > 0
         UNION ALL
        SELECT 'shortfall', %(shortfall)s::uuid, %(sales)s::uuid, shortfall, 'shortfall:' || id
          FROM ended WHERE shortfall > 0
    )
    SELECT charged FROM ended
"""  # noqa: S608 - constants of our own


@dataclass(frozen=True, slots=True)
class Hold:
    """An amount set aside on a wallet, and how to name it when it ends."""

    id: str
    account: UUID
    amount: Micros


def place(
    account: UUID,
    *,
    amount: Micros,
    ttl_seconds: int,
    intent: UUID | None = None,
    budgets: Sequence[int] = (),
    concurrency: int | None = None,
    apart: bool = False,
    memo: dict[str, Any] | None = None,
    hold_id: UUID | None = None,
) -> Hold:
    """Set `amount` aside for at most `ttl_seconds`, or refuse and set nothing aside.

    It is taken from the wallet and from each of the budgets. One that is `apart` takes no slot, and
    may be extended later. A `hold_id` names what it is for: no two are ever charged under one.
    Raises AccessDisabled (the wallet is frozen; Moving or Moved if it leaves this cell),
    InsufficientCredits, ConcurrencyLimit or BudgetExceeded.
    """
    assert amount > 0 or apart, "a free call needs no hold"
    hold = Hold(str(hold_id or uuid7()), account, amount)
    asked = {
        "hold": hold.id,
        "account": account,
        "amount": amount,
        "ttl": ttl_seconds,
        "intent": intent,
        "budgets": list(budgets),
        "large": amount >= LARGE_MICROS and not apart,
        "slots": None if apart else limits.slots(concurrency, amount),
        "apart": apart,
        "memo": Json(memo or {}),
    }
    if _one(PLACE, asked) is None:
        raise _refusal(account, amount, budgets, None if apart else concurrency)
    return hold


def extend(hold: Hold, by: Micros, *, ttl_seconds: int) -> Micros:
    """Have an open hold that is apart be larger by an amount, or refuse and change nothing.

    It is taken from the wallet and from each budget that the hold took from, and the hold's time
    begins anew. Returns what it is then. Raises as `place` does, and NotFound for one that ended.
    """
    asked = {"hold": hold.id, "account": hold.account, "amount": by, "ttl": ttl_seconds}
    found = _one(EXTEND, asked)
    if found is not None:
        return Micros(int(found[0]))
    open_one = _one("SELECT budgets FROM credits_hold WHERE id = %(hold)s AND apart", asked)
    if open_one is None:
        raise NotFound("This was over before.")
    raise _refusal(hold.account, by, open_one[0] or (), None)


def renew(hold: Hold, *, ttl_seconds: int) -> bool:
    """Have an open hold's time begin anew; False if it had ended before."""
    with connection.cursor() as cursor:
        cursor.execute(RENEW, [ttl_seconds, hold.id])
        return bool(cursor.rowcount)


def capture(hold: Hold, amount: Micros) -> bool:
    """Spend `amount` and free the rest; False if the hold had ended before.

    More than was held is never taken from the member: the excess is an entry of the house's
    shortfall account.
    """
    assert amount >= 0, "a capture takes, it does not give"
    return _end(hold, charged=amount)


def void(hold: Hold) -> bool:
    """Free the whole hold; False if it had ended before."""
    return _end(hold, charged=Micros(0))


def expire(hold: Hold) -> bool:
    """Free the hold if its time is over, or its program is silent; False if not, or if it ended."""
    return _end(hold, charged=Micros(0), only_expired=True)


def _refusal(
    account: UUID, amount: Micros, budgets: Sequence[int], concurrency: int | None
) -> PlatformError:
    wallet = Account.objects.get(pk=account)
    if wallet.frozen_reason:
        return elsewhere.refusal(wallet.frozen_reason)
    named = tuple(
        limits.described(each) for each in Budget.objects.filter(pk__in=budgets).order_by("pk")
    )
    is_large = amount >= LARGE_MICROS
    usual = wallet.open_holds - wallet.open_large - wallet.open_apart
    is_open = wallet.open_large if is_large else usual
    room = limits.Room(wallet.available_micros, is_open, limits.slots(concurrency, amount), named)
    _, facts = limits.Left().judge(str(account), room, amount)
    facts = facts or {"limit": "balance", "left": room.available}
    refused = limits.refusal(facts, amount=amount)
    refused.told = {**facts, "needed": amount}
    return refused


def _end(hold: Hold, *, charged: Micros, only_expired: bool = False) -> bool:
    asked = {
        "hold": hold.id,
        "account": hold.account,
        "charged": charged,
        "only_expired": only_expired,
        "sales": HOUSE[Account.Kind.SALES],
        "shortfall": HOUSE[Account.Kind.SHORTFALL],
    }
    return _one(END, asked) is not None


def _one(sql: str, asked: dict[str, Any]) -> tuple[Any, ...] | None:
    with connection.cursor() as cursor:
        cursor.execute(sql, asked)
        row: tuple[Any, ...] | None = cursor.fetchone()
    return row


# Let an intention stand for an open hold that has none, unless it stands for another; only while
# its answer is not known: an accepted job's hold lasts longer than its first time, and its answer
# is kept elsewhere.
CLAIM_INTENT = """
    UPDATE credits_hold hold SET intent = wanted.id
      FROM (SELECT %s::uuid AS id) AS wanted
     WHERE hold.id = %s AND hold.intent IS NULL
       AND hold.expires_at <= hold.placed_at + %s * interval '1 second'
       AND NOT EXISTS (SELECT FROM credits_hold other WHERE other.intent = wanted.id)
"""

# Nobody will end it any more: it waits for its time, whether its program lives or not.
RELEASE_INTENT = "UPDATE credits_hold SET intent = NULL, process_id = NULL WHERE id = %s"

MOVE = """
    UPDATE credits_hold
       SET expires_at = now() + %s * interval '1 second',
           memo = jsonb_set(memo, %s::text[], to_jsonb(%s::text))
     WHERE id = %s AND expires_at > now()
 RETURNING 1
"""
"""Let a hold that is open begin anew, with something else in its memo; no row: it is over."""

RENEW = "UPDATE credits_hold SET expires_at = now() + %s * interval '1 second' WHERE id = %s"

WALLET_OF = "SELECT account_id::text FROM credits_hold WHERE id = %s"

OF_INTENT = "SELECT id::text, memo FROM credits_hold WHERE intent = %s"

IS_NAMELESS = "SELECT 1 FROM credits_hold WHERE id = %s AND intent IS NULL"
"""Of a hold that had a name: nobody knows what became of its call."""

BUDGETS = "SELECT unnest(budgets) FROM credits_hold"
"""The ids of the budgets from which open holds took."""

TAKEN_FROM = "SELECT unnest(budgets) AS id, amount_micros FROM credits_hold"
"""The same, and how much each took."""

OPEN = """
    SELECT count(*) AS holds, coalesce(sum(amount_micros), 0) AS micros,
           coalesce(extract(epoch FROM now() - min(placed_at)), 0) AS oldest_seconds
      FROM credits_hold
"""


class Open(NamedTuple):
    """The row of `OPEN`: how many are open, what they set aside together, the oldest's age."""

    holds: int
    micros: int
    oldest_seconds: float


def due(columns: str, join: str) -> str:
    """Return the statement that finds holds that are over: their time is, or their program is.

    Its parameter is how many at most, the oldest first. A row is hold, wallet, intent, memo,
    whether its time is over, and what a layer above adds: `columns` of what its `join` finds
    beside `hold`.
    """
    return f"""
    SELECT hold.id::text, hold.account_id::text, hold.intent::text, hold.memo,
           hold.expires_at <= now(), {columns}
      FROM credits_hold hold {join}
     WHERE hold.expires_at <= now() OR {orphaned("hold")}
     ORDER BY hold.expires_at LIMIT %s
    """  # noqa: S608 - the parts are constants of our own modules
