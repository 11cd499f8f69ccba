"""`/serving`: whether a balancer shall send calls to this web process now.

It is asked of the process alone, and past Django, whose threads may all be busy: its connections to
the books stand or can be made, it knows what staff switched off, and it was not told to end.
`/ready` looks further (health.py).
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import threading
from typing import TYPE_CHECKING

import orjson

from common.errors import Unavailable

if TYPE_CHECKING:
    from types import FrameType

    from proxy.http import Scope, Send
    from proxy.process import Platform

LOOK_SECONDS = 2
"""So long a connection to the books may take to be made; a balancer asks often."""
DRAIN = "WEB_DRAIN_SECONDS"
"""The environment variable in which `config.web` leaves how long it goes on after SIGTERM."""

_ending = threading.Event()


def drain_at_sigterm() -> None:
    """Say at SIGTERM that no more calls shall come, and stop only so many seconds later.

    Called where the server has its own handlers already: these get the signal then.
    """
    loop, stop = asyncio.get_running_loop(), signal.getsignal(signal.SIGTERM)
    seconds = float(os.environ[DRAIN])

    def begin(number: int, frame: FrameType | None) -> None:
        hurry = _ending.is_set()  # Who says it twice does not want to wait.
        _ending.set()
        if callable(stop):
            loop.call_soon_threadsafe(
                lambda: loop.call_later(0 if hurry else seconds, stop, number, frame)
            )

    signal.signal(signal.SIGTERM, begin)


def end_with_parent() -> None:
    """Let this process end as at SIGTERM when the one that started it is gone without a word.

    Else, after a `kill -9` of the first of several, the others would answer for ever, nobody's
    signal would reach them, and the next start would find the port taken.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    loop = asyncio.get_running_loop()

    def end() -> None:
        loop.remove_reader(parent.sentinel)
        os.kill(os.getpid(), signal.SIGTERM)

    loop.add_reader(parent.sentinel, end)


async def answer(platform: Platform | None, scope: Scope, send: Send) -> None:
    """Answer 200 if calls may come, else 503; a balancer reads no more than that."""
    told = {"books": await _reaches_books(platform), "draining": _ending.is_set()}
    serving = told["books"] and not told["draining"]
    body = orjson.dumps({"serving": serving, **told})
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    ]
    status = 200 if serving else 503
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


async def _reaches_books(platform: Platform | None) -> bool:
    if platform is None:
        return False
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            if not await platform.books.connected():
                return False
            await platform.vault.ready(platform.books)  # Else its first call would wait for that.
    except (TimeoutError, Unavailable):
        return False
    return True
