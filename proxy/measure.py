"""Measure what a price depends on and nobody is to be believed about: pixels and seconds."""

from __future__ import annotations

import base64
import binascii
from fractions import Fraction
from typing import TYPE_CHECKING

from common.errors import InvalidRequest
from proxy import heads

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MEGAPIXEL = 1024 * 1024
HEADER_CHARACTERS, LONGEST_HEADER = 256 << 10, 8 << 20
"""Of base64, in which the head of a picture stands; that of a JPEG may be longer."""
MOST_PIXELS = 178_956_970
"""Of a picture that nobody takes for a bomb: as Pillow has it."""
HEAD_BYTES = 1 << 20
LONGEST_SECONDS = 24 * 3600


def megapixels(name: str, value: object) -> Fraction:
    """Return the megapixels (of 1024 x 1024) of a base64 image, read from its header alone.

    A `data:` prefix is allowed. Raises InvalidRequest where it is not an image that we can read:
    its price would be a guess.
    """
    if not isinstance(value, str) or not value:
        raise InvalidRequest(f"{name} must be an image in base64.")
    try:
        found = _size(value)
    except (binascii.Error, ValueError) as exc:
        raise InvalidRequest(f"{name} must be a PNG, JPEG or WebP image in base64.") from exc
    if found is None:
        raise InvalidRequest(f"{name} must be a PNG, JPEG or WebP image in base64.")
    if found > MOST_PIXELS:
        raise InvalidRequest(f"{name} has more pixels than any vendor takes.")
    return Fraction(found, MEGAPIXEL)


def _size(text: str, characters: int = HEADER_CHARACTERS) -> int | None:
    head = text[:characters]
    if head.startswith("data:"):
        head = head.partition(",")[2]
    head = "".join(head.split())
    raw = base64.b64decode(head[: len(head) // 4 * 4], validate=True)
    found = heads.pixels(raw)
    if found is None and raw.startswith(heads.JPEG) and characters < min(len(text), LONGEST_HEADER):
        return _size(text, LONGEST_HEADER)  # A profile or a preview stands before its frame.
    return found


async def delivered(what: str, chunks: AsyncIterator[bytes]) -> Fraction | None:
    """Return the `seconds`, `frames` or `pixels` of a file as it comes; None if it has none."""
    match what:
        case "frames":
            return await mp4_frames(chunks)
        case "pixels":
            return await picture_pixels(chunks)
    return await mp4_seconds(chunks)


async def picture_pixels(chunks: AsyncIterator[bytes]) -> Fraction | None:
    """Return how many pixels a picture has, by its header; None where that cannot be read."""
    found = heads.pixels(await _Reader(chunks).take(HEAD_BYTES))
    return None if found is None or found > MOST_PIXELS else Fraction(found)


async def mp4_seconds(chunks: AsyncIterator[bytes]) -> Fraction | None:
    """Return the length in seconds that an MP4's `mvhd` box states (ISO/IEC 14496-12, 8.2.2).

    Reads boxes as they come and holds at most the `moov` box (1 MiB) in memory; None where there
    is no such box, or where it does not know the length or states one that no result has.
    """
    moov = await _moov(chunks)
    return None if moov is None else _mvhd(moov)


async def mp4_frames(chunks: AsyncIterator[bytes]) -> Fraction | None:
    """Return how many pictures the video track of an MP4 has, by its `stsz` box (ibid., 8.7.3)."""
    moov = await _moov(chunks)
    at = -1 if moov is None else moov.find(b"vide")
    found = -1 if moov is None or at < 0 else moov.find(b"stsz", at)
    if moov is None or found < 0 or len(moov) < found + 16:
        return None
    frames = int.from_bytes(moov[found + 12 : found + 16], "big")
    return Fraction(frames) if frames else None  # None: they lie in fragments.


async def _moov(chunks: AsyncIterator[bytes]) -> bytes | None:
    reader = _Reader(chunks)
    while (box := await reader.box()) is not None:
        kind, size = box
        if kind == b"moov":
            return await reader.take(min(size, 1 << 20))
        if not await reader.skip(size):
            return None
    return None


def _mvhd(moov: bytes) -> Fraction | None:
    at = moov.find(b"mvhd")
    body = moov[at + 4 :]
    if at < 0 or len(body) < 32:
        return None
    wide = 8 if body[0] == 1 else 4  # Version 1: 64-bit times.
    here = 4 + 2 * wide
    scale = int.from_bytes(body[here : here + 4], "big")
    length = int.from_bytes(body[here + 4 : here + 4 + wide], "big")
    if not scale or length == (1 << 8 * wide) - 1:  # All ones: it cannot be determined.
        return None
    return seconds if (seconds := Fraction(length, scale)) <= LONGEST_SECONDS else None


class _Reader:
    """Takes and skips bytes of a stream of chunks."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._left = b""

    async def box(self) -> tuple[bytes, int] | None:
        """Return the kind and the size of what follows of the next box; None at the end."""
        head = await self.take(8)
        if len(head) < 8:
            return None
        size, kind = int.from_bytes(head[:4], "big"), head[4:]
        if size == 1:
            size = int.from_bytes(await self.take(8), "big") - 8
        elif size == 0:
            size = 1 << 62  # To the end of the file.
        return (kind, size - 8) if size >= 8 else None

    async def take(self, count: int) -> bytes:
        """Return the next `count` bytes, fewer only at the end."""
        while len(self._left) < count:
            try:
                self._left += await anext(self._chunks)
            except StopAsyncIteration:
                break
        taken, self._left = self._left[:count], self._left[count:]
        return taken

    async def skip(self, count: int) -> bool:
        """Pass over `count` bytes; False if the stream ended before."""
        while count > len(self._left):
            count -= len(self._left)
            self._left = b""
            try:
                self._left = await anext(self._chunks)
            except StopAsyncIteration:
                return False
        self._left = self._left[count:]
        return True
