"""The exchange of each generation of the node client, byte for byte as it was recorded."""

from __future__ import annotations

import asyncio
import base64
import io
import re
import uuid

import orjson
import pytest
from django.db import OperationalError
from proxy_stage import ULTRA, ULTRA_MICROS, in_thread

from apikeys import keys

PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII="
)
BODY = orjson.dumps(
    {
        "prompt": "a lighthouse",
        "prompt_upsampling": False,
        "seed": 123456789012345,
        "aspect_ratio": "1:1",
        "safety_tolerance": 6,
        "output_format": "png",
        "raw": False,
        "image_prompt": PIXEL,
        "image_prompt_strength": 0.1,
    }
)
AGENT = ["Accept-Encoding: gzip, deflate", "User-Agent: Python/3.12 aiohttp/3.11.8"]


def comfy(version: str) -> list[str]:
    return [
        "Comfy-Env: local-git",
        "Comfy-Usage-Source: comfyui-frontend",
        f"Comfy-Core-Version: {version}",
        "Comfy-Job-Id: 0d1b1d2e-1d5b-4c1e-9d2f-3e4f5a6b7c8d",
    ]


OCT_2025 = ["Accept: application/json", "Content-Type: application/json"]
GENERATIONS = {
    # Client, create's headers, poll's headers.
    "oct-2025": (OCT_2025, OCT_2025),
    "jan-2026": (["Accept: application/json", "Content-Type: application/json"], []),
    "aug-2026": (
        ["Accept: application/json", *comfy("0.33.0"), "Content-Type: application/json"],
        ["Accept: application/json"],
    ),
    "newest": (
        [
            "Accept: application/json",
            *comfy("0.40.0"),
            f"Idempotency-Key: {uuid.uuid4().hex}",
            "Content-Type: application/json",
        ],
        ["Accept: application/json"],
    ),
}


def http(line: str, host: str, headers: list[str], body: bytes = b"") -> bytes:
    lines = [f"{line} HTTP/1.1", f"Host: {host}", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@pytest.mark.parametrize("generation", GENERATIONS)
async def test_the_flux_ultra_exchange(stage, generation):
    create, poll = GENERATIONS[generation]
    member = await stage.member()
    host = f"{stage.host}:{stage.port}"
    given = [f"X-API-KEY: {member.key}", *create, *AGENT]

    status, headers, raw = await stage.raw(http(f"POST {ULTRA}", host, given, BODY))

    assert status == 200
    assert headers["content-type"] == "application/json"
    assert headers["content-length"] == str(len(raw))
    assert headers["x-comfy-credits-used"] == "12.66"
    own = {
        "x-comfy-credits-used",
        "call-id",
        "x-content-type-options",
        "access-control-allow-origin",
    }
    assert set(headers) == {"content-type", "content-length", *own}
    answer = orjson.loads(raw)
    assert set(answer) == {"id", "polling_url", "cost"}
    match = re.fullmatch(rf"http://{host}(/proxy/bfl/v1/get_result\?\S+)", answer["polling_url"])
    assert match, "absolute, on ourselves"

    line = f"GET {match[1]}"
    for _ in range(50):
        status, headers, raw = await stage.raw(http(line, host, [*poll, *AGENT]))
        assert status == 200
        assert headers["content-type"] == "application/json"
        result = orjson.loads(raw)
        assert {"id", "status", "result"} <= set(result)
        if result["status"] == "Ready":
            break
        assert result["status"] == "Pending"
        await asyncio.sleep(0.05)

    async with stage.session.get(result["result"]["sample"]) as response:
        assert (await response.read()).startswith(b"\x89PNG")
    assert stage.wallet(member) == (5_000_000 - ULTRA_MICROS, 0)
    (call,) = stage.calls(member)
    if "Comfy-Env: local-git" in create:
        assert call["run_id"] == "0d1b1d2e-1d5b-4c1e-9d2f-3e4f5a6b7c8d"
        assert call["facts"]["source"] == "comfyui-frontend"
        assert call["facts"]["core"].startswith("0.")
        assert call["facts"]["env"] == "local-git"
    assert call["facts"]["bytes_in"] == len(BODY)
    assert "lighthouse" not in str(call["facts"])
    (seen,) = [each for each in stage.vendor.requests("bfl") if each.method == "POST"]
    assert seen.size == len(BODY), "the body arrives byte for byte"


@pytest.mark.parametrize("generation", GENERATIONS)
async def test_a_relative_poll_carries_the_key(stage, generation):
    member = await stage.member()
    create, _ = GENERATIONS[generation]
    key = [f"X-API-KEY: {member.key}", *[h for h in create if not h.startswith("Idempotency")]]
    host = f"{stage.host}:{stage.port}"
    _, _, raw = await stage.raw(http(f"POST {ULTRA}", host, key, BODY))
    line = f"GET /proxy/bfl/v1/get_result?id={orjson.loads(raw)['id']}"
    status, headers, raw = await stage.raw(http(line, host, key))
    assert (status, orjson.loads(raw)["status"]) == (200, "Ready")
    assert headers["x-comfy-credits-used"] == "12.66"


@pytest.mark.parametrize(
    "target", ["/{}", "//{}", "///{}", "http://{host}/{}", "http://{host}//{}"]
)
async def test_however_the_base_and_the_path_are_joined(stage, target):
    member = await stage.member()
    host = f"{stage.host}:{stage.port}"
    path = "proxy/bfl/flux-pro-1.1-ultra/generate"
    line = "POST " + target.format(path, host=host)
    status, _, raw = await stage.raw(http(line, host, [f"X-API-KEY: {member.key}"], BODY))
    assert status == 200, raw
    url = orjson.loads(raw)["polling_url"]
    tail = url.split("/", 3)[3]
    status, _, raw = await stage.raw(http("GET " + target.format(tail, host=host), host, []))
    assert (status, orjson.loads(raw)["status"]) == (200, "Ready")


@pytest.mark.parametrize("body", [b"{}", b"", b"  \n"])
async def test_an_empty_create_reaches_the_vendor(stage, body):
    """A POST without data still sends `{}`; some send nothing."""
    member = await stage.member()
    for path in ("/proxy/sandbox/v1/image", "/proxy/sandbox/v1/stream?bytes=5"):
        sent = stage.request(path, body, member)
        status, _, _ = await stage.raw(sent)
        assert status == 200
    status, _, raw = await stage.raw(stage.request(ULTRA, body, member))
    assert status == 422, "what is missing is for the vendor to say"
    assert orjson.loads(raw)["error"]["type"] == "provider_rejected"


@pytest.mark.slow
async def test_the_four_tries_of_a_broken_create_are_paid_for_once(stage):
    """1, 2 and 4 s apart in truth: the vendor does the first, the client gets the last."""
    member = await stage.member()
    sent = stage.request("/proxy/sandbox/v1/image", BODY, member)
    stage.vendor.fail_next("sandbox", "slow=0.9")
    for _ in range(3):
        await stage.leave(sent, after=0.15)
        await asyncio.sleep(0.1)
    status, headers, _ = await stage.raw(sent)
    assert status == 200
    assert headers["idempotent-replayed"] == "true"
    assert stage.vendor.counts("sandbox")["submits"] == 1


async def test_a_bearer_token_wins_over_a_key(stage):
    member = await stage.member()
    answer = await stage.post(
        ULTRA, member, json={"prompt": "x"}, headers={"Authorization": "Bearer whatever"}
    )
    assert (answer.status, answer.type) == (401, "unauthorized")
    assert stage.vendor.counts("bfl")["submits"] == 0


async def test_preflight_of_a_browser(stage):
    answer = await stage.ask(
        "OPTIONS",
        ULTRA,
        headers={"Origin": "http://127.0.0.1:8188", "Access-Control-Request-Method": "POST"},
    )
    assert answer.status == 204
    assert answer.headers["access-control-allow-origin"] == "*"
    allowed = answer.headers["access-control-allow-headers"]
    for name in ("authorization", "x-api-key", "content-type", "comfy-env"):
        assert name in allowed


async def test_a_multi_megabyte_picture_in_the_body(stage):
    member = await stage.member()
    noise = base64.b64encode(uuid.uuid4().bytes * 400_000).decode()
    body = io.BytesIO(orjson.dumps({"prompt": "x", "image_prompt": noise}))
    made = await stage.post(ULTRA, member, data=body)
    assert made.status == 200
    (seen,) = [each for each in stage.vendor.requests("bfl") if each.method == "POST"]
    assert seen.size > 8_000_000
    from proxy import memory

    assert (memory.held.taken, memory.held.of) == (0, {})


# --- What crosses, both ways --------------------------------------------------------------------

NOT_FOR_A_VENDOR = {
    "X-API-KEY": "",
    "Cookie": "session=member",
    "Comfy-Env": "local-git",
    "Comfy-Usage-Source": "comfyui-api",
    "Comfy-Core-Version": "0.40.0",
    "Comfy-Job-Id": "job",
    "Comfy-Asset-Format": "url",
    "Idempotency-Key": "secret-intent",
    "X-Forwarded-For": "203.0.113.9",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "evil.example",
    "Forwarded": "for=203.0.113.9",
    "X-Real-IP": "203.0.113.9",
    "Via": "1.1 me",
    "Referer": "http://private.example/",
    "Origin": "http://private.example",
    "User-Agent": "Python/3.12 aiohttp/3.11",
    "x-key": "member-says",
    "X-Something": "else",
    "traceparent": "00-1-2-3",
}
MAY_REACH_A_VENDOR = {
    *("host", "content-type", "content-length", "accept", "accept-encoding", "transfer-encoding")
}


@pytest.mark.parametrize(
    ("path", "vendor", "credential"),
    [
        (ULTRA, "bfl", "x-key"),
        ("/proxy/sandbox/v1/image?a=1", "sandbox", "authorization"),
        ("/proxy/sandbox/v1/upload", "sandbox", "authorization"),
        ("/proxy/sandbox/v1/free", "sandbox", "authorization"),
    ],
)
async def test_what_reaches_the_vendor(stage, settings, path, vendor, credential):
    from proxy_stage import VENDOR_KEY

    settings.TRUSTED_PROXIES = ["127.0.0.1"]
    settings.ALLOWED_HOSTS = ["credits.example.org", stage.host]
    member = await stage.member()
    headers = {**NOT_FOR_A_VENDOR, "X-API-KEY": member.key, "Accept": "image/webp"}
    headers["X-Forwarded-Host"] = "credits.example.org"

    answer = await stage.post(path, json={"prompt": "x"}, headers=headers)

    assert answer.status == 200
    (seen,) = stage.vendor.requests(vendor)
    assert set(seen.headers) <= MAY_REACH_A_VENDOR | {credential}
    assert seen.headers[credential].removeprefix("Bearer ") == VENDOR_KEY
    assert seen.headers["accept"] == "image/webp"
    assert seen.headers["accept-encoding"] == "identity", "whatever the member's client says"
    assert seen.headers["content-type"] == "application/json"
    assert "?" not in seen.path, "only named parameters pass"
    everything = str(seen.headers)
    for secret in (member.key, "session=", "secret-intent", "203.0.113.9", "private.example"):
        assert secret not in everything
    if vendor == "bfl":
        url = answer.json()["polling_url"]
        ours = "https://credits.example.org"
        assert url.startswith(f"{ours}/"), "a trusted proxy in front says so"
        await stage.get(url.replace(ours, stage.url), headers=headers)
        poll = stage.vendor.requests("bfl")[-1]
        assert poll.method == "GET"
        assert set(poll.headers) <= MAY_REACH_A_VENDOR | {credential}
        assert "token" not in poll.path


async def test_what_comes_back(stage):
    """A vendor that sends everything it should not."""
    from aiohttp import web

    async def answer(request: web.Request) -> web.Response:
        return web.Response(
            body=b"pixels",
            headers={
                "Content-Type": "image/png",
                "ETag": '"abc"',
                "Content-Disposition": "inline",
                "Last-Modified": "Fri, 20 Nov 2026 10:00:00 GMT",
                "Set-Cookie": "vendor=1",
                "Server": "vendor/1",
                "X-Key": "vendor-secret-4711",
                "Authorization": "Bearer vendor-secret-4711",
                "WWW-Authenticate": "Basic",
                "X-Account-Balance": "12",
                "Access-Control-Allow-Origin": "https://vendor.example",
                "Location": "https://vendor.example/",
                "X-Comfy-Credits-Used": "0",
                "Call-Id": "forged",
                "X-Request-Id": "vendor-request-1",
            },
        )

    from django.conf import settings

    app = web.Application()
    app.router.add_post("/{all:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        settings.VENDOR_BASE_URL = f"http://127.0.0.1:{runner.addresses[0][1]}"
        member = await stage.member()
        got = await stage.post("/proxy/sandbox/v1/image", member, json={})
    finally:
        await runner.cleanup()
    assert (got.status, got.body) == (200, b"pixels")
    assert got.headers == {
        "content-type": "image/png",
        "etag": '"abc"',
        "content-disposition": "inline",
        "last-modified": "Fri, 20 Nov 2026 10:00:00 GMT",
        "x-comfy-credits-used": "2.11",
        "call-id": got.headers["call-id"],
        "access-control-allow-origin": "*",
        "content-length": "6",
        "x-content-type-options": "nosniff",
    }
    (call,) = stage.calls(member)
    assert str(call["id"]) == got.headers["call-id"]
    assert call["vendor_request_id"] == "vendor-request-1"


async def test_keys_used_are_noted(stage):
    member = await stage.member()
    await stage.post("/proxy/sandbox/v1/image", member, json={})
    await in_thread(keys.used.write)
    row = stage.row("SELECT last_used_at FROM apikeys_apikey WHERE id = %s", member.key_id)
    assert row["last_used_at"] is not None


async def test_a_database_that_is_away_does_not_end_the_noting(stage, monkeypatch):
    from config import asgi

    tries = 0

    def away() -> None:
        nonlocal tries
        tries += 1
        raise OperationalError("away")

    used = keys.Used()
    monkeypatch.setattr(keys, "used", used)
    monkeypatch.setattr(keys.Used, "SECONDS", 0)
    monkeypatch.setattr(used, "write", away)
    used.note(str(uuid.uuid4()))
    chore = asyncio.ensure_future(asgi._keep_writing_used_keys())
    await asyncio.wait({chore}, timeout=0.2)
    assert tries > 1
    chore.cancel()


async def test_a_redirect_is_not_followed(stage, settings):
    from aiohttp import web

    asked = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=302, headers={"Location": "/elsewhere"})

    app = web.Application()
    app.router.add_route("*", "/{all:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        settings.VENDOR_BASE_URL = f"http://127.0.0.1:{runner.addresses[0][1]}"
        member = await stage.member()
        got = await stage.post("/proxy/sandbox/v1/image", member, json={})
    finally:
        await runner.cleanup()
    assert (got.status, got.type) == (502, "provider_error")
    assert "location" not in got.headers
    assert asked == ["/v1/image"]
    assert stage.wallet(member) == (5_000_000, 0)
