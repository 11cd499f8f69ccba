"""MessagePack, as vendors' libraries write it (the bytes are those of its specification)."""

import pytest

from sandbox import msgpack


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"\x82\xa7compact\xc3\xa6schema\x00", {"compact": True, "schema": 0}),
        (b"\x93\x01\xff\xcd\x01\x00", [1, -1, 256]),
        (b"\xc4\x03abc", b"abc"),
        (b"\xd9\x02\xc3\xa9", "é"),
        (b"\xcb\x3f\xe0\x00\x00\x00\x00\x00\x00", 0.5),
        (b"\xdc\x00\x01\xc0", [None]),
        (b"\xde\x00\x01\xa1a\xd0\x80", {"a": -128}),
    ],
)
def test_a_message_is_read(raw, value):
    assert msgpack.read(raw) == value


@pytest.mark.parametrize(
    "raw", [b"", b"\xa5abc", b"\x92\x01", b"\xc1", b"\x01\x02", b"\x81\x90\x01", b"\xa1\xff",
            b"\x91" * 100_000, b"\xdd\xff\xff\xff\xff", b"\xd4\x01\x02"]
)  # fmt: skip
def test_what_is_none_is_refused(raw):
    with pytest.raises(msgpack.InvalidMessageError):
        msgpack.read(raw)
