"""A vendor that lets callers wait: `python -m bench.slow_vendor PORT SECONDS`.

/sandbox/v1/echo answers after SECONDS, or at once if there is a `"now"` in the body;
/sandbox/v1/stream gives 10 MiB as fast as it is taken.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

import uvloop

BIG_BYTES = 10 << 20
BLOCK = bytes(64 << 10)
SMALL = b'{"usage":{"units":1}}'


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    """Answer the calls of one connection."""
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
            body = await reader.readexactly(length)
            big = b"/stream" in head.partition(b"\r\n")[0]
            if not big and b'"now"' not in body:
                await asyncio.sleep(seconds)
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/%b\r\nContent-Length: %d\r\n\r\n"
                % ((b"octet-stream", BIG_BYTES) if big else (b"json", len(SMALL)))
            )
            for block in [BLOCK] * (BIG_BYTES // len(BLOCK)) if big else [SMALL]:
                writer.write(block)
                await writer.drain()
    writer.close()


async def main() -> None:
    """Listen until ended."""
    port, seconds = int(sys.argv[1]), float(sys.argv[2])
    server = await asyncio.start_server(
        lambda reader, writer: serve(reader, writer, seconds), "127.0.0.1", port, backlog=4096
    )
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
