"""Log lines: one JSON object a line, with ids and figures, never a secret, a prompt or a body.

`line` is the hot path's pen: it costs a few microseconds, because lines of one moment are
written together. Everything else logs through `logging` and comes out in the same form.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from typing import Any

import orjson

_waiting: list[bytes] = []
_FLUSH_SECONDS = 0.05


def line(**facts: Any) -> None:
    """Write one line; it reaches stderr within 50 ms while the loop runs (or at `flush`)."""
    if not _waiting:
        asyncio.get_running_loop().call_later(_FLUSH_SECONDS, flush)
    facts["at"] = time.time()
    _waiting.append(orjson.dumps(facts, option=orjson.OPT_APPEND_NEWLINE, default=str))


def flush() -> None:
    """Write what waits."""
    if _waiting:
        block = b"".join(_waiting)
        _waiting.clear()
        sys.stderr.buffer.write(block)
        sys.stderr.buffer.flush()


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
            facts["trace"] = self.formatException(record.exc_info)
        return orjson.dumps(facts, default=str).decode()
