"""Django's door: what comes in is whole, plain, within its limits, and addressed to us.

Django's own way of taking a body writes one of any length to disk for anybody, and REST framework
takes one without a Content-Length for none. So a body is read here as the proxy reads one, counted
in the same memory, and Django is given it with its length.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
from django.conf import settings

from common import metrics
from common.errors import InvalidRequest, PlatformError
from proxy.http import JSON_TYPE, Left, Request

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from proxy.http import Message, Receive, Scope, Send

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
        if request.has_body:
            await request.read(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
            scope, receive = _given(scope, request.body), _once(request.body, receive)
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


def _given(scope: Scope, body: bytes) -> Scope:
    """Return the scope as if the body had come plain and with its length."""
    headers = [header for header in scope["headers"] if header[0] not in UNDONE]
    return {**scope, "headers": [*headers, (b"content-length", str(len(body)).encode())]}


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
    body = refusal.body_at(request.path)
    own = [(name.lower().encode(), value.encode()) for name, value in refusal.headers.items()]
    await request.answer(refusal.status, orjson.dumps(body), [JSON_TYPE, *own])
