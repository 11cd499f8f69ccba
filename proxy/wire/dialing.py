"""Bring a connection about: a name's addresses, the first of them that answers, TLS.

What goes wrong here went wrong before anything was asked. No proxy of the environment is used;
TLS is verified against the system's certificates (`SSL_CERT_FILE` names others).
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import re
import socket
import ssl
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

STAGGER_SECONDS = 0.25
"""How long an address may hesitate before the next is tried beside it (RFC 8305)."""
ADDRESSES_SECONDS = 10
PORTS = {"http": 80, "https": 443}
Address = tuple[int, Any]
"""Family, and what `socket.connect` takes."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a URL leads."""

    origin: str
    host: str
    port: int
    tls: bool
    authority: str
    path: str
    """With the query, as it stands."""


@functools.lru_cache(maxsize=1024)
def target(url: str) -> Target:
    """Return where a URL leads, as it stands; raise ValueError if nobody could ask for it."""
    if not re.fullmatch(r"[!-~]+", url):
        raise ValueError("a URL is of printable ASCII")
    parts = urlsplit(url)
    if parts.scheme not in PORTS or not parts.hostname or parts.username is not None:
        raise ValueError("a URL is of http or https, has a host and names no user")
    port, path = parts.port or PORTS[parts.scheme], parts.path or "/"
    return Target(
        origin=f"{parts.scheme}://{parts.hostname}:{port}",
        host=parts.hostname,
        port=port,
        tls=parts.scheme == "https",
        authority=parts.netloc,
        path=f"{path}?{parts.query}" if parts.query else path,
    )


class Dialer:
    """Makes connections, and remembers for a moment where names led."""

    def __init__(self) -> None:
        self._addresses: dict[str, tuple[float, asyncio.Task[list[Address]]]] = {}

    async def dial(self, there: Target, protocol: Callable[[], asyncio.Protocol]) -> None:
        """Connect; the protocol is told so. Raises OSError (TLS's too) or ValueError."""
        loop = asyncio.get_running_loop()
        try:
            door = await first_of(await self._where(there))
        except OSError:
            self._addresses.pop(there.origin, None)
            raise
        context, name = (verified(), there.host) if there.tls else (None, None)
        try:
            await loop.create_connection(protocol, sock=door, ssl=context, server_hostname=name)
        except BaseException:
            door.close()
            raise

    async def _where(self, there: Target) -> list[Address]:
        """Return a host's addresses, looked up once for all who ask at the time.

        Who must wait for a slow look-up waits for the one that is on its way: each takes a thread.
        """
        loop = asyncio.get_running_loop()
        until, looked_up = self._addresses.get(there.origin, (0.0, None))
        if looked_up is None or (looked_up.done() and loop.time() > until):
            if len(self._addresses) > 1000:
                self._addresses.clear()
            looked_up = loop.create_task(_look_up(there.host, there.port))
            looked_up.add_done_callback(lambda task: task.cancelled() or task.exception())
            self._addresses[there.origin] = (loop.time() + ADDRESSES_SECONDS, looked_up)
        return await asyncio.shield(looked_up)


@functools.cache
def verified() -> ssl.SSLContext:
    """Return how vendors are known under TLS."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


async def _look_up(host: str, port: int) -> list[Address]:
    """Return a host's addresses, the two families by turns."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    sixes = [(int(each[0]), each[4]) for each in found if each[0] == socket.AF_INET6]
    fours = [(int(each[0]), each[4]) for each in found if each[0] == socket.AF_INET]
    return [each for each in chain(*zip_longest(sixes, fours)) if each is not None]


async def first_of(addresses: list[Address]) -> socket.socket:
    """Return a socket connected to whichever answers first; raise OSError if none does."""
    waiting, left = set[asyncio.Task[socket.socket]](), list(addresses)
    failure: BaseException = OSError("the name has no address")
    try:
        while left or waiting:
            if left:
                waiting.add(asyncio.create_task(_connect(left.pop(0))))
            patience = STAGGER_SECONDS if left else None
            done, _ = await asyncio.wait(
                waiting, timeout=patience, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                waiting.discard(task)
                if task.exception() is None:
                    return task.result()
                failure = task.exception() or failure
        raise failure
    finally:
        for task in waiting:
            task.cancel()
            task.add_done_callback(_close_late)


def _close_late(task: asyncio.Task[socket.socket]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().close()


async def _connect(address: Address) -> socket.socket:
    family, where = address
    door = socket.socket(family, socket.SOCK_STREAM)
    try:
        door.setblocking(False)
        door.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A vendor thinks for minutes: keep what lies between awake, and notice if it is gone.
        door.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        with contextlib.suppress(AttributeError, OSError):  # Not every system has them.
            door.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
            door.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 20)
            door.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 6)
        await asyncio.get_running_loop().sock_connect(door, where)
    except BaseException:
        door.close()
        raise
    return door
