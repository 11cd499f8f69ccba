"""The one door: the proxy and Django side by side, in one process.

`/proxy/*` never enters Django: its handler alone costs more than a whole metered call
(docs/decisions/0001).
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
from typing import TYPE_CHECKING
from urllib.parse import unquote

from django.core.asgi import get_asgi_application

from config import tracing

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
tracing.begin("web")  # Before Django reads which middleware there is.
django = get_asgi_application()  # First: it loads the apps that the proxy imports.

from asgiref.sync import sync_to_async  # noqa: E402
from django.db import DatabaseError  # noqa: E402

from apikeys import keys  # noqa: E402
from common import logs  # noqa: E402
from config import rooms, serving, storage  # noqa: E402
from proxy import door, process  # noqa: E402
from proxy.alive import Alive  # noqa: E402

if TYPE_CHECKING:
    from proxy.http import Receive, Scope, Send

log = logging.getLogger("config")

UNESCAPED = 4
"""So often it is looked what an address says once more unescaped."""
KEY_IN_ADDRESS = (
    "An API key does not belong into an address, where logs keep it. Send it in the header "
    "X-API-KEY; and rotate this one."
)


class Application:
    """The ASGI application of one web process."""

    def __init__(self) -> None:
        self._platform: process.Platform | None = None
        self._chores: asyncio.Task[None] | None = None
        self._serve = tracing.of_calls(door.serve)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send each request through its door."""
        if scope["type"] == "http":
            path = scope["path"]
            if path.startswith("//"):
                # A base that ends in a slash, joined by hand.
                path = scope["path"] = "/" + path.lstrip("/")
            if is_named(scope):
                await rooms.refuse(scope, receive, send, KEY_IN_ADDRESS)
            elif path.startswith("/proxy/"):
                await self._serve(await self._started(), scope, receive, send)
            elif path.startswith("/uploads/"):
                await door.serve(await self._started(), scope, receive, send, storage.answer)
            elif path == "/serving" and scope["method"] in ("GET", "HEAD"):
                await serving.answer(self._platform, scope, send)
            else:
                await rooms.serve(django, scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)

    async def _started(self) -> process.Platform:
        if self._platform is None:
            self._platform = await process.start(alive=Alive())
        return self._platform

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self._platform = await process.start(alive=Alive())
                if serving.DRAIN in os.environ:
                    serving.drain_at_sigterm()
                serving.end_with_parent()
                logs.gather()
                _calm_the_collector()
                self._chores = asyncio.get_running_loop().create_task(_keep_writing_used_keys())
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                if self._chores is not None:
                    self._chores.cancel()
                if self._platform is not None:
                    await process.stop(self._platform)
                await _write_used_keys()
                logs.stop_gathering()
                await send({"type": "lifespan.shutdown.complete"})
                return


def is_named(scope: Scope) -> bool:
    """Whether the address holds what looks like a key, however it is escaped."""
    text = f"{scope['path']}?{scope['query_string'].decode('latin-1')}"
    for _ in range(UNESCAPED):
        if keys.LOOKS_LIKE_ONE.search(text):
            return True
        if "%" not in text:
            return False
        text = unquote(text)
    return False


def _calm_the_collector() -> None:
    """Leave what was loaded at the start out of every later garbage collection.

    A full collection walks all of Django's modules and would stop every call for tens of
    milliseconds; what a call leaves behind is mostly freed by counting references.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


async def _keep_writing_used_keys() -> None:
    """Once a minute, write when keys were used: never on the path of a call."""
    while True:
        await asyncio.sleep(keys.Used.SECONDS)
        await _write_used_keys()


async def _write_used_keys() -> None:
    """Write it, if a minute is over; while the database is away it waits for the next time."""
    try:
        if keys.used.is_due():
            await sync_to_async(keys.used.write)()
    except DatabaseError as exc:
        log.warning("when keys were used is written later: %s", type(exc).__name__)


application = Application()
