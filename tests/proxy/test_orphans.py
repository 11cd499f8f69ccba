"""A web process dies with calls in its hands: their holds are freed soon, not after their time.

Nobody is dead for having been silent while the sweep itself could not see the database.
"""

from __future__ import annotations

import asyncio
import json
import uuid

import psycopg
import pytest
from proxy_books import an_accept, an_ask, place, settle, sums, two_sets, verdicts
from proxy_stage import connect, in_thread

from common import lanes
from credits.books import processes
from proxy import tasks
from proxy.alive import Alive
from proxy.books import Books
from proxy.phases import Settle

pytestmark = pytest.mark.usefixtures("committed")


@pytest.fixture
def db():
    """The database by hand; a sweep has seen it without a gap for long enough."""
    with connect() as made:
        set_watch(made, since=60, seen=0)
        yield made
        made.execute("DELETE FROM credits_process")


def set_watch(db, *, since, seen):
    db.execute("DELETE FROM credits_process WHERE id = %s", [processes.WATCH])
    db.execute(
        "INSERT INTO credits_process VALUES"
        " (%s, now() - %s * interval '1 second', now() - %s * interval '1 second')",
        [processes.WATCH, since, seen],
    )


def a_process(db, *, silent):
    name = uuid.uuid4()
    db.execute(
        "INSERT INTO credits_process VALUES"
        " (%s, now() - interval '1 hour', now() - %s * interval '1 second')",
        [name, silent],
    )
    return name


def holds_in_the_name_of(db, member, process):
    """Have the member's holds be that process's."""
    db.execute(
        "UPDATE credits_hold SET process_id = %s WHERE account_id = %s",
        [process, member.workspace_id],
    )


def open_holds(db, member):
    query = "SELECT count(*) AS n FROM credits_hold WHERE account_id = %s"
    return db.execute(query, [member.workspace_id]).fetchone()["n"]


def answers_of(db, intent):
    query = "SELECT status FROM proxy_kept WHERE intent = %s"
    return db.execute(query, [intent]).fetchall()


async def test_what_a_dead_process_held_is_freed_and_the_next_try_is_a_new_call(alice, db):
    intent = uuid.uuid4().hex
    async with two_sets() as (books, others):
        await place(books, alice, an_ask(intent=intent))
        holds_in_the_name_of(db, alice, a_process(db, silent=31))

        await in_thread(tasks.sweep_holds)

        assert sums(alice) == (1_000_000, 0)
        assert answers_of(db, intent) == []  # It is not used up.
        query = "SELECT outcome, charged_micros, reason FROM usage_call WHERE workspace_id = %s"
        (call,) = db.execute(query, [alice.workspace_id]).fetchall()
        assert (call["outcome"], call["charged_micros"]) == ("expired", 0)
        assert call["reason"] == tasks.DIED
        assert await verdicts([place(others, alice, an_ask(intent=intent))]) == ["placed"]


async def test_a_process_that_said_that_it_ends_is_no_more(alice, db):
    async with two_sets() as (books, _):
        await place(books, alice, an_ask())
        holds_in_the_name_of(db, alice, uuid.uuid4())

        await in_thread(tasks.sweep_holds)

    assert sums(alice) == (1_000_000, 0)


@pytest.mark.parametrize("silent", [0, 25])
async def test_a_process_that_lives_keeps_its_holds(alice, db, silent):
    async with two_sets() as (books, _):
        await place(books, alice, an_ask())
        holds_in_the_name_of(db, alice, a_process(db, silent=silent))

        await in_thread(tasks.sweep_holds)

    assert sums(alice) == (1_000_000, 10_000)


async def test_a_hold_that_its_process_ends_meanwhile_is_not_touched(alice, db):
    """It was silent when the sweep looked, and speaks before the sweep acts."""
    async with two_sets() as (books, _):
        ask = an_ask()
        await place(books, alice, ask)
        process = a_process(db, silent=31)
        holds_in_the_name_of(db, alice, process)
        db.execute(processes.BEAT, [process])

        over = Settle(ask.hold, str(alice.workspace_id), "expired", only_expired=True)
        assert await books.settle(over) is None

        assert (await settle(books, alice, ask.hold)).charged == 10_000


@pytest.mark.parametrize(
    "watch",
    [
        pytest.param({"since": 25, "seen": 0}, id="it has not watched for long"),
        pytest.param({"since": 3600, "seen": 16}, id="it did not watch for a while"),
    ],
)
async def test_nobody_is_dead_because_the_database_was_away_for_everybody(alice, db, watch):
    set_watch(db, **watch)
    async with two_sets() as (books, _):
        await place(books, alice, an_ask())
        holds_in_the_name_of(db, alice, a_process(db, silent=60))

        await in_thread(tasks.sweep_holds)

    assert sums(alice) == (1_000_000, 10_000)
    query = (
        "SELECT extract(epoch FROM now() - since_at) AS since FROM credits_process WHERE id = %s"
    )
    since = db.execute(query, [processes.WATCH]).fetchone()["since"]
    assert since < 5 if watch["seen"] else since > 20, "a gap begins it anew"


async def test_what_any_process_can_end_is_nobodys(alice, db):
    """A job that was accepted; and a call of which nobody knows how it ended."""
    async with two_sets() as (books, _):
        job, lost = an_ask(), an_ask()
        await place(books, alice, job)
        await place(books, alice, lost)
        holds_in_the_name_of(db, alice, a_process(db, silent=31))
        assert await books.accept(an_accept(job.hold, uuid.uuid4().hex))
        await books.release(lost.hold)

        await in_thread(tasks.sweep_holds)

    assert sums(alice) == (1_000_000, 20_000)


async def test_a_result_that_comes_after_the_sweep_is_told_of_and_not_given(alice, db, capsys):
    async with two_sets() as (books, _):
        ask = an_ask()
        await place(books, alice, ask)
        holds_in_the_name_of(db, alice, a_process(db, silent=31))
        await in_thread(tasks.sweep_holds)

        assert await settle(books, alice, ask.hold, 9_000) is None

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines() if line]
    (told,) = [line for line in lines if line["event"] == "settled_too_late"]
    assert (told["call"], told["micros"]) == (ask.hold, 9_000)
    assert sums(alice) == (1_000_000, 0)


async def test_a_web_process_holds_in_its_name_while_it_is_heard(alice, db, monkeypatch):
    alive = Alive()
    books = Books(alive)
    try:
        while alive.name is None:
            await asyncio.sleep(0.01)
        await place(books, alice, an_ask())
        named = "SELECT process_id::text FROM credits_hold WHERE account_id = %s"
        (hold,) = db.execute(named, [alice.workspace_id]).fetchall()
        assert hold["process_id"] == alive.name
        heard = "SELECT seen_at > now() - interval '9 seconds' AS yes FROM credits_process"
        (row,) = db.execute(heard + " WHERE id = %s", [alive.name]).fetchall()
        assert row["yes"]

        alive._heard -= 60  # It stood still for a minute: its name may be dead by now.
        await place(books, alice, an_ask())
        holds = db.execute(named, [alice.workspace_id]).fetchall()
        assert {hold["process_id"] for hold in holds} == {alive._id, None}
    finally:
        await books.close()
    assert db.execute(heard + " WHERE id = %s", [alive._id]).fetchall() == []


async def test_a_process_that_cannot_be_heard_goes_on_trying(db, monkeypatch):
    monkeypatch.setattr(processes, "BEAT_SECONDS", 0.01)
    tried = 0

    async def say(self, db, asks):
        nonlocal tried
        tried += 1
        if tried < 3:
            raise psycopg.errors.UndefinedTable("not migrated yet")
        return [None] * len(asks)

    monkeypatch.setattr(Alive, "_say", say)
    alive = Alive()
    try:
        assert alive.name is None
        while alive.name is None:
            await asyncio.sleep(0.01)
        assert tried >= 3
    finally:
        await alive.close()


async def test_the_dead_are_forgotten_and_the_living_are_not(db):
    dead, living = a_process(db, silent=3700), a_process(db, silent=20)

    await in_thread(tasks.forget)

    rows = db.execute("SELECT id FROM credits_process WHERE id = ANY(%s)", [[dead, living]])
    assert [row["id"] for row in rows] == [living]


async def test_what_the_books_cannot_take_now_is_left_to_the_next_round_and_all_else_is_done():
    """A wallet whose row is locked for long keeps nobody else's hold, and is no mistake of ours."""
    done = []

    async def ended():
        done.append(1)

    async def away():
        raise lanes.away()

    async def broken():
        raise ValueError("ours")

    await tasks._each([away(), ended(), away(), ended()])

    assert done == [1, 1]
    with pytest.raises(ValueError, match="ours"):
        await tasks._each([away(), broken(), ended()])
    assert done == [1, 1, 1]
