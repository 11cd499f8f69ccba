import asyncio
import json
import uuid

import psycopg
import pytest

from common import db
from common.errors import Unavailable
from common.ids import uuid7
from common.lanes import BATCH, Lane, Lost
from credits.books import batches

pytestmark = pytest.mark.usefixtures("committed")
PLACE = batches.place_many(batches.Payer())


class Echo:
    """Answers each ask with itself, through the database; counts statements."""

    def __init__(self):
        self.batches = []

    async def __call__(self, db, asks):
        self.batches.append(list(asks))
        cursor = await db.execute("SELECT unnest(%s::int[])", [list(asks)])
        return [row[0] for row in await cursor.fetchall()]


async def place(db, asks):
    rows = [{"n": n, "ttl": 60, "memo": {}, **ask} for n, ask in enumerate(asks)]
    cursor = await db.execute(PLACE, [json.dumps(rows)])
    return [row[2] for row in await cursor.fetchall()]


@pytest.fixture
async def lanes():
    made = []

    def open_lane(work):
        made.append(Lane("test", work))
        return made[-1]

    yield open_lane
    for lane in made:
        await lane.close()


async def test_each_gets_its_own_answer(lanes):
    lane = lanes(Echo())

    assert await asyncio.gather(*(lane.ask(n) for n in range(1000))) == list(range(1000))


async def test_all_who_wait_go_together_and_never_more_than_a_batch(lanes):
    echo = Echo()
    lane = lanes(echo)

    await asyncio.gather(*(lane.ask(n) for n in range(900)))

    assert [len(batch) for batch in echo.batches] == [BATCH, BATCH, BATCH, 900 - 3 * BATCH]


async def test_who_comes_while_a_statement_runs_goes_with_the_next(lanes):
    started, go_on = asyncio.Event(), asyncio.Event()
    sizes = []

    async def work(db, asks):
        sizes.append(len(asks))
        started.set()
        await go_on.wait()
        return asks

    lane = lanes(work)
    first = asyncio.create_task(lane.ask(0))
    await started.wait()
    others = [asyncio.create_task(lane.ask(n)) for n in range(1, 21)]
    await asyncio.sleep(0)
    go_on.set()

    assert await asyncio.gather(first, *others) == list(range(21))
    assert sizes == [1, 20]


async def test_a_bad_row_does_not_fail_its_neighbours(lanes, alice):
    lane = lanes(place)
    wallet = str(alice.workspace_id)
    good = [{"hold": uuid7(), "wallet": wallet, "amount": 1000} for _ in range(20)]
    bad = [
        {"hold": "no-uuid", "wallet": wallet, "amount": 1000},
        {"hold": uuid7(), "wallet": wallet, "amount": -1},
    ]

    answers = await asyncio.gather(
        *(lane.ask(ask) for ask in [*good[:10], *bad, *good[10:]]), return_exceptions=True
    )

    assert answers[:10] + answers[12:] == ["placed"] * 20
    assert isinstance(answers[10], psycopg.errors.InvalidTextRepresentation)
    assert "hold_amount_not_negative" in str(answers[11])


async def test_a_wrong_answer_of_our_own_code_is_an_error_for_those_who_asked_only(lanes):
    calls = []

    async def work(db, asks):
        calls.append(asks)
        if len(calls) == 1:
            raise KeyError("a mistake")
        return asks

    lane = lanes(work)

    with pytest.raises(KeyError, match="a mistake"):
        await lane.ask(1)
    assert await lane.ask(2) == 2


async def test_a_lost_connection_is_unavailable_and_the_lane_recovers(lanes):
    lost = []

    async def work(db, asks):
        if not lost:
            lost.append(db)
            await db.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return asks

    lane = lanes(work)

    answers = await asyncio.gather(*(lane.ask(n) for n in range(3)), return_exceptions=True)

    assert [type(answer) for answer in answers] == [Lost] * 3
    assert await lane.ask(7) == 7


async def test_a_database_that_is_away_is_unavailable_until_it_is_back(lanes, monkeypatch):
    from django.db import connections

    settings = connections["default"].settings_dict
    lane = lanes(Echo())
    right = settings["PORT"], settings["HOST"]
    with monkeypatch.context() as away:
        away.setitem(settings, "HOST", "127.0.0.1")
        away.setitem(settings, "PORT", "9")
        with pytest.raises(Unavailable):
            await lane.ask(1)

    assert (settings["PORT"], settings["HOST"]) == right
    assert await lane.ask(2) == 2


async def test_a_statement_that_takes_too_long_is_unavailable_for_its_ask_alone(lanes):
    async def work(db, asks):
        if "slow" in asks:
            await db.execute("SET statement_timeout = '50ms'")
            await db.execute("SELECT pg_sleep(5)")
        return asks

    lane = lanes(work)

    answers = await asyncio.gather(
        *(lane.ask(ask) for ask in ("a", "slow", "b")), return_exceptions=True
    )

    assert (answers[0], answers[2]) == ("a", "b")
    assert isinstance(answers[1], Unavailable)


@pytest.mark.parametrize("state", ["53100", "53200", "53300", "25006", "57P03", "58030", "08006"])
async def test_a_database_that_can_do_nothing_is_unavailable_for_all_at_once(lanes, state):
    """Full, out of memory, read-only: nobody waits while it says so to each of the others."""
    batches = []

    async def work(db, asks):
        batches.append(db)
        if len(batches) == 1:
            await db.execute(f"DO $$BEGIN RAISE 'no' USING ERRCODE = '{state}'; END$$")
        return asks

    lane = lanes(work)

    answers = await asyncio.gather(*(lane.ask(n) for n in range(5)), return_exceptions=True)

    assert [type(answer) for answer in answers] == [Unavailable] * 5
    assert len(batches) == 1
    assert await lane.ask(7) == 7
    # After a failover only another connection finds the new primary.
    assert (batches[1] is batches[0]) == (state != "25006")


@pytest.mark.parametrize("state", ["40P01", "40001", "55P03"])
async def test_who_stood_in_the_way_of_a_statement_is_no_fault_of_an_ask(lanes, state):
    async def work(db, asks):
        await db.execute(f"DO $$BEGIN RAISE 'no' USING ERRCODE = '{state}'; END$$")

    with pytest.raises(Unavailable, match="try again"):
        await lanes(work).ask(1)


async def test_why_there_is_no_connection_is_said_once_a_minute(lanes, monkeypatch, caplog):
    from django.db import connections

    monkeypatch.setattr("common.lanes._told", -float("inf"))
    lane = lanes(Echo())
    with monkeypatch.context() as away:
        away.setitem(connections["default"].settings_dict, "HOST", "127.0.0.1")
        away.setitem(connections["default"].settings_dict, "PORT", "9")
        for _ in range(3):
            with pytest.raises(Unavailable):
                await lane.ask(1)

    (said,) = [each.getMessage() for each in caplog.records if each.name == "common.lanes"]
    assert "OperationalError" in said
    assert "refused" in said


async def test_a_lane_knows_whether_it_is_connected(lanes, monkeypatch):
    from django.db import connections

    lane = lanes(Echo())
    assert await lane.connected(), "it connects for whoever wants to know"
    connection = lane._db
    assert await lane.ask(1) == 1
    assert lane._db is connection
    with psycopg.connect(**connection.info.get_parameters(), autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", [connection.info.backend_pid])
    await asyncio.sleep(0.1)
    with monkeypatch.context() as away:
        away.setitem(connections["default"].settings_dict, "HOST", "127.0.0.1")
        away.setitem(connections["default"].settings_dict, "PORT", "9")
        assert not await lane.connected()

    assert await asyncio.gather(lane.connected(), lane.ask(2), lane.connected()) == [True, 2, True]


async def test_who_stops_waiting_for_a_connection_leaves_the_attempt_to_the_next(
    lanes, monkeypatch
):
    """Of three hosts the first is gone without a word: longer than a balancer waits."""
    attempts, reached = [], asyncio.Event()
    connect = db.connect

    async def slow():
        attempts.append(1)
        await reached.wait()
        return await connect()

    monkeypatch.setattr(db, "connect", slow)
    lane = lanes(Echo())
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await lane.connected()
    reached.set()

    assert await lane.connected()
    assert len(attempts) == 1


async def test_who_leaves_does_not_take_the_lane_along(lanes):
    echo = Echo()
    lane = lanes(echo)
    gone = asyncio.create_task(lane.ask(1))
    stays = asyncio.create_task(lane.ask(2))
    await asyncio.sleep(0)
    gone.cancel()

    assert await stays == 2
    assert await lane.ask(3) == 3


async def test_close_answers_all_who_wait():
    lane = Lane("test", Echo())
    asked = [asyncio.create_task(lane.ask(n)) for n in range(700)]
    await asyncio.sleep(0)

    await lane.close()

    assert [task.result() for task in asked] == list(range(700))


async def test_lanes_that_race_for_one_wallet_never_overdraw(lanes, alice):
    """One dollar, four lanes, eighty asks of 30 cents: three fit."""
    many = [lanes(place) for _ in range(4)]

    verdicts = await asyncio.gather(
        *(
            many[n % 4].ask(
                {
                    "hold": uuid7(),
                    "wallet": str(alice.workspace_id),
                    "amount": 300_000,
                    "intent": str(uuid.uuid4()),
                    "keyed": True,
                }
            )
            for n in range(80)
        )
    )

    assert sorted(set(verdicts)) == ["placed", "short"]
    assert verdicts.count("placed") == 3


async def test_an_ask_that_cannot_be_sent_is_not_its_neighbours(lanes):
    """More than the driver can write: no statement was run, and the rest of the batch is fine."""

    async def work(db, asks):
        cursor = await db.execute("SELECT unnest(%s::int[])", [[int(n) for n in asks]])
        return [row[0] for row in await cursor.fetchall()]

    lane = lanes(work)

    answers = await asyncio.gather(*(lane.ask(n) for n in (1, "x", 3)), return_exceptions=True)

    assert (answers[0], answers[2]) == (1, 3)
    assert isinstance(answers[1], ValueError)
