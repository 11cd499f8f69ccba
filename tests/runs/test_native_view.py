"""`/view` of ComfyUI's own dialect shows a picture in the form that is asked for."""

from __future__ import annotations

import contextlib
import io
import json
import platform
import struct
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connections
from django.test import Client
from PIL import Image
from runs_stage import until

from common.errors import Unavailable
from runs import assets, dialects
from runs.faces import thumbnails
from runs.faces.room import Room


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


# --- Room ---------------------------------------------------------------------------------------


def test_so_many_are_inside_and_of_such_a_size_and_the_next_waits_its_turn():
    room, order = Room(size=10, places=2, waiting=5, seconds=10), []

    def go(size, name):
        with room.taken(size):
            order.append(name)

    with ThreadPoolExecutor(2) as pool:
        with room.taken(6):
            larger = pool.submit(go, 5, "larger")
            until(lambda: len(room._line) == 1)
            later = pool.submit(go, 1, "later")
            until(lambda: len(room._line) == 2)
            assert order == []
        for each in (larger, later):
            each.result(timeout=5)
    assert order == ["larger", "later"], "though there was room for the later one"
    assert (room._used, room._inside, len(room._line)) == (0, 0, 0)


def test_one_larger_than_the_room_has_all_of_it_alone():
    room = Room(size=10, places=4, waiting=0, seconds=1)

    with room.taken(1_000), pytest.raises(Unavailable), room.taken(1):
        pass
    with room.taken(10):
        pass


def test_a_full_line_and_a_wait_in_vain_are_told_to_come_again():
    room = Room(size=1, places=1, waiting=1, seconds=0.2)

    with room.taken(1), ThreadPoolExecutor(2) as pool:
        waits = pool.submit(lambda: room.taken(1).__enter__())
        until(lambda: len(room._line) == 1)
        with pytest.raises(Unavailable) as full, room.taken(1):
            pass
        with pytest.raises(Unavailable):
            waits.result(timeout=5)
    assert full.value.headers == {"Retry-After": "5"}
    assert (room._used, room._inside, len(room._line)) == (0, 0, 0)


def test_who_waits_for_room_keeps_no_connection_to_the_database_from_others(
    committed, ada, settings, tmp_path, monkeypatch
):
    """Twenty who waited had all sixteen: everybody else was told that the books are away."""
    settings.DATA_DIR = tmp_path / "data"
    headers = {"X-API-KEY": ada.key}
    made = io.BytesIO()
    Image.new("RGB", (40, 20)).save(made, "PNG")
    seen = []

    class Watched(Room):
        @contextlib.contextmanager
        def taken(self, size):
            seen.append(connections["default"].connection)
            with super().taken(size):
                yield

    monkeypatch.setattr(thumbnails, "ROOM", Watched(size=9999, places=1, waiting=0, seconds=0))
    sent = {"image": SimpleUploadedFile("a.png", made.getvalue())}
    assert Client().post("/comfy/upload/image", sent, headers=headers).status_code == 200
    query = {"filename": "a.png", "type": "input", "preview": "webp"}
    masked = {
        "image": SimpleUploadedFile("b.png", made.getvalue()),
        "original_ref": json.dumps({"filename": "a.png", "type": "input"}),
    }

    assert Client().get("/comfy/view", query, headers=headers)["Content-Type"] == "image/webp"
    assert Client().post("/comfy/upload/mask", masked, headers=headers).status_code == 200

    assert seen == [None, None]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc's own way with memory")
def test_what_pictures_took_of_memory_goes_back_to_the_system():
    code = """if True:
        import io, re, sys, threading
        from PIL import Image
        if sys.argv[1] == "room":
            from runs.faces.room import Room
            Room(size=1, places=1, waiting=0, seconds=0)
        picture = Image.new("L", (3000, 3000), 7)
        def work():
            met.wait()
            picture.convert("RGB").convert("RGBA")
            met.wait()
        def resident():
            return int(re.search(r"VmRSS:\\s+(\\d+)", open("/proc/self/status").read())[1])
        picture.convert("RGB").convert("RGBA")
        before = resident()
        for _ in range(3):
            met = threading.Barrier(4)
            threads = [threading.Thread(target=work) for _ in range(4)]
            for each in threads: each.start()
            for each in threads: each.join()
        print(resident() - before)
    """
    kept = {}
    for how in ("plain", "room"):
        done = subprocess.run(
            [sys.executable, "-c", code, how], capture_output=True, text=True, check=True
        )
        kept[how] = int(done.stdout)

    assert kept["room"] < 20_000, "KiB"
    assert kept["room"] < kept["plain"]


def test_where_too_many_are_made_a_picture_is_a_503_and_a_whole_file_comes(
    committed, ada, settings, tmp_path, monkeypatch
):
    settings.DATA_DIR = tmp_path / "data"
    Image.new("RGB", (40, 20)).save(tmp_path / "a.png")
    kept = assets.keep(
        ada.workspace_id, user_id=ada.user.pk, file_path="a.png", content_type="image/png",
        arrived=tmp_path / "a.png",
    )  # fmt: skip
    monkeypatch.setattr(thumbnails, "ROOM", Room(size=1, places=0, waiting=0, seconds=0))
    headers, query = {"X-API-KEY": ada.key}, {"filename": "a.png", "type": "input"}
    until_then = int(time.time()) + 60
    small = f"/files/{kept.pk}/a.png?e={until_then}&small=1&s="
    small += dialects.signatures(kept.pk, until_then)[0]

    asked = Client().get("/comfy/view", {**query, "preview": "webp"}, headers=headers)
    thumbnail = Client().get(small)

    assert (asked.status_code, asked["Retry-After"]) == (503, "5")
    assert asked.json()["error"]["type"] == "upstream_error"
    assert (thumbnail.status_code, thumbnail["Retry-After"]) == (503, "5")
    for whole in (
        Client().get("/comfy/view", query, headers=headers),
        Client().get(small.replace("&small=1", "")),
    ):
        assert (whole.status_code, whole.getvalue()[:4]) == (200, b"\x89PNG")
