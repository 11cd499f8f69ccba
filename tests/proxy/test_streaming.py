"""Large things pass through at the pace of the slower side, and nothing is gathered."""

from __future__ import annotations

import asyncio
import hashlib
import time
from pathlib import Path

import orjson
from proxy_stage import CENT, STREAM

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
    assert times[0] < 0.25, "one is held back until the next, so that the last can be paid first"
    assert times[4] < 0.45
    assert times[8] - times[0] > 0.25, "they did not come together"
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
