"""Small pictures of what runs made, for the dialect that names an address for them."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

from PIL import Image, ImageOps

from runs import assets

if TYPE_CHECKING:
    from runs.models import Asset, Output

SIDE: Final = 300
MOST_BYTES: Final = 64 << 20
MOST_PIXELS: Final = 64_000_000
QUALITY: Final = 80
FAILED: Final = (OSError, ValueError, Image.DecompressionBombError)
"""What Pillow says of what is no picture, is a broken one, or is far too large."""


def made(kept: Asset | Output) -> bytes | None:
    """Return a picture within 300 by 300 (WebP); None of what is no picture, or too large a one."""
    if kept.size_bytes > MOST_BYTES:
        return None
    try:
        with assets.opened(kept) as content, Image.open(content) as found:
            if found.width * found.height > MOST_PIXELS:
                return None
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
