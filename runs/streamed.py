"""What a comfy-api-proxy tells of a job while that works, in ComfyUI's own words.

Asked for a job it names no progress but zero; by its stream of events (`/jobs/<id>/events`) it
names some, and sends pictures. That is for who watches, and for when a job was first seen to work
and to have ended: how it ended, its row there says. What comes that is odd is left out.
"""

from __future__ import annotations

import base64
import binascii
import math
import struct
from typing import TYPE_CHECKING, Any, Final

import orjson

from runs import frames

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator

MOST_FRAME: Final = 6 << 20
"""A picture of a node, as base64, with what is around it."""
LONGEST_NODE: Final = 100
MOST_STEPS: Final = 1_000_000
OVER: Final = ("succeeded", "failed", "canceled", "expired")

Heard = dict[str, Any] | bytes


class TooLong(Exception):
    """One frame has no end."""


async def events(chunks: AsyncIterable[bytes]) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """Yield the events of a stream, by name, with their JSON objects. Raises TooLong."""
    left = b""
    async for chunk in chunks:
        left += chunk.replace(b"\r", b"")
        *whole, left = left.split(b"\n\n")
        if len(left) > MOST_FRAME:
            raise TooLong
        for frame in whole:
            if (found := _event(frame)) is not None:
                yield found


def _event(frame: bytes) -> tuple[str, dict[str, Any]] | None:
    name, data = "", []
    for line in frame.split(b"\n"):
        field, _, value = line.partition(b":")
        if field == b"event":
            name = value.strip().decode(errors="replace")
        elif field == b"data":
            data.append(value)
    try:
        said = orjson.loads(b"\n".join(data)) if data else None
    except ValueError:
        return None
    return (name, said) if isinstance(said, dict) else None


class Job:
    """Translates the events of one job; `attempt` is the prompt that we know it as."""

    def __init__(self, attempt: str) -> None:
        self._attempt = attempt
        self._node = ""

    def messages(self, name: str, said: dict[str, Any]) -> list[Heard]:
        """Return what a ComfyUI would have told."""
        if name == "progress":
            return self._progress(said)
        if name == "preview":
            picture = self._picture(said)
            return [picture] if picture else []
        if name == "status" and said.get("status") in OVER:
            return [self._message("executing", node=None)]
        return []

    def _progress(self, said: dict[str, Any]) -> list[Heard]:
        node = said.get("current_node")
        told: list[Heard] = []
        if isinstance(node, str) and 0 < len(node) <= LONGEST_NODE and node != self._node:
            self._node = node
            told.append(self._message("executing", node=node, display_node=node))
        step, steps = _count(said.get("step")), _count(said.get("steps"))
        if self._node and step is not None and steps:
            told.append(self._message("progress", node=self._node, value=step, max=steps))
        return told

    def _picture(self, said: dict[str, Any]) -> bytes | None:
        text, media = said.get("data_base64"), said.get("content_type")
        if not isinstance(text, str) or media not in frames.KNOWN:
            return None
        try:
            data = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            return None
        node = said.get("node_id")
        facts = orjson.dumps(
            {
                "prompt_id": self._attempt,
                "node_id": node if isinstance(node, str) else "",
                "image_type": media,
            }
        )
        return struct.pack(">II", frames.WITH_FACTS, len(facts)) + facts + data

    def _message(self, kind: str, **data: Any) -> dict[str, Any]:
        return {"type": kind, "data": {**data, "prompt_id": self._attempt}}


def _count(said: object) -> int | None:
    if isinstance(said, bool) or not isinstance(said, (int, float)) or not math.isfinite(said):
        return None
    return int(said) if 0 <= said <= MOST_STEPS else None
