"""What a call weighs while it waits for its vendor, or for a client that reads slowly."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Iterable
from typing import Any

from bench import cpu
from bench.accounts import key
from bench.world import BenchFailed, World

WAITING = 1000
SLOW_READERS = 50
SAMPLE_SECONDS = 0.2


async def measure(world: World) -> tuple[float, float]:
    """Return KiB for each waiting call, and for each slow reader of 10 MiB."""
    port, web = world.ports["web"], world.pid("web")
    numbers = range(1, world.accounts)
    await _all(_call(port, "echo", n, b'{"now":1}') for n in numbers[:100])
    waiting = await _growth(web, [_call(port, "echo", n, b"{}") for n in numbers[:WAITING]])
    await _all([_call(port, "stream", 1, b"{}")])
    reading = [_call(port, "stream", n, b"{}", pause=0.02) for n in numbers[:SLOW_READERS]]
    return waiting, await _growth(web, reading)


async def _growth(pid: int, calls: list[Coroutine[Any, Any, None]]) -> float:
    """Return by how many KiB for each call the process grew at most."""
    before = peak = cpu.resident_kib(pid)

    async def watch() -> None:
        nonlocal peak
        while True:
            await asyncio.sleep(SAMPLE_SECONDS)
            peak = max(peak, cpu.resident_kib(pid))

    watcher = asyncio.create_task(watch())
    await _all(calls)
    watcher.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watcher
    return (peak - before) / len(calls)


async def _all(calls: Iterable[Coroutine[Any, Any, None]]) -> None:
    await asyncio.gather(*calls)


async def _call(port: int, operation: str, number: int, body: bytes, pause: float = 0) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=64 << 10)
    writer.write(
        b"POST /proxy/sandbox/v1/%b HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        b"X-API-KEY: %b\r\nContent-Length: %d\r\n\r\n%b"
        % (operation.encode(), key(number).encode(), len(body), body)
    )
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    left = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
    while left and (part := await reader.read(64 << 10)):
        left -= len(part)
        await asyncio.sleep(pause)
    writer.close()
    if left or head[9:12] != b"200":
        raise BenchFailed(f"a call of the memory rounds was answered with {head[9:12].decode()}")
