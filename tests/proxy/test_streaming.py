"""Large things pass through at the pace of the slower side, and nothing is gathered."""

from __future__ import annotations

import asyncio
import hashlib
import time
from pathlib import Path

import aiohttp
import orjson
import pytest
from proxy_stage import CENT, ECHO, STREAM, check_refusal, eventually, in_thread

from proxy import delivery, tasks

pytestmark = pytest.mark.slow
MIB = 1 << 20


def resident() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


async def test_a_slow_reader_holds_the_vendor_back(stage):
    """Vendor, platform and client are this one process: all buffers between them count."""
    member = await stage.member()
    await stage.post(STREAM + "?bytes=3000000", member, json={})  # What is made once is made now.
    size = 60 * MIB
    before = most = resident()
    digest, count = hashlib.sha256(), 0
    async with stage.session.post(
        f"{stage.url}{STREAM}?bytes={size}", json={}, headers=member.headers
    ) as response:
        assert response.status == 200
        assert response.headers["content-length"] == str(size)
        await asyncio.sleep(0.5)
        assert stage.calls(member)[1:] == [], "it is not settled before its last part"
        while chunk := await response.content.read(512 << 10):
            digest.update(chunk)
            count += len(chunk)
            most = max(most, resident())
            await asyncio.sleep(0.002)
    assert count == size
    assert digest.hexdigest() == hashlib.sha256((bytes(range(256)) * 4096) * 60).hexdigest()
    assert most - before < 8 * MIB, f"{(most - before) / MIB:.1f} MiB"
    await stage.settled(member, 2)
    assert stage.spent(member) == 2 * CENT


async def test_a_chunked_upload_arrives_whole(stage):
    member = await stage.member()
    block = bytes(range(256)) * 1024
    digest = hashlib.sha256()
    before = most = resident()

    async def parts():
        nonlocal most
        for _ in range(80):
            digest.update(block)
            yield block
            most = max(most, resident())

    answer = await stage.post("/proxy/sandbox/v1/upload", member, data=parts())

    assert answer.status == 200
    assert answer.json() == {"bytes": 20 * MIB, "sha256": digest.hexdigest()}
    (seen,) = stage.vendor.requests("sandbox")
    assert seen.headers["transfer-encoding"] == "chunked"
    assert most - before < 8 * MIB
    assert stage.spent(member) == CENT


async def test_an_upload_of_known_length_keeps_its_length(stage):
    member = await stage.member()
    sent = b"x" * 900_000
    answer = await stage.post("/proxy/sandbox/v1/upload", member, data=sent)
    assert answer.json() == {"bytes": len(sent), "sha256": hashlib.sha256(sent).hexdigest()}
    (seen,) = stage.vendor.requests("sandbox")
    assert seen.headers["content-length"] == "900000"


async def test_lines_arrive_one_by_one(stage):
    member = await stage.member()
    came = []
    began = time.monotonic()
    async with stage.session.post(
        f"{stage.url}/proxy/sandbox/v1/lines", json={}, headers=member.headers
    ) as response:
        assert response.headers["content-type"] == "application/x-ndjson"
        async for line in response.content:
            came.append((orjson.loads(line)["line"], time.monotonic() - began))
    assert [number for number, _ in came] == list(range(10))
    times = [at for _, at in came]
    assert times[8] - times[0] > 0.1, "they did not come together, though they took half a second"
    assert stage.spent(member) == CENT


async def test_the_last_part_comes_after_the_books(stage, monkeypatch):
    from proxy.books import Books

    settle = Books.settle
    done: list[float] = []

    async def slow(self, ask, **options):
        await asyncio.sleep(0.4)
        settled = await settle(self, ask, **options)
        done.append(time.monotonic())
        return settled

    monkeypatch.setattr(Books, "settle", slow)
    member = await stage.member()
    async with stage.session.post(
        f"{stage.url}{STREAM}?bytes=1000000", json={}, headers=member.headers
    ) as response:
        body = await response.read()
    assert len(body) == 1_000_000
    assert done
    assert time.monotonic() >= done[0]
    assert len(stage.calls(member)) == 1, "durable before the last byte"


async def test_what_nobody_pays_for_any_more_is_not_handed_out_whole(stage):
    """The hold ended while the result passed: the sweep does not wait for a slow reader."""
    member = await stage.member()
    size = 300_000
    asked = asyncio.ensure_future(
        stage.post(f"{STREAM}?bytes={size}&seconds=1", member, json={"prompt": "x"})
    )
    await eventually(lambda: stage.holds(member) or None)
    stage.over(member)
    await in_thread(tasks.sweep_holds)

    with pytest.raises(aiohttp.ClientPayloadError):
        await asked

    (call,) = stage.calls(member)
    assert (call["outcome"], call["charged_micros"]) == ("expired", 0)
    assert stage.wallet(member) == (5_000_000, 0)


async def test_a_whole_answer_that_nobody_pays_for_any_more_is_lost(stage):
    member = await stage.member()
    asked = asyncio.ensure_future(stage.post(ECHO, member, json={"prompt": "sandbox:slow=1"}))
    await eventually(lambda: stage.holds(member) or None)
    stage.over(member)
    await in_thread(tasks.sweep_holds)

    answer = await asked

    assert (answer.status, answer.type) == (422, "outcome_unknown")
    check_refusal(answer)
    assert stage.wallet(member) == (5_000_000, 0)


async def test_a_long_result_keeps_its_hold(stage, monkeypatch):
    monkeypatch.setattr(delivery, "HOLD_MARGIN_SECONDS", 0)
    member = await stage.member()
    asked = asyncio.ensure_future(
        stage.post(f"{STREAM}?bytes=300000&seconds=1", member, json={"prompt": "x"})
    )
    (hold,) = await eventually(lambda: stage.holds(member) or None)
    stage.do("UPDATE credits_hold SET expires_at = now() WHERE id = %s", hold["id"])
    await eventually(lambda: stage.holds(member)[0]["expires_at"] > hold["placed_at"] or None)
    await asyncio.sleep(0.3)
    await in_thread(tasks.sweep_holds)

    answer = await asked

    assert (answer.status, len(answer.body)) == (200, 300_000)
    assert stage.wallet(member) == (5_000_000 - CENT, 0)


async def test_who_leaves_a_long_result_gets_it_whole(stage, monkeypatch):
    monkeypatch.setattr(delivery, "HOLD_MARGIN_SECONDS", 0)
    member = await stage.member()
    path = f"{STREAM}?bytes=300000&seconds=1"
    await stage.leave(stage.request(path, b"{}", member), after=0.5)
    await eventually(lambda: stage.holds(member)[0]["intent"])

    answer = await stage.post(path, member, data=b"{}")

    assert (answer.status, len(answer.body)) == (200, 300_000)
    assert answer.headers["idempotent-replayed"] == "true"
    assert stage.vendor.counts("sandbox")["submits"] == 1
    assert stage.wallet(member) == (5_000_000 - CENT, 0)
