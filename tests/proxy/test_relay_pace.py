"""No vendor holds a call for longer than it may, and none is blamed for what we hold up."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from contextlib import asynccontextmanager

import pytest
from proxy_stage import eventually
from wire_vendor import OK, answers, get, outcome, post, relaying, sized, vendor_that, whole

from proxy.relay import Lost
from proxy.wire import exchange, pace, pool

pytestmark = pytest.mark.slow

CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


@asynccontextmanager
async def takes(least: float, most: float):
    began = time.monotonic()
    yield
    assert least <= time.monotonic() - began < most


def then_silent(*parts):
    async def behave(vendor, visit):
        await visit.request()
        await visit.say(*parts, pause=0.02)
        await visit.ended()
        vendor.requests.append(b"hung up on")

    return behave


@pytest.mark.parametrize(
    "parts",
    [
        (),
        (b"HTTP/1.1 200",),
        (OK,),
        (b"HTTP/1.1 100 Continue\r\n\r\n",),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", b"HTTP/1.1 102 Processing\r\n\r\n"),
        (OK + b"Content-Length: 10\r\n\r\n",),
        (OK + b"Content-Length: 10\r\n\r\n12345",),
        (CHUNKED + b"5\r\n12345\r\n",),
        (CHUNKED + b"5\r\n12345\r\n", b"zz"),  # A bad chunk that never ends.
        (CHUNKED + b"5\r\n12345\r\n0\r\n",),
        (OK + b"\r\n12345",),
    ],
)
async def test_a_silence_is_lost(parts):
    async with vendor_that(then_silent(*parts)) as vendor, relaying() as relay:
        async with takes(0.3, 30):
            assert await outcome(relay, post(vendor.url, silence_seconds=0.3)) == "lost"
        await eventually(lambda: vendor.requests or None)
        assert vendor.requests == [b"hung up on"]


@pytest.mark.parametrize(
    "last", [b"zz\r\n", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"]
)
async def test_what_is_broken_is_lost_at_once_whatever_follows(last):
    first = b"" if last.startswith(b"HTTP") else CHUNKED + b"5\r\n12345\r\n"
    async with vendor_that(then_silent(first + last)) as vendor, relaying() as relay, takes(0, 30):
        assert await outcome(relay, post(vendor.url, silence_seconds=40)) == "lost"


async def test_a_sign_of_life_counts_but_not_for_ever():
    """102 every 150 ms, then the answer; with a silence of 600 ms, and a whole of 1.8 s."""

    def thinking(times):
        parts = [b"HTTP/1.1 102 Processing\r\n\r\n"] * times
        return answers(*parts, sized(b"1"), pause=0.15)

    limits = {"silence_seconds": 0.6, "total_seconds": 1.8}
    async with vendor_that(thinking(7)) as vendor, relaying() as relay:
        assert await whole(relay, post(vendor.url, **limits)) == b"1"
    async with vendor_that(thinking(400)) as vendor, relaying() as relay, takes(1.8, 30):
        assert await outcome(relay, post(vendor.url, **limits)) == "lost"


async def test_parts_that_keep_coming_end_with_the_whole():
    drip = [CHUNKED, *[b"1\r\nx\r\n"] * 3000]
    async with vendor_that(answers(*drip, pause=0.02)) as vendor, relaying() as relay:
        reply = await relay.exchange(post(vendor.url, silence_seconds=1, total_seconds=1))
        async with takes(0.2, 30):
            with pytest.raises(Lost, match="too long in all"):
                await reply.read()


async def test_the_whole_counts_from_the_connect(monkeypatch):
    monkeypatch.setattr(pool, "CONNECT_SECONDS", 9)

    async def slow(*_, **__):
        await asyncio.sleep(9)

    async with vendor_that(answers(sized(b"1"))) as vendor, relaying() as relay:
        monkeypatch.setattr(relay._pool._dialer, "dial", slow)
        async with takes(0.2, 8):
            assert await outcome(relay, post(vendor.url, total_seconds=0.2)) == "refused"


# --- Next to nothing ----------------------------------------------------------------------------


def drips(head, times=3000):
    return answers(head, *[b"5\r\n12345\r\n"] * times, b"0\r\n\r\n", pause=0.02)


async def test_an_answer_that_drips_is_lost(monkeypatch):
    monkeypatch.setattr(pace, "RATE_SECONDS", 0.2)
    async with vendor_that(drips(CHUNKED)) as vendor, relaying() as relay, takes(0.3, 30):
        assert await outcome(relay, post(vendor.url, least_rate=4096)) == "lost"


@pytest.mark.parametrize(
    ("kind", "least"), [(b"text/event-stream; charset=utf-8", 4096), (b"application/json", 0)]
)
async def test_lines_may_drip_and_so_may_what_is_allowed_to(monkeypatch, kind, least):
    monkeypatch.setattr(pace, "RATE_SECONDS", 0.1)
    head = CHUNKED.replace(b"application/json", kind)
    async with vendor_that(drips(head, 25)) as vendor, relaying() as relay:
        assert await whole(relay, post(vendor.url, least_rate=least)) == b"12345" * 25


async def test_a_vendor_that_thinks_before_it_answers_drips_not(monkeypatch):
    monkeypatch.setattr(pace, "RATE_SECONDS", 0.1)

    async def thinks(vendor, visit):
        await visit.request()
        await asyncio.sleep(0.5)
        await visit.say(sized(b"1"))

    async with vendor_that(thinks) as vendor, relaying() as relay:
        assert await whole(relay, post(vendor.url, least_rate=1 << 20)) == b"1"


@pytest.mark.parametrize("body", ["in hand", "streamed"])
async def test_a_vendor_that_reads_nothing_is_lost(body):
    async def never_reads(vendor, visit):
        visit.writer.transport.pause_reading()
        await asyncio.sleep(60)

    async def parts():
        while True:
            yield bytes(1 << 16)

    async with vendor_that(never_reads) as vendor, relaying() as relay:
        sent = bytes(32 << 20) if body == "in hand" else parts()
        async with takes(0.3, 30):
            assert await outcome(relay, post(vendor.url, sent, silence_seconds=0.3)) == "lost"


async def test_a_vendor_that_reads_next_to_nothing_is_lost(monkeypatch):
    monkeypatch.setattr(pace, "RATE_SECONDS", 0.3)

    async def sips(vendor, visit):
        visit.writer.transport.pause_reading()
        door = visit.writer.get_extra_info("socket").fileno()
        while True:
            await asyncio.sleep(0.03)
            with contextlib.suppress(BlockingIOError):
                os.read(door, 30_000)

    async with vendor_that(sips) as vendor, relaying() as relay:
        sent = bytes(64 << 20)
        async with takes(0.3, 30):
            asked = post(vendor.url, sent, silence_seconds=2, least_rate=8 << 20)
            assert await outcome(relay, asked) == "lost"


# --- What we hold up ----------------------------------------------------------------------------


async def test_a_slow_client_is_not_the_vendors_fault_and_costs_no_memory(monkeypatch):
    """An answer of 5 GB, and nobody who reads on: it stays with the vendor."""
    monkeypatch.setattr(pace, "RATE_SECONDS", 0.1)
    sent = 0

    async def endless(vendor, visit):
        nonlocal sent
        await visit.request()
        await visit.say(OK + b"Content-Length: 5000000000\r\n\r\n")
        while True:
            await visit.say(bytes(1 << 18))
            sent += 1 << 18

    async with vendor_that(endless) as vendor, relaying() as relay:
        reply = await relay.exchange(post(vendor.url, silence_seconds=0.2, least_rate=4096))
        chunks = reply.chunks()
        await anext(chunks)
        before = sent
        await asyncio.sleep(0.8)
        assert reply._exchange.reader.size <= exchange.HIGH_WATER_BYTES + (1 << 18)
        stood = sent
        await asyncio.sleep(0.2)
        assert sent == stood, "the vendor is held back"
        assert sent - before < 32 << 20, "what the kernel's buffers take"
        for _ in range(200):
            assert await anext(chunks)
        assert sent > stood
        reply.close()
        with contextlib.suppress(Lost):
            async for _ in chunks:
                pass


async def test_a_slow_uploader_is_not_the_vendors_fault(monkeypatch):
    monkeypatch.setattr(pace, "RATE_SECONDS", 0.1)

    async def behave(vendor, visit):
        await visit.reader.readuntil(b"\r\n0\r\n\r\n")
        await visit.say(sized(b"1"))

    async def parts():
        for _ in range(2):
            await asyncio.sleep(0.9)
            yield b"part"

    async with vendor_that(behave) as vendor, relaying() as relay:
        asked = post(vendor.url, parts(), silence_seconds=0.6, least_rate=4096)
        assert await whole(relay, asked) == b"1"


async def test_a_timer_ends_with_its_exchange():
    """What was whole is not failed later by a limit that it kept."""
    async with vendor_that(answers(sized(b"1"))) as vendor, relaying() as relay:
        for _ in range(3):
            assert await whole(relay, get(vendor.url, total_seconds=0.1)) == b"1"
            await asyncio.sleep(0.15)
        assert len(vendor.visits) == 1
