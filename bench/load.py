"""Calls as the newest node client makes them, many at once: `python -m bench.load URL`.

Closed loop: each connection sends its next call when it has its answer. Open loop (`--rate`):
calls are due at fixed moments whatever the server does, and a latency counts from that moment, so
a server that stands still for a while is not flattered. The result is one JSON line.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import json
import random
import time
import uuid
from typing import Any
from urllib.parse import urlsplit

import uvloop

from bench.accounts import key

PATIENCE_SECONDS = 30
PROMPT = "A lighthouse on a cliff at dusk, long exposure, calm sea. " * 4


class Connection(asyncio.Protocol):
    """One keep-alive connection, with at most one call on it."""

    def __init__(self, load: Load) -> None:
        self.due = 0.0
        self.busy = False
        self._load = load
        self._came = b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = transport
        self._load.idle(self)

    def send(self, request: bytes, due: float) -> None:
        """Send a call that was due at that moment."""
        self.due, self.busy = due, True
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Take a part of the answer; tell when it is whole."""
        if self._came:
            data = self._came + data
        end = data.find(b"\r\n\r\n")
        if end < 0 or len(data) < end + 4 + _length(data[:end].lower()):
            self._came = data
            return
        self._came, self.busy = b"", False
        self._load.answered(self, data[9:12])

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell if somebody hung up in the middle."""
        if self.busy:
            self._load.lost += 1


def _length(head: bytes) -> int:
    at = head.index(b"\r\ncontent-length:") + 17
    end = head.find(b"\r\n", at)
    return int(head[at : end if end > 0 else None])


class Load:
    """All connections of one run, and what they saw."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.lost = 0
        self.statuses: collections.Counter[str] = collections.Counter()
        self._options = options
        self._latencies: list[float] = []
        self._over = False
        self._free: list[Connection] = []
        self._overdue: collections.deque[float] = collections.deque()
        self._all: list[Connection] = []
        self._last = 0.0
        url = urlsplit(options.url)
        self._address = url.hostname, url.port
        first, last = options.accounts
        self._keys = [key(number).encode() for number in range(first, last + 1)]
        self._sent = 0
        self._series = uuid.uuid4().hex[:20].encode()
        body = json.dumps({"prompt": PROMPT, "most_units": options.most}).encode()
        self._head = (
            f"POST {url.path} HTTP/1.1\r\nHost: {url.netloc}\r\n"
            "User-Agent: Python/3.12 aiohttp/3.14\r\n"
            "Content-Type: application/json\r\nAccept: application/json\r\n"
            "Comfy-Env: local-desktop\r\nComfy-Usage-Source: comfyui-api\r\n"
            f"Comfy-Core-Version: 0.34.0\r\nComfy-Job-Id: {uuid.uuid4()}\r\n"
            f"Content-Length: {len(body)}\r\nX-API-KEY: "
        ).encode()
        self._tail = b"\r\n\r\n" + body

    async def run(self) -> dict[str, object]:
        """Make the calls, and wait for the last answer."""
        loop, options = asyncio.get_running_loop(), self._options
        began = time.perf_counter()
        for _ in range(options.connections):
            _, connection = await loop.create_connection(lambda: Connection(self), *self._address)
            self._all.append(connection)
        if options.rate:
            await self._at_rate(options.rate, int(options.rate * options.seconds))
        else:
            await asyncio.sleep(options.seconds)
        self._over = True
        patience = time.perf_counter() + PATIENCE_SECONDS
        while any(each.busy for each in self._all) and time.perf_counter() < patience:
            await asyncio.sleep(0.01)
        unanswered = sum(each.busy for each in self._all) + len(self._overdue)
        seconds, latencies = self._last - began, sorted(self._latencies)
        return {
            "calls": len(latencies),
            "per_second": len(latencies) / seconds,
            "p50_ms": 1000 * latencies[len(latencies) // 2],
            "p99_ms": 1000 * latencies[len(latencies) * 99 // 100],
            "statuses": dict(self.statuses),
            "lost": self.lost + unanswered,
        }

    async def _at_rate(self, rate: float, calls: int) -> None:
        began = time.perf_counter()
        for number in range(calls):
            due = began + number / rate
            if (pause := due - time.perf_counter()) > 0:
                await asyncio.sleep(pause)
            if self._free:
                self._free.pop().send(self._request(), due)
            else:
                self._overdue.append(due)

    def idle(self, connection: Connection) -> None:
        """Give a connection its next call, if there is one."""
        if self._overdue:
            connection.send(self._request(), self._overdue.popleft())
        elif self._options.rate:
            self._free.append(connection)
        elif not self._over:
            connection.send(self._request(), time.perf_counter())

    def answered(self, connection: Connection, status: bytes) -> None:
        """Note an answer."""
        self._last = time.perf_counter()
        self._latencies.append(self._last - connection.due)
        self.statuses[status.decode()] += 1
        self.idle(connection)

    def _request(self) -> bytes:
        self._sent += 1
        named = b""
        if self._options.idempotent:
            named = b"\r\nIdempotency-Key: %b%012x" % (self._series, self._sent)
        return b"%b%b%b%b" % (self._head, random.choice(self._keys), named, self._tail)


def main() -> None:
    """Run once, as the command line says."""
    parser = argparse.ArgumentParser(prog="bench.load")
    parser.add_argument("url")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rate", type=float, default=0, help="calls a second; 0: closed loop")
    parser.add_argument("--accounts", type=int, nargs=2, default=[1, 1], help="first and last")
    parser.add_argument("--most", type=int, default=1, help="units held; the vendor charges one")
    parser.add_argument("--idempotent", action="store_true", help="send an Idempotency-Key")
    print(json.dumps(uvloop.run(Load(parser.parse_args()).run())))


if __name__ == "__main__":
    main()
