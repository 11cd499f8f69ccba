"""When an exchange is given up: a silence, hardly anything in a minute, or too long in all.

One timer for each exchange, looked at when it may be time, and never moved by what comes. What we
ourselves hold up is not held against the vendor: while the client reads slowly, or is slow to send
what it uploads, only the whole counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.wire.reading import Broken

if TYPE_CHECKING:
    import asyncio

    from proxy.wire.exchange import Exchange, Limits

RATE_SECONDS = 60
"""Over so long the least rate is averaged."""
SLOW_TYPES = (b"text/event-stream", b"application/x-ndjson", b"application/jsonl")
"""Lines come when there is something to say; a silence ends them, a low rate does not."""


class Pace:
    """Watches one exchange from its first byte to its last."""

    __slots__ = ("_before", "_exchange", "_limits", "_loop", "_timer", "_was_its_turn",
                 "_window_end", "_written", "heard_at")  # fmt: skip

    def __init__(self, exchange: Exchange, loop: asyncio.AbstractEventLoop, limits: Limits) -> None:
        self._exchange: Exchange | None = exchange
        self._loop, self._limits = loop, limits
        self.heard_at = now = loop.time()
        """When the vendor last sent something, or took something of ours."""
        self._written = 0
        self._was_its_turn = False
        self._before = 0
        self._window_end = now + RATE_SECONDS
        self._timer = loop.call_at(self._next(), self._look)

    def stop(self) -> None:
        """Watch no longer."""
        self._timer.cancel()
        self._exchange = None

    def ours(self) -> None:
        """Let the silence, and the minute, begin anew: it was we who held things up."""
        self.heard_at = now = self._loop.time()
        self._was_its_turn, self._window_end = False, now + RATE_SECONDS

    def _next(self) -> float:
        limits = self._limits
        return min(self.heard_at + limits.silence, self._window_end, limits.deadline)

    def _look(self) -> None:
        exchange, now = self._exchange, self._loop.time()
        assert exchange is not None, "it was stopped, and its timer with it"
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
            self._timer = self._loop.call_at(self._next(), self._look)

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


def _is_slow(fields: list[tuple[bytes, bytes]]) -> bool:
    return any(
        name == b"content-type" and value.lower().startswith(SLOW_TYPES) for name, value in fields
    )
