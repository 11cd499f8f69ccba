"""How large a picture is, by the first bytes of it: PNG, JPEG and WebP.

A library that opens a picture also reads what else stands before its pixels, and a stranger's
profiles unpack for minutes. Where the one event loop would wait for that, only the head is looked
at, in a bounded number of steps. (Files that are uploaded are measured by a library in a program of
its own, `probe.py`.)
"""

from __future__ import annotations

import struct

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
MOST_SEGMENTS = 2000
"""Of a JPEG before its pixels: a profile of the largest kind comes in 255."""
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of a JPEG's frame, by whatever process it is coded (ISO/IEC 10918-1, B.1.1.3)."""
ALONE = frozenset((0x01, *range(0xD0, 0xD9)))
"""Markers that no length follows."""
SCAN, END = 0xDA, 0xD9


def pixels(head: bytes) -> int | None:
    """Return how many pixels the picture has that begins so; None where it does not say."""
    if head.startswith(PNG):
        return _png(head)
    if head.startswith(JPEG):
        return _jpeg(head)
    return _webp(head) if head[:4] == b"RIFF" and head[8:12] == b"WEBP" else None


def _png(head: bytes) -> int | None:
    """Return the pixels by its first chunk, which must be this one (PNG, 5.6)."""
    if len(head) < 24 or head[8:16] != b"\0\0\0\x0dIHDR":
        return None
    width, height = struct.unpack_from(">II", head, 16)
    return width * height or None


def _jpeg(head: bytes) -> int | None:
    """Return the pixels of the largest frame before the first scan."""
    found, at = 0, 2
    for _ in range(MOST_SEGMENTS):
        if at + 9 > len(head) or head[at] != 0xFF:
            return None
        marker = head[at + 1]
        if marker == 0xFF:  # Padding.
            at += 1
            continue
        if marker in (SCAN, END):
            return found or None
        if marker in FRAMES:
            height, width = struct.unpack_from(">HH", head, at + 5)
            found = max(found, height * width)
        at += 2 if marker in ALONE else 2 + max(2, int.from_bytes(head[at + 2 : at + 4], "big"))
    return None


def _webp(head: bytes) -> int | None:
    """Return the pixels of the canvas, or of the one picture (RFC 9649, 2.5 to 2.7)."""
    match head[12:16]:
        case b"VP8X" if len(head) >= 30:
            width, height = (1 + int.from_bytes(head[at : at + 3], "little") for at in (24, 27))
        case b"VP8L" if len(head) >= 25 and head[20] == 0x2F:
            packed = int.from_bytes(head[21:25], "little")
            width, height = 1 + (packed & 0x3FFF), 1 + (packed >> 14 & 0x3FFF)
        case b"VP8 " if len(head) >= 30 and head[23:26] == b"\x9d\x01\x2a":
            width, height = (value & 0x3FFF for value in struct.unpack_from("<HH", head, 26))
        case _:
            return None
    return width * height or None
