"""The binary messages of a ComfyUI: pictures of what it works on (big-endian, a type first)."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

import orjson

PLAIN: Final = 1
WITH_FACTS: Final = 4
TYPES: Final = {1: "image/jpeg", 2: "image/png"}
KNOWN: Final = (*TYPES.values(), "image/webp")
MOST: Final = 4 << 20


class Picture(NamedTuple):
    """A picture of a node that works; what an older worker does not say is empty."""

    prompt_id: str
    node_id: str
    content_type: str
    data: bytes


def read(frame: bytes) -> Picture | None:
    """Return the picture in a message; None where it is none, or is not understood."""
    if not 8 < len(frame) <= MOST:
        return None
    kind, second = struct.unpack_from(">II", frame)
    if kind == PLAIN and second in TYPES:
        return Picture("", "", TYPES[second], frame[8:])
    if kind != WITH_FACTS or 8 + second >= len(frame):
        return None
    try:
        facts = orjson.loads(frame[8 : 8 + second])
    except ValueError:
        return None
    media = facts.get("image_type") or "image/jpeg" if isinstance(facts, dict) else None
    if media not in KNOWN:
        return None
    return Picture(
        str(facts.get("prompt_id") or ""),
        str(facts.get("display_node_id") or facts.get("node_id") or ""),
        media,
        frame[8 + second :],
    )
