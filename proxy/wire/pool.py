"""The connections to vendors that are open: who takes one, who gives it back, how many there are.

What waits here was proved idle when it came and is proved again when it is taken. A request that
must not be made twice takes none that stood for long: a vendor that closes it just then would
leave nobody knowing.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from typing import TYPE_CHECKING

from proxy.wire.connection import Connection
from proxy.wire.dialing import Dialer

if TYPE_CHECKING:
    from proxy.wire.dialing import Target

IDLE_SECONDS = 15
SURE_SECONDS = 4
"""Hardly any server closes a connection that was idle for less."""
CONNECT_SECONDS = 10
MOST_OPEN = 10_000
MOST_IDLE = 512


class NotOpened(Exception):
    """No connection came about, so nothing was asked."""


class Pool:
    """The connections of one process, by origin."""

    def __init__(self) -> None:
        self._dialer = Dialer()
        self._open: set[Connection] = set()
        self._dialing = 0
        self._idle: defaultdict[str, deque[Connection]] = defaultdict(deque)
        self._idle_count = 0
        self._sweeping: asyncio.TimerHandle | None = None
        self._closed = False

    def take(self, there: Target, *, repeatable: bool) -> Connection | None:
        """Return the connection that was used last, if one is certainly idle still."""
        waiting = self._idle.get(there.origin)
        while waiting:
            found = waiting[-1]
            now = found.loop.time()
            if not repeatable and now - found.idle_since > SURE_SECONDS:
                return None  # The others are older.
            waiting.pop()
            self._idle_count -= 1
            if now < found.idle_until and found.idle():
                return found
            found.abort()
        return None

    async def open(self, there: Target, *, deadline: float) -> Connection:
        """Return a new connection; raise NotOpened."""
        if self._closed or not self._has_room():
            raise NotOpened("no more connections are opened")
        connection = Connection(there.origin, back=self._put, gone=self._open.discard)
        until = min(deadline, connection.loop.time() + CONNECT_SECONDS)
        self._dialing += 1
        try:
            async with asyncio.timeout_at(until):
                await self._dialer.dial(there, lambda: connection)
        except (OSError, ValueError) as exc:
            raise NotOpened(f"no connection came about: {type(exc).__name__}") from exc
        finally:
            self._dialing -= 1
        if self._closed or not connection.alive():
            connection.abort()
            raise NotOpened("the connection ended as it came about")
        self._open.add(connection)
        return connection

    async def close(self) -> None:
        """Close all connections; whoever waits for an answer loses it."""
        self._closed = True
        if self._sweeping is not None:
            self._sweeping.cancel()
        for connection in list(self._open):
            connection.abort()
        for _ in range(100):  # Their ends are told in the turns that follow.
            if self._open:
                await asyncio.sleep(0)

    def _has_room(self) -> bool:
        if len(self._open) + self._dialing < MOST_OPEN:
            return True
        for waiting in self._idle.values():
            if waiting:
                waiting.popleft().abort()
                self._idle_count -= 1
                return True
        return False

    def _put(self, connection: Connection) -> None:
        """Keep it for the next, for as long as it is safe to."""
        seconds = float(IDLE_SECONDS)
        if connection.kept_for is not None:
            seconds = min(seconds, connection.kept_for - 1)  # We end it before the vendor does.
        full = self._closed or self._idle_count >= MOST_IDLE
        if full or seconds <= 0 or not connection.alive():
            connection.abort()
            return
        connection.idle_since = now = connection.loop.time()
        connection.idle_until = now + seconds
        self._idle[connection.origin].append(connection)
        self._idle_count += 1
        if self._sweeping is None:
            self._sweeping = connection.loop.call_later(IDLE_SECONDS, self._sweep)

    def _sweep(self) -> None:
        """Close what was idle for too long, or is idle no more."""
        self._sweeping, loop = None, asyncio.get_running_loop()
        for origin, waiting in list(self._idle.items()):
            kept: deque[Connection] = deque()
            for connection in waiting:
                if loop.time() < connection.idle_until and connection.idle():
                    kept.append(connection)
                else:
                    connection.abort()
            self._idle_count -= len(waiting) - len(kept)
            if kept:
                self._idle[origin] = kept
            else:
                del self._idle[origin]
        if self._idle:
            self._sweeping = loop.call_later(IDLE_SECONDS / 3, self._sweep)
