"""A connection that asks for a websocket where there is one: aiohttp speaks it from then on.

Everywhere else an `Upgrade` is ignored, as before (http1.py): this reads a whole GET without a
body, at the addresses of ComfyUI's own dialect alone, whose client said nothing more yet. The
connection stays in its crowd, and counts for its address, for as long as it lasts.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    import asyncio

    from config.wire.http1 import Head

ENDS = re.compile(rb"/(?:comfy|run)(?:/.*)?/ws/?")
KEY = b"sec-websocket-key"
HEADER = b"connection"


def is_wanted(head: Head) -> bool:
    """Whether a request asks for a websocket, at an address that has one."""
    if head.method != "GET" or head.length != 0 or not ENDS.fullmatch(head.path):
        return False
    named = dict(head.headers)
    options = [each.strip() for each in named.get(HEADER, b"").lower().split(b",")]
    return head.version == "1.1" and b"upgrade" in options and KEY in named


def protocol(head: Head, client: str) -> asyncio.Protocol:
    """Return what speaks with the client, who has asked already."""
    from runs.faces import sockets  # Its apps are not loaded yet where the wire is.

    server = web.Server(partial(sockets.serve, client=client), access_log=None)
    made: Any = server()
    return made  # type: ignore[no-any-return]


def written(head: Head) -> bytes:
    """Return the request as it is read there: what http1 let through, and what it asks for."""
    query = b"?" + head.query if head.query else b""
    lines = [b"GET " + head.path + query + b" HTTP/1.1"]
    lines += [name + b": " + value for name, value in head.headers]
    return b"\r\n".join([*lines, b"upgrade: websocket", b"", b""])
