"""The same at one moment at two web processes: one wins, and the other is told so by a verdict."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter

import pytest
from proxy_books import (
    an_accept,
    an_answer,
    an_ask,
    place,
    settle,
    sums,
    two_sets,
    verdicts,
)
from proxy_stage import connect

from common.ids import uuid7
from proxy.phases import Settle

pytestmark = [pytest.mark.usefixtures("committed"), pytest.mark.slow]
ROUNDS = 8
LOCK = "SELECT 1 FROM credits_account WHERE id = %s FOR NO KEY UPDATE"


class Door:
    """Holds a wallet for a moment, so that all who want it begin before any of them is done."""

    def __init__(self, member):
        self._member = member

    async def __aenter__(self):
        self._db = connect()
        self._db.autocommit = False
        self._db.execute(LOCK, [self._member.workspace_id])

    async def __aexit__(self, *_):
        self._db.close()


async def through_the_door(member, *works):
    """Do all of them at one moment; return what came of each."""
    async with Door(member):
        doing = [asyncio.ensure_future(work) for work in works]
        await asyncio.sleep(0.15)  # Their statements have begun, and see nothing of each other.
    return await asyncio.gather(*doing, return_exceptions=True)


def rows(query, *parameters):
    with connect() as db:
        return db.execute(query, parameters).fetchall()


async def test_one_intention_at_two_processes_is_one_call(alice):
    async with two_sets() as sets:
        await asyncio.gather(*(settle(books, alice, uuid7()) for books in sets))  # Connected.
        for _ in range(ROUNDS):
            intent = uuid.uuid4().hex
            told = await through_the_door(
                alice, *(place(books, alice, an_ask(1000, intent=intent)) for books in sets)
            )
            assert Counter(each.verdict for each in told) == {"placed": 1, "repeat": 1}

    assert sums(alice) == (1_000_000, 1000 * ROUNDS)


async def test_one_intention_is_one_call_for_the_last_money_too(make_member):
    """Who finds too little left finds what took it."""
    member = make_member("0.01")
    async with two_sets() as sets:
        intent = uuid.uuid4().hex
        told = await through_the_door(
            member, *(place(books, member, an_ask(10_000, intent=intent)) for books in sets)
        )

    assert {each.verdict for each in told} == {"placed", "repeat"}


async def test_a_hold_is_ended_once(alice):
    async with two_sets() as sets:
        for _ in range(ROUNDS):
            ask = an_ask()
            await place(sets[0], alice, ask)
            told = await through_the_door(
                alice, *(settle(books, alice, ask.hold) for books in sets)
            )
            assert sorted(each is None for each in told) == [False, True]

    assert sums(alice) == (1_000_000 - 10_000 * ROUNDS, 0)


async def test_a_vendors_job_belongs_to_one_call(alice, make_member):
    bob = make_member()
    async with two_sets() as sets:
        for _ in range(ROUNDS):
            job, asks = uuid.uuid4().hex, (an_ask(1000), an_ask(1000))
            for books, member, ask in zip(sets, (alice, bob), asks, strict=True):
                await place(books, member, ask)
            accepts = (
                books.accept(an_accept(ask.hold, job))
                for books, ask in zip(sets, asks, strict=True)
            )
            told = await asyncio.gather(*accepts)
            assert sorted(told) == [False, True]
            assert len(rows("SELECT 1 FROM proxy_job WHERE vendor_job_id = %s", job)) == 1


async def test_one_answer_is_kept_of_two_that_end_at_once(alice):
    """Calls with no key, equal and both undelivered: at two processes, and in one batch."""
    async with two_sets() as sets:
        for _ in range(ROUNDS):
            intent, asks = uuid.uuid4().hex, [an_ask(1000) for _ in range(4)]
            for ask in asks:
                await place(sets[0], alice, ask)
            told = await through_the_door(
                alice,
                *(
                    settle(books, alice, ask.hold, 1000, answer=an_answer(intent, once=True))
                    for books, ask in zip(sets * 2, asks, strict=True)
                ),
            )
            assert [each.charged for each in told] == [1000] * 4
            kept = rows("SELECT call_id::text FROM proxy_kept WHERE intent = %s", intent)
            assert kept[0]["call_id"] in {ask.hold for ask in asks}

    assert sums(alice) == (1_000_000 - 4000 * ROUNDS, 0)


async def test_who_left_twice_is_joined_at_one_of_them(alice):
    async with two_sets() as sets:
        for _ in range(ROUNDS):
            intent, asks = uuid.uuid4().hex, [an_ask(1000), an_ask(1000)]
            for books, ask in zip(sets, asks, strict=True):
                await place(books, alice, ask)
            await asyncio.gather(
                *(books.claim(ask.hold, intent, 600) for books, ask in zip(sets, asks, strict=True))
            )
            claimed = rows("SELECT id::text FROM credits_hold WHERE intent = %s", intent)
            assert claimed[0]["id"] in {ask.hold for ask in asks}


async def test_a_key_used_while_its_twin_claims_the_intention_is_a_repeat_or_placed(alice):
    async with two_sets() as (books, others):
        for _ in range(ROUNDS):
            intent, left = uuid.uuid4().hex, an_ask(1000)
            await place(books, alice, left)
            _, told = await asyncio.gather(
                books.claim(left.hold, intent, 600),
                verdicts([place(others, alice, an_ask(1000, intent=intent))]),
            )
            assert told[0] in ("placed", "repeat")


async def test_what_is_placed_again_after_a_crash_is_placed_once(alice):
    wallet, hold = str(alice.workspace_id), uuid7()
    async with two_sets() as sets:
        tries = [books.place_for(wallet, hold=hold, amount=700, memo={}) for books in sets]
        told = await asyncio.gather(*tries)
        again = await sets[0].place_for(wallet, hold=hold, amount=700, memo={})

    assert (told, again) == ([True, True], True)
    assert sums(alice) == (1_000_000, 700)


@pytest.mark.parametrize("first", ["expired", "delivered"])
async def test_of_two_ends_at_one_moment_a_delivery_wins_over_an_expiry(alice, first):
    async with two_sets() as (books, _):
        ask = an_ask()
        await place(books, alice, ask)
        with connect() as db:
            db.execute(
                "UPDATE credits_hold SET placed_at = now() - interval '1 hour',"
                " expires_at = now() - interval '1 second' WHERE id = %s",
                [ask.hold],
            )
        wallet = str(alice.workspace_id)
        ends = {
            "expired": Settle(ask.hold, wallet, "expired", only_expired=True),
            "delivered": Settle(ask.hold, wallet, "delivered", 10_000),
        }
        order = sorted(ends, key=lambda end: end != first)
        await asyncio.gather(*(books.settle(ends[end]) for end in order))

    assert sums(alice) == (990_000, 0)


async def test_who_waits_for_a_neighbours_wallet_sees_what_its_twin_answered_meanwhile(alice, bob):
    """The statement that waits began before its twin was placed, and goes on after it was paid."""
    first, member = sorted((alice, bob), key=lambda each: each.workspace_id)
    intent, ask = uuid.uuid4().hex, an_ask(intent=uuid.uuid4().hex)
    ask.intent = intent
    async with two_sets() as (books, others):
        await settle(books, alice, uuid7())
        for each in (first, member):  # Who they are is known, and which budgets they are under.
            await place(others, each, an_ask(1000))
        async with Door(first):
            waiting = asyncio.gather(
                place(others, first, an_ask(1000)),
                place(others, member, an_ask(10_000, intent=intent)),
            )
            await asyncio.sleep(0.15)
            await place(books, member, ask)
            await settle(books, member, ask.hold, answer=an_answer(intent))
        told = await waiting

    assert [each.verdict for each in told] == ["placed", "answered"]
    assert sums(member) == (990_000, 1000)
