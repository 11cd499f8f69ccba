"""All connections of one web process: how many there may be, from where, and for how long.

A connection costs a stranger nothing and us a file, a buffer and, if it speaks slowly, a request
that never becomes whole. So there is room for so many of one address and so many in all; where
there is none, the newest that is idle goes, and a connection's times are looked at once a second,
by one timer for all of them.
"""

from __future__ import annotations

import asyncio
import resource
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.conf import settings

from common.cached import from_settings

if TYPE_CHECKING:
    from config.wire.connection import Connection

FILES_FOR_ELSE = 128
"""Open files that are neither a client's connection nor a vendor's."""
NEW_SECONDS = 2
"""So long one may be idle before it is in the way of others, if there is room as long as that."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one web process, from its settings."""

    connections: int
    per_address: int
    head_seconds: float
    keep_alive_seconds: float
    body_grace_seconds: float
    body_bytes_per_second: int
    stall_seconds: float
    drain_seconds: float = 30.0
    """So long what is left of a body is read behind its answer, so that the answer arrives."""
    stall_bytes: int = 64 << 10
    """What a client must take of its answer in `stall_seconds`."""


@from_settings
def limits() -> Limits:
    """Return them; there are never more connections than files to hold them, and their vendors'."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    room = max(64, (files - FILES_FOR_ELSE) // 2)
    return Limits(
        connections=min(settings.CONNECTIONS, room),
        per_address=settings.CONNECTIONS_PER_ADDRESS,
        head_seconds=settings.HEAD_SECONDS,
        keep_alive_seconds=settings.KEEP_ALIVE_SECONDS,
        body_grace_seconds=settings.BODY_GRACE_SECONDS,
        body_bytes_per_second=settings.BODY_BYTES_PER_SECOND,
        stall_seconds=settings.ANSWER_STALL_SECONDS,
    )


def want_files() -> None:
    """Have as many open files as the system lets this process have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Crowd:
    """The connections of one server, oldest first."""

    def __init__(self) -> None:
        self.all: dict[Connection, None] = {}
        self.of: dict[str, dict[Connection, None]] = {}
        """By address; those of a reverse proxy of ours are nobody's."""
        self.asking: dict[str, int] = {}
        """Requests that are being answered, by the address that a reverse proxy names."""
        self._timer: asyncio.TimerHandle | None = None

    def enter(self, connection: Connection) -> bool:
        """Let one in, in the place of one that is idle if there is no room; False if there is none.

        Then those from its address come first: who fills a room pays with its own.
        """
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(1, self._tick)
        address, most = connection.address, limits()
        if address is not None:
            own = self.of.setdefault(address, {})
            if len(own) >= most.per_address and not _make_room(own):
                return False
        if len(self.all) >= most.connections and not _make_room(self.all):
            return False
        self.all[connection] = None
        if address is not None:
            self.of.setdefault(address, {})[connection] = None
        return True

    def leave(self, connection: Connection) -> None:
        """Forget one; a second time changes nothing."""
        self.all.pop(connection, None)
        address = connection.address
        own = self.of.get(address) if address is not None else None
        if own is not None:
            own.pop(connection, None)
            if not own:
                del self.of[address]  # type: ignore[arg-type]

    def begin(self, address: str) -> bool:
        """Count a request that came through a reverse proxy; False if its address has too many."""
        asking = self.asking.get(address, 0)
        if asking >= limits().per_address:
            return False
        self.asking[address] = asking + 1
        return True

    def end(self, address: str) -> None:
        """Count it no longer."""
        left = self.asking[address] - 1
        if left:
            self.asking[address] = left
        else:
            del self.asking[address]

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(1, self._tick) if self.all else None
        now = loop.time()
        for connection in list(self.all):
            connection.check(now)


def _make_room(among: dict[Connection, None]) -> bool:
    """End the newest that is idle for a while; where none is, the one that is idle the longest.

    So a crowd that comes makes room among itself. And one that comes faster than a while is over
    leaves each as long as it can: who was just let in, or asks again and again, is not its victim.
    """
    longest = None
    now = asyncio.get_running_loop().time()
    for each in reversed(among):
        if each.idle:
            if now - each.since > NEW_SECONDS:
                each.give_way()
                return True
            if longest is None or each.since < longest.since:
                longest = each
    if longest is not None:
        longest.give_way()
    return longest is not None
