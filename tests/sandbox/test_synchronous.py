"""The vendor that does not exist: answers at once, in every form, with the failures of the wire."""

import asyncio
import hashlib
import io

import pytest
from aiohttp import ClientError, ClientPayloadError
from PIL import Image


async def test_echo_reports_units(far_side, caller):
    async with caller.post("/sandbox/v1/echo", data=b'{"units": 3}') as answer:
        assert await answer.json() == {"ok": True, "bytes": 12, "usage": {"units": 3}}
    async with caller.post("/sandbox/v1/echo", json={}) as answer:
        assert (await answer.json())["usage"] == {"units": 1}

    assert far_side.counts("sandbox")["accepted"] == 2


async def test_echo_refuses_what_it_cannot_count(far_side, caller):
    async with caller.post("/sandbox/v1/echo", data=b"nothing") as answer:
        assert answer.status == 400
    async with caller.post("/sandbox/v1/echo", json={"units": "many"}) as answer:
        assert answer.status == 422

    assert far_side.counts("sandbox")["accepted"] == 0


@pytest.mark.parametrize("headers", [{}, {"authorization": "vendor-key"}, {"x-key": "vendor-key"}])
async def test_a_wrong_credential_is_refused(far_side, stranger, headers):
    async with stranger.post("/sandbox/v1/echo", json={}, headers=headers) as answer:
        assert answer.status == 401

    assert far_side.counts("sandbox")["refused_credentials"] == 1


async def test_the_image_is_the_answer(caller):
    async with caller.post("/sandbox/v1/image", json={"width": 64, "height": 32}) as answer:
        content = await answer.read()

    assert answer.content_type == "image/png"
    assert Image.open(io.BytesIO(content)).size == (64, 32)


async def test_a_stream_has_its_length_and_takes_its_time(caller):
    started = asyncio.get_running_loop().time()
    async with caller.post("/sandbox/v1/stream?bytes=300000&seconds=0.3") as answer:
        content = await answer.read()

    assert answer.headers["Content-Length"] == "300000"
    assert len(content) == 300_000
    assert asyncio.get_running_loop().time() - started >= 0.29


@pytest.mark.parametrize("query", ["bytes=x", "seconds=y", "bytes=-1"])
async def test_a_stream_of_nonsense_is_refused(caller, query):
    async with caller.post(f"/sandbox/v1/stream?{query}") as answer:
        assert answer.status == 422


async def test_an_empty_stream_ends(caller):
    async with caller.post("/sandbox/v1/stream?bytes=0&seconds=1") as answer:
        assert await answer.read() == b""


async def test_lines_come_one_by_one(caller):
    clock = asyncio.get_running_loop().time
    async with caller.post("/sandbox/v1/lines") as answer:
        came = [(clock(), line) async for line in answer.content]

    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert [line for _, line in came] == [b'{"line":%d}\n' % number for number in range(10)]
    assert came[-1][0] - came[0][0] >= 0.4


async def test_an_upload_is_digested_as_it_comes(far_side, caller):
    async def pieces():
        for number in range(32):
            yield bytes([number]) * 65536

    whole = b"".join([piece async for piece in pieces()])
    async with caller.post("/sandbox/v1/upload", data=pieces()) as answer:
        content = await answer.json()

    assert content == {"bytes": len(whole), "sha256": hashlib.sha256(whole).hexdigest()}
    assert far_side.requests("sandbox")[0].sha256 == content["sha256"]


async def test_failures_of_the_wire_happen_here_too(far_side, caller):
    async with caller.post("/sandbox/v1/echo", json={"prompt": "sandbox:status=429"}) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (429, "2")
    async with caller.post("/control/sandbox/next", json={"failures": ["status=500"]}) as answer:
        assert answer.status == 200
    async with caller.post("/sandbox/v1/lines") as answer:
        assert answer.status == 500
    for path in ("stream?bytes=300000", "lines", "image"):
        far_side.fail_next("sandbox", "cut")
        async with caller.post(f"/sandbox/v1/{path}") as answer:
            with pytest.raises(ClientPayloadError):
                await answer.read()
    for failure in ("drop_before", "drop_after"):
        far_side.fail_next("sandbox", failure)
        with pytest.raises((ConnectionError, ClientError)):
            await caller.post("/sandbox/v1/upload", data=b"x" * 1_000_000)

    assert far_side.counts("sandbox")["accepted"] == 4


async def test_failures_of_jobs_are_refused_by_who_has_no_jobs(caller):
    async with caller.post("/control/sandbox/next", json={"failures": ["moderated"]}) as answer:
        assert answer.status == 400
