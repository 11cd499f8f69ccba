"""What strangers' files measure: never less than a vendor may find, and in bounded time."""

from __future__ import annotations

import asyncio
import base64
import functools
import io
import os
import struct
import tempfile
import zlib
from fractions import Fraction

import av
import pytest
from PIL import Image
from test_listening import encoded, lying

from common.errors import RateLimited
from proxy import probing
from sandbox.media import Media, render


@functools.cache  # Some are asked for before there are tests, by each worker.
def film(kind="mp4", codec="mpeg4", frames=50, rate=25):
    """Write a film of a kind."""
    file = io.BytesIO()
    with av.open(file, "w", format=kind) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for at in range(frames):
            frame = av.VideoFrame(64, 64, "yuv420p")
            frame.pts = at
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + kind + content


def measured(content: bytes, owner="a"):
    async def run():
        with tempfile.TemporaryFile() as file:
            file.write(content)
            file.flush()
            return await probing.of_file(file, owner=owner)

    return asyncio.run(run())


@pytest.mark.parametrize(
    "content",
    [film(), film("webm", "libvpx"), film("avi"), film("mov")],
    ids=["mp4", "webm", "avi", "mov"],
)
def test_a_film_is_as_long_as_its_pictures(content):
    found = measured(content)

    assert 2 <= found["seconds"] < Fraction("2.1")
    assert found["frames"] == 50
    assert "heard" not in found


def test_a_film_shows_no_more_pictures_a_second_than_any_vendor_would():
    assert measured(lying(film(frames=250)))["seconds"] >= Fraction(250, 120)


def test_the_head_of_an_mp4_is_believed_where_it_says_more():
    told = bytearray(film())
    at = told.find(b"mvhd") + 20
    told[at : at + 4] = (9_000).to_bytes(4, "big")
    assert measured(bytes(told))["seconds"] == 9


def test_a_list_of_edits_that_shows_less_hides_nothing():
    content = bytearray(film(frames=250))
    at = content.find(b"elst")
    assert at > 0, "the writer made one"
    content[at + 12 : at + 16] = (100).to_bytes(4, "big")  # Shown: a tenth of a second.

    assert measured(bytes(content))["seconds"] >= 10


def test_a_sound_measures_its_seconds_and_is_heard():
    found = measured(encoded("mp4", "aac", 3))
    assert found["heard"] == found["seconds"] >= 3


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_a_picture_measures_its_pixels(kind):
    file = io.BytesIO()
    Image.new("RGB", (70, 30)).save(file, kind)
    assert measured(file.getvalue()) == {"pixels": 2100}


def bomb() -> bytes:
    """A picture of ten billion pixels in a few bytes."""
    head = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content
            + struct.pack(">I", zlib.crc32(kind + content))
        )  # fmt: skip

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(9)))


def claims_a_year(mp4: bytes) -> bytes:
    told = bytearray(mp4)
    at = told.find(b"mvhd") + 20
    told[at : at + 4] = (0xFFFFFFF0).to_bytes(4, "big")
    return bytes(told)


def with_many_samples(mp4: bytes) -> bytes:
    """An MP4 whose table claims four billion pictures."""
    told = bytearray(mp4)
    at = told.find(b"stsz") + 8
    told[at : at + 8] = struct.pack(">II", 1, 0xFFFFFFFE)
    return bytes(told)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"#EXTM3U\nfile:///etc/passwd\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        film()[:300],
        bomb(),
        claims_a_year(film()),
        box(b"ftyp", b"isom") + box(b"moov", b"") * 1000,
        os.urandom(100_000),
        b"\x00\x00\x00\x18ftyp" + os.urandom(100_000),
        b"\x1aE\xdf\xa3" + os.urandom(100_000),
    ],
    ids=["nothing", "playlist", "list", "cut", "bomb", "a year", "no track", "noise",
         "noise of mp4", "noise of webm"],
)  # fmt: skip
def test_what_cannot_be_believed_measures_nothing(content):
    assert "seconds" not in (found := measured(content))
    assert "pixels" not in found


def test_a_table_that_claims_billions_never_makes_it_shorter():
    assert measured(with_many_samples(film())).get("seconds", 2) >= 2


def test_a_film_that_is_cut_at_its_end_is_as_long_as_it_says():
    content = film("webm", "libvpx", rate=5)
    assert measured(content[: len(content) // 2]).get("seconds", 10) >= 10


async def test_base64_is_measured_with_and_without_its_prefix():
    text = base64.b64encode(render(Media("wav", seconds=3))).decode()
    for said in (text, f"data:audio/wav;base64,{text}"):
        assert (await probing.of_base64(said, owner="a"))["seconds"] == 3
    for said in ("", "data:", "data:audio/wav,x", text[:-3] + "?", "ä" * 9):
        assert await probing.of_base64(said, owner="a") == {}


@pytest.mark.slow
async def test_a_program_that_does_not_end_is_ended(monkeypatch, tmp_path):
    program = tmp_path / "endless.py"
    program.write_text("import time\nwhile True: time.sleep(1)\n")
    monkeypatch.setattr(probing, "PROGRAM", str(program))
    monkeypatch.setattr(probing, "WALL_SECONDS", 1)

    with tempfile.TemporaryFile() as file:
        found = await asyncio.wait_for(probing.of_file(file, owner="a"), 5)

    assert found == {}
    assert probing.waiting.taken == 0


@pytest.mark.slow
async def test_who_leaves_leaves_no_program(monkeypatch, tmp_path):
    program = tmp_path / "endless.py"
    told = tmp_path / "pid"
    program.write_text(f"import os, time\nopen({str(told)!r}, 'w').write(str(os.getpid()))\n"
                       "time.sleep(60)\n")  # fmt: skip
    monkeypatch.setattr(probing, "PROGRAM", str(program))
    with tempfile.TemporaryFile() as file:
        task = asyncio.create_task(probing.of_file(file, owner="a"))
        async with asyncio.timeout(10):
            while not (told.exists() and told.read_text()):
                await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with pytest.raises(ProcessLookupError):
        os.kill(int(told.read_text()), 0)
    assert probing.waiting.taken == 0


async def test_one_who_has_many_files_waiting_is_told_to_wait():
    share = probing.waiting.share
    with probing.waiting.reserve("a", share), tempfile.TemporaryFile() as file:
        with pytest.raises(RateLimited):
            await probing.of_file(file, owner="a")
        assert await probing.of_file(file, owner="b") == {}


async def test_the_program_knows_nothing_of_ours(monkeypatch, tmp_path):
    program = tmp_path / "tells.py"
    program.write_text("import os, json\nprint(json.dumps({n: '1' for n in os.environ}))\n")
    monkeypatch.setattr(probing, "PROGRAM", str(program))

    with tempfile.TemporaryFile() as file:
        found = await probing.of_file(file, owner="a")

    assert set(found) <= {"LC_CTYPE"}
