"""A client without a key that left, and comes back: it gets the first answer, paid for once."""

from __future__ import annotations

import asyncio
import json

import psycopg
import pytest
from proxy_stage import CENT, ECHO, IMAGE, STREAM, ULTRA, ULTRA_MICROS, eventually, read_answer

from common.ids import uuid7
from proxy import replay, sql
from proxy.books import Books

pytestmark = pytest.mark.slow

BODY = b'{"prompt": "a lighthouse", "seed": 5}'


async def test_who_left_before_the_vendor_was_asked_pays_for_nothing_twice(stage):
    """Whether the call was still begun or not: the repeat brings it to one."""
    for delay in (0, 0.001, 0.002, 0.004, 0.008, 0.016):
        member = await stage.member()
        sent = stage.request(IMAGE, BODY, member)
        before = stage.vendor.counts("sandbox")["submits"]
        stage.vendor.fail_next("sandbox", "slow=0.15")
        await stage.leave(sent, after=delay)
        await asyncio.sleep(0.3)
        stage.vendor.desks["sandbox"].plans.submits.clear()

        status, _, body = await stage.raw(sent)

        assert status == 200
        assert body.startswith(b"\x89PNG")
        assert stage.vendor.counts("sandbox")["submits"] == before + 1
        assert stage.spent(member) == CENT


@pytest.mark.parametrize("path", [IMAGE, ECHO, ULTRA])
@pytest.mark.parametrize("returns_after", [0.2, 0.9])
async def test_who_left_during_the_call_gets_its_answer(stage, path, returns_after):
    member = await stage.member()
    vendor = path.split("/")[2]
    sent = stage.request(path, BODY, member)
    stage.vendor.fail_next(vendor, "slow=0.6")
    await stage.leave(sent, after=0.2)
    await asyncio.sleep(returns_after)

    status, headers, body = await stage.raw(sent)

    assert status == 200
    assert headers["idempotent-replayed"] == "true"
    assert stage.vendor.counts(vendor)["submits"] == 1
    if path == ULTRA:
        import orjson

        await stage.poll_until_end(orjson.loads(body)["polling_url"])
    (call,) = stage.calls(member)
    assert headers["call-id"] == str(call["id"])
    assert headers["x-comfy-credits-used"]
    assert stage.spent(member) == call["charged_micros"] > 0
    if path == ULTRA:
        assert stage.spent(member) == ULTRA_MICROS

    once_more, headers, _ = await stage.raw(sent)
    assert once_more == 200
    assert "idempotent-replayed" not in headers, "the answer is given to one repeat only"
    assert stage.vendor.counts(vendor)["submits"] == 2


async def test_who_left_between_the_answer_and_its_delivery_gets_it(stage, monkeypatch):
    settle, reached = Books.settle, asyncio.Event()

    async def slow(self, ask, **options):
        done = await settle(self, ask, **options)
        reached.set()
        await asyncio.sleep(0.3)
        return done

    monkeypatch.setattr(Books, "settle", slow)
    for path in (IMAGE, ECHO):
        member = await stage.member()
        reached.clear()
        sent = stage.request(path, BODY, member)
        _, writer = await stage.open()
        writer.write(sent)
        await reached.wait()
        writer.transport.abort()
        await asyncio.sleep(0.6)

        status, headers, _ = await stage.raw(sent)

        assert status == 200
        assert headers["idempotent-replayed"] == "true"
        assert len(stage.calls(member)) == 1
    assert stage.vendor.counts("sandbox")["submits"] == 2


async def test_who_left_in_the_middle_of_a_large_answer_gets_it_whole(stage):
    member = await stage.member()
    path = STREAM + "?bytes=24000000&seconds=0.4"
    sent = stage.request(path, BODY, member)
    reader, writer = await stage.open()
    writer.write(sent)
    part = await reader.readexactly(100_000)
    assert b"200 OK" in part
    writer.transport.abort()
    await stage.settled(member)
    await asyncio.sleep(0.2)

    status, headers, body = await stage.raw(sent)

    assert (status, len(body)) == (200, 24_000_000)
    assert body == (bytes(range(256)) * 256 * 367)[:24_000_000]
    assert headers["idempotent-replayed"] == "true"
    assert stage.vendor.counts("sandbox")["submits"] == 1
    assert stage.spent(member) == CENT


async def test_without_a_key_an_answer_whose_file_is_gone_is_no_409(stage, tmp_path):
    """It would read as a broken account; and a status that is tried again would be paid twice."""
    member = await stage.member()
    sent = stage.request(STREAM + "?bytes=24000000&seconds=0.4", BODY, member)
    reader, writer = await stage.open()
    writer.write(sent)
    await reader.readexactly(100_000)
    writer.transport.abort()
    await stage.settled(member)
    await asyncio.sleep(0.2)
    for file in (tmp_path / "uploads" / "answers").glob("*/*"):
        file.unlink()

    status, _, body = await stage.raw(sent)

    assert status == 422
    assert json.loads(body)["error"]["type"] == "idempotency_consumed"
    assert stage.spent(member) == CENT


async def test_two_equal_calls_that_were_delivered_are_two(stage):
    member = await stage.member()
    sent = stage.request(IMAGE, BODY, member)
    for _ in range(2):
        status, headers, _ = await stage.raw(sent)
        assert status == 200
        assert "idempotent-replayed" not in headers
    assert stage.spent(member) == 2 * CENT
    assert stage.vendor.counts("sandbox")["submits"] == 2


async def test_equal_calls_at_once_are_as_many(stage):
    member = await stage.member()
    stage.vendor.fail_next("sandbox", "slow=0.3", times=8)
    sent = stage.request(IMAGE, BODY, member)
    answers = await asyncio.gather(*(stage.raw(sent) for _ in range(8)))
    assert all(status == 200 for status, _, _ in answers)
    assert len({headers["call-id"] for _, headers, _ in answers}) == 8
    assert stage.spent(member) == 8 * CENT


async def test_of_two_equal_calls_the_one_that_left_is_joined_once(stage):
    member = await stage.member()
    stage.vendor.fail_next("sandbox", "slow=0.6", times=2)
    sent = stage.request(IMAGE, BODY, member)
    stays = asyncio.create_task(stage.raw(sent))
    await stage.leave(sent, after=0.2)
    await asyncio.sleep(0.1)

    back = await stage.raw(sent)

    assert back[0] == (await stays)[0] == 200
    assert back[1]["idempotent-replayed"] == "true"
    assert back[1]["call-id"] != stays.result()[1]["call-id"]
    assert stage.vendor.counts("sandbox")["submits"] == 2
    assert stage.spent(member) == 2 * CENT


async def test_another_body_or_member_or_path_is_not_joined(stage):
    member, other = await stage.member(), await stage.member()
    stage.vendor.fail_next("sandbox", "slow=0.3")
    await stage.leave(stage.request(IMAGE, BODY, member), after=0.15)
    await asyncio.sleep(0.4)

    different = [
        stage.request(IMAGE, BODY + b" ", member),
        stage.request(ECHO, BODY, member),
        stage.request(IMAGE + "?x", BODY, member),
        stage.request(IMAGE, BODY, other),
        stage.request(IMAGE, BODY, member, "Idempotency-Key: abc"),
    ]
    for sent in different:
        status, headers, _ = await stage.raw(sent)
        assert status == 200
        assert "idempotent-replayed" not in headers
    assert stage.vendor.counts("sandbox")["submits"] == 6
    assert stage.spent(member) == 4 * CENT + 1000
    assert stage.spent(other) == CENT


async def test_who_left_a_failed_call_begins_anew(stage):
    member = await stage.member()
    sent = stage.request(IMAGE, BODY, member)
    for failures in (("slow=0.3", "status=500"), ("slow=0.3", "drop_after")):
        stage.vendor.fail_next("sandbox", *failures)
        await stage.leave(sent, after=0.15)
        await asyncio.sleep(0.5)
    before = stage.vendor.counts("sandbox")["submits"]

    status, headers, _ = await stage.raw(sent, seconds=5)

    assert status == 200
    assert "idempotent-replayed" not in headers
    assert stage.vendor.counts("sandbox")["submits"] == before + 1
    assert stage.spent(member) == CENT


async def test_who_left_twice_still_gets_the_first_answer(stage):
    member = await stage.member()
    stage.vendor.fail_next("sandbox", "slow=1")
    sent = stage.request(IMAGE, BODY, member)
    await stage.leave(sent, after=0.2)
    await asyncio.sleep(0.1)
    await stage.leave(sent, after=0.2)
    await asyncio.sleep(1.2)

    status, headers, _ = await stage.raw(sent)

    assert status == 200
    assert headers.get("idempotent-replayed") == "true"
    assert stage.vendor.counts("sandbox")["submits"] == 1
    assert stage.spent(member) == CENT


async def test_a_client_without_a_key_is_told_to_come_back(stage, monkeypatch):
    monkeypatch.setattr(replay, "WAIT_SECONDS", 0.1)
    member = await stage.member()
    stage.vendor.fail_next("sandbox", "slow=0.8")
    sent = stage.request(IMAGE, BODY, member)
    await stage.leave(sent, after=0.2)
    await asyncio.sleep(0.05)

    status, headers, _ = await stage.raw(sent)
    assert status == 503, "never a 409 for one that sent no key"
    assert headers["retry-after"].isdigit()
    await asyncio.sleep(0.8)
    status, headers, _ = await stage.raw(sent)
    assert (status, headers["idempotent-replayed"]) == (200, "true")
    assert stage.spent(member) == CENT


async def test_a_job_whose_client_left_is_followed_and_charged_once(stage):
    from proxy_stage import in_thread

    from proxy import tasks

    member = await stage.member()
    stage.vendor.fail_next("bfl", "slow=0.3")
    await stage.leave(stage.request(ULTRA, BODY, member), after=0.15)
    await eventually(
        lambda: (
            stage.rows("SELECT 1 FROM proxy_job WHERE workspace_id = %s", member.workspace) or None
        )
    )
    stage.due(member)
    await in_thread(tasks.follow_jobs)
    (call,) = stage.calls(member)
    assert (call["outcome"], call["charged_micros"]) == ("delivered", ULTRA_MICROS)


async def test_an_upload_that_breaks_off_costs_nothing(stage):
    member = await stage.member()
    sent = (
        f"POST /proxy/sandbox/v1/upload HTTP/1.1\r\nHost: x\r\nX-API-KEY: {member.key}\r\n"
        "Content-Length: 1000000\r\n\r\n"
    ).encode() + b"x" * 5000
    await stage.leave(sent, after=0.15)

    (call,) = await stage.settled(member)

    assert (call["outcome"], call["charged_micros"]) == ("refused", 0)
    assert stage.wallet(member) == (5_000_000, 0)


async def test_a_body_that_breaks_off_is_no_call(stage):
    member = await stage.member()
    sent = stage.request(IMAGE, BODY, member)[:-5]
    await stage.leave(sent, after=0.1)
    await asyncio.sleep(0.1)
    assert stage.calls(member) == stage.holds(member) == []
    assert stage.vendor.counts("sandbox")["submits"] == 0


async def test_two_requests_on_one_connection_are_answered_in_turn(stage):
    member = await stage.member()
    sent = stage.request(IMAGE, BODY, member)
    reader, writer = await stage.open()
    writer.write(sent + sent)
    try:
        for _ in range(2):
            status, headers, _ = await asyncio.wait_for(read_answer(reader), 5)
            assert status == 200
            assert "idempotent-replayed" not in headers
    finally:
        writer.close()
    assert stage.spent(member) == 2 * CENT


async def test_an_answer_is_taken_once_whoever_fails_beside_it(stage):
    """Two that left at once claim one intention: the second claim fails, in the same batch."""
    books, intent, call = stage.application._platform.books, uuid7(), uuid7()
    kept = {"intent": intent, "fingerprint": "x", "status": 200, "text": "{}", "once": True}
    await books.query(sql.KEEP_LATER, call, json.dumps({**kept, "seconds": 60}))

    taken, failed = await asyncio.gather(
        books.query(replay.TAKE, intent), books.query("SELECT 1 / 0"), return_exceptions=True
    )

    assert [str(row[0]) for row in taken] == [intent]
    assert isinstance(failed, psycopg.errors.DivisionByZero)
