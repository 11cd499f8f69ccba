"""What is refused before a vendor is asked, and that nothing odd gets through or costs."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json

import orjson
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as rules
from hypothesis import strategies as st
from proxy_stage import CENT, IMAGE, ULTRA, check_refusal, eventually, read_answer

from credits.books import elsewhere
from proxy import memory
from tests.plugin import examples

UPLOAD = "/proxy/sandbox/v1/upload"


async def untouched(stage, member, micros=5_000_000):
    assert stage.wallet(member) == (micros, 0)
    assert stage.calls(member) == []
    for vendor in ("bfl", "sandbox"):
        assert stage.vendor.counts(vendor)["submits"] == 0


def chunked(path: str, key: str, parts: list[bytes], *, end: bool = True) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-KEY: {key}\r\n"
    head += "Transfer-Encoding: chunked\r\n"
    body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
    return head.encode() + b"\r\n" + body + (b"0\r\n\r\n" if end else b"")


async def test_a_body_over_the_limit_by_its_length(stage, settings):
    settings.JSON_BODY_LIMIT_BYTES = 1000
    member = await stage.member()
    sent = stage.request(IMAGE, b"x" * 1001, member)
    status, _, raw = await stage.raw(sent[:-1001])  # It is refused before it is sent.
    assert status == 413
    assert orjson.loads(raw)["error"]["type"] == "body_too_large"
    await untouched(stage, member)
    body = b'{"a": "' + b"x" * 991 + b'"}'
    assert len(body) == 1000
    assert (await stage.raw(stage.request(IMAGE, body, member)))[0] == 200


async def test_a_body_over_the_limit_in_chunks(stage, settings):
    settings.JSON_BODY_LIMIT_BYTES = 100_000
    member = await stage.member()
    status, _, raw = await stage.raw(chunked(IMAGE, member.key, [b" " * 60_000] * 2))
    assert status == 413
    assert orjson.loads(raw)["error"]["type"] == "body_too_large"
    await untouched(stage, member)
    fine = chunked(IMAGE, member.key, [b'{"a":', b"1", b"}"])
    assert (await stage.raw(fine))[0] == 200


async def test_an_upload_over_the_limit(stage, settings):
    settings.STREAM_BODY_LIMIT_BYTES = 100_000
    member = await stage.member()
    answer = await stage.post(UPLOAD, member, data=b"x" * 100_001)
    assert (answer.status, answer.type) == (413, "body_too_large")
    check_refusal(answer)
    await untouched(stage, member)

    status, _, raw = await stage.raw(chunked(UPLOAD, member.key, [b"x" * 60_000] * 2))
    assert status == 413, raw
    assert orjson.loads(raw)["error"]["type"] == "body_too_large"
    assert stage.wallet(member) == (5_000_000, 0)
    assert [call["outcome"] for call in stage.calls(member)] == ["refused"]


async def test_who_sends_much_waits_before_others_do(stage, settings):
    """A quarter of the memory is for any one key; while it holds that, another key goes on."""
    settings.BODY_MEMORY_BYTES = 400_000
    greedy, other = await stage.member(), await stage.member()
    reader, writer = await stage.open()
    writer.write(chunked(IMAGE, greedy.key, [b" " * 90_000], end=False))
    await eventually(lambda: any(size >= 90_000 for size in memory.held.of.values()))

    more = chunked(IMAGE, greedy.key, [b" " * 60_000], end=False)
    status, headers, raw = await stage.raw(more)
    assert (status, orjson.loads(raw)["error"]["type"]) == (429, "rate_limited")
    assert headers["retry-after"].isdigit()
    fine = chunked(IMAGE, other.key, [b" " * 60_000, b"{}"])
    assert (await stage.raw(fine))[0] == 200
    assert stage.wallet(greedy) == (5_000_000, 0)

    writer.write(b"0\r\n\r\n")
    assert (await asyncio.wait_for(read_answer(reader), 5))[0] == 200
    writer.close()
    assert (memory.held.taken, memory.held.of) == (0, {})


async def test_too_much_at_once_of_all_is_told_to_wait(stage, settings):
    settings.BODY_MEMORY_BYTES = 400_000
    member = await stage.member()
    with contextlib.ExitStack() as others:
        for n in range(4):
            others.enter_context(memory.held.reserve(f"other {n}", 100_000))
        more = chunked(IMAGE, member.key, [b" " * 40_000], end=False)
        status, headers, raw = await stage.raw(more)
    assert (status, orjson.loads(raw)["error"]["type"]) == (503, "service_unavailable")
    assert headers["retry-after"].isdigit()
    await untouched(stage, member)
    assert (memory.held.taken, memory.held.of) == (0, {})


async def test_what_never_fits_into_a_share_is_too_large(stage, settings):
    settings.BODY_MEMORY_BYTES = 100_000
    member = await stage.member()
    status, _, raw = await stage.raw(chunked(IMAGE, member.key, [b" " * 20_000] * 2))
    assert (status, orjson.loads(raw)["error"]["type"]) == (413, "body_too_large")
    assert (memory.held.taken, memory.held.of) == (0, {})


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/proxy/sandbox/v1/echo", b"{"),
        ("/proxy/sandbox/v1/echo", b'{"a": NaN}'),
        ("/proxy/sandbox/v1/echo", b"\xff\xfe"),
        ("/proxy/sandbox/v1/echo", b"[" * 100_000),
        ("/proxy/sandbox/v1/echo", b"[1]"),
        ("/proxy/sandbox/v1/echo", b"5"),
        ("/proxy/sandbox/v1/echo", b"null"),
        ("/proxy/sandbox/v1/echo", b'"text"'),
        ("/proxy/sandbox/v1/echo", b'{"most_units": 0}'),
        ("/proxy/sandbox/v1/echo", b'{"most_units": 1e400}'),
        ("/proxy/bfl/flux-2-pro/generate", b"<html>"),
    ],
)
async def test_what_is_no_json_object_is_a_bad_request(stage, path, body):
    member = await stage.member()
    answer = await stage.post(path, member, data=body)
    assert (answer.status, answer.type) == (400, "invalid_request")
    check_refusal(answer)
    await untouched(stage, member)


async def test_credentials(stage):
    member = await stage.member()
    body = member.key[8:]
    flipped = body[:-1] + ("0" if body[-1] != "0" else "1")
    from apikeys import keys

    unknown = "comfyui-" + "0" * 56
    unknown += keys.checksum(unknown)
    for headers in (
        {},
        {"X-API-KEY": ""},
        {"X-API-KEY": "comfyui-" + flipped},
        {"X-API-KEY": "comfyui-" + body.upper()},
        {"X-API-KEY": "comfyui-" + body[::-1]},
        {"X-API-KEY": member.key + "0"},
        {"X-API-KEY": member.key[:-1]},
        {"X-API-KEY": unknown},
        {"X-API-KEY": "ä" * 72},
        {"Authorization": "Bearer " + member.key},
        {"Authorization": "Basic abc", "X-API-KEY": member.key},
    ):
        answer = await stage.post(IMAGE, json={}, headers=headers)
        assert (answer.status, answer.type) == (401, "unauthorized"), headers
        check_refusal(answer)
    await untouched(stage, member)
    blank = {"x-api-key": f" {member.key} "}
    for headers in (blank, {**blank, "Authorization": ""}, {**blank, "Authorization": "  "}):
        assert (await stage.post(IMAGE, headers=headers, json={})).status == 200


async def test_an_empty_wallet(stage):
    member = await stage.member(micros=0)
    answer = await stage.post(ULTRA, member, json={"prompt": "x"})
    assert (answer.status, answer.type) == (402, "insufficient_credits")
    check_refusal(answer)
    assert "$0.06" in answer.json()["message"]
    assert "$0.00" in answer.json()["message"]
    await untouched(stage, member, 0)
    almost = await stage.member(micros=59_999)
    answer = await stage.post(ULTRA, almost, json={"prompt": "x"})
    assert answer.status == 402
    assert "$0.059999" in answer.json()["message"]
    exact = await stage.member(micros=60_000)
    assert (await stage.post(ULTRA, exact, json={"prompt": "x"})).status == 200


async def test_a_wallet_that_moves_is_waited_for_and_one_that_moved_is_told_where(stage):
    member = await stage.member()
    move = "UPDATE credits_account SET frozen_reason = %s WHERE id = %s"

    stage.do(move, elsewhere.MOVING, member.workspace)
    moving = await stage.post(IMAGE, member, json={})
    stage.do(move, elsewhere.MOVED % {"address": "https://two.example"}, member.workspace)
    moved = await stage.post(IMAGE, member, json={})

    assert (moving.status, moving.type) == (503, "workspace_moving")
    assert moving.headers["retry-after"] == "10"
    assert (moved.status, moved.type) == (421, "workspace_moved")
    assert "https://two.example" in moved.json()["message"]
    assert moved.headers["link"] == '<https://two.example>; rel="canonical"'
    check_refusal(moving)
    check_refusal(moved)
    await untouched(stage, member)


async def test_a_frozen_wallet(stage):
    member = await stage.member()
    stage.do(
        "UPDATE credits_account SET frozen_reason = 'Under review: write to us.' WHERE id = %s",
        member.workspace,
    )
    answer = await stage.post(IMAGE, member, json={})
    assert (answer.status, answer.type) == (403, "access_disabled")
    assert answer.json()["message"] == "Under review: write to us."
    check_refusal(answer)
    await untouched(stage, member)


@pytest.mark.parametrize(
    ("options", "type_"),
    [
        ({"scopes": []}, "access_disabled"),
        ({"allowed_vendors": ["bfl"]}, "access_disabled"),
        ({"allowed_vendors": []}, "access_disabled"),
        ({"call_limit_micros": CENT - 1}, "budget_exceeded"),
    ],
)
async def test_what_a_key_may_not(stage, options, type_):
    member = await stage.member(**options)
    answer = await stage.post(IMAGE, member, json={})
    assert (answer.status, answer.type) == (403, type_)
    check_refusal(answer)
    await untouched(stage, member)


@pytest.mark.parametrize(
    "options", [{"call_limit_micros": CENT}, {"allowed_vendors": ["bfl", "sandbox"]}]
)
async def test_what_a_key_may(stage, options):
    member = await stage.member(**options)
    assert (await stage.post(IMAGE, member, json={})).status == 200


@pytest.mark.parametrize("column", ["revoked_at", "disabled_at", "expires_at"])
async def test_a_key_ends_at_once(stage, column):
    member = await stage.member()
    assert (await stage.post(IMAGE, member, json={})).status == 200
    stage.do(f"UPDATE apikeys_apikey SET {column} = now() WHERE id = %s", member.key_id)
    answer = await stage.post(IMAGE, member, json={})
    assert (answer.status, answer.type) == (401, "unauthorized")
    assert stage.spent(member) == CENT
    for path in ("/proxy/sandbox/v1/free", "/proxy/bfl/v1/get_result?id=x"):
        method = "GET" if "get_result" in path else "POST"
        assert (await stage.ask(method, path, by=member, json={})).status == 401


async def test_a_vendor_without_a_credential_is_switched_off(stage, settings):
    settings.VENDOR_SETTINGS = {}
    member = await stage.member()
    for path in (IMAGE, ULTRA):
        answer = await stage.post(path, member, json={"prompt": "x"})
        assert (answer.status, answer.type) == (403, "provider_disabled")
        check_refusal(answer)
    await untouched(stage, member)


@pytest.mark.parametrize(
    "target",
    [
        "/proxy/",
        "/proxy/bfl",
        "/proxy/bfl/",
        "/proxy/nobody/v1/image",
        "/proxy/sandbox/v1/image/",
        "/proxy/sandbox//v1/image",
        "/proxy/sandbox/v1/./image",
        "/proxy/sandbox/v1/x/../image",
        "/proxy/sandbox/v1/../v1/image",
        "/proxy/bfl/../sandbox/v1/image",
        "/proxy/sandbox/v1/%2e%2e/v1/image",
        "/proxy/sandbox/v1%2fimage%00",
        "/proxy/sandbox/v1/image%00",
        "/proxy/sandbox/v1/image%0d%0aX: y",
        "/proxy/sandbox/v1\\image",
        "/proxy/SANDBOX/v1/image",
        "/proxy/sandbox/v1/image;a=b",
        "/proxy/sandbox/v1/imag%C3%A9",
        "/proxy/sandbox/v1/imag%ff",
        "/proxy/kling/v1/account/costs",
        "/proxy/../proxy/sandbox/v1/image",
        "/%70roxy/nobody/x",
    ],
)
async def test_what_is_not_in_the_catalogue_is_a_json_404(stage, target):
    member = await stage.member()
    for method, key in itertools.product(("POST", "GET"), (member.key, "")):
        line = f"{method} {target.replace(' ', '%20')} HTTP/1.1\r\n"
        line += f"Host: 127.0.0.1\r\nX-API-KEY: {key}\r\n"
        status, headers, raw = await stage.raw(line.encode() + b"Content-Length: 2\r\n\r\n{}")
        assert (status, headers["content-type"]) == (404, "application/json"), target
        assert orjson.loads(raw)["error"]["type"] == "unknown_route"
    await untouched(stage, member)


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "HEAD", "TRACE", "BREW"])
async def test_another_method_is_no_operation(stage, method):
    member = await stage.member()
    sent = f"{method} {IMAGE} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-KEY: {member.key}\r\n\r\n"
    reader, writer = await stage.open()
    writer.write(sent.encode())
    line = await asyncio.wait_for(reader.readline(), 5)
    writer.close()
    assert line.split()[1] in (b"404", b"400"), line
    await untouched(stage, member)


async def test_encoded_letters_are_the_same_letters(stage):
    """A path is matched decoded, and what goes to the vendor is the catalogue's own path."""
    member = await stage.member()
    answer = await stage.post("/proxy/sandbox/v1/%69mage", member, json={})
    assert answer.status == 200
    (seen,) = stage.vendor.requests("sandbox")
    assert seen.path == "/sandbox/v1/image"


async def test_only_named_parameters_pass_and_encoded(stage):
    member = await stage.member()
    path = "/proxy/sandbox/v1/stream?bytes=5&seconds=0&a=b&bytes=7%26x%3Dy&url=http://evil/"
    answer = await stage.post(path, member, json={})
    assert answer.status == 422
    (seen,) = stage.vendor.requests("sandbox")
    assert seen.path == "/sandbox/v1/stream?bytes=7%26x%3Dy&seconds=0"


async def test_free_operations_need_a_living_key_and_write_nothing(stage):
    member = await stage.member(micros=0)
    free = "/proxy/sandbox/v1/free"
    answer = await stage.post(free, member, json={"units": 3})
    assert (answer.status, answer.json()["usage"]) == (200, {"units": 3})
    assert (await stage.post(free, json={})).status == 401
    stage.vendor.fail_next("sandbox", "status=401")
    answer = await stage.post(free, member, json={})
    assert (answer.status, answer.type) == (403, "provider_disabled")
    assert stage.calls(member) == stage.holds(member) == []


@pytest.mark.parametrize(
    "head",
    [
        "GET /proxy/nope HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: ",
        "GET /proxy/nope?",
        "POST /proxy/sandbox/v1/image HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX-Behind: ",
    ],
)
async def test_a_head_without_an_end_is_cut_off(stage, head):
    reader, writer = await stage.open()
    writer.write(head.encode())
    sent = 0
    with contextlib.suppress(ConnectionError):
        while sent < 8 << 20 and not reader.at_eof():
            writer.write(b"a" * (32 << 10))
            await asyncio.wait_for(writer.drain(), 5)
            await asyncio.sleep(0.001)
            sent += 32 << 10
    writer.close()

    assert sent < 4 << 20


async def test_a_long_head_that_ends_is_read_and_many_short_ones_are(stage):
    member = await stage.member()
    for _ in range(3):
        sent = stage.request(IMAGE, b"{}", member, "Comfy-Env: " + "a" * 30_000)
        assert (await stage.raw(sent))[0] == 200
    reader, writer = await stage.open()
    for _ in range(40):
        head = b"GET /proxy/nope HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Y: "
        writer.write(head + b"a" * 5000 + b"\r\n\r\n")
        assert (await asyncio.wait_for(read_answer(reader), 5))[0] == 404
    writer.close()


# --- Whatever comes -----------------------------------------------------------------------------

names = st.sampled_from(
    [
        *("Authorization", "Content-Type", "Accept", "Idempotency-Key", "Comfy-Job-Id", "Cookie"),
        *("Comfy-Core-Version", "Comfy-Usage-Source", "Comfy-Env", "Expect", "Range", "X-Key"),
        *("X-Forwarded-For", "X-Forwarded-Proto", "Accept-Encoding", "Connection", "Upgrade"),
    ]
)
values = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"))
segments = st.sampled_from(
    [
        *("proxy", "bfl", "sandbox", "v1", "image", "echo", "lines", "upload", "get_result", ""),
        *("flux-2-pro", "generate", "flux-tools", "erase-v1", "..", "%2e%2e", "%2f", "%00", "%ff"),
    ]
)
known = st.sampled_from(
    [
        *("/proxy/sandbox/v1/echo", "/proxy/sandbox/v1/image", "/proxy/bfl/v1/get_result"),
        *("/proxy/bfl/flux-2-pro/generate", "/proxy/bfl/v1/flux-3-video", "/proxy/sandbox/v1/free"),
        *("/proxy/bfl/v1/flux-tools/erase-v1", "/proxy/sandbox/v1/upload"),
    ]
)
paths = st.one_of(known, st.lists(segments, max_size=6).map(lambda s: "/proxy/" + "/".join(s)))
queries = st.one_of(
    st.just(""),
    st.text(
        st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="#"), max_size=60
    ),
    st.sampled_from(["id=x&token=y", "id=%00", "polling_url=http://[", "id=%ff%fe", "&" * 70]),
)
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20))
fields = st.sampled_from(
    ["prompt", "width", "height", "duration", "mode", "image", "most_units", "units", "input_image"]
)
documents = st.dictionaries(fields, st.one_of(scalars, st.lists(scalars, max_size=3)), max_size=5)
bodies = st.one_of(st.binary(max_size=60), documents.map(lambda d: json.dumps(d).encode()))
methods = st.sampled_from(["GET", "POST", "POST", "POST", "PUT", "DELETE", "OPTIONS"])


@rules(
    max_examples=examples(250),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    method=methods,
    path=paths,
    query=queries,
    headers=st.dictionaries(names, values, max_size=4),
    body=bodies,
    keyed=st.booleans(),
)
async def test_whatever_comes_is_answered_and_the_books_hold(
    stage, method, path, query, headers, body, keyed
):
    if not stage.members:
        await stage.member(micros=10**12)
    (member,) = stage.members
    lines = [f"{method} {path}{'?' + query if query else ''} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in headers.items() if name != "Connection"]
    if keyed:
        lines.append(f"X-API-KEY: {member.key}")
    lines += [f"Content-Length: {len(body)}", "Connection: close"]
    sent = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
    before = stage.wallet(member)
    accepted = sum(stage.vendor.counts(name)["accepted"] for name in ("bfl", "sandbox"))

    reader, writer = await stage.open()
    writer.write(sent)
    try:
        status, got, raw = await asyncio.wait_for(read_answer(reader), 10)
    finally:
        writer.close()

    assert status != 500, (lines, body, raw)
    if status >= 400 and got.get("content-type") == "application/json":
        assert set(orjson.loads(raw)) >= {"error", "message", "detail"}
    stage.prove(member)
    now = sum(stage.vendor.counts(name)["accepted"] for name in ("bfl", "sandbox"))
    if now == accepted:
        assert stage.wallet(member)[0] == before[0], "nothing was done, nothing is charged"
    if not keyed:
        assert stage.wallet(member) == before
