"""One request, one answer, at both doors, whatever is asked for beside it and however it is cut."""

from __future__ import annotations

import asyncio

import pytest
from proxy_stage import CENT, IMAGE, read_answer

BODY = b'{"prompt": "GET /health HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\n\\r\\n"}'
SECOND = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
DOORS = {"proxy": IMAGE, "django": "/customers"}
UPGRADES = {
    "h2c": "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ\r\n",
    "websocket": "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
    "TLS": "Connection: upgrade\r\nUpgrade: TLS/1.2\r\n",
}


def head(path: str, member, *lines: str, method: str = "POST") -> bytes:
    own = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"X-API-KEY: {member.key}"]
    return "\r\n".join([*own, *lines, "", ""]).encode()


async def answers(
    stage, *pieces: bytes | float, most: int = 1
) -> list[tuple[int, dict[str, str], bytes]]:
    """Send the pieces, a number for a pause; return every answer, also beyond so many."""
    reader, writer = await stage.open()
    found = []
    try:
        for piece in pieces:
            if isinstance(piece, bytes):
                writer.write(piece)
                await asyncio.sleep(0)
            else:
                await asyncio.sleep(piece)
        while True:
            async with asyncio.timeout(5 if len(found) < most else 0.3):
                found.append(await read_answer(reader))
    except (TimeoutError, asyncio.IncompleteReadError, ConnectionError):
        return found
    finally:
        writer.transport.abort()


@pytest.mark.parametrize("upgrade", UPGRADES.values(), ids=UPGRADES.keys())
@pytest.mark.parametrize("pause", [0.0, 0.3])
@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS.keys())
async def test_an_upgrade_is_ignored_and_the_body_is_a_body(stage, door, pause, upgrade):
    """A body that came later was taken for the next request of the connection."""
    member = await stage.member()
    lines = [*upgrade.rstrip("\r\n").split("\r\n"), f"Content-Length: {len(SECOND)}"]

    (only,) = await answers(stage, head(door, member, *lines), pause, SECOND)

    # A call reads it as its own body, which is no JSON; the other door reads past it.
    assert only[0] == (400 if door == IMAGE else 200)
    assert b'"status"' not in only[2]


@pytest.mark.parametrize("upgrade", UPGRADES.values(), ids=UPGRADES.keys())
async def test_a_call_with_an_upgrade_is_a_call(stage, upgrade):
    member = await stage.member()
    lines = [*upgrade.rstrip("\r\n").split("\r\n"), f"Content-Length: {len(BODY)}"]

    first, second = await answers(stage, head(IMAGE, member, *lines) + BODY + SECOND, most=2)

    assert first[0] == 200
    assert second[0] == 200
    assert second[2] == b'{"status": "ok"}'
    assert stage.spent(member) == CENT
    assert stage.vendor.requests("sandbox")[-1].size == len(BODY)


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS.keys())
async def test_an_upgrade_is_ignored_whatever_the_method(stage, door, method):
    member = await stage.member()
    sent = head(door, member, "Connection: Upgrade", "Upgrade: h2c", method=method)
    reader, writer = await stage.open()
    writer.write(sent)
    status = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    assert status.startswith(b"HTTP/1.1 ")
    assert not status.startswith(b"HTTP/1.1 101")
    writer.transport.abort()


def chunked(path: str, member, trailer: bytes, *lines: str) -> bytes:
    top = head(path, member, *lines, "Transfer-Encoding: chunked")
    return top + b"%x\r\n%b\r\n0\r\n%b\r\n" % (len(BODY), BODY, trailer)


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS.keys())
async def test_a_trailer_is_no_credential_wherever_it_is_cut(stage, door):
    member, nobody = await stage.member(), type("Nobody", (), {"key": ""})
    trailer = f"X-API-KEY: {member.key}\r\nHost: evil.example\r\n".encode()
    sent = chunked(door, nobody, trailer).replace(b"X-API-KEY: \r\n", b"", 1)
    start = sent.index(b"0\r\nX-API")
    for at in range(start, len(sent)):
        (only,) = await one(stage, sent[:at], sent[at:])
        assert only == 401
    assert stage.wallet(member) == (5_000_000, 0)


async def one(stage, *pieces: bytes) -> list[int]:
    """Send the pieces in packets of their own; return the status, and of a request behind it."""
    reader, writer = await stage.open()
    writer.get_extra_info("socket").setsockopt(6, 1, 1)  # TCP_NODELAY
    for piece in pieces:
        writer.write(piece)
        await asyncio.sleep(0.001)
    found = [(await asyncio.wait_for(read_answer(reader), 5))[0]]
    writer.transport.abort()
    return found


@pytest.mark.slow
async def test_a_trailer_says_nothing_of_the_next_request_either(stage):
    """The last header of a trailer could have become the first of what follows."""
    member = await stage.member()
    trailer = f"X-API-KEY: {member.key}\r\n".encode()
    following = b"GET /customers/me HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    for cut in range(1, 12):
        sent = chunked(IMAGE, member, trailer)
        first, second = await answers(stage, sent[:-cut], 0.001, sent[-cut:] + following, most=2)
        assert (first[0], second[0]) == (200, 401)


SMUGGLED = {
    "a length and chunks": "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and a length": "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": "Content-Length: 0\r\nContent-Length: 44\r\n\r\n",
    "a length twice": "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "a list of lengths": "Content-Length: 2, 2\r\n\r\n{}",
    "a signed length": "Content-Length: +2\r\n\r\n{}",
    "a blank before the colon": "Content-Length : 2\r\n\r\n{}",
    "a folded line": "X-A: b\r\n Content-Length: 2\r\nContent-Length: 0\r\n\r\n",
    "a bare line feed": "X-A: b\nContent-Length: 2\r\n\r\n{}",
    "a bare carriage return": "X-A: b\rContent-Length: 2\r\n\r\n{}",
    "an odd coding": "Transfer-Encoding: xchunked\r\nContent-Length: 2\r\n\r\n{}",
    "two codings": "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "a coding behind a control": "Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    "a chunk whose size has a sign": "Transfer-Encoding: chunked\r\n\r\n+2\r\n{}\r\n0\r\n\r\n",
    "a chunk longer than it says": "Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n",
    "a chunk behind a bare line feed": "Transfer-Encoding: chunked\r\n\r\n2\n{}\r\n0\r\n\r\n",
    "two keys": "X-Api-Key: comfyui-other\r\nContent-Length: 2\r\n\r\n{}",
    "two tokens": "Authorization: a\r\nAuthorization: b\r\nContent-Length: 2\r\n\r\n{}",
    "two intentions": "Idempotency-Key: a\r\nIdempotency-Key: b\r\nContent-Length: 2\r\n\r\n{}",
    "two types": "Content-Type: a/b\r\nContent-Type: c/d\r\nContent-Length: 2\r\n\r\n{}",
    "two hosts": "Host: evil.example\r\nContent-Length: 2\r\n\r\n{}",
}


@pytest.mark.parametrize("rest", SMUGGLED.values(), ids=SMUGGLED.keys())
@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS.keys())
async def test_what_two_servers_could_read_differently_is_one_refusal(stage, door, rest):
    member = await stage.member()
    sent = head(door, member)[:-2] + rest.encode("latin-1")

    (only,) = await answers(stage, sent + SECOND)

    assert (only[0], only[1]["connection"]) == (400, "close")
    assert stage.vendor.counts("sandbox")["submits"] == 0
    assert stage.wallet(member) == (5_000_000, 0)
