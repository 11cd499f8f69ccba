"""What a call waited for is what it is judged by: the rows as they are, once they are locked.

A statement sees the rows as they were when it began; only what it has locked, it sees as it is now.
Its UPDATE begins with the old rows all the same, and a constraint looks at what becomes of those.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager

import pytest
from django.db import transaction
from proxy_books import an_ask, place, sums, two_sets, verdicts
from proxy_stage import connect, in_thread
from test_allowances import CENT, Team

from credits.books import holds
from credits.books.holds import Hold

pytestmark = pytest.mark.usefixtures("committed")
WAITING = """
    SELECT count(*) AS waiting FROM pg_stat_activity
     WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


@pytest.fixture
async def team(committed):
    return await in_thread(Team)


@pytest.fixture
async def lanes(committed):
    async with two_sets() as both:
        yield both


@asynccontextmanager
async def meanwhile(work):
    """Do it, and commit it only once everybody who is started within waits for its rows."""
    done, may_commit = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def do():
        with transaction.atomic():
            work()
            loop.call_soon_threadsafe(done.set)
            assert may_commit.wait(20), "nobody has waited for it"

    doing = asyncio.create_task(in_thread(do))
    await asyncio.wait_for(done.wait(), 10)
    try:
        yield
        with connect() as db:
            for _ in range(150):
                if db.execute(WAITING).fetchone()["waiting"]:
                    break
                await asyncio.sleep(0.02)
            else:
                raise AssertionError("nobody waits for it")
    finally:
        may_commit.set()
        await doing


async def at_that_moment(work, *asks):
    """Return what came of asks that began before it was committed, and waited for it."""
    async with meanwhile(work):
        asking = asyncio.ensure_future(verdicts(asks))
    return await asking


async def taken(lanes, member, amount, count=1):
    asks = [an_ask(amount) for _ in range(count)]
    assert await verdicts(place(lanes[0], member, ask) for ask in asks) == ["placed"] * count
    return [Hold(ask.hold, member.workspace_id, ask.amount) for ask in asks]


async def test_what_a_budget_got_back_can_be_taken(team, lanes):
    (key,) = team.keys[:1]
    await in_thread(lambda: team.rule("key", 2 * CENT))
    first, _ = await taken(lanes, key, CENT, 2)

    told = await at_that_moment(lambda: holds.void(first), place(lanes[1], key, an_ask(CENT)))

    assert told == ["placed"]
    assert await in_thread(team.budgets) == [("key", "month", 2 * CENT, 0)]


@pytest.mark.parametrize(
    ("limit", "verdict"),
    [(3 * CENT, "placed"), (None, "placed"), (CENT, "budget_exceeded"), (0, "budget_exceeded")],
)
async def test_a_rule_that_was_set_meanwhile_is_what_counts(team, lanes, limit, verdict):
    """Of a limit of two cents both are taken: what it is now decides."""
    (key,) = team.keys[:1]
    await in_thread(lambda: team.rule("key", 2 * CENT))
    await taken(lanes, key, CENT, 2)

    told = await at_that_moment(lambda: team.rule("key", limit), place(lanes[1], key, an_ask(CENT)))

    assert told == [verdict]


async def test_a_lower_rule_is_what_counts_for_who_would_have_fitted(team, lanes):
    (key,) = team.keys[:1]
    await in_thread(lambda: team.rule("key", 5 * CENT))
    await taken(lanes, key, CENT, 2)

    told = await at_that_moment(
        lambda: team.rule("key", 3 * CENT),
        *(place(lanes[1], key, an_ask(CENT)) for _ in range(3)),
    )

    assert sorted(told) == ["budget_exceeded", "budget_exceeded", "placed"]


async def test_what_a_wallet_got_back_can_be_taken(make_member, lanes):
    member = make_member("0.02")
    first, _ = await taken(lanes, member, CENT, 2)

    told = await at_that_moment(lambda: holds.void(first), place(lanes[1], member, an_ask(CENT)))

    assert told == ["placed"]
    assert sums(member) == (2 * CENT, 2 * CENT)


async def test_the_plain_form_judges_by_the_same(lanes, make_member):
    member = make_member("0.02")
    first, _ = await taken(lanes, member, CENT, 2)

    def place_plainly():
        return holds.place(member.workspace_id, amount=CENT, ttl_seconds=60)

    async with meanwhile(lambda: holds.void(first)):
        placing = asyncio.create_task(in_thread(place_plainly))
    assert await placing

    assert sums(member) == (2 * CENT, 2 * CENT)
