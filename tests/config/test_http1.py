"""What is a request, and what is none: the same wherever the bytes are cut."""

from __future__ import annotations

import itertools

import h11
import pytest
from config.wire.http1 import HEAD_LIMIT_BYTES, TRAILER_LIMIT_BYTES, Malformed, Reader
from hypothesis import given
from hypothesis import strategies as st


def read(*pieces: bytes) -> list[tuple[str, bytes, list[tuple[bytes, bytes]], bytes]]:
    """Return each request that these pieces hold; the last may lack the end of its body."""
    reader, found, inside = Reader(), [], False
    for piece in pieces:
        reader.feed(piece)
        while True:
            if not inside:
                head = reader.head()
                if head is None:
                    break
                found.append([head.method, head.path, head.headers, b""])
                inside = True
            found[-1][3] += reader.body() if not reader.done else b""
            if not reader.done:
                break
            inside = False
    assert not inside, "the last body is not whole"
    return [tuple(each) for each in found]


def cuts(data: bytes) -> itertools.chain[list[bytes]]:
    """Cut the data at every place, at every two places, and into single bytes."""
    size = len(data)
    return itertools.chain(
        ([data[:a], data[a:]] for a in range(size + 1)),
        (
            [data[:a], data[a:b], data[b:]]
            for a, b in itertools.combinations(range(1, size), 2)
            if b - a < 5
        ),
        ([data[n : n + 1] for n in range(size)] for _ in range(1)),
    )


BODY = b'{"a": 1}'
NEXT = b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n"
SENT = {
    "a length": b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\n" + BODY,
    "an upgrade": b"POST /a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\n"
    b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nContent-Length: 8\r\n\r\n" + BODY,
    "a websocket": b"POST /a HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n8\r\n" + BODY + b"\r\n0\r\n\r\n",
    "chunks": b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    b'3;x="y"\r\n{"a\r\n005\r\n": 1}\r\n0\r\n\r\n',
    "a trailer": b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: CHUNKED\r\n\r\n"
    b"8\r\n" + BODY + b"\r\n0\r\nX-API-KEY: k\r\nHost: evil\r\nContent-Length: 99\r\n\r\n",
    "an empty line before": b"\r\n\r\nPOST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\n"
    + BODY,
    "a whole target": b"POST http://x/a HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\n" + BODY,
}


@pytest.mark.parametrize("sent", SENT.values(), ids=SENT.keys())
def test_wherever_it_is_cut_it_is_one_request_and_then_the_next(sent):
    for pieces in cuts(sent + NEXT):
        first, second = read(*pieces)
        assert (first[0], first[1], first[3]) == ("POST", b"/a", BODY)
        names = [name for name, _ in first[2]]
        assert not {b"upgrade", b"x-api-key"} & set(names)
        assert dict(first[2])[b"host"] == b"x"
        assert second == ("GET", b"/next", [(b"host", b"x")], b"")


HEAD = "POST /a HTTP/1.1\r\nHost: x\r\n"
MALFORMED = {
    "a bare line feed ends a line": "POST /a HTTP/1.1\nHost: x\r\n\r\n",
    "bare line feeds end all": "GET /a HTTP/1.1\nHost: x\n\n",
    "a bare line feed in a value": HEAD + "X-A: b\nContent-Length: 5\r\n\r\n",
    "a bare carriage return": HEAD + "X-A: b\rContent-Length: 5\r\n\r\n",
    "a folded line": HEAD + "X-A: b\r\n c\r\n\r\n",
    "a folded first line": "GET /a HTTP/1.1\r\n Host: x\r\nHost: y\r\n\r\n",
    "a blank before the colon": HEAD + "Content-Length : 5\r\n\r\nhello",
    "a tab before the colon": HEAD + "Transfer-Encoding\t: chunked\r\n\r\n",
    "no colon": HEAD + "Content-Length 5\r\n\r\n",
    "no name": HEAD + ": 5\r\n\r\n",
    "a name that is none": HEAD + "X(A): 5\r\n\r\n",
    "a nul": HEAD + "X-A: a\0b\r\n\r\n",
    "a control character": HEAD + "X-A: a\x0bb\r\n\r\n",
    "a delete": HEAD + "X-A: a\x7fb\r\n\r\n",
    "a length and a coding": HEAD + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    "a coding and a length": HEAD + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
    "two lengths": HEAD + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
    "one length twice": HEAD + "Content-Length: 5\r\nContent-Length: 5\r\n\r\n",
    "two empty lengths": HEAD + "Content-Length:\r\nContent-Length: 5\r\n\r\n",
    "a list of lengths": HEAD + "Content-Length: 5, 5\r\n\r\n",
    "a length with a sign": HEAD + "Content-Length: +5\r\n\r\n",
    "a negative length": HEAD + "Content-Length: -5\r\n\r\n",
    "a length with an underscore": HEAD + "Content-Length: 1_0\r\n\r\n",
    "a length in hex": HEAD + "Content-Length: 0x5\r\n\r\n",
    "an empty length": HEAD + "Content-Length: \r\n\r\n",
    "a length without end": HEAD + "Content-Length: 99999999999999999999\r\n\r\n",
    "an unknown coding": HEAD + "Transfer-Encoding: gzip, chunked\r\n\r\n",
    "two codings": HEAD + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n",
    "a list of codings": HEAD + "Transfer-Encoding: chunked, identity\r\n\r\n",
    "a coding with a prefix": HEAD + "Transfer-Encoding: xchunked\r\n\r\n",
    "a coding with a control": HEAD + "Transfer-Encoding: \x0bchunked\r\n\r\n",
    "chunks for 1.0": "POST /a HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
    "no host": "GET /a HTTP/1.1\r\n\r\n",
    "two hosts": "GET /a HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "one host twice": "GET /a HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
    "an empty host": "GET /a HTTP/1.1\r\nHost:\r\n\r\n",
    "a host with a path": "GET /a HTTP/1.1\r\nHost: x/y\r\n\r\n",
    "a host with a name": "GET /a HTTP/1.1\r\nHost: me@x\r\n\r\n",
    "a port that is none": "GET /a HTTP/1.1\r\nHost: x:65536\r\n\r\n",
    "no port": "GET /a HTTP/1.1\r\nHost: x:0\r\n\r\n",
    "an address that is none": "GET /a HTTP/1.1\r\nHost: [::::]\r\n\r\n",
    "two hosts in one": "GET /a HTTP/1.1\r\nHost: x, y\r\n\r\n",
    "a host of two words": "GET /a HTTP/1.1\r\nHost: x y\r\n\r\n",
    "two keys": HEAD + "X-API-KEY: a\r\nX-Api-Key: b\r\n\r\n",
    "two intentions": HEAD + "Idempotency-Key: a\r\nidempotency-key: b\r\n\r\n",
    "two tokens": HEAD + "Authorization: a\r\nAuthorization: b\r\n\r\n",
    "two types": HEAD + "Content-Type: a/b\r\nContent-Type: a/b\r\n\r\n",
    "two codings of the content": HEAD + "Content-Encoding: gzip\r\nContent-Encoding: br\r\n\r\n",
    "another host in the target": "GET http://y/a HTTP/1.1\r\nHost: x\r\n\r\n",
    "a target that is none": "GET a HTTP/1.1\r\nHost: x\r\n\r\n",
    "a fragment": "GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n",
    "a blank in the target": "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
    "two blanks": "GET  /a HTTP/1.1\r\nHost: x\r\n\r\n",
    "a tab": "GET\t/a HTTP/1.1\r\nHost: x\r\n\r\n",
    "a star": "GET * HTTP/1.1\r\nHost: x\r\n\r\n",
    "a tunnel": "CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n",
    "a small method": "get /a HTTP/1.1\r\nHost: x\r\n\r\n",
    "no version": "GET /a\r\nHost: x\r\n\r\n",
    "another version": "GET /a HTTP/2.0\r\nHost: x\r\n\r\n",
    "a small version": "GET /a http/1.1\r\nHost: x\r\n\r\n",
    "the next protocol's beginning": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": "\x16\x03\x01\x02\x00\x01\x00",
    "a path beyond ASCII": "GET /\xfc HTTP/1.1\r\nHost: x\r\n\r\n",
    "a head without an end": HEAD + "X-A: " + "a" * HEAD_LIMIT_BYTES,
    "too many headers": HEAD + "".join(f"X-{n}: a\r\n" for n in range(200)) + "\r\n",
}
CHUNKED = HEAD + "Transfer-Encoding: chunked\r\n\r\n"
MALFORMED |= {
    f"a chunk, {name}": CHUNKED + body
    for name, body in {
        "no number": "hello\r\n",
        "0x": "0x5\r\nhello\r\n0\r\n\r\n",
        "an underscore": "1_0\r\nhello\r\n0\r\n\r\n",
        "a blank before": " 5\r\nhello\r\n0\r\n\r\n",
        "a blank behind": "5 \r\nhello\r\n0\r\n\r\n",
        "a sign": "+5\r\nhello\r\n0\r\n\r\n",
        "a bare line feed": "5\nhello\r\n0\r\n\r\n",
        "a bare line feed in its extension": "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "longer than it says": "5\r\nhello!\r\n0\r\n\r\n",
        "a bare line feed behind": "5\r\nhello\n0\r\n\r\n",
        "too large to be": "ffffffffffffffffff\r\n",
        "an endless extension": "5;" + "a" * 5000,
        "a trailer that is none": "0\r\nX A: b\r\n\r\n",
        "a bare line feed in the trailer": "0\r\nX-A: b\nc\r\n\r\n",
        "an endless trailer": "0\r\nX-A: " + "b" * TRAILER_LIMIT_BYTES,
    }.items()
}


@pytest.mark.parametrize("sent", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_can_be_read_in_two_ways_is_not_read(sent):
    raw = sent.encode("latin-1")
    with pytest.raises(Malformed):
        read(raw, b"")
    with pytest.raises(Malformed):
        read(*(raw[n : n + 1] for n in range(len(raw))))


def test_a_head_just_below_the_limit_is_read():
    sent = (HEAD + "X-A: ").encode()
    sent += b"a" * (HEAD_LIMIT_BYTES - len(sent)) + b"\r\n\r\n"

    assert len(read(sent)) == 1
    with pytest.raises(Malformed):
        read(sent.replace(b"X-A: ", b"X-AB: "))


def test_a_header_with_an_underscore_is_nobodys():
    ((_, _, headers, _),) = read((HEAD + "X_API_KEY: k\r\nContent_Length: 5\r\n\r\n").encode())

    assert headers == [(b"host", b"x")]


@pytest.mark.parametrize(
    ("lines", "stays"),
    [
        ("", True),
        ("Connection: keep-alive\r\n", True),
        ("Connection: Close\r\n", False),
        ("Connection: TE, close\r\n", False),
        ("Connection: TE\r\nConnection: close\r\nConnection: x\r\n", False),
        ("Connection: closed\r\n", True),
    ],
)
def test_who_would_stay(lines, stays):
    reader = Reader()
    reader.feed(f"GET / HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode())

    head = reader.head()

    assert head is not None
    assert head.keep_alive is stays


def test_an_older_client_never_stays_and_may_name_no_host():
    reader = Reader()
    reader.feed(b"GET /a?b HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")

    head = reader.head()

    assert head is not None
    assert (head.version, head.path, head.query, head.keep_alive) == ("1.0", b"/a", b"b", False)


# --- Against another reader ---------------------------------------------------------------------

PIECES = st.sampled_from(
    [
        *("GET", "POST", " ", "/", "/a", "?q=1", "http://x/", " HTTP/1.1", " HTTP/1.0", "HTTP/1.1"),
        *("\r\n", "\r\n", "\r\n", "\n", "\r", "\t", ":", ": ", ",", ";", "\0", "\x7f", "\xff"),
        *("Host: x\r\n", "Host", "x", "Content-Length: 5\r\n", "Content-Length", "5", "0", "-1"),
        *("Transfer-Encoding: chunked\r\n", "Transfer-Encoding", "chunked", "identity", "gzip"),
        *("\r\n\r\n", "hello", "5\r\nhello\r\n", "0\r\n", "0\r\n\r\n", "X-A: b\r\n", " c\r\n"),
        *("Connection: Upgrade\r\n", "Upgrade: h2c\r\n", "POST /a HTTP/1.1\r\nHost: x\r\n"),
    ]
)
LIKELY = st.lists(
    st.sampled_from(
        [
            *("Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n", "X-A: b\r\n", "X-B:\r\n"),
            *("Connection: close\r\n", "Content-Length: 0\r\n", "Host: y\r\n", "X-C: d \t\r\n"),
        ]
    ),
    max_size=3,
).map("".join)


def by_h11(sent: bytes) -> list[tuple[str, bytes, bytes]]:
    """Return the requests that h11 reads; raises its error.

    It takes no empty line before a request, which RFC 9112 2.2 tells a server to skip.
    """
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(sent)
    found: list[list] = []
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError as exc:
            if str(exc) in ("no request line received", "illegal request line"):
                return [tuple(each) for each in found]
            raise
        if isinstance(event, h11.Request):
            found.append([event.method.decode(), bytes(event.target).rstrip(b"?"), b""])
        elif isinstance(event, h11.Data):
            found[-1][2] += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            connection.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
            connection.send(h11.EndOfMessage())
            if connection.our_state is not h11.DONE:
                return [tuple(each) for each in found]
            connection.start_next_cycle()
        else:
            return [tuple(each) for each in found]


def by_us(sent: bytes) -> list[tuple[str, bytes, bytes]]:
    """Return what we read, as far as h11 reads on: up to a request that ends the connection."""
    reader, found = Reader(), []
    reader.feed(sent)
    while (head := reader.head()) is not None:
        target = head.path + (b"?" + head.query if head.query else b"")
        body = reader.body() if not reader.done else b""
        found.append((head.method, target, body))
        if not reader.done or not head.keep_alive:
            break
    return found


@given(
    st.lists(PIECES, max_size=12).map("".join)
    | st.builds(
        lambda lines, rest: "POST /a HTTP/1.1\r\nHost: x\r\n" + lines + "\r\n" + rest,
        LIKELY,
        st.lists(PIECES, max_size=8).map("".join),
    )
)
def test_what_is_read_here_is_read_the_same_elsewhere(text):
    """Whatever we take, h11 takes too, and finds the same requests with the same bodies."""
    sent = text.encode("latin-1")
    try:
        ours = by_us(sent)
    except Malformed:
        return
    if any(b"://" in line for line in sent.split(b"\r\n")):
        return  # h11 leaves a whole target as it is.

    theirs = by_h11(sent)

    ours = [(method, target.rstrip(b"?"), body) for method, target, body in ours]
    assert theirs == (ours[: len(theirs)] if b"\r\n\r\n\r" in b"\r\n\r\n" + sent else ours)
