"""What a price depends on, read from files as they come from anywhere."""

from __future__ import annotations

import base64
import contextlib
import io
import os
import random
import struct
import time
import zlib
from collections.abc import AsyncIterator
from fractions import Fraction
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from common.errors import InvalidRequest
from proxy import heads, measure
from sandbox.media import Media, render
from sandbox.video import FRAMES_PER_SECOND


def picture(form: str, side: int = 512, **options: Any) -> bytes:
    out = io.BytesIO()
    Image.frombytes("RGB", (side, side), random.Random(side).randbytes(side * side * 3)).save(
        out, form, **options
    )
    return out.getvalue()


def with_workflow() -> PngImagePlugin.PngInfo:
    text = PngImagePlugin.PngInfo()
    text.add_text("workflow", "{" * 400_000)
    return text


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("PNG", {"pnginfo": with_workflow()}),
        ("JPEG", {"icc_profile": os.urandom(400_000)}),
        ("WEBP", {"lossless": True}),
    ],
)
def test_a_header_may_be_long(form, options):
    image = base64.b64encode(picture(form, **options)).decode()
    assert len(image) > measure.HEADER_CHARACTERS

    for text in (image, f"data:image/x;base64,{image}"):
        assert measure.megapixels("image", text) == Fraction(1, 4)


@pytest.mark.parametrize("form", ["GIF", "BMP", "TIFF", "ICO", "PPM"])
def test_other_forms_have_no_price(form):
    """An ICO holds several sizes: which one the vendor would take is a guess."""
    with pytest.raises(InvalidRequest, match="PNG, JPEG or WebP"):
        measure.megapixels("image", base64.b64encode(picture(form, 64)).decode())


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_a_damaged_picture_is_measured_or_refused(form):
    chance = random.Random(4711)
    whole = picture(form, 16)
    for _ in range(1500):
        damaged = bytearray(whole)
        for _ in range(chance.randrange(1, 6)):
            damaged[chance.randrange(min(len(damaged), 200))] = chance.randrange(256)
        text = base64.b64encode(damaged[: chance.randrange(1, len(damaged))]).decode()
        with contextlib.suppress(InvalidRequest):
            assert measure.megapixels("image", text) >= 0


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("PNG", {}),
        ("JPEG", {"progressive": True}),
        ("JPEG", {"icc_profile": bytes(200_000), "exif": b"Exif\0\0" + bytes(60_000)}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"quality": 50}),
        ("WEBP", {"quality": 50, "exif": b"Exif\0\0MM"}),
        ("WEBP", {"save_all": True, "append_images": [Image.new("RGB", (300, 200), "red")]}),
    ],
)
def test_a_head_says_what_a_library_says(form, options):
    out = io.BytesIO()
    Image.new("RGB", (300, 200), "blue").save(out, form, **options)

    assert heads.pixels(out.getvalue()) == 300 * 200


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + bytes(4)


def of_profiles() -> bytes:
    """Return a PNG of 3 MB whose profiles unpack to 3 GB."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0))
    profile = chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(1_000_000), 9))
    return heads.PNG + head + profile * 3000 + chunk(b"IDAT", b"")


def test_what_stands_before_the_pixels_costs_nobody_else_anything():
    """The one event loop of a process waits for this."""
    text = base64.b64encode(of_profiles()).decode()
    begun = time.process_time()

    assert measure.megapixels("image", text) == Fraction(64 * 64, measure.MEGAPIXEL)

    assert time.process_time() - begun < 1


async def parts(*given: bytes) -> AsyncIterator[bytes]:
    for part in given:
        yield part


def movie(version: int, scale: int, length: int) -> bytes:
    wide = 8 if version else 4
    times = bytes(2 * wide) + scale.to_bytes(4, "big") + length.to_bytes(wide, "big")
    header = bytes([version, 0, 0, 0]) + times + bytes(80)
    box = (len(header) + 8).to_bytes(4, "big") + b"mvhd" + header
    return (len(box) + 8).to_bytes(4, "big") + b"moov" + box


@pytest.mark.parametrize(
    ("version", "scale", "length", "seconds"),
    [
        (0, 1000, 7500, Fraction(15, 2)),
        (1, 90_000, 90_000 * 12, Fraction(12)),
        (0, 1000, 0, Fraction(0)),
        (0, 0, 7500, None),
        (0, 90_000, 2**32 - 1, None),
        (1, 90_000, 2**64 - 1, None),
        (1, 1, 2**63, None),
        (0, 1, 100_000, None),
    ],
)
async def test_a_length_that_is_not_known_is_none(version, scale, length, seconds):
    """All ones mean that it cannot be determined: the member does not pay for the longest."""
    assert await measure.mp4_seconds(parts(movie(version, scale, length))) == seconds


async def test_the_pictures_of_a_film_are_counted():
    film = render(Media("mp4", width=16, height=16, seconds=15))
    assert await measure.mp4_frames(pieces(film)) == 15 * FRAMES_PER_SECOND
    for wrong in (b"", film[:100], film.replace(b"stsz", b"stsX"), film.replace(b"vide", b"soun")):
        assert await measure.mp4_frames(pieces(wrong)) is None


async def pieces(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 1000):
        yield content[start : start + 1000]


async def test_a_picture_is_measured_by_its_head():
    for form in ("PNG", "JPEG"):
        drawn = picture(form, 900)
        assert await measure.picture_pixels(pieces(drawn)) == 900 * 900
        assert await measure.picture_pixels(pieces(drawn[: len(drawn) // 2])) == 900 * 900
    for wrong in (b"", b"no picture", picture("BMP", 64), picture("PNG")[:20]):
        assert await measure.picture_pixels(pieces(wrong)) is None
