"""Parts of files: what a player asks for, and what nobody can."""

import uuid
from datetime import timedelta

import pytest
from django.test import RequestFactory
from django.utils import timezone

from runs.faces import files, ranges
from runs.models import Asset
from uploads import shelf


@pytest.mark.parametrize(
    ("header", "part"),
    {
        "": None, "bytes=0-": (0, 10), "bytes=0-0": (0, 1), "bytes=3-5": (3, 3),
        "bytes=3-99": (3, 7), "bytes=-4": (6, 4), "bytes=-99": (0, 10), "bytes=5-3": None,
        "bytes=0-1,3-4": None, "bytes=-": None, "lines=0-1": None, "bytes=a-b": None,
        f"bytes=0-{'9' * 18}": (0, 10), f"bytes=0-{'9' * 5000}": None,
    }.items(),
)  # fmt: skip
def test_one_part_is_read_and_whatever_else_means_the_whole(header, part):
    assert ranges.read(header, 10) == part


@pytest.mark.parametrize(
    ("header", "size"), [("bytes=10-", 10), ("bytes=99-", 10), ("bytes=0-", 0), ("bytes=-0", 10)]
)
def test_what_lies_beyond_the_end_is_not_there(header, size):
    with pytest.raises(ranges.OutOfRange):
        ranges.read(header, size)


@pytest.fixture
def kept(db, settings, tmp_path):
    settings.DATA_DIR = tmp_path
    made = Asset(
        id=uuid.uuid4(), file_path="a/film.mp4", content_type="video/mp4", size_bytes=10,
        sha256="a" * 64, expires_at=timezone.now() + timedelta(days=1),
    )  # fmt: skip
    with shelf.arriving() as arrived:
        arrived.write(b"0123456789")
    from pathlib import Path

    shelf.keep(made.key, made.content_type, Path(arrived.name))
    return made


@pytest.mark.parametrize(
    ("headers", "status", "body", "told"),
    [
        ({}, 200, b"0123456789", None),
        ({"Range": "bytes=2-4"}, 206, b"234", "bytes 2-4/10"),
        ({"Range": "bytes=-3"}, 206, b"789", "bytes 7-9/10"),
        ({"Range": "bytes=2-4", "If-Range": f'"{"a" * 64}"'}, 206, b"234", "bytes 2-4/10"),
        ({"Range": "bytes=2-4", "If-Range": '"other"'}, 200, b"0123456789", None),
        ({"Range": "bytes=10-"}, 416, b"", "bytes */10"),
    ],
)
def test_a_player_gets_the_part_that_it_asks_for(kept, headers, status, body, told):
    answer = files.given(RequestFactory().get("/", headers=headers), kept)

    sent = answer.content if status == 416 else b"".join(answer.streaming_content)
    answer.close()
    assert (answer.status_code, sent, answer.headers.get("Content-Range")) == (status, body, told)
    assert status == 416 or int(answer.headers["Content-Length"]) == len(body)
