"""The web process as it is started, on real sockets: what clients send it, and how many."""

from __future__ import annotations

import asyncio
import gzip
import json
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from system_stack import IMAGE, Stack, free_port

from apikeys import keys

FILES = 1024
"""What many systems let a process open; so the web process keeps 448 connections."""
MANY = 1100
HEALTH = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
PURCHASE = b'{"amount_micros": 25000000, "currency": "usd"}'


@pytest.fixture(scope="module")
def served(stack: Stack) -> Iterator[Stack]:
    port = free_port()
    stack.environment |= {
        "STRIPE_API_KEY": "sk_test_of_the_wire",
        "STRIPE_API_BASE": f"http://127.0.0.1:{port}",
    }
    stripe = stack._spawn("stripe", ["-m", "sandbox.stripe", "--port", str(port)])
    stack.await_port("stripe", port)
    stack.start_web(files=FILES)
    try:
        yield stack
    finally:
        stripe.terminate()
        stripe.wait(10)


@pytest.fixture(scope="module")
def member(served: Stack) -> dict[str, str]:
    return served.member("9.00")


def post(path: str, key: str, *lines: str) -> bytes:
    top = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"X-API-KEY: {key}"]
    return "\r\n".join([*top, *lines, "", ""]).encode()


def chunks(body: bytes, size: int) -> bytes:
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def invented() -> str:
    head = "comfyui-" + "5" * 56
    return head + keys.checksum(head)


PACKED = gzip.compress(PURCHASE)
WAYS = {
    "chunks": (["Transfer-Encoding: chunked"], chunks(PURCHASE, 7)),
    "gzip": (["Content-Encoding: gzip", f"Content-Length: {len(PACKED)}"], PACKED),
    "gzip in chunks": (["Content-Encoding: gzip", "Transfer-Encoding: chunked"], chunks(PACKED, 9)),
    "curl --http2": (
        [
            "Connection: Upgrade, HTTP2-Settings",
            "Upgrade: h2c",
            "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA",
            f"Content-Length: {len(PURCHASE)}",
        ],
        PURCHASE,
    ),
}


@pytest.mark.parametrize("pause", [0, 0.3])
@pytest.mark.parametrize(("lines", "body"), WAYS.values(), ids=WAYS.keys())
async def test_a_purchase_is_one_however_its_body_comes(served, member, lines, body, pause):
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)

    writer.write(post("/customers/credit", member["api_key"], *lines))
    await asyncio.sleep(pause)
    writer.write(body + HEALTH.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    raw = await asyncio.wait_for(reader.read(), 10)
    writer.close()

    assert raw.startswith(b"HTTP/1.1 201 "), raw
    assert raw.count(b"HTTP/1.1 ") == 2, "one request, one answer; and then the next"
    assert raw.endswith(b'{"status": "ok"}')


async def connect(served: Stack, n: int, address: str, writers: list[asyncio.StreamWriter]) -> None:
    """Open a connection that is silent, or says half a head, or has been answered and stays."""
    with suppress(OSError, asyncio.IncompleteReadError):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", served.port, local_addr=(address, 0)
        )
        writers.append(writer)
        if n % 3:
            writer.write(HEALTH if n % 3 == 1 else HEALTH[:30])
        if n % 3 == 1:
            await reader.readuntil(b'{"status": "ok"}')


@asynccontextmanager
async def crowd(served: Stack, addresses: int) -> AsyncIterator[None]:
    """Keep many connections open that ask for nothing, and open new ones all the time."""
    writers: list[asyncio.StreamWriter] = []

    def address(n: int) -> str:
        return f"127.0.0.{1 + n % addresses}"

    async def go_on() -> None:
        for n in range(MANY, 10 * MANY):
            await connect(served, n, address(n), writers)
            await asyncio.sleep(0.01)

    for start in range(0, MANY, 50):
        numbers = range(start, start + 50)
        await asyncio.gather(*(connect(served, n, address(n), writers) for n in numbers))
    going_on = asyncio.create_task(go_on())
    try:
        yield
        assert not going_on.done()
    finally:
        going_on.cancel()
        await asyncio.wait([going_on])
        for writer in writers:
            writer.transport.abort()


@pytest.mark.parametrize("addresses", [1, 200])
async def test_a_crowd_that_asks_for_nothing_shuts_nobody_out(served, member, addresses):
    async with crowd(served, addresses):
        load = await served.fire(member["api_key"], 60, connections=12)
        purchase = await asyncio.to_thread(buy, served, member)

    assert load.statuses == {200: 60}
    assert purchase == 201


def buy(served: Stack, member: dict[str, str]) -> int:
    headers = {"X-API-KEY": member["api_key"]}
    request = urllib.request.Request(f"{served.url}/customers/credit", PURCHASE, headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert json.load(answer)["checkout_url"]
        return int(answer.status)


def megabytes(served: Stack) -> int:
    assert served.web is not None
    for line in Path(f"/proc/{served.web.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) >> 10
    raise AssertionError("every process has a size")


UPLOADS = [
    (path, length, size)
    for path in (IMAGE, "/customers/credit")
    for length, size in (
        ("Content-Length: 31000000", 30_000_000),
        ("Transfer-Encoding: chunked", 30_000_000),
        ("Content-Length: 250000", 240_000),
    )
] * 3


async def test_slow_uploads_under_an_invented_key_are_nobody_elses_trouble(served, member):
    """18 of them filled the memory for bodies; whoever came then was told to wait."""
    before = megabytes(served)
    pushing = [asyncio.create_task(push(served, *each)) for each in UPLOADS]
    await asyncio.sleep(2)

    load = await served.fire(member["api_key"], 60, connections=12)
    large = await asyncio.to_thread(call_with, served, member, b" " * 3_000_000 + b"{}")

    assert load.statuses == {200: 60}
    assert large == 200
    assert megabytes(served) - before < 100
    for task in pushing:
        task.cancel()


def call_with(served: Stack, member: dict[str, str], body: bytes) -> int:
    request = urllib.request.Request(
        served.url + IMAGE, body, {"X-API-KEY": member["api_key"]}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return int(answer.status)


async def push(served: Stack, path: str, length: str, size: int) -> None:
    """Send nearly all of a body, as fast as it is taken, and then nothing; never hang up."""
    _, writer = await asyncio.open_connection("127.0.0.1", served.port)
    try:
        with suppress(ConnectionError):
            writer.write(post(path, invented(), length))
            if "chunked" in length:
                writer.write(b"%x\r\n" % (size + 1))
            for _ in range(0, size, 60_000):
                writer.write(b" " * 60_000)
                await writer.drain()
        await asyncio.Event().wait()
    finally:
        writer.transport.abort()
