"""When an exchange is given up: a silence, hardly anything in a minute, or too long in all.

One timer for each connection, looked at when it may be time, and not moved by what comes: it costs
an exchange next to nothing. What we ourselves hold up is not held against the vendor: while the
client reads slowly, or is slow to send what it uploads, only the whole counts.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.wire.reading import Broken

if TYPE_CHECKING:
    from proxy.wire.exchange import Exchange
    from proxy.wire.reading import Fields

RATE_SECONDS = 60
"""Over so long the least rate is averaged."""
SLOW_TYPES = (b"text/event-stream", b"application/x-ndjson", b"application/jsonl")
"""Lines come when there is something to say; a silence ends them, a low rate does not."""


@dataclass(slots=True)
class Limits:
    """How long an exchange may take."""

    silence: float
    deadline: float
    """On the loop's clock."""
    least_rate: int
    """In bytes a second."""


class Pace:
    """Watches the exchanges of one connection, each from its first byte to its last."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.heard_at = 0.0
        """When the vendor last sent something, or took something of ours."""
        self._loop = loop
        self._exchange: Exchange | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    def begin(self, exchange: Exchange, limits: Limits) -> None:
        """Watch this one."""
        self._exchange, self._limits = exchange, limits
        self._written = self._before = 0
        self.ours()
        self._set()

    def end(self) -> None:
        """Watch no longer. The timer goes on for the next, and says nothing if there is none."""
        self._exchange = None

    def stop(self) -> None:
        """There will be no next."""
        self._exchange = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def ours(self) -> None:
        """Let the silence, and the minute, begin anew: it was we who held things up."""
        self.heard_at = now = self._loop.time()
        self._was_its_turn, self._window_end = False, now + RATE_SECONDS

    def _set(self) -> None:
        """See that the timer looks before anything can be too late."""
        limits = self._limits
        at = min(self.heard_at + limits.silence, self._window_end, limits.deadline)
        if self._timer is not None:
            if self._timer_at <= at:
                return
            self._timer.cancel()
        self._timer_at, self._timer = at, self._loop.call_at(at, self._look)

    def _look(self) -> None:
        self._timer = None
        exchange, now = self._exchange, self._loop.time()
        if exchange is None:
            return
        written = exchange.written()
        if exchange.held_up:
            self.ours()
        elif written > self._written:
            self.heard_at = now
        self._written = written
        if now >= self._limits.deadline:
            exchange.fail(Broken("it took too long in all"))
        elif now >= self.heard_at + self._limits.silence:
            exchange.fail(Broken("the vendor was silent for too long"))
        elif now >= self._window_end and not self._moved_enough(exchange, now):
            exchange.fail(Broken("the vendor sends, or takes, next to nothing"))
        else:
            self._set()

    def _moved_enough(self, exchange: Exchange, now: float) -> bool:
        """Begin another minute; False if the last was the vendor's, and hardly anything moved.

        It is its turn once its answer has begun, and while it has of our request still to take.
        """
        reader, was_its_turn, before = exchange.reader, self._was_its_turn, self._before
        answers = bool(reader.status) and not _is_slow(reader.fields)
        self._was_its_turn = answers or exchange.unwritten() > 0
        self._before = reader.received + self._written
        self._window_end = now + RATE_SECONDS
        if not (was_its_turn and self._was_its_turn):
            return True
        return self._before - before >= self._limits.least_rate * RATE_SECONDS


def _is_slow(fields: Fields) -> bool:
    return fields.get(b"content-type", b"").lower().startswith(SLOW_TYPES)
