"""The sandbox's Rodin keeps its promises: forms in, three jobs a task, links that die, models."""

import asyncio
import io
import json
import struct
import time

import aiohttp
import pytest
from aiohttp import ClientError, ClientSession, FormData
from PIL import Image
from vendor_keys import KEY
from yarl import URL

from sandbox import forms
from sandbox.far_side import Settings
from sandbox.server import running

FOX = {"prompt": "a red fox", "seed": "7"}
BOUNDARY = "multipart/form-data; boundary=x"


def picture(side: int = 16) -> bytes:
    drawn = io.BytesIO()
    Image.new("RGB", (side, side), "red").save(drawn, "PNG")
    return drawn.getvalue()


def form(fields: dict[str, str] = FOX, *, images: int | list[bytes] = 0) -> FormData:
    data = FormData(default_to_multipart=True)
    for name, value in fields.items():
        data.add_field(name, value)
    for number, content in enumerate([picture()] * images if isinstance(images, int) else images):
        data.add_field(
            "images", io.BytesIO(content), filename=f"{number}.png", content_type="image/png"
        )
    return data


async def post(caller: ClientSession, path: str, **options) -> tuple[int, dict]:
    async with caller.post(f"/rodin/api/v2/{path}", **options) as answer:
        return answer.status, await answer.json()


async def submit(caller: ClientSession, data: FormData | None = None) -> dict:
    status, content = await post(caller, "rodin", data=data or form())
    assert (status, content.get("error")) == (201, None), content
    return content


async def words(caller: ClientSession, task: dict) -> list[str]:
    asked = {"subscription_key": task["jobs"]["subscription_key"]}
    status, content = await post(caller, "status", json=asked)
    assert status == 201, content
    assert [each["uuid"] for each in content["jobs"]] == task["jobs"]["uuids"]
    return [each["status"] for each in content["jobs"]]


async def finish(caller: ClientSession, task: dict) -> list[str]:
    for _ in range(200):
        told = await words(caller, task)
        if not {"Waiting", "Generating"} & set(told):
            return told
        await asyncio.sleep(0.01)
    pytest.fail("The task never ended")


async def listed(caller: ClientSession, task: dict) -> dict[str, str]:
    status, content = await post(caller, "download", json={"task_uuid": task["uuid"]})
    assert status == 201, content
    return {each["name"]: each["url"] for each in content["list"]}


def unpacked(glb: bytes) -> tuple[dict, bytes]:
    """Take a binary glTF apart by its specification."""
    magic, version, length = struct.unpack_from("<4sII", glb)
    assert (magic, version, length) == (b"glTF", 2, len(glb))
    json_length, kind = struct.unpack_from("<I4s", glb, 12)
    assert kind == b"JSON"
    bin_length, kind = struct.unpack_from("<I4s", glb, 20 + json_length)
    assert (kind, 28 + json_length + bin_length) == (b"BIN\0", len(glb))
    return json.loads(glb[20 : 20 + json_length]), glb[28 + json_length :]


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (form(), "base_basic_pbr.glb"),
        (form({}, images=5), "base_basic_pbr.glb"),
        (form({"tier": "Gen-2.5-High", "material": "Shaded"}, images=1), "base_basic_shaded.glb"),
        (
            form({**FOX, "addons": '["HighPack"]', "quality_override": "18000"}),
            "base_basic_pbr.glb",
        ),
    ],
)
async def test_a_task_is_submitted_polled_and_delivered(far_side, caller, stranger, data, name):
    task = await submit(caller, data)
    told = await finish(caller, task)
    links = await listed(caller, task)
    files = {}
    for file_name, url in links.items():
        async with stranger.get(URL(url, encoded=True)) as answer:
            assert answer.status == 200
            files[file_name] = (answer.content_type, await answer.read())

    assert told == ["Done"] * 3
    assert len(task["jobs"]["subscription_key"]) > 200
    assert list(files) == [name, "preview.webp"]
    kind, glb = files[name]
    scene, blob = unpacked(glb)
    assert kind == "model/gltf-binary"
    assert scene["meshes"][0]["primitives"][0]["attributes"]["POSITION"] == 0
    view = scene["bufferViews"][scene["images"][0]["bufferView"]]
    texture = blob[view["byteOffset"] : view["byteOffset"] + view["byteLength"]]
    assert Image.open(io.BytesIO(texture)).size == (64, 64)
    kind, preview = files["preview.webp"]
    assert (kind, Image.open(io.BytesIO(preview)).format) == ("image/webp", "WEBP")
    assert far_side.counts("rodin")["accepted"] == 1
    assert far_side.counts("rodin")["downloads"] == 2


async def test_the_jobs_are_done_one_after_the_other(caller):
    task = await submit(caller, form({"prompt": "sandbox:delay=0.6"}))
    seen = []
    while not seen or seen[-1] != ["Done"] * 3:
        told = await words(caller, task)
        if told not in seen:
            seen.append(told)
        await asyncio.sleep(0.02)

    assert seen == [
        ["Generating", "Waiting", "Waiting"],
        ["Done", "Generating", "Waiting"],
        ["Done", "Done", "Generating"],
        ["Done", "Done", "Done"],
    ]


async def test_an_early_download_lists_what_is_there(caller):
    begun = await submit(caller, form({"prompt": "sandbox:never"}))
    task = await submit(caller, form({"prompt": "sandbox:delay=0.9"}))
    await asyncio.sleep(0.4)

    assert await listed(caller, begun) == {}
    assert list(await listed(caller, task)) == ["preview.webp"]


@pytest.mark.parametrize("planned", [True, False])
@pytest.mark.parametrize(
    ("failure", "word"),
    [("failed", "Failed"), ("content_moderated", "Failed"), ("moderated", "Canceled")],
)
async def test_a_task_ends_badly_on_request(far_side, caller, failure, word, planned):
    if planned:
        far_side.fail_next("rodin", failure)
    task = await submit(caller, form() if planned else form({"prompt": f"sandbox:{failure}"}))

    assert await finish(caller, task) == ["Done", "Done", word]
    assert list(await listed(caller, task)) == ["preview.webp"]


async def test_a_link_dies_and_a_new_question_gives_a_new_one():
    settings = Settings(job_seconds=0, link_seconds=0.3)
    async with running(settings) as far_side, ClientSession(far_side.url) as caller:
        task = await submit(caller)
        first = URL((await listed(caller, task))["preview.webp"], encoded=True)
        async with caller.get(first) as answer:
            assert answer.status == 200
        await asyncio.sleep(0.35)

        async with caller.get(first) as answer:
            assert (answer.status, answer.content_type) == (403, "application/xml")
        second = URL((await listed(caller, task))["preview.webp"], encoded=True)
        async with caller.get(second) as answer:
            assert answer.status == 200
        later = second.update_query(Expires=str(time.time() + 1000))
        for altered in (later, second.with_query(""), second.update_query(Signature="0")):
            async with caller.get(altered) as answer:
                assert answer.status == 403


async def test_each_question_wants_its_own_name(caller):
    task = await submit(caller)
    key, uuid = task["jobs"]["subscription_key"], task["uuid"]

    for path, asked, status in (
        ("status", {"subscription_key": uuid}, 404),
        ("status", {"subscription_key": "k1"}, 404),
        ("status", {"task_uuid": uuid}, 400),
        ("status", {"subscription_key": 7}, 400),
        ("download", {"task_uuid": key}, 404),
        ("download", {"task_uuid": task["jobs"]["uuids"][0]}, 404),
        ("download", {}, 400),
        ("download", [], 400),
    ):
        told, content = await post(caller, path, json=asked)
        assert (told, set(content)) == (status, {"error", "message"}), asked


@pytest.mark.parametrize(
    "headers", [{}, {"authorization": KEY}, {"authorization": "Bearer x"}, {"x-key": KEY}]
)
async def test_a_wrong_credential_is_refused(far_side, stranger, headers):
    for path in ("rodin", "status", "download"):
        status, content = await post(stranger, path, json={}, headers=headers)
        assert (status, content["error"]) == (401, "UNAUTHORIZED")

    assert far_side.counts("rodin")["refused_credentials"] == 3


@pytest.mark.parametrize(
    ("fields", "images"),
    [
        ({}, 0),
        ({"prompt": ""}, 0),
        (FOX, 6),
        (FOX, [b"not a picture"]),
        (FOX, [picture()[:-20]]),
        (FOX, [b""]),
        ({**FOX, "tier": "Gen-9"}, 0),
        ({**FOX, "material": "Gold"}, 0),
        ({**FOX, "geometry_file_format": "fbx"}, 0),
        ({**FOX, "seed": "65536"}, 0),
        ({**FOX, "seed": "-1"}, 0),
        ({**FOX, "quality_override": "many"}, 0),
        ({**FOX, "addons": "LowPack"}, 0),
        ({"prompt": "sandbox:cost=1"}, 0),
        ({"prompt": "sandbox:no_usage"}, 0),
    ],
)
async def test_a_form_it_cannot_use_is_refused(far_side, caller, fields, images):
    status, content = await post(caller, "rodin", data=form(fields, images=images))

    assert (status, content["error"]) == (400, "INVALID_REQUEST")
    assert far_side.counts("rodin")["accepted"] == 0


async def test_an_image_that_is_too_large_is_refused(caller):
    large = picture() + bytes(16 * 1024 * 1024)

    status, content = await post(caller, "rodin", data=form(images=[large]))

    assert (status, content["message"]) == (400, "images[0] is larger than 16 MB")


PART = b'--x\r\ncontent-disposition: form-data; name="prompt"\r\n\r\na\r\n'


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        ("application/json", b'{"prompt": "a"}'),
        ("application/x-www-form-urlencoded", b"prompt=a"),
        ("multipart/form-data", PART + b"--x--"),
        (BOUNDARY, b""),
        (BOUNDARY, PART),
        (BOUNDARY, PART + b"--y--"),
        (BOUNDARY, PART + b"--x--\r\nand more"),
        (BOUNDARY, b"before\r\n" + PART + b"--x--"),
        (BOUNDARY, PART.replace(b"\r\n", b"\n") + b"--x--"),
        (BOUNDARY, PART.replace(b'; name="prompt"', b"") + b"--x--"),
        (BOUNDARY, PART.replace(b"form-data", b"attachment") + b"--x--"),
        (BOUNDARY, PART.replace(b"\r\n\r\na", b"\r\na") + b"--x--"),
        (BOUNDARY, PART.replace(b"\r\n\r\na", b"\r\n\r\n\xff") + b"--x--"),
        (BOUNDARY, PART + PART + b"--x--"),
    ],
)
async def test_a_form_must_be_a_form(far_side, caller, kind, raw):
    status, content = await post(caller, "rodin", data=raw, headers={"content-type": kind})

    assert (status, content["error"]) == (400, "INVALID_REQUEST")
    assert far_side.counts("rodin")["accepted"] == 0


def test_a_form_is_read_to_the_byte():
    content = b"\x00--x\r\n--y\r\n\r\n\r\n--x\n"
    raw = (
        PART
        + b'--x\r\nContent-Disposition: form-data; filename="a;b.png"; name="images"\r\n'
        + b"Content-Type: image/png\r\n\r\n"
        + content.replace(b"\r\n--x", b"")
        + b"\r\n--x--\r\n"
    )

    read = forms.read('multipart/form-data; boundary="x"', raw)

    assert read.value("prompt") == "a"
    assert read.files["images"] == [
        forms.File("a;b.png", content.replace(b"\r\n--x", b""), "image/png")
    ]


@pytest.mark.parametrize(
    ("failure", "status", "error"),
    [
        ("inside", 201, "INSUFFICIENT_FUND"),
        ("inside=429", 201, "TOO_MANY_REQUESTS"),
        ("code=402", 402, "INSUFFICIENT_FUND"),
        ("status=402", 402, "INSUFFICIENT_FUND"),
        ("status=500", 500, "INTERNAL_ERROR"),
    ],
)
@pytest.mark.parametrize("planned", [True, False])
async def test_it_refuses_on_request(far_side, caller, failure, status, error, planned):
    if planned:
        far_side.fail_next("rodin", failure)
    data = form() if planned else form({"prompt": f"a fox sandbox:{failure} at night"}, images=1)

    told, content = await post(caller, "rodin", data=data)

    assert (told, content["error"], "uuid" in content) == (status, error, False)
    assert far_side.counts("rodin")["submits"] == 1
    assert far_side.counts("rodin")["accepted"] == 0


@pytest.mark.parametrize("kind", ["poll", "result"])
async def test_questions_fail_on_request(far_side, caller, kind):
    async def asked(failure: str, *, planned: bool = False) -> aiohttp.ClientResponse:
        if planned:
            far_side.fail_next("rodin", f"{kind}_{failure}")
            task = await submit(caller)
        else:
            task = await submit(caller, form({"prompt": f"sandbox:{kind}_{failure}"}))
        if kind == "poll":
            body = {"subscription_key": task["jobs"]["subscription_key"]}
            assert await listed(caller, task) is not None, "the other question is not touched"
            return await caller.post("/rodin/api/v2/status", json=body)
        await words(caller, task)
        return await caller.post("/rodin/api/v2/download", json={"task_uuid": task["uuid"]})

    for planned in (True, False):
        answer = await asked("inside", planned=planned)
        assert (answer.status, (await answer.json())["error"]) == (201, "INSUFFICIENT_FUND")
        answer = await asked("status=503", planned=planned)
        assert answer.status == 503
        answer = await asked("nonjson", planned=planned)
        assert (answer.status, answer.content_type) == (200, "text/html")
        answer = await asked("echo", planned=planned)
        assert KEY in await answer.text()
        with pytest.raises((ConnectionError, ClientError)):
            await asked("drop", planned=planned)


@pytest.mark.parametrize(
    ("failure", "accepted"), [("drop_before", 0), ("drop_after", 1), ("cut", 1), ("nonjson", 1)]
)
async def test_an_answer_is_lost_on_request(far_side, caller, failure, accepted):
    if failure == "nonjson":
        async with caller.post(
            "/rodin/api/v2/rodin", data=form({"prompt": f"sandbox:{failure}"})
        ) as answer:
            assert answer.content_type == "text/html"
    else:
        with pytest.raises((ConnectionError, ClientError)):
            await submit(caller, form({"prompt": f"sandbox:{failure}"}))

    assert far_side.counts("rodin")["accepted"] == accepted


async def test_an_answer_lacks_its_names(caller):
    content = await submit(caller, form({"prompt": "sandbox:no_id"}))

    assert content == {"message": "Submitted.", "jobs": {}}


async def test_the_oldest_task_loses_both_its_names():
    async with (
        running(Settings(job_seconds=0, jobs_kept=1)) as far_side,
        ClientSession(far_side.url) as caller,
    ):
        first, second = await submit(caller), await submit(caller)
        asked = {"subscription_key": first["jobs"]["subscription_key"]}

        assert (await post(caller, "status", json=asked))[0] == 404
        assert (await post(caller, "download", json={"task_uuid": first["uuid"]}))[0] == 404
        assert await words(caller, second) == ["Done"] * 3
