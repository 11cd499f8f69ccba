"""Every legal form of an answer is read, wherever it is cut; every other is lost, not guessed."""

from __future__ import annotations

import gzip
import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as some
from wire_vendor import JSON, OK, answers, get, outcome, post, relaying, sized, vendor_that, whole

from proxy.relay import Lost, Outgoing
from proxy.wire import codings, reading
from proxy.wire.reading import Broken, Reader

BODY = b'{"id": "a1", "status": "Ready", "result": {"sample": "' + b"x" * 40 + b'"}}'


def raw_deflate(data: bytes) -> bytes:
    engine = zlib.compressobj(wbits=-15)
    return engine.compress(data) + engine.flush()


def in_chunks(data: bytes, ends: bytes = b"0\r\n\r\n", more: bytes = b"") -> bytes:
    sizes = (1, 2, 17, 1 << 20)
    parts, at = [], 0
    for size in sizes:
        if part := data[at : at + size]:
            parts.append(b"%X%b\r\n%b\r\n" % (len(part), more, part))
        at += size
    return b"".join(parts) + ends


# What a body is sent as -> the header that says so. Each undoes to BODY.
CODED = {
    "plain": (BODY, b""),
    "identity": (BODY, b"Content-Encoding: identity\r\n"),
    "gzip": (gzip.compress(BODY), b"Content-Encoding: gzip\r\n"),
    "x-gzip": (gzip.compress(BODY), b"content-encoding: X-GZip\r\n"),
    "members": (
        gzip.compress(BODY[:9]) + gzip.compress(b"") + gzip.compress(BODY[9:]) + bytes(16),
        b"Content-Encoding: gzip\r\n",
    ),
    "zlib": (zlib.compress(BODY), b"Content-Encoding: deflate\r\n"),
    "raw deflate": (raw_deflate(BODY), b"Content-Encoding: Deflate\r\n"),
    "stacked": (gzip.compress(zlib.compress(BODY)), b"Content-Encoding: deflate, gzip\r\n"),
    "stacked lines": (
        raw_deflate(gzip.compress(BODY)),
        b"Content-Encoding: gzip\r\nContent-Encoding: deflate\r\n",
    ),
}

TRAILERS = b"0;last=1\r\nX-API-KEY: comfyui-1\r\nContent-Length: 1\r\n\r\n"
# How a body is framed -> the bytes of the answer, and whether the connection's end is its end.
FRAMED = {
    "length": lambda body, said: OK + said + b"Content-Length: %d\r\n\r\n" % len(body) + body,
    "chunks": lambda body, said: (
        OK + said + b"Transfer-Encoding: chunked\r\n\r\n" + in_chunks(body)
    ),
    "extensions and trailers": lambda body, said: (
        OK
        + said
        + b"TRANSFER-encoding:CHUNKED\r\n\r\n"
        + in_chunks(body, TRAILERS, more=b' ; name="value";x')
    ),
    "until the end": lambda body, said: OK + said + b"Connection: close\r\n\r\n" + body,
    "until an end that nobody told": lambda body, said: OK + said + b"\r\n" + body,
    "HTTP/1.0": lambda body, said: b"HTTP/1.0 200\r\n" + JSON + said + b"\r\n" + body,
    "100 before it": lambda body, said: b"HTTP/1.1 100 Continue\r\n\r\n" + sized(body, said),
    "102 and 103 before it": lambda body, said: (
        b"HTTP/1.1 102 Processing\r\n\r\n"
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\nContent-Length: 7\r\n\r\n"
        + sized(body, said)
    ),
    "any case, folded, no blanks": lambda body, said: (
        b"HTTP/1.1 200 \r\ncontent-type:\r\n\t application/json ;charset=utf-8\r\n"
        + said
        + b"CONTENT-LENGTH:%d   \r\n\r\n" % len(body)
        + body
    ),
    "lone line feeds": lambda body, said: (
        sized(b"", said).replace(b"Length: 0", b"Length: %d" % len(body)).replace(b"\r\n", b"\n")
        + body
    ),
    "transfer coding": lambda body, said: (
        OK + said + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + in_chunks(gzip.compress(body))
    ),
    "an offer that nobody takes": lambda body, said: sized(
        body, said + b"Connection: Upgrade, keep-alive\r\nUpgrade: h2,h2c\r\nAlt-Svc: h3\r\n"
    ),
}
ENDS_WITH_ITS_CONNECTION = ("until the end", "until an end that nobody told", "HTTP/1.0")
THREE_CODINGS = {("transfer coding", "stacked"), ("transfer coding", "stacked lines")}
ALL = [(f, c) for f in FRAMED for c in CODED if (f, c) not in THREE_CODINGS]


def feed(reader: Reader, *parts: bytes) -> None:
    for part in parts:
        reader.feed(part)


def read(parts: list[bytes], *, ends: bool, method: str = "POST") -> tuple[Reader, bytes]:
    """Return what is read of these parts, its codings undone."""
    reader = Reader(method)
    feed(reader, *parts)
    if ends:
        reader.end()
    undoing = codings.Undoing([*reader.content_codings, *reader.codings])
    body = b"".join(undoing.feed(reader.take()))
    undoing.end()
    return reader, body


@pytest.mark.parametrize(("framed", "coded"), ALL)
def test_an_answer_is_read_wherever_it_is_cut(framed, coded):
    message = FRAMED[framed](*CODED[coded])
    ends = framed in ENDS_WITH_ITS_CONNECTION
    cuts = [[message[:at], message[at:]] for at in range(len(message) + 1)]
    cuts.append([message[at : at + 1] for at in range(len(message))])

    for parts in cuts:
        reader, body = read(parts, ends=ends)
        assert (reader.status, reader.ended, reader.surplus) == (200, True, False), parts
        assert body == BODY, parts
        assert reader.reusable is not ends


@pytest.mark.parametrize(("framed", "coded"), ALL)
def test_before_its_end_no_answer_is_whole(framed, coded):
    """Ended too early by a byte or more, it is broken, unless it is one that ends so."""
    message = FRAMED[framed](*CODED[coded])
    for at in range(len(message)):
        reader = Reader("POST")
        reader.feed(message[:at])
        assert not reader.ended, message[:at]
        if framed not in ENDS_WITH_ITS_CONNECTION or not reader.status:
            with pytest.raises(Broken):
                reader.end()


@pytest.mark.parametrize("cut", ["whole", "head and body", "byte by byte"])
@pytest.mark.parametrize(("framed", "coded"), ALL)
async def test_an_answer_comes_back_over_a_connection(framed, coded, cut):
    message = FRAMED[framed](*CODED[coded])
    head = message.rindex(b"\r\n\r\n" if b"\r\n\r\n" in message else b"\n\n") + 2
    parts = {
        "whole": [message],
        "head and body": [message[:head], message[head:]],
        "byte by byte": [message[at : at + 1] for at in range(len(message))],
    }[cut]
    close = framed in ENDS_WITH_ITS_CONNECTION
    async with vendor_that(answers(*parts, close=close)) as vendor, relaying() as relay:
        for _ in range(2):
            reply = await relay.exchange(post(vendor.url))
            assert (reply.status, reply.content_type) == (200, "application/json")
            assert await reply.read() == BODY
            assert not reply.coded
            assert b"content-encoding" not in dict(reply.headers)
        assert len(vendor.visits) == (2 if close else 1), "a whole answer gives its connection back"
        assert b"\r\naccept-encoding: identity\r\n" in vendor.requests[0]


@pytest.mark.parametrize(
    ("status", "more", "reused"),
    [
        (204, b"", True),
        (204, b"Content-Length: 3\r\n", False),
        (304, b"ETag: x\r\n", True),
        (304, b"Content-Length: 4711\r\nContent-Encoding: gzip\r\n", False),
        (205, b"Content-Length: 0\r\n", True),
        (206, b"Content-Length: 0\r\nContent-Range: bytes 0-0/1\r\n", True),
        (999, b"Content-Length: 0\r\n", True),
    ],
)
async def test_an_answer_without_a_body(status, more, reused):
    said = b"HTTP/1.1 %d Some words\r\n" % status + more + b"\r\n"
    async with vendor_that(answers(said)) as vendor, relaying() as relay:
        for _ in range(2):
            reply = await relay.exchange(post(vendor.url))
            assert reply.status == status
            assert await reply.read() == b""
        assert len(vendor.visits) == (1 if reused else 2)


async def test_a_question_for_the_head_alone():
    said = OK + b"Content-Length: 4711\r\n\r\n"
    async with vendor_that(answers(said)) as vendor, relaying() as relay:
        asked = Outgoing("HEAD", vendor.url + "/x", {}, silence_seconds=2)
        assert await whole(relay, asked) == b""


# --- What is no answer ---------------------------------------------------------------------------

BROKEN = {
    "two lengths": sized(b"1", b"Content-Length: 1\r\n"),
    "two different lengths": sized(b"12", b"Content-Length: 1\r\n"),
    "a list of lengths": OK + b"Content-Length: 1, 1\r\n\r\n1",
    "a signed length": OK + b"Content-Length: +1\r\n\r\n1",
    "a negative length": OK + b"Content-Length: -1\r\n\r\n",
    "a length in hex": OK + b"Content-Length: 0x1\r\n\r\n1",
    "an empty length": OK + b"Content-Length:\r\n\r\n",
    "a length beyond all": OK + b"Content-Length: 5368709121\r\n\r\n",
    "a length of many digits": OK + b"Content-Length: 0000000000000000000001\r\n\r\n1",
    "a length beside chunks": OK
    + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks beside a length": OK
    + b"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n",
    "a length beside identity": sized(b"1", b"Transfer-Encoding: identity\r\n"),
    "chunks of chunks": OK + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunks inside": OK + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "HTTP/2": b"HTTP/2 200\r\n\r\n",
    "HTTP/0.9": b"<html>hello</html>",
    "no status": b"HTTP/1.1 \r\n\r\n",
    "a status of two digits": b"HTTP/1.1 20 OK\r\n\r\n",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\n\r\n",
    "a status below all": b"HTTP/1.1 099 OK\r\n\r\n",
    "switching protocols": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
    "a header without a colon": OK + b"Something\r\n\r\n",
    "a header with a blank in its name": OK + b"Content-Length : 0\r\n\r\n",
    "a header without a name": OK + b": 1\r\n\r\n",
    "a control byte in a name": OK + b"X\x00Y: 1\r\n\r\n",
    "a lone return in a value": OK + b"X: 1\rSet-Cookie: 2\r\n\r\n",
    "a fold before any header": b"HTTP/1.1 200 OK\r\n X: 1\r\n\r\n",
    "too many headers": OK + b"X: 1\r\n" * 100 + b"\r\n",
    "too long a head": OK + b"X: " + b"x" * (64 << 10) + b"\r\n\r\n",
    "a head that never ends": OK + b"X: 1\r\n" * 20_000,
    "too much before it": b"HTTP/1.1 103 Early\r\nLink: %b\r\n\r\n" % (b"x" * 1000) * 70,
}
BAD_CHUNKS = {
    "no number": b"zz\r\n1\r\n0\r\n\r\n",
    "empty": b"\r\n1\r\n0\r\n\r\n",
    "a sign": b"+1\r\n1\r\n0\r\n\r\n",
    "0x": b"0x1\r\n1\r\n0\r\n\r\n",
    "too large": b"fffffffffffffffff\r\n1",
    "longer than said": b"1\r\n12\r\n0\r\n\r\n",
    "shorter than said": b"3\r\n12\r\n0\r\n\r\n",
    "a lone line feed": b"1\n1\r\n0\r\n\r\n",
    "a lone return": b"1\rx\n1\r\n0\r\n\r\n",
    "a long extension": b"1;" + b"x" * 5000 + b"\r\n1\r\n0\r\n\r\n",
    "an extension that never ends": b"1;" + b"x" * 5000,
    "long trailers": b"0\r\n" + b"X: 1\r\n" * 20_000 + b"\r\n",
}
BROKEN |= {
    f"chunk: {name}": OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n" + bad
    for name, bad in BAD_CHUNKS.items()
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_answer_is_broken_wherever_it_is_cut(name):
    message = BROKEN[name]
    step = max(1, len(message) // 400)
    for at in range(0, len(message), step):
        reader = Reader("POST")
        with pytest.raises(Broken):
            feed(reader, message[:at], message[at:])
        assert not reader.ended


@pytest.mark.parametrize("name", BROKEN)
async def test_what_is_no_answer_is_lost_at_once(name):
    async with vendor_that(answers(BROKEN[name])) as vendor, relaying() as relay:
        assert await outcome(relay, post(vendor.url)) == "lost"
        assert await outcome(relay, post(vendor.url)) == "lost"
        assert len(vendor.visits) == 2, "its connection is used for nothing else"


@pytest.mark.parametrize(("framed", "coded"), [("length", "gzip"), ("chunks", "plain")])
@pytest.mark.parametrize("ends", ["end", "reset"])
async def test_an_answer_that_breaks_off_is_lost(framed, coded, ends):
    message = FRAMED[framed](*CODED[coded])

    async def breaks_off(vendor, visit):
        await visit.request()
        await visit.say(message[:-9], pause=0.05)
        visit.hang_up() if ends == "end" else visit.reset()

    async with vendor_that(breaks_off) as vendor, relaying() as relay:
        reply = await relay.exchange(post(vendor.url))
        assert reply.status == 200
        with pytest.raises(Lost):
            await reply.read()
        with pytest.raises(Lost):
            await reply.read()


@given(some.binary(max_size=300), some.lists(some.integers(0, 400), max_size=5), some.data())
def test_no_bytes_are_read_differently_when_cut_differently(noise, cuts, data):
    framed, coded = data.draw(some.sampled_from(ALL))
    at = data.draw(some.integers(0, 400))
    message = FRAMED[framed](*CODED[coded])
    message = message[:at] + noise + message[at + data.draw(some.integers(0, 20)) :]

    def found(parts):
        reader = Reader("GET")
        try:
            feed(reader, *parts)
        except Broken:
            return "broken"
        return reader.status, reader.fields, reader.ended, reader.surplus, reader.take()

    ends = sorted({0, len(message), *(min(cut, len(message)) for cut in cuts)})
    in_parts = found([message[a:b] for a, b in pairwise(ends)])
    assert found([message]) == in_parts


def test_the_most_that_an_answer_may_be(monkeypatch):
    monkeypatch.setattr(reading, "ANSWER_LIMIT_BYTES", 1000)
    reader = Reader("GET")
    reader.feed(OK + b"\r\n" + b"x" * 500)

    with pytest.raises(Broken, match="larger"):
        reader.feed(b"x" * 500)


# --- What a client may see of the head -----------------------------------------------------------


async def test_what_is_in_the_headers_is_cleaned():
    dirty = (
        b"Content-Length: 1\r\n"
        b'ETag: "a\x7fb\x00\x01c"\r\n'
        b'Content-Disposition: attachment; filename="\xe7\x8c\xab.png"\r\n'
        b"Last-Modified: " + b"x" * 9000 + b"\r\n"
        b"Content-Type: text/html\r\n"
        b"X-Request-Id: r\xff-1\x1b[0m\r\n"
        b"Set-Cookie: session=1\r\n"
        b"Retry-After: 3\r\n"
    )
    async with vendor_that(answers(OK + dirty + b"\r\n1")) as vendor, relaying() as relay:
        reply = await relay.exchange(post(vendor.url))
        assert reply.headers == [
            (b"content-type", b"application/json"),
            (b"content-disposition", b'attachment; filename=".png"'),
            (b"etag", b'"abc"'),
            (b"content-length", b"1"),
        ]
        assert reply.request_id == "r-1[0m"
        assert reply.header(b"retry-after") == "3"
        assert reply.header(b"last-modified") == ""
        assert await reply.read() == b"1"


async def test_a_length_is_told_only_where_it_is_true():
    coded, said = CODED["gzip"]
    for message, told in ((sized(BODY), str(len(BODY)).encode()), (sized(coded, said), None)):
        async with vendor_that(answers(message)) as vendor, relaying() as relay:
            reply = await relay.exchange(post(vendor.url))
            assert dict(reply.headers).get(b"content-length") == told
            assert await reply.read() == BODY


async def test_a_redirect_is_an_answer_like_another():
    said = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    async with vendor_that(answers(said)) as vendor, relaying() as relay:
        reply = await relay.exchange(get(vendor.url))
        assert (reply.status, reply.header(b"location")) == (302, "http://127.0.0.1:1/")
        assert len(vendor.requests) == 1
