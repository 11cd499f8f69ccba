"""A vendor on a raw socket, that says what it is told to, cut as it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from proxy.relay import Lost, Outgoing, Refused, Relay

JSON = b"Content-Type: application/json\r\n"
OK = b"HTTP/1.1 200 OK\r\n" + JSON


@dataclass
class Visit:
    """One connection of a relay's, as the vendor sees it."""

    number: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def request(self) -> bytes:
        """Read a request: its head, and a body of stated length."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        return head + (await self.reader.readexactly(length) if length else b"")

    async def say(self, *parts: bytes, pause: float = 0) -> None:
        """Send these, each on its own."""
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()
            await asyncio.sleep(pause)

    def say_now(self, part: bytes) -> None:
        """Have it in the other side's kernel when this returns."""
        assert os.write(self.writer.get_extra_info("socket").fileno(), part) == len(part)

    def hang_up(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        self.writer.transport.abort()

    async def ended(self) -> bool:
        """Wait until the relay hangs up; whatever it sends before is passed over."""
        try:
            while await self.reader.read(1 << 16):
                pass
        except ConnectionError:
            pass
        return True


@dataclass
class Vendor:
    url: str
    visits: list[Visit] = field(default_factory=list)
    requests: list[bytes] = field(default_factory=list)


Behaviour = Callable[[Vendor, Visit], Awaitable[None]]


@asynccontextmanager
async def vendor_that(
    behaves: Behaviour, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Vendor]:
    """Listen; what a connection gets is what `behaves` does with it. Its faults are the test's."""
    vendor = Vendor("")
    tasks: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visit = Visit(len(vendor.visits), reader, writer)
        vendor.visits.append(visit)
        task = asyncio.current_task()
        assert task is not None
        tasks.append(task)
        quiet = (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError, ssl.SSLError)
        with contextlib.suppress(*quiet):
            await behaves(vendor, visit)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    vendor.url = f"{'https' if tls else 'http'}://{'localhost' if tls else '127.0.0.1'}:{port}"
    try:
        yield vendor
    finally:
        server.close()
        for visit in vendor.visits:
            visit.writer.transport.abort()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def answers(*parts: bytes, pause: float = 0, close: bool = False) -> Behaviour:
    """Answer every request with these parts, each on its own."""

    async def behave(vendor: Vendor, visit: Visit) -> None:
        while True:
            vendor.requests.append(await visit.request())
            await visit.say(*parts, pause=pause)
            if close:
                visit.hang_up()
                return

    return behave


@asynccontextmanager
async def relaying() -> AsyncIterator[Relay]:
    relay = Relay()
    try:
        yield relay
    finally:
        await relay.close()


def sized(body: bytes, more: bytes = b"") -> bytes:
    return OK + more + b"Content-Length: %d\r\n\r\n" % len(body) + body


def post(url: str, body: Any = b"{}", **more: Any) -> Outgoing:
    limits = {"silence_seconds": 5, "total_seconds": 10, **more}
    return Outgoing("POST", url + "/v1/x?a=1", {"content-type": "application/json"}, body, **limits)


def get(url: str, **more: Any) -> Outgoing:
    limits = {"silence_seconds": 5, "total_seconds": 10, **more}
    return Outgoing("GET", url + "/v1/x?a=1", {}, **limits)


async def whole(relay: Relay, outgoing: Outgoing) -> bytes:
    """Return the body of what comes back."""
    reply = await relay.exchange(outgoing)
    try:
        return await reply.read()
    finally:
        reply.close()


async def outcome(relay: Relay, outgoing: Outgoing) -> str:
    """Return which of the three it came to."""
    try:
        await whole(relay, outgoing)
    except Refused:
        return "refused"
    except Lost:
        return "lost"
    return "answered"
