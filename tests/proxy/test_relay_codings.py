"""Codings that nobody asked for: undone within bounds, passed on as they are, or lost."""

from __future__ import annotations

import base64
import gzip
import os
import time
import zlib

import pytest
from wire_vendor import OK, answers, outcome, post, relaying, sized, vendor_that, whole

from proxy.relay import Lost
from proxy.wire import codings

BODY = b'{"answer": 42}' * 20
GZIP = b"Content-Encoding: gzip\r\n"


def bomb(mebibytes: int) -> bytes:
    engine = zlib.compressobj(9, wbits=31)
    parts = [engine.compress(bytes(1 << 20)) for _ in range(mebibytes)]
    return b"".join([*parts, engine.flush()])


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"Content-Encoding: br\r\n", b"br"),
        (b"Content-Encoding: ZSTD\r\n", b"zstd"),
        (b"Content-Encoding: gzip, br\r\n", b"gzip, br"),
        (b"Content-Encoding: br\r\nContent-Encoding: gzip\r\n", b"br, gzip"),
        (b"Content-Encoding: compress\r\n", b"compress"),
        (b"Content-Encoding: gzip, gzip, gzip\r\n", b"gzip, gzip, gzip"),
    ],
)
async def test_what_cannot_be_undone_is_passed_on_as_it_is_and_never_read(said, told):
    async with vendor_that(answers(sized(BODY, said))) as vendor, relaying() as relay:
        reply = await relay.exchange(post(vendor.url))
        assert reply.coded
        assert dict(reply.headers)[b"content-encoding"] == told
        assert dict(reply.headers)[b"content-length"] == str(len(BODY)).encode()
        assert b"".join([chunk async for chunk in reply.chunks()]) == BODY

        reply = await relay.exchange(post(vendor.url))
        with pytest.raises(Lost, match="coding"):
            await reply.read()


async def test_a_framing_is_undone_even_around_what_is_not():
    message = OK + b"Content-Encoding: br\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
    packed = gzip.compress(BODY)
    message += b"%x\r\n%b\r\n0\r\n\r\n" % (len(packed), packed)
    async with vendor_that(answers(message)) as vendor, relaying() as relay:
        reply = await relay.exchange(post(vendor.url))
        assert reply.coded
        assert dict(reply.headers)[b"content-encoding"] == b"br"
        assert b"".join([chunk async for chunk in reply.chunks()]) == BODY


@pytest.mark.parametrize(
    "message",
    [
        OK + b"Transfer-Encoding: br, chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        sized(BODY, b"Content-Encoding: a\x00b\r\n"),
        sized(BODY, b"Content-Encoding: " + b"x" * 100 + b"\r\n"),
        sized(BODY, b"Content-Encoding: br\r\n" * 11),
        sized(gzip.compress(BODY)[:-1], GZIP),
        sized(gzip.compress(BODY)[:-9], GZIP),
        sized(gzip.compress(BODY) + b"more", GZIP),
        sized(gzip.compress(BODY)[:3], GZIP),
        sized(BODY, GZIP),
        sized(zlib.compress(BODY) + b"m", b"Content-Encoding: deflate\r\n"),
        sized(zlib.compress(BODY)[:-1], b"Content-Encoding: deflate\r\n"),
        sized(b"x", b"Content-Encoding: deflate\r\n"),
        sized(zlib.compress(gzip.compress(BODY)[:-1]), b"Content-Encoding: gzip, deflate\r\n"),
    ],
)
async def test_what_is_not_coded_as_it_says_is_lost(message):
    async with vendor_that(answers(message)) as vendor, relaying() as relay:
        assert await outcome(relay, post(vendor.url)) == "lost"


async def test_nothing_is_nothing_in_any_coding():
    async with vendor_that(answers(sized(b"", GZIP))) as vendor, relaying() as relay:
        assert await whole(relay, post(vendor.url)) == b""


@pytest.mark.parametrize("said", [GZIP, b"Content-Encoding: gzip, gzip\r\n"])
async def test_a_bomb_is_lost_before_it_is_large(said):
    packed = bomb(60)
    if b"," in said:
        packed = gzip.compress(packed)
    async with vendor_that(answers(sized(packed, said))) as vendor, relaying() as relay:
        reply = await relay.exchange(post(vendor.url))
        sizes, began = [], time.process_time()

        async def take():
            async for chunk in reply.chunks():
                sizes.append(len(chunk))

        with pytest.raises(Lost, match="beyond all measure"):
            await take()
        assert max(sizes) <= codings.PIECE_BYTES
        assert sum(sizes) <= codings.SLACK_BYTES + codings.MOST_TIMES * len(packed)
        assert time.process_time() - began < 1


async def test_what_is_merely_large_comes_whole():
    body = b'{"image": "%b"}' % base64.b64encode(os.urandom(13 << 20))
    assert len(body) > codings.SLACK_BYTES
    packed = gzip.compress(body, 1)
    async with vendor_that(answers(sized(packed, GZIP))) as vendor, relaying() as relay:
        assert await whole(relay, post(vendor.url)) == body


async def test_a_read_has_a_limit_of_its_own():
    packed = gzip.compress(bytes(100_000))
    async with vendor_that(answers(sized(packed, GZIP))) as vendor, relaying() as relay:
        reply = await relay.exchange(post(vendor.url))
        with pytest.raises(Lost, match="larger"):
            await reply.read(limit=99_999)
        reply = await relay.exchange(post(vendor.url))
        assert len(await reply.read(limit=100_000)) == 100_000
