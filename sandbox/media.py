"""What the vendors deliver: pictures that are really drawn, and the smallest honest MP4.

A picture depends on its prompt and seed alone, so that the same request gives the same picture. A
video has a file type and a movie header with the right duration, and no track: enough for whoever
measures it, nothing for whoever would decode it.
"""

import colorsys
import hashlib
import io
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image, ImageOps

LONG_SIDE = 512
TIMESCALE = 1000
CONTENT_TYPES = {"png": "image/png", "jpeg": "image/jpeg", "mp4": "video/mp4"}


@dataclass(frozen=True, slots=True)
class Media:
    """What a job will deliver, small enough to be kept until somebody asks for it."""

    format: str
    look: bytes = b""
    width: int = LONG_SIDE
    height: int = LONG_SIDE
    seconds: float = 0.0

    @property
    def content_type(self) -> str:
        """The media type that it is delivered as."""
        return CONTENT_TYPES[self.format]


def look(*parts: object) -> bytes:
    """Condense a prompt, a seed and whatever else into what decides a picture's colours."""
    return hashlib.sha256(repr(parts).encode()).digest()[:8]


def size(body: Mapping[str, object], *, default: tuple[int, int] = (1, 1)) -> tuple[int, int]:
    """Read width and height, or the aspect ratio, scaled so that the long side is at most 512."""
    width, height = body.get("width"), body.get("height")
    ratio = body.get("aspect_ratio")
    if isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0:
        scale = min(1.0, LONG_SIDE / max(width, height))
    else:
        sides = ratio.split(":") if isinstance(ratio, str) else []
        if len(sides) == 2 and all(side.isdecimal() and int(side) for side in sides):
            width, height = int(sides[0]), int(sides[1])
        else:
            width, height = default
        scale = LONG_SIDE / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


@lru_cache(maxsize=64)
def render(media: Media) -> bytes:
    """Make the file. Takes some milliseconds for a picture: call it in a thread."""
    if media.format == "mp4":
        return _video(media.seconds)
    drawn = io.BytesIO()
    _picture(media).save(drawn, format=media.format.upper())
    return drawn.getvalue()


def _picture(media: Media) -> Image.Image:
    """Draw a three-coloured slope with a glow of a fourth colour somewhere on it."""
    seed = media.look.ljust(8, b"\0")
    hue, extent = seed[0] / 255, (media.width, media.height)
    dark = _colour(hue, 0.75, 0.25)
    middle = _colour(hue + 0.08 + seed[1] / 1500, 0.7, 0.7)
    light = _colour(hue + 0.2 + seed[2] / 1000, 0.45, 1.0)
    slope = Image.linear_gradient("L")
    crossed = Image.blend(slope, slope.rotate(90 if seed[3] % 2 else 270), 0.2 + seed[4] / 640)
    ground = ImageOps.colorize(crossed, black=dark, mid=middle, white=light)
    glow = Image.radial_gradient("L").point(lambda away: max(0, 180 - away))  # 180: its rim.
    left, top = seed[5] // 2 - 64, seed[6] // 2 - 64
    mask = Image.new("L", glow.size)
    mask.paste(glow, (left, top))
    ground.paste(Image.new("RGB", glow.size, _colour(hue + 0.5, 0.3, 1.0)), mask=mask)
    return ground.resize(extent, Image.Resampling.BICUBIC)


def _colour(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)


def _video(seconds: float) -> bytes:
    """Write `ftyp`, and `moov` with nothing but its header."""
    unity = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    header = struct.pack(">5I", 0, 0, 0, TIMESCALE, round(seconds * TIMESCALE))
    header += struct.pack(">IH10x", 0x10000, 0x0100) + unity + bytes(24) + struct.pack(">I", 1)
    kind = b"isom" + struct.pack(">I", 0x200) + b"isomiso2mp41"
    return _box(b"ftyp", kind) + _box(b"moov", _box(b"mvhd", header))


def _box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + name + content
