"""Pictures of what runs made in another form: small ones, and as a ComfyUI shows them.

So many pixels are worked on at once in a process: a copy of each takes four bytes, and up to four
of them are there at a time. Who comes meanwhile waits a moment, or is told to (room.py).
"""

from __future__ import annotations

import io
import struct
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from PIL import Image, ImageOps

from common import db
from runs.faces.room import Room
from uploads import shelf

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runs.models import Asset, Output

SIDE: Final = 300
MOST_BYTES: Final = 64 << 20
MOST_PIXELS: Final = 64_000_000
QUALITY: Final = 80
ROOM: Final = Room(size=MOST_PIXELS, places=4, waiting=16, seconds=10)
FORMATS: Final = ("PNG", "JPEG", "MPO", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
"""What is read as a picture. Pillow knows more, of which some have another program read them."""
FAILED: Final = (
    ArithmeticError, EOFError, LookupError, MemoryError, OSError, RuntimeError, SyntaxError,
    TypeError, ValueError, struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip
"""What Pillow says of what is no picture, is far too large, or is broken: each format its own."""


def shown(kept: Asset | Output, kind: str, quality: int, channel: str) -> tuple[bytes, str] | None:
    """Return a picture as `webp`, `jpeg` or `png`, and its media type; None where that is none.

    `channel` is `rgb` (without what shines through), `a` (that alone), or neither. Raises
    Unavailable where too many are made at once.
    """
    try:
        with _opened(kept) as found:
            picture = found.convert("RGBA" if "A" in found.getbands() else "RGB")
            if kind == "jpeg" or channel == "rgb":
                picture = picture.convert("RGB")
            elif channel == "a":
                alpha = picture.convert("RGBA").getchannel("A")
                picture = Image.new("RGBA", picture.size)
                picture.putalpha(alpha)
            into = io.BytesIO()
            picture.save(into, kind, quality=quality)
    except FAILED:
        return None
    return into.getvalue(), f"image/{kind}"


def made(kept: Asset | Output) -> bytes | None:
    """Return a picture within 300 by 300 (WebP); None of what is no picture, or too large a one.

    Raises Unavailable where too many are made at once.
    """
    try:
        with _opened(kept) as found:
            found.draft("RGB", (SIDE, SIDE))
            picture = ImageOps.exif_transpose(found)
            picture.thumbnail((SIDE, SIDE))
            into = io.BytesIO()
            picture.convert("RGBA" if "A" in picture.getbands() else "RGB").save(
                into, "WEBP", quality=QUALITY
            )
    except FAILED:
        return None
    return into.getvalue()


@contextmanager
def _opened(kept: Asset | Output) -> Iterator[Image.Image]:
    """Open a file as a picture, and have room for it. Raises one of FAILED where it is none.

    Who waits for that, or for a bucket, keeps no connection to the database from others meanwhile.
    """
    db.give_back()
    if kept.size_bytes > MOST_BYTES:
        raise Image.DecompressionBombError
    # On this machine's disk: a bucket that hangs keeps nobody else waiting.
    with shelf.on_the_disk(kept.key) as content, Image.open(content, formats=FORMATS) as found:
        if found.width * found.height > MOST_PIXELS:
            raise Image.DecompressionBombError
        with ROOM.taken(found.width * found.height):
            yield found
