"""A part of a file, as players of films ask for it (RFC 9110, 14): one range of bytes at most."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

FORM: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


class Part(NamedTuple):
    """From which byte on, and how many."""

    first: int
    length: int


class OutOfRange(Exception):
    """What is asked for lies beyond the end."""


def read(header: str, size: int) -> Part | None:
    """Return the part that is asked for; None: the whole, as for several parts or for none.

    Raises OutOfRange.
    """
    found = FORM.fullmatch(header.strip())
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:  # So many of its last bytes.
        first, last = max(size - int(found[2]), 0), size - 1
    else:
        first, last = int(found[1]), min(int(found[2] or size), size - 1)
    if first >= size or (not found[1] and not int(found[2])):
        raise OutOfRange
    return Part(first, last - first + 1) if first <= last else None
