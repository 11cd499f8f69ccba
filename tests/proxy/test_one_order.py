"""Everybody locks in one order (holds.py): nobody waits in a circle; who does all the same goes on.

The circles here are closed by hand, by a transaction that keeps no order.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections, transaction
from proxy_books import an_accept, an_answer, an_ask, place, settle, sums, two_sets, verdicts
from proxy_stage import connect

from common import db
from common.errors import InsufficientCredits, Unavailable
from common.money import Micros
from credits.books import expiry, freezes, ledger
from credits.gifts import adjustments, grants, vouchers
from credits.models import Account, Freeze
from proxy import tasks
from proxy.phases import Settle

pytestmark = [pytest.mark.usefixtures("committed"), pytest.mark.slow]
LOCK = "SELECT 1 FROM credits_account WHERE id = %s FOR NO KEY UPDATE"


@pytest.fixture
def no_second_try(monkeypatch):
    """Have a statement that another transaction undid fail."""
    monkeypatch.setattr(db, "RACED", ("23505",))


async def test_calls_and_money_that_moves_beside_them_never_meet_in_a_circle(
    make_member, no_second_try
):
    """Two web processes, and what their other threads and a worker do, on few wallets."""
    members = [make_member("50.00") for _ in range(6)]
    end = time.monotonic() + 4
    with ThreadPoolExecutor(4) as pool:
        moving = [pool.submit(move_money, members, end, seed) for seed in range(4)]
        async with two_sets() as sets:
            calling = (call_on(books, members, end, n) for books in sets for n in range(24))
            done = sum(await asyncio.gather(*calling))
        moved = [each.result() for each in moving]

    assert done > 20
    assert min(moved) > 2


async def call_on(books, members, end, seed):
    """Make calls, one and until the end: plain ones, with a key, jobs, whose client leaves."""
    chance, done = random.Random(seed), 0
    while not done or time.monotonic() < end:
        member = chance.choice(members)
        intent = uuid.uuid5(member.workspace_id, str(chance.randrange(8))).hex
        ask = an_ask(chance.randrange(1, 20_000), intent=chance.choice([intent, ""]))
        (told,) = await verdicts([place(books, member, ask)])
        if told != "placed":
            assert told in ("repeat", "answered", "access_disabled"), told  # The last: a freeze.
            continue
        how = chance.choice(["job", "leaves", "long", "plain"])
        answer = an_answer(ask.intent, seconds=1) if chance.random() < 0.5 else None
        if how == "job":
            assert await books.accept(an_accept(ask.hold, uuid.uuid4().hex, answer=answer))
        elif how == "leaves":
            await books.claim(ask.hold, intent, 600)
        elif how == "long":
            await books.renew(ask.hold, 600)
        settled = await settle(
            books, member, ask.hold, ask.amount, answer=answer, is_job=how == "job"
        )
        assert settled is not None
        done += 1
    return done


def move_money(members, end, seed):
    """Move credits by hand, thrice and until the end; return how often. An error is raised."""
    chance, staff, done = random.Random(seed), uuid.uuid4(), 0
    shared = vouchers.make(name="shared", amount=Micros(10), uses=100_000)[1]
    while done <= 2 or time.monotonic() < end:
        move_once(chance, chance.choice(members).workspace_id, shared, staff)
        done += 1
    connections.close_all()
    return done


def move_once(chance, wallet, voucher, staff):
    gift = {"wallet": Account(pk=wallet), "amount": Micros(100), "reason": "test"}
    adjusted = {"amount": chance.choice([-10, 10]), "reason": "test", "requested_by": staff}
    moves = (
        lambda: grants.grant(**gift, key=uuid.uuid4().hex),
        lambda: vouchers._use(wallet, voucher),
        lambda: freeze_a_moment(wallet, staff),
        lambda: adjustments.request(wallet, **adjusted),
        lambda: expiry.expire_due(limit=5),
        tasks.forget,
    )
    chance.choice(moves)()


def freeze_a_moment(wallet, staff):
    freezes.freeze(wallet, Freeze.Cause.STAFF, "Wait.", by=staff)
    freezes.lift(wallet, Freeze.Cause.STAFF, by=staff, reason="test")


class Circle:
    """A transaction that locks one thing, and once somebody waits for that a wallet: a circle.

    It never looks for circles itself: who is undone is the statement of ours.
    """

    def __init__(self, first, *parameters, then):
        self._db = connect()
        self._db.autocommit = False
        self._db.execute("SET deadlock_timeout = '1min'")
        self._db.execute(first, parameters)
        self._thread = threading.Thread(target=self._close, args=(then,))

    def _close(self, wallet):
        waits = "SELECT 1 FROM pg_stat_activity WHERE %s = ANY (pg_blocking_pids(pid))"
        end = time.monotonic() + 60
        with connect() as look:
            while not look.execute(waits, [self._db.info.backend_pid]).fetchone():
                assert time.monotonic() < end, "nobody waits for what it has locked"
                time.sleep(0.02)
        with self._db:  # Commits.
            self._db.execute(LOCK, [wallet])

    def __enter__(self):
        self._thread.start()

    def __exit__(self, *_):
        self._thread.join(10)


async def test_a_settlement_that_a_deadlock_undid_is_written_all_the_same(alice):
    async with two_sets() as (books, _):
        ask = an_ask()
        await place(books, alice, ask)

        hold = "SELECT 1 FROM credits_hold WHERE id = %s FOR UPDATE"
        with Circle(hold, ask.hold, then=alice.workspace_id):
            settled = await settle(books, alice, ask.hold)

    assert settled.charged == 10_000
    assert sums(alice) == (990_000, 0)


async def test_who_asks_for_what_a_deadlock_undid_is_told_the_verdict(alice):
    """Its intent was another's meanwhile: it is a repeat of that."""
    intent = uuid.uuid4().hex
    another = """
        INSERT INTO credits_hold (id, account_id, amount_micros, intent, memo, expires_at)
        VALUES (gen_random_uuid(), %s, 1, %s, '{}', now() + interval '1 hour')
    """
    async with two_sets() as (books, _):
        with Circle(another, alice.workspace_id, intent, then=alice.workspace_id):
            told = await place(books, alice, an_ask(intent=intent))

    assert told.verdict == "repeat"
    assert sums(alice) == (1_000_000, 0)
    with connect() as own:
        own.execute("DELETE FROM credits_hold WHERE intent = %s", [intent])  # No wallet holds it.


async def test_a_batch_that_a_deadlock_undid_is_served_whole(make_member):
    low, high = sorted((make_member() for _ in range(2)), key=lambda made: made.workspace_id)
    async with two_sets() as (books, _):
        with Circle(LOCK, high.workspace_id, then=low.workspace_id):
            told = await verdicts(place(books, member, an_ask()) for member in (low, high))

    assert told == ["placed", "placed"]
    assert sums(low) == sums(high) == (1_000_000, 10_000)


async def test_a_circle_that_nobody_ends_is_a_503(alice, no_second_try):
    async with two_sets() as (books, _):
        ask = an_ask()
        await place(books, alice, ask)
        again = Settle(ask.hold, str(alice.workspace_id), "delivered")
        hold = "SELECT 1 FROM credits_hold WHERE id = %s FOR UPDATE"
        with (
            Circle(hold, ask.hold, then=alice.workspace_id),
            pytest.raises(Unavailable) as refused,
        ):
            await books._settle.ask(again)

    assert refused.value.headers["Retry-After"].isdigit()
    assert sums(alice) == (1_000_000, 10_000)


@transaction.atomic
def lock(*wallets):
    for wallet in wallets:
        ledger.lock(wallet)


@transaction.atomic
def lock_and_grant(first, second):
    ledger.lock(first)
    grants.grant(wallet=Account(pk=second), amount=Micros(1), key=uuid.uuid4().hex, reason="test")


@transaction.atomic
def lock_and_give_back(first, second):
    """A savepoint that is undone gives back what it locked."""
    with contextlib.suppress(InsufficientCredits), transaction.atomic():
        ledger.lock(first)
        raise InsufficientCredits("by hand")
    ledger.lock(second)


def test_a_transaction_that_locks_wallets_out_of_order_is_stopped(make_member):
    low, high = sorted(make_member().workspace_id for _ in range(2))

    lock(low, high, low)  # The third it has.
    lock_and_grant(low, high)
    lock_and_give_back(high, low)
    for wrong in (lock, lock_and_grant):
        with pytest.raises(AssertionError, match="in order of their ids"):
            wrong(high, low)
