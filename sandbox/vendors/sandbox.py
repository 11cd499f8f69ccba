"""A vendor that does not exist: the synchronous kinds of operation that no real one has yet.

POST /v1/echo                      -> {"ok", "bytes", "usage": {"units"}}, as `units` in the body
POST /v1/image                     -> a PNG, itself the answer
POST /v1/stream?bytes=N&seconds=S  -> N bytes, spread over S seconds
POST /v1/lines                     -> ten lines of JSON, one every 50 ms
POST /v1/upload                    -> {"bytes", "sha256"} of a body of any size
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator

import orjson

from sandbox.media import Media, look, size
from sandbox.vendor import (
    Answer,
    Exchange,
    Kind,
    RefusedError,
    Route,
    Vendor,
    delivery,
    in_header,
)

PIECE = bytes(range(256)) * 256
LINES = tuple(orjson.dumps({"line": number}) + b"\n" for number in range(10))
SECONDS_BETWEEN_LINES = 0.05


def refuse(status: int, detail: object) -> Answer:
    """Refuse in the commonest of all shapes."""
    message = detail or f"The sandbox refuses with {status}"
    return Answer.json({"error": {"code": status, "message": message}}, status=status)


async def echo(exchange: Exchange) -> Answer:
    """Say how many bytes came, and report as many units as were asked for."""
    if exchange.body is None:
        raise RefusedError(400, "Send a JSON object")
    units = exchange.body.get("units", 1)
    if isinstance(units, bool) or not isinstance(units, int | float):
        raise RefusedError(422, "units must be a number")
    return Answer.json({"ok": True, "bytes": exchange.seen.size, "usage": {"units": units}})


async def image(exchange: Exchange) -> Answer:
    """Answer with the picture itself."""
    body = exchange.body or {}
    width, height = size(body)
    seen = look(body.get("prompt"), body.get("seed"))
    return await delivery(Media("png", look=seen, width=width, height=height))


async def stream(exchange: Exchange) -> Answer:
    """Send so many bytes over so many seconds, never keeping more than a piece of them."""
    try:
        length = int(exchange.request.query.get("bytes", "0"))
        seconds = float(exchange.request.query.get("seconds", "0"))
    except ValueError:
        raise RefusedError(422, "bytes and seconds must be numbers") from None
    if length < 0:
        raise RefusedError(422, "bytes must not be negative")
    kind = "application/octet-stream"
    return Answer(_spread(length, seconds), content_type=kind, length=length)


async def _spread(length: int, seconds: float) -> AsyncIterator[bytes]:
    """Yield pieces so that the last byte goes when the time is over."""
    clock = asyncio.get_running_loop().time
    started = clock()
    for start in range(0, length, len(PIECE)):
        piece = PIECE[: length - start]
        wait = started + seconds * (start + len(piece)) / length - clock()
        if wait > 0:
            await asyncio.sleep(wait)
        yield piece


async def lines(_: Exchange) -> Answer:
    """Send lines of unannounced number."""
    length = sum(map(len, LINES))
    return Answer(_slowly(), content_type="application/x-ndjson", length=length, chunked=True)


async def _slowly() -> AsyncIterator[bytes]:
    for line in LINES:
        await asyncio.sleep(SECONDS_BETWEEN_LINES)
        yield line


async def upload(exchange: Exchange) -> Answer:
    """Read any body to its end, keeping only its size and digest."""
    digest, size_so_far = hashlib.sha256(), 0
    async for piece in exchange.request.content.iter_any():
        digest.update(piece)
        size_so_far += len(piece)
    exchange.seen.size, exchange.seen.sha256 = size_so_far, digest.hexdigest()
    return Answer.json({"bytes": size_so_far, "sha256": exchange.seen.sha256})


SANDBOX = Vendor(
    name="sandbox",
    credential=in_header("authorization", prefix="Bearer "),
    refuse=refuse,
    routes=(
        Route("POST", "/v1/echo", Kind.SUBMIT, echo),
        Route("POST", "/v1/image", Kind.SUBMIT, image),
        Route("POST", "/v1/stream", Kind.SUBMIT, stream),
        Route("POST", "/v1/lines", Kind.SUBMIT, lines),
        Route("POST", "/v1/upload", Kind.SUBMIT, upload, reads_body=False),
    ),
)
