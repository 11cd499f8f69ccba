"""Django's door: what comes in is whole, plain, within its limits, and addressed to us.

Django's own way of taking a body writes one of any length to disk for anybody, and REST framework
takes one without a Content-Length for none. So a body is read here as the proxy reads one, counted
in the same memory, and Django is given it with its length. A form with a file, for runs or of a
vendor's export, waits on disk instead, in the same share of it as forms for vendors.
"""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import asynccontextmanager
from typing import IO, TYPE_CHECKING

import orjson
from django.conf import settings

from common import metrics
from common.errors import BodyTooLarge, InvalidRequest, PlatformError
from proxy import forms
from proxy.http import JSON_TYPE, Left, Request
from runs.faces import bodies, refusals

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from proxy.http import Message, Receive, Scope, Send

BLOCK_BYTES = 256 << 10
EXPORT, EXPORT_BYTES = "/staff/margin/export", 64 << 20
"""Where staff bring in what a vendor asks: a month of a busy one is no small file."""
UNDONE = frozenset((b"content-encoding", b"content-length", b"transfer-encoding"))


async def serve(
    django: Callable[..., Awaitable[None]],
    scope: Scope,
    receive: Receive,
    send: Send,
) -> None:
    """Let Django answer one request, once its body is here; or refuse it, in the path's shape."""
    request = Request(scope, receive, send)
    try:
        if request.has_body and (most := _most_on_disk(request.path)):
            async with _on_disk(request, most) as (size, blocks):
                await django(_given(scope, size), blocks, send)
            return
        if request.has_body:
            most = max(settings.DATA_UPLOAD_MAX_MEMORY_SIZE, bodies.most(request.path))
            await request.read(most)
            scope, receive = _given(scope, len(request.body)), _once(request.body, receive)
        await django(scope, receive, send)
    except Left:
        metrics.REFUSALS.labels("client_left").inc()
    except PlatformError as refusal:
        metrics.REFUSALS.labels(refusal.code).inc()
        await _refuse(request, refusal)
    finally:
        request.release()


async def refuse(scope: Scope, receive: Receive, send: Send, sentence: str) -> None:
    """Refuse a request whose address is not to be looked at, nor logged, any further."""
    metrics.REFUSALS.labels(InvalidRequest.code).inc()
    await _refuse(Request(scope, receive, send), InvalidRequest(sentence))


def _most_on_disk(path: str) -> int:
    """Return how long a form with a file may be there; 0 where none is taken."""
    if bodies.is_form(path):
        return bodies.FORM_BYTES
    return EXPORT_BYTES if path == EXPORT else 0


@asynccontextmanager
async def _on_disk(request: Request, limit: int) -> AsyncIterator[tuple[int, Receive]]:
    """Give the length of a body that was read whole, and a way to receive it block by block."""
    request.check_stream_length()
    size = 0
    spool = await asyncio.to_thread(tempfile.TemporaryFile)
    with spool, forms.on_disk.reserve(request.owner) as taken:
        async for block in request.stream():
            size += len(block)
            if size > limit:
                raise BodyTooLarge(f"A form has at most {limit >> 20} MiB.")
            taken.add(len(block))
            await asyncio.to_thread(spool.write, block)
        await asyncio.to_thread(spool.seek, 0)
        yield size, _blocks(spool, size)


def _blocks(spool: IO[bytes], size: int) -> Receive:
    """Return a way to receive what lies on disk; after it nothing comes but the client's end."""
    left = size
    never = asyncio.Event()

    async def next_message() -> Message:
        nonlocal left
        if left < 0:
            await never.wait()
        block = await asyncio.to_thread(spool.read, BLOCK_BYTES)
        left -= len(block)
        more = left > 0 and bool(block)
        if not more:
            left = -1
        return {"type": "http.request", "body": block, "more_body": more}

    return next_message


def _given(scope: Scope, size: int) -> Scope:
    """Return the scope as if the body had come plain and with its length."""
    headers = [header for header in scope["headers"] if header[0] not in UNDONE]
    return {**scope, "headers": [*headers, (b"content-length", str(size).encode())]}


def _once(body: bytes, receive: Receive) -> Receive:
    """Return a way to receive the body, and then whatever comes."""
    told = False

    async def next_message() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return next_message


async def _refuse(request: Request, refusal: PlatformError) -> None:
    status, body, headers = refusals.at(request.path, refusal)
    own = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await request.answer(status, orjson.dumps(body), [JSON_TYPE, *own])
