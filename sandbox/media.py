"""What the vendors deliver: pictures that are really drawn, videos, models and sounds.

All depends on the prompt and the seed alone, so that the same request gives the same file. A video
shows one picture for as long as it lasts, a model is a cube that wears one: small, and whoever
decodes them finds what they promise (`video.py`, `model.py`). A sound is a tone, an MP3 is silence.
"""

import colorsys
import hashlib
import io
import math
import wave
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from PIL import Image, ImageOps

from sandbox import model, video

LONG_SIDE = 512
TEXTURE_SIDE = 64
CONTENT_TYPES = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "mp4": "video/mp4",
    "glb": "model/gltf-binary",
    "svg": "image/svg+xml",
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
}


@dataclass(frozen=True, slots=True)
class Media:
    """What a job will deliver, small enough to be kept until somebody asks for it."""

    format: str
    look: bytes = b""
    width: int = LONG_SIDE
    height: int = LONG_SIDE
    seconds: float = 0.0
    rate: int = video.FRAMES_PER_SECOND
    """Frames a second, of a video."""

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
        extent = media.width, media.height
        picture = _drawn(media, "jpeg")
        return video.write(picture, extent=extent, seconds=media.seconds, rate=media.rate)
    if media.format == "glb":
        skin = replace(media, width=TEXTURE_SIDE, height=TEXTURE_SIDE)
        return model.write(_drawn(skin, "png"))
    if media.format in WRITTEN:
        return WRITTEN[media.format](media)
    return _drawn(media, media.format)


def _svg(media: Media) -> bytes:
    colour = media.look.ljust(3, b"\0")[:3].hex()
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {media.width} {media.height}">'
        f'<rect width="100%" height="100%" fill="#{colour}"/><circle cx="50%" cy="50%" r="30%"/>'
        "</svg>"
    ).encode()


WAV_RATE = 8000


def _wav(media: Media) -> bytes:
    """Write a tone of 16 bits in mono, whose pitch is the look's; nodes take no 8 bits."""
    half = 10 + media.look.ljust(1, b"\0")[0] // 8
    wave_form = (b"\0\x20" * half + b"\0\xe0" * half) * (WAV_RATE // half)
    count = round(media.seconds * WAV_RATE) * 2
    frames = (wave_form * (count // len(wave_form) + 1))[:count]
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(WAV_RATE)
        sound.writeframes(frames)
    return file.getvalue()


MP3_FRAME = bytes.fromhex("fffb10c4") + bytes(100)
"""MPEG-1 layer III, 32 kbit/s, 44.1 kHz, mono: 1152 samples of silence."""
MP3_SECONDS = 1152 / 44100


def _mp3(media: Media) -> bytes:
    return MP3_FRAME * max(1, math.ceil(media.seconds / MP3_SECONDS))


WRITTEN = {"svg": _svg, "wav": _wav, "mp3": _mp3}
"""What is written without a picture."""


def _drawn(media: Media, format_: str) -> bytes:
    file = io.BytesIO()
    _picture(media).save(file, format=format_.upper())
    return file.getvalue()


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
