"""The proxy's side of ASGI: one request in, a result or a refusal in our shape out."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from django.conf import settings

from common import logs, metrics, tracing
from common.cached import from_settings
from common.errors import OutcomeUnknown, PlatformError
from common.ids import uuid7
from proxy import app, origin
from proxy.http import Left, Request

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from proxy.http import Headers, Receive, Scope, Send
    from proxy.process import Platform

log = logging.getLogger("proxy")


async def serve(
    platform: Platform,
    scope: Scope,
    receive: Receive,
    send: Send,
    work: Callable[[Platform, Request], Awaitable[None]] = app.call,
) -> None:
    """Answer one HTTP request by `work`: with a result, or with a refusal in our shape."""
    request = Request(scope, receive, send)
    try:
        origin.check_host(request)
        if request.method == "OPTIONS":
            await request.answer(204, b"", _preflight())
        else:
            await work(platform, request)
    except Left:
        metrics.REFUSALS.labels("client_left").inc()
    except PlatformError as refusal:
        metrics.REFUSALS.labels(refusal.code).inc()
        if request.begun:  # It is left undone, and the wire breaks off: the client must see that.
            logs.line(event="broken_off", call=request.call, code=refusal.code)
            if tracing.tell is not None:
                tracing.tell(refused=refusal.code)
        else:
            await refused(request, refusal)
    except Exception:
        request_id = uuid7()
        log.exception("request %s to %s failed", request_id, request.path[:200])
        if request.begun:
            raise
        await refused(request, _our_fault(request), request_id)
    finally:
        request.close()


async def refused(request: Request, refusal: PlatformError, request_id: str = "") -> None:
    """Answer with a refusal, under an id by which its log line is found, and its call's."""
    request_id = request_id or uuid7()
    facts = {"request": request_id, "code": refusal.code, "path": request.path[:200]}
    headers = [(b"x-request-id", request_id.encode())]
    if request.call:
        facts["call"] = request.call
        headers.append((b"call-id", request.call.encode()))
    logs.line(event="refused", **facts)
    if tracing.tell is not None:
        tracing.tell(refused=refusal.code)
    await request.refuse(refusal, headers)


class _Internal(PlatformError):
    """Our own fault; never charged."""

    code = "internal"
    status = 500


def _our_fault(request: Request) -> PlatformError:
    """Return what our own fault is told as: clients send a 500 again, and a vendor may have worked.

    So that is told only where nothing was sent.
    """
    if not request.sent:
        return _Internal("Something went wrong here. Nothing is charged for it.")
    return OutcomeUnknown(
        "Something went wrong here after the request was sent. Nothing is charged unless the work "
        "turns out to be delivered. Running the node again is a new call."
    )


@from_settings
def _preflight() -> Headers:
    """Return what a browser may send here, as Django's middleware says it of the other paths."""
    return [
        (b"access-control-allow-methods", ", ".join(settings.CORS_ALLOW_METHODS).encode()),
        (b"access-control-allow-headers", ", ".join(settings.CORS_ALLOW_HEADERS).encode()),
        (b"access-control-max-age", b"86400"),
    ]
