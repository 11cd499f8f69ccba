"""Time-ordered public identifiers."""

from __future__ import annotations

import os
import time


def uuid7() -> str:
    """Return a new UUIDv7 (RFC 9562) in its canonical text.

    Neighbours in time are neighbours in an index, and 74 bits are random.
    """
    milliseconds = time.time_ns() // 1_000_000
    noise = os.urandom(10).hex()
    head = f"{milliseconds:012x}"
    variant = "89ab"[int(noise[3], 16) & 3]
    return f"{head[:8]}-{head[8:]}-7{noise[:3]}-{variant}{noise[4:7]}-{noise[7:19]}"
