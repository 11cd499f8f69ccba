"""Public identifiers: new ones, in the order of time; and those that a text may be."""

from __future__ import annotations

import os
import time
from uuid import UUID

_noise = ""


def uuid7() -> str:
    """Return a new UUIDv7 (RFC 9562) in its canonical text.

    Neighbours in time are neighbours in an index, and 74 bits are random.
    """
    milliseconds = time.time_ns() // 1_000_000
    global _noise
    if len(_noise) < 20:
        _noise = os.urandom(1280).hex()  # One system call for many ids.
    noise, _noise = _noise[:20], _noise[20:]
    head = f"{milliseconds:012x}"
    variant = "89ab"[int(noise[3], 16) & 3]
    return f"{head[:8]}-{head[8:]}-7{noise[:3]}-{variant}{noise[4:7]}-{noise[7:19]}"


def read(text: object) -> UUID | None:
    """Return the id that somebody wrote; None where it is none."""
    try:
        return UUID(str(text))
    except ValueError:
        return None
