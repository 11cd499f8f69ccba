"""Log lines: one JSON object a line, with ids and figures, never a secret, a prompt or a body.

`line` is the hot path's pen: where a web process gathers (`gather`), lines of one moment are
written together, and one costs a few microseconds. Elsewhere (a worker's threads, a command) each
is written at once. Everything else logs through `logging` and comes out in the same form.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import sys
import threading
import time
from typing import Any

import orjson

_FLUSH_SECONDS = 0.05
SECRET = re.compile(
    r"(rt_)[0-9a-f]{64,}|(/(?:invitations|notices|receipts|privacy(?:/confirm)?)/)[^/\s\"\\]+"
)
"""What lets in whoever has the address; Django names paths where it could not answer."""
_waiting: list[bytes] = []
_loop: asyncio.AbstractEventLoop | None = None
_thread = 0
"""The thread of the loop that gathers; only it touches what waits."""


def gather() -> None:
    """From now on gather the lines of this thread, whose loop runs and ends by `flush`."""
    global _loop, _thread
    _loop, _thread = asyncio.get_running_loop(), threading.get_ident()


def stop_gathering() -> None:
    """Write what waits; from now on each line is written at once."""
    global _loop, _thread
    flush()
    _loop, _thread = None, 0


def line(**facts: Any) -> None:
    """Write one line: at once, or within 50 ms where lines are gathered."""
    facts["at"] = time.time()
    text = _json(facts) + b"\n"
    if _loop is None or threading.get_ident() != _thread:
        _write(text)
        return
    if _loop.is_closed():  # It ended without a word.
        stop_gathering()
        _write(text)
        return
    if not _waiting:
        _loop.call_later(_FLUSH_SECONDS, flush)
    _waiting.append(text)


def flush() -> None:
    """Write what this thread gathered."""
    if _waiting and threading.get_ident() == _thread:
        block = b"".join(_waiting)
        _waiting.clear()
        _write(block)


def _write(block: bytes) -> None:
    """Give it to stderr in one piece.

    A worker may have put a text-only stand-in there: then the real one is taken. A stderr that is
    closed or full loses lines, and undoes nothing of what they tell.
    """
    out = getattr(sys.stderr, "buffer", None) or getattr(sys.__stderr__, "buffer", None)
    if out is not None:
        with contextlib.suppress(OSError, ValueError):
            out.write(block)
            out.flush()


_ROW = re.compile(
    r"(DETAIL:  (?:Failing row contains|Key)) .*?"
    r"(?=\n\nThe above exception|\n\nDuring handling|\Z)",
    re.DOTALL,
)
"""What the database says of a row that it refuses: of whom it tells, and the digests in it."""


def _json(facts: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(facts, default=str)
    except TypeError:  # An integer beyond 64 bits, half of a surrogate pair.
        return json.dumps(facts, default=str).encode()


class NoTraceOfStrangers(logging.Filter):
    """What anybody may send wrongly (a foreign Host, too large a body) is one line, no trace."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Take the trace away from what Django calls suspicious."""
        if record.name.startswith("django.security"):
            record.exc_info = record.exc_text = None
        return True


class NothingOfWhoLeft(logging.Filter):
    """Who leaves ends what was done for them: nobody waits for it, and that is no mistake."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Drop what asyncio says of a future that was cancelled and that nobody asked."""
        cancelled = record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError)
        return not (record.name == "asyncio" and cancelled)


class JsonFormatter(logging.Formatter):
    """The same form for `logging`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one JSON object."""
        facts: dict[str, Any] = {
            "at": record.created,
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        if record.exc_info:
            facts["trace"] = _ROW.sub(r"\1 ...", self.formatException(record.exc_info))
        return SECRET.sub(r"\1\2...", _json(facts).decode())
