"""Whether a file is safetensors: numbers with a table before them, and no program in it.

A file of models is given to a worker's Python. Other forms are unpickled there, which runs what
whoever wrote the file wanted (source: the format's own description, huggingface/safetensors).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path

LONGEST_TABLE: Final = 100_000_000
"""Bytes; the format's own limit."""
MOST_READ: Final = 16 << 20
"""Bytes of a table that are read here: it stands for 100,000 tensors and more."""
NOTES: Final = "__metadata__"


class NotWeights(Exception):
    """What the file lacks."""


def require(path: Path) -> None:
    """Raise NotWeights unless the file is whole safetensors: a table, and what it speaks of."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(LONGEST_TABLE, MOST_READ, size - 8):
            raise NotWeights("is not a safetensors file")
        text = file.read(length)
    try:
        table = json.loads(text)
    except (ValueError, RecursionError):
        raise NotWeights("is not a safetensors file") from None
    if not isinstance(table, dict):
        raise NotWeights("is not a safetensors file")
    room = size - 8 - length
    ends = [_end(one) for name, one in table.items() if name != NOTES]
    if any(end is None for end in ends) or max((end or 0 for end in ends), default=0) != room:
        raise NotWeights("is a safetensors file that does not end where its table says")


def _end(one: Any) -> int | None:
    """Return where a tensor's bytes end; None if it says no such thing."""
    offsets = one.get("data_offsets") if isinstance(one, dict) else None
    if not isinstance(offsets, list) or len(offsets) != 2:
        return None
    begin, end = offsets
    is_good = type(begin) is int and type(end) is int and 0 <= begin <= end
    return end if is_good else None
