"""Both doors take the same requests: for our hosts, chunked, compressed; and refuse readably."""

from __future__ import annotations

import asyncio
import gzip
import zlib

import orjson
import pytest
from aiohttp import web
from config import rooms
from proxy_stage import CENT, ECHO, IMAGE, answering, eventually, read_answer

from proxy import memory

UPLOAD = "/proxy/sandbox/v1/upload"
REDEEM = "/v1/vouchers/redeem"
DOORS = {"proxy": ECHO, "django": REDEEM}
doors = pytest.mark.parametrize("door", DOORS.values(), ids=DOORS.keys())


def post(path: str, member, *lines: str, host: str = "Host: 127.0.0.1", version: str = "1.1"):
    top = [f"POST {path} HTTP/{version}", *([host] if host else []), f"X-API-KEY: {member.key}"]
    return "\r\n".join([*top, *lines, "", ""]).encode()


def with_length(body: bytes) -> str:
    return f"Content-Length: {len(body)}"


async def nothing_held() -> None:
    """Return once no body is held; the last is given back just behind its answer."""
    await eventually(lambda: (memory.held.taken, memory.held.of) == (0, {}) or None)


async def refused(stage, sent: bytes, status: int = 400) -> dict:
    got, headers, raw = await stage.raw(sent)
    assert got == status, raw
    assert headers["content-type"] == "application/json"
    body = orjson.loads(raw)
    assert isinstance(body["message"], str)
    return {**body, "headers": headers}


# --- Hosts --------------------------------------------------------------------------------------

FOREIGN = {
    "none": "",
    "empty": "Host:",
    "doubled": "Host: 127.0.0.1\r\nHost: 127.0.0.1",
    "two": "Host: 127.0.0.1\r\nHost: evil.example",
    "foreign": "Host: evil.example",
    "foreign with our port": "Host: evil.example:8000",
    "ours with a tail": "Host: 127.0.0.1.evil.example",
    "ours as a name": "Host: 127.0.0.1@evil.example",
    "ours and a path": "Host: 127.0.0.1/evil.example",
    "another address": "Host: [::2]",
    "a list": "Host: 127.0.0.1, evil.example",
}


@pytest.mark.parametrize("host", FOREIGN.values(), ids=FOREIGN.keys())
@pytest.mark.parametrize("door", [ECHO, "/customers"])
async def test_a_request_for_another_host_is_refused_before_anything(stage, settings, door, host):
    settings.ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
    member = await stage.member()

    await refused(stage, post(door, member, with_length(b"{}"), host=host) + b"{}")

    assert stage.wallet(member) == (5_000_000, 0)
    assert stage.vendor.counts("sandbox")["submits"] == 0


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:99", "LOCALHOST", "localhost:1", "[::1]", "[::1]:80"]
)
async def test_a_request_for_a_host_of_ours_is_taken(stage, settings, host):
    settings.ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
    member = await stage.member()
    sent = post(ECHO, member, with_length(b"{}"), host=f"Host: {host}") + b"{}"

    assert (await stage.raw(sent))[0] == 200


async def test_allowed_hosts_are_the_settings(stage, settings):
    settings.ALLOWED_HOSTS = [".credits.example"]
    member = await stage.member()
    for host, status in (("a.credits.example", 200), ("127.0.0.1", 400), ("b.example", 400)):
        sent = post(ECHO, member, with_length(b"{}"), host=f"Host: {host}") + b"{}"
        assert (await stage.raw(sent))[0] == status


# --- HTTP/1.0 -----------------------------------------------------------------------------------


async def test_an_older_client_without_a_host_needs_a_public_url(stage, settings):
    member = await stage.member()
    sent = post(ECHO, member, with_length(b"{}"), host="", version="1.0") + b"{}"
    await refused(stage, sent)
    assert stage.wallet(member) == (5_000_000, 0)

    settings.PUBLIC_URL = "https://credits.example"
    assert (await stage.raw(sent))[0] == 200


@pytest.mark.parametrize("path", ["/proxy/sandbox/v1/stream?bytes=300000", IMAGE])
async def test_an_answer_to_an_older_client_has_no_chunks(stage, path):
    """It ends with its length or with the connection, and is whole."""
    member = await stage.member()
    reader, writer = await stage.open()
    writer.write(post(path, member, with_length(b"{}"), version="1.0") + b"{}")
    raw = await asyncio.wait_for(reader.read(), 10)
    writer.close()

    head, _, body = raw.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"transfer-encoding" not in head
    assert b"connection: close" in head
    if b"content-length" in head:
        assert f"content-length: {len(body)}".encode() in head
    else:
        assert len(body) == 300_000


async def test_an_answer_that_breaks_off_does_not_look_whole_to_an_older_client(stage, settings):
    """Its end is the connection's; so a bad end must be no orderly one."""

    async def half(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        answer.enable_chunked_encoding()
        await answer.prepare(request)
        for _ in range(3):
            await answer.write(b"x" * 100_000)
            await asyncio.sleep(0.05)
        request.transport.abort()
        return answer

    member = await stage.member()
    async with answering(half) as url:
        settings.VENDOR_BASE_URL = url
        reader, writer = await stage.open()
        path = "/proxy/sandbox/v1/stream?bytes=300000"
        writer.write(post(path, member, with_length(b"{}"), version="1.0") + b"{}")
        assert b"content-length" not in await reader.readuntil(b"\r\n\r\n")

        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(), 10)
        writer.close()


# --- Chunks -------------------------------------------------------------------------------------


@pytest.mark.parametrize("parts", [[b'{"code": "abc"}'], [b'{"co', b'de": "', b'abc"}']])
async def test_a_chunked_body_reaches_a_view(stage, parts):
    member = await stage.member()
    empty = orjson.loads((await stage.raw(post(REDEEM, member, with_length(b"{}")) + b"{}"))[2])
    body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"

    status, _, raw = await stage.raw(post(REDEEM, member, "Transfer-Encoding: chunked") + body)

    assert "required" in empty["message"], "without a code the view asks for one"
    assert "required" not in orjson.loads(raw)["message"]
    assert status in (400, 404)


@doors
async def test_a_body_in_chunks_is_bounded(stage, settings, door):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = settings.JSON_BODY_LIMIT_BYTES = 100_000
    member = await stage.member()
    body = b"%x\r\n%b\r\n" % (60_000, b" " * 60_000)

    sent = post(door, member, "Transfer-Encoding: chunked") + body * 2
    refusal = await refused(stage, sent, 413)

    assert "larger than" in refusal["message"]
    await nothing_held()


async def test_a_vendors_export_may_be_long_and_is_bounded(stage, monkeypatch):
    """It waits on disk: none of it is held in memory; from a stranger it is not taken at all."""
    member, long, short = await stage.member(), b"x" * (3 << 20), b"x" * 200_000
    path = "/staff/margin/export"

    (taken, *_) = await stage.raw(post(path, member, with_length(long)) + long)
    monkeypatch.setattr(rooms, "EXPORT_BYTES", 100_000)
    refusal = await refused(stage, post(path, member, with_length(short)) + short, 413)

    assert taken == 403, "its form was not one of ours"
    assert "at most" in refusal["message"]
    await nothing_held()


# --- Compressed ---------------------------------------------------------------------------------


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


CODINGS = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("X-GZip", gzip.compress),
    "gzip in two members": ("gzip", lambda d: gzip.compress(d[:5]) + gzip.compress(d[5:])),
    "deflate": ("deflate", zlib.compress),
    "deflate without a frame": ("deflate", raw_deflate),
    "identity": ("identity", bytes),
}


@pytest.mark.parametrize(("name", "pack"), CODINGS.values(), ids=CODINGS.keys())
async def test_a_compressed_body_is_the_body(stage, name, pack):
    member = await stage.member()
    body = orjson.dumps({"prompt": "a fox " * 20_000})
    packed = pack(body)
    sent = post(IMAGE, member, f"Content-Encoding: {name}", with_length(packed)) + packed
    assert (await stage.raw(sent))[0] == 200
    assert stage.spent(member) == CENT
    seen = stage.vendor.requests("sandbox")[-1]
    assert seen.size == len(body)
    assert "content-encoding" not in seen.headers

    packed = pack(b'{"code": "abc"}')
    sent = post(REDEEM, member, f"Content-Encoding: {name}", with_length(packed)) + packed
    assert "required" not in orjson.loads((await stage.raw(sent))[2])["message"]
    await nothing_held()


async def test_a_compressed_body_is_the_same_intention_as_the_plain_one(stage):
    member = await stage.member()
    key = "Idempotency-Key: one"
    plain, packed = b'{"prompt": "x"}', gzip.compress(b'{"prompt": "x"}')
    first = await stage.raw(post(IMAGE, member, key, with_length(plain)) + plain)
    coded = post(IMAGE, member, key, "Content-Encoding: gzip", with_length(packed)) + packed
    second = await stage.raw(coded)

    assert first[2] == second[2]
    assert second[1]["idempotent-replayed"] == "true"
    assert stage.spent(member) == CENT


@pytest.mark.slow
@doors
async def test_a_bomb_is_stopped_at_the_limit(stage, settings, door):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = settings.JSON_BODY_LIMIT_BYTES = 2_000_000
    member = await stage.member()
    bomb = gzip.compress(b" " * 200_000_000, 9)
    assert len(bomb) < 200_000
    highest = 0

    async def look() -> None:
        nonlocal highest
        while True:
            highest = max(highest, memory.held.taken)
            await asyncio.sleep(0)

    looking = asyncio.create_task(look())
    sent = post(door, member, "Content-Encoding: gzip", with_length(bomb)) + bomb
    await refused(stage, sent, 413)
    looking.cancel()

    assert 0 < highest <= 2_000_000
    await nothing_held()


BROKEN = {
    "no gzip": ("gzip", b"{}"),
    "cut off": ("gzip", gzip.compress(b'{"a": 1}')[:-9]),
    "a tail": ("gzip", gzip.compress(b"{}") + b"tail"),
    "a wrong sum": ("gzip", gzip.compress(b"{}")[:-8] + b"\0" * 8),
    "no deflate": ("deflate", b"\xff\xff\xff\xff"),
    "a tail behind deflate": ("deflate", zlib.compress(b"{}") + b"tail"),
    "one byte of deflate": ("deflate", b"\x78"),
}


@pytest.mark.parametrize(("name", "packed"), BROKEN.values(), ids=BROKEN.keys())
@doors
async def test_what_is_not_what_its_coding_says_is_a_bad_request(stage, door, name, packed):
    member = await stage.member()
    sent = post(door, member, f"Content-Encoding: {name}", with_length(packed)) + packed

    await refused(stage, sent)

    assert stage.wallet(member) == (5_000_000, 0)


@pytest.mark.parametrize("name", ["br", "zstd", "compress", "gzip, gzip", "gzip, br", "x"])
@doors
async def test_another_coding_is_refused_with_a_sentence(stage, door, name):
    member = await stage.member()
    sent = post(door, member, f"Content-Encoding: {name}", with_length(b"{}")) + b"{}"

    refusal = await refused(stage, sent, 415)

    assert "Content-Encoding" in refusal["message"]
    assert refusal["headers"]["accept-encoding"] == "gzip, deflate"


async def test_what_streams_through_is_not_compressed(stage):
    """No vendor is told that it is, so it would be charged for nonsense."""
    member = await stage.member()
    packed = gzip.compress(b"picture")
    sent = post(UPLOAD, member, "Content-Encoding: gzip", with_length(packed)) + packed

    await refused(stage, sent, 415)

    assert stage.wallet(member) == (5_000_000, 0)
    assert stage.vendor.counts("sandbox")["submits"] == 0


# --- JSON that reads in two ways ----------------------------------------------------------------

ODD = {
    "a name twice": b'{"most_units": 1, "most_units": 1000}',
    "a name twice, deep": b'{"a": [{"b": {"c": 1, "c": 1}}]}',
    "a name twice, once escaped": b'{"most_units": 1, "most\\u005funits": 1000}',
    "a name twice beside an escaped colon": b'{"a": 1, "a": 1, "b": "\\u003a"}',
    "a name twice beside many colons": b'{"a": ":::", "a": ":::", "b": "::"}',
    "an empty name twice": b'{"": 1, "": 2}',
    "NaN": b'{"most_units": NaN}',
    "infinity": b'{"most_units": -Infinity}',
    "beyond all numbers": b'{"most_units": 1e999}',
    "a number of 5000 digits": b'{"most_units": ' + b"9" * 5000 + b"}",
    "half a character": b'{"prompt": "\\ud800"}',
    "half a character in a name": b'{"\\udfff": 1}',
    "no UTF-8": b'{"prompt": "\xff"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf{}",
    "1000 deep": b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}",
    "a million values": b'{"a": [' + b"1," * 600_000 + b"1]}",
    "a list": b"[]",
    "two objects": b"{}{}",
    "a comment": b'{"a": 1} // b',
}


@pytest.mark.parametrize("body", ODD.values(), ids=ODD.keys())
@doors
async def test_json_that_reads_in_two_ways_is_refused(stage, door, body):
    member = await stage.member()

    refusal = await refused(stage, post(door, member, with_length(body)) + body)

    assert "body" in refusal["message"]
    assert stage.wallet(member) == (5_000_000, 0)


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": {"x": 1}, "b": {"x": 1}, "c": [{"x": 1}, {"x": 1}]}',
        b'{"prompt": "a: b, \\"c\\": d \\u003a \\\\u003a", "a:b": "::"}',
        orjson.dumps({"image": "data:image/png;base64," + "QUJD" * 200_000, "prompt": "ä: €"}),
    ],
)
async def test_json_with_many_colons_is_json(stage, body):
    member = await stage.member()

    assert (await stage.raw(post(ECHO, member, with_length(body)) + body))[0] == 200


@pytest.mark.parametrize("units", ["9223372036854775808", "18446744073709551616", "1e300", "1e30"])
async def test_a_number_beyond_all_prices_is_a_refusal(stage, units):
    member = await stage.member()
    body = f'{{"most_units": {units}}}'.encode()

    status, _, raw = await stage.raw(post(ECHO, member, with_length(body)) + body)

    assert 400 <= status < 500, raw


# --- Browsers and nodes -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/proxy", 404),
        ("GET", "/proxy/nobody/x", 404),
        ("POST", ECHO, 401),
        ("POST", "/customers/nothing", 404),
        ("GET", "/auth/nothing", 404),
        ("GET", "/auth/partner-node/renew", 405),
        ("POST", "/auth/partner-node/renew", 401),
        ("GET", "/customers/nothing", 404),
    ],
)
async def test_where_nodes_ask_a_refusal_reads_well_and_a_page_may_read_it(
    stage, method, path, status
):
    answer = await stage.ask(method, path, headers={"Origin": "http://127.0.0.1:8188"})

    assert answer.status == status
    body = answer.json()
    assert body["error"]["message"] == body["message"] == body["detail"]["message"]
    assert answer.headers["access-control-allow-origin"] == "*"
    exposed = answer.headers["access-control-expose-headers"].lower().split(", ")
    assert {"retry-after", "x-comfy-credits-used", "call-id", "idempotent-replayed"} <= set(exposed)
    assert answer.headers.get("www-authenticate") == ("ApiKey" if status == 401 else None)


async def test_a_page_may_read_a_result(stage):
    member = await stage.member()

    answer = await stage.post(IMAGE, member, json={}, headers={"Origin": "http://comfy.lan"})

    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "Call-Id" in answer.headers["access-control-expose-headers"]


async def test_a_malformed_request_is_refused_in_the_shape_that_all_read(stage):
    status, headers, raw = await stage.raw(b"GET /customers/me HTTP/1.1\r\n\r\n")

    assert (status, headers["connection"]) == (400, "close")
    assert headers["access-control-allow-origin"] == "*"
    assert headers["x-content-type-options"] == "nosniff"
    assert orjson.loads(raw)["error"]["type"] == "invalid_request"


async def test_an_answer_that_comes_before_the_body_arrives(stage, settings):
    """The client still sends, and must not lose the answer to a connection that is reset."""
    settings.JSON_BODY_LIMIT_BYTES = 1000
    member = await stage.member()
    reader, writer = await stage.open()
    writer.write(post(IMAGE, member, "Content-Length: 20000000"))
    for _ in range(200):
        writer.write(b" " * 100_000)
        await writer.drain()
    await asyncio.sleep(0.1)

    status, headers, _ = await asyncio.wait_for(read_answer(reader), 5)

    assert (status, headers["connection"]) == (413, "close")
    assert await reader.read() == b""
    writer.close()


async def test_a_body_that_was_not_asked_for_is_no_next_request(stage):
    """Who waits for `100 Continue` and reads a refusal sends no body: the connection is over."""
    reader, writer = await stage.open()
    member = type("Nobody", (), {"key": "x"})
    writer.write(post(IMAGE, member, "Expect: 100-continue", "Content-Length: 41"))
    status, headers, _ = await asyncio.wait_for(read_answer(reader), 5)
    writer.write(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")

    assert (status, headers["connection"]) == (401, "close")
    assert await reader.read() == b""
    writer.close()


async def test_who_waits_to_be_asked_for_the_body_is_asked(stage):
    member = await stage.member()
    reader, writer = await stage.open()
    writer.write(post(IMAGE, member, "Expect: 100-continue", "Content-Length: 2"))
    assert (
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5) == b"HTTP/1.1 100 Continue\r\n\r\n"
    )
    writer.write(b"{}")

    assert (await asyncio.wait_for(read_answer(reader), 5))[0] == 200
    writer.close()
