"""`/view` of ComfyUI's own dialect shows a picture in the form that is asked for."""

from __future__ import annotations

import io
import struct

import pytest
from django.test import Client
from PIL import Image

from runs import assets
from runs.faces import thumbnails


@pytest.fixture
def look(committed, ada, settings, tmp_path):
    """Put a half transparent picture and a text here; return what asks for one of them."""
    settings.DATA_DIR = tmp_path / "data"
    Image.new("RGBA", (40, 20), (200, 100, 50, 128)).save(tmp_path / "a.png")
    (tmp_path / "b.txt").write_text("no picture")
    for name, media in (("a.png", "image/png"), ("b.txt", "text/plain")):
        assets.keep(
            ada.workspace_id, user_id=ada.user.pk, file_path=name, content_type=media,
            arrived=tmp_path / name,
        )  # fmt: skip

    def ask(name="a.png", **more):
        query = {"filename": name, "type": "input", **more}
        answer = Client().get("/comfy/view", query, headers={"X-API-KEY": ada.key})
        content = answer.content if hasattr(answer, "_container") else answer.getvalue()
        assert answer.status_code == 200, content
        return answer["Content-Type"], content

    return ask


@pytest.mark.parametrize(
    ("asked", "media", "mode"),
    [({"preview": "webp;90"}, "image/webp", "RGBA"), ({"preview": "jpeg"}, "image/jpeg", "RGB"),
     ({"preview": "jpeg;70", "channel": "rgba"}, "image/webp", "RGBA"),
     ({"preview": "bmp;999"}, "image/webp", "RGBA"), ({"preview": "webp;x"}, "image/webp", "RGBA"),
     ({"preview": "webp", "channel": "rgb"}, "image/webp", "RGB"),
     ({"channel": "rgb"}, "image/png", "RGB"), ({"channel": "a"}, "image/png", "RGBA")],
    ids=str,
)  # fmt: skip
def test_a_picture_comes_as_it_is_asked_for(look, asked, media, mode):
    kind, content = look(**asked)

    with Image.open(io.BytesIO(content)) as found:
        assert (kind, found.mode, found.size) == (media, mode, (40, 20))
        if asked.get("channel") == "a":
            assert found.getpixel((0, 0)) == (0, 0, 0, 128)


def test_a_worse_one_is_smaller(look):
    assert len(look(preview="jpeg;5")[1]) < len(look(preview="jpeg;100")[1])


@pytest.mark.parametrize("asked", [{}, {"channel": "rgba"}, {"channel": "x"}], ids=str)
def test_what_nobody_asks_to_be_otherwise_comes_as_it_is(look, asked):
    kind, content = look(**asked)

    with Image.open(io.BytesIO(content)) as found:
        assert (kind, found.format, found.mode) == ("image/png", "PNG", "RGBA")


def test_what_is_no_picture_comes_as_it_is(look):
    assert look("b.txt", preview="webp;90") == ("text/plain", b"no picture")


BROKEN = {
    "a DDS of no format": b"DDS " + struct.pack("<3I", 124, 0x1007, 8) + bytes([8] + [0] * 111),
    "a PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n",
}


def avif():
    """Return one whose item is cut off: Pillow says so in words of its own."""
    made = io.BytesIO()
    Image.effect_noise((64, 64), 50).save(made, "AVIF")
    return made.getvalue()[:-200]


@pytest.mark.parametrize("name", ["an AVIF that is cut", *BROKEN])
def test_a_broken_picture_comes_as_it_is(committed, ada, settings, tmp_path, name):
    settings.DATA_DIR = tmp_path / "data"
    content = BROKEN.get(name) or avif()
    (tmp_path / "x").write_bytes(content)
    kept = assets.keep(
        ada.workspace_id, user_id=ada.user.pk, file_path="x", content_type="image/x",
        arrived=tmp_path / "x",
    )  # fmt: skip

    answer = Client().get(
        "/comfy/view", {"filename": "x", "type": "input", "preview": "webp"},
        headers={"X-API-KEY": ada.key},
    )  # fmt: skip

    assert (answer.status_code, answer.getvalue()) == (200, content)
    assert thumbnails.made(kept) is None
