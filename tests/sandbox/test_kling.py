"""The sandbox's Kling keeps its promises: two designs, two credentials, codes, tasks, files."""

import asyncio
import base64
import io
import struct
import time

import jwt
import orjson
import pytest
from aiohttp import ClientError, ClientSession
from PIL import Image
from vendor_keys import KEY, SECRET
from yarl import URL

from sandbox.vendors.kling_works import CODES

PIXEL = "iVBORw0KGgo="
TEXT = "/v1/videos/text2video"
PICTURES = "/v1/images/generations"
TURBO = "/text-to-video/kling-3.0-turbo"
PHOTO = "https://example.org/a.png"
FILM = "https://example.org/a.mp4"
WAVES = {"prompt": "waves", "model_name": "kling-v2-6"}
TALKS = {"mode": "audio2video", "video_url": FILM, "audio_type": "url", "audio_url": FILM}
FIRST = [{"type": "prompt", "text": "waves"}, {"type": "first_frame", "url": PHOTO}]

WORKS = [
    (TEXT, {**WAVES, "duration": "10", "mode": "pro"}, "mp4", "7.0"),
    ("/v1/videos/image2video", {"model_name": "kling-v2-1", "image": PIXEL}, "mp4", "2.0"),
    ("/v1/videos/omni-video", {"prompt": "a", "model_name": "kling-video-o1"}, "mp4", "2.0"),
    ("/v1/videos/lip-sync", {"input": TALKS}, "mp4", "2.0"),
    ("/v1/videos/effects", {"effect_scene": "squish", "input": {"image": PIXEL}}, "mp4", "2.0"),
    (
        "/v1/videos/motion-control",
        {"image_url": PHOTO, "video_url": FILM, "mode": "pro", "character_orientation": "image"},
        "mp4",
        "3.5",
    ),
    ("/v1/videos/avatar/image2video", {"image": PHOTO, "sound_file": FILM}, "mp4", "2.0"),
    (PICTURES, {"prompt": "a fox", "n": 3}, "png", "3"),
    ("/v1/images/kolors-virtual-try-on", {"human_image": PIXEL, "cloth_image": PIXEL}, "png", "1"),
    ("/v1/images/omni-image", {"prompt": "a fox", "resolution": "1k"}, "png", "1"),
]
NEW_WORKS = [
    (TURBO, {"prompt": "waves", "settings": {"duration": 7, "resolution": "1080p"}}, "7", "4.9"),
    ("/image-to-video/kling-3.0-turbo", {"contents": FIRST}, "5", "2.0"),
]


async def submit(caller: ClientSession, body: object = WAVES, path: str = TEXT) -> dict:
    async with caller.post(f"/kling{path}", json=body) as answer:
        content = await answer.json()
        assert (answer.status, content["code"]) == (200, 0), content
        return content["data"]


async def finish(caller: ClientSession, task: dict, path: str = TEXT) -> dict:
    """Poll a task until it ends, and return what is told of it."""
    is_new = not path.startswith("/v1/")
    address = f"/kling/tasks?task_ids={task['id']}" if is_new else f"{path}/{task['task_id']}"
    for _ in range(200):
        async with caller.get(address if is_new else f"/kling{address}") as answer:
            told = (await answer.json())["data"]
        told = told[0] if is_new else told
        if told["status" if is_new else "task_status"] not in {"submitted", "processing"}:
            return told
        await asyncio.sleep(0.01)
    pytest.fail("The task never ended")


async def refused(caller: ClientSession, body: object, path: str = TEXT, **options) -> tuple:
    async with caller.post(f"/kling{path}", json=body, **options) as answer:
        content = await answer.json()
        assert set(content) == {"code", "message", "request_id"}
        return answer.status, content["code"]


async def download(stranger: ClientSession, url: str) -> bytes:
    async with stranger.get(URL(url)) as answer:
        assert answer.status == 200
        return await answer.read()


def pair(*, secret: str = SECRET, header: dict | None = None, **claims) -> dict[str, str]:
    """Sign in as the pair does, with claims of one's own; None leaves a claim out."""
    now = int(time.time())
    claims = {"iss": KEY, "exp": now + 1800, "nbf": now - 5, **claims}
    claims = {name: value for name, value in claims.items() if value is not None}
    token = jwt.encode(claims, secret, algorithm="HS256", headers=header)
    return {"authorization": f"Bearer {token}"}


@pytest.mark.parametrize(("path", "body", "ending", "deducted"), WORKS)
async def test_each_work_submits_polls_and_delivers(
    far_side, caller, stranger, path, body, ending, deducted
):
    task = await submit(caller, body, path)
    told = await finish(caller, task, path)
    results = told["task_result"].get("videos") or told["task_result"]["images"]
    files = [await download(stranger, each["url"]) for each in results]

    assert task["task_status"] == "submitted"
    assert task["task_id"].isdecimal()
    assert told["task_status"] == "succeed"
    assert told["final_unit_deduction"] == deducted
    assert told["updated_at"] >= told["created_at"]
    assert len(files) == body.get("n", 1)
    for content in files:
        if ending == "mp4":
            at = content.index(b"mvhd") + 16
            assert struct.unpack_from(">II", content, at)[1] == 1000 * int(results[0]["duration"])
        else:
            assert Image.open(io.BytesIO(content)).size == (512, 288)
    assert far_side.counts("kling")["accepted"] == 1


@pytest.mark.parametrize(("path", "body", "seconds", "deducted"), NEW_WORKS)
async def test_each_new_work_submits_polls_and_delivers(
    caller, stranger, path, body, seconds, deducted
):
    task = await submit(caller, body, path)
    told = await finish(caller, task, path)
    content = await download(stranger, told["outputs"][0]["url"])

    assert task == {"id": told["id"], "status": "submitted"}
    assert (told["status"], told["outputs"][0]["type"]) == ("succeeded", "video")
    assert told["outputs"][0]["duration"] == seconds
    assert told["billing"] == [{"charge_type": "unit", "amount": deducted, "package_type": "video"}]
    assert content[4:8] == b"ftyp"


async def test_a_series_comes_under_its_own_name(caller):
    body = {"prompt": "a", "result_type": "series", "series_amount": 4, "n": 1}
    path = "/v1/images/omni-image"

    told = await finish(caller, await submit(caller, body, path), path)

    assert told["task_result"]["result_type"] == "series"
    assert len(told["task_result"]["series_images"]) == 4
    assert told["final_unit_deduction"] == "4"


async def test_a_pair_signs_in_where_tokens_are_taken(far_side, stranger):
    async with ClientSession(far_side.url, headers=pair()) as member:
        told = await finish(member, await submit(member))
        assert told["task_status"] == "succeed"
        assert await refused(member, {"prompt": "a"}, TURBO) == (401, 1002)
        async with member.get("/kling/tasks?task_ids=1") as answer:
            assert (answer.status, (await answer.json())["code"]) == (401, 1002)

    assert far_side.counts("kling")["refused_credentials"] == 2


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, 1001),
        ({"authorization": ""}, 1001),
        ({"authorization": KEY}, 1002),
        ({"authorization": "Bearer wrong"}, 1002),
        ({"x-key": KEY}, 1001),
        (lambda: pair(secret="another-secret-of-thirty-two-bytes"), 1002),
        (lambda: pair(iss="somebody"), 1002),
        (lambda: pair(iss=None), 1002),
        (lambda: pair(exp=None), 1002),
        (lambda: pair(nbf=None), 1002),
        (lambda: pair(exp=int(time.time()) - 1), 1004),
        (lambda: pair(exp=int(time.time()) + 4000), 1002),
        (lambda: pair(exp=float("1e300")), 1002),
        (lambda: pair(nbf=int(time.time()) + 600), 1003),
        (lambda: pair(header={"typ": "JOSE"}), 1002),
        (lambda: pair(header={"crit": ["exp"], "exp": 1}), 1002),
        (lambda: {"authorization": pair()["authorization"].removeprefix("Bearer ")}, 1002),
        (lambda: {"authorization": pair()["authorization"].replace("Bearer", "bearer")}, 1002),
        (lambda: {"authorization": pair()["authorization"] + "x"}, 1002),
        (lambda: {"authorization": pair()["authorization"][:-3]}, 1002),
        ({"authorization": "Bearer a.b.c.d"}, 1002),
    ],
)
async def test_no_other_credential_is_taken(far_side, stranger, headers, code):
    headers = headers() if callable(headers) else headers
    far_side.fail_next("kling", "drop_before")

    assert await refused(stranger, WAVES, headers=headers) == (401, code)
    assert far_side.counts("kling")["refused_credentials"] == 1
    assert far_side.counts("kling")["accepted"] == 0
    assert len(far_side.desks["kling"].plans.submits) == 1


def forged(header: dict, claims: object, signature: bytes = b"") -> dict[str, str]:
    """Write a token by hand, as who wants to get in without the secret would."""
    raw = (orjson.dumps(header), claims if isinstance(claims, bytes) else orjson.dumps(claims))
    parts = [base64.urlsafe_b64encode(part).rstrip(b"=") for part in (*raw, signature)]
    return {"authorization": f"Bearer {b'.'.join(parts).decode()}"}


@pytest.mark.parametrize("algorithm", ["none", "None", "HS512", "RS256", None, ""])
async def test_a_token_does_not_choose_its_algorithm(stranger, algorithm):
    now = int(time.time())
    claims = {"iss": KEY, "exp": now + 600, "nbf": now}
    tricks = [forged({"alg": algorithm, "typ": "JWT"}, claims, sign) for sign in (b"", b"x" * 32)]
    if algorithm == "HS512":
        token = jwt.encode(claims, SECRET * 2, algorithm=algorithm)
        tricks.append({"authorization": f"Bearer {token}"})

    for headers in tricks:
        assert await refused(stranger, WAVES, headers=headers) == (401, 1002)


@pytest.mark.parametrize(
    "claims",
    [
        b'{"iss": "vendor-key", "exp": NaN, "nbf": 1}',
        b'{"iss": "vendor-key", "exp": true, "nbf": 1}',
        b'{"iss": "vendor-key", "exp": "later", "nbf": 1}',
        b'{"iss": "x", "iss": "vendor-key", "exp": 1, "nbf": 1}',
        b"[]",
        b"not json",
    ],
)
async def test_a_signed_token_must_still_be_readable(stranger, claims):
    import hashlib
    import hmac

    head, body = (
        base64.urlsafe_b64encode(part).rstrip(b"=") for part in (b'{"alg":"HS256"}', claims)
    )
    signature = hmac.digest(SECRET.encode(), head + b"." + body, hashlib.sha256)
    token = b".".join((head, body, base64.urlsafe_b64encode(signature).rstrip(b"="))).decode()

    assert await refused(stranger, WAVES, headers={"authorization": f"Bearer {token}"}) == (
        401,
        1002,
    )


@pytest.mark.parametrize("code", sorted(CODES))
async def test_every_code_has_its_status_and_can_hide_in_a_200(far_side, caller, code):
    far_side.fail_next("kling", f"code={code}")

    assert await refused(caller, WAVES) == (CODES[code][0], code)
    assert await refused(caller, {"prompt": f"a fox sandbox:inside={code}"}) == (200, code)
    assert far_side.counts("kling")["submits"] == 2
    assert far_side.counts("kling")["accepted"] == 0


@pytest.mark.parametrize(
    ("status", "code"), [(400, 1200), (401, 1000), (429, 1302), (500, 5000), (503, 5001)]
)
async def test_a_status_has_its_usual_code(caller, status, code):
    assert await refused(caller, {"prompt": f"sandbox:status={status}"}) == (status, code)


@pytest.mark.parametrize(("path", "body"), [(TEXT, WAVES), (TURBO, {"prompt": "waves"})])
@pytest.mark.parametrize("ending", ["moderated", "content_moderated", "failed"])
async def test_a_task_fails_on_request(far_side, caller, path, body, ending):
    far_side.fail_next("kling", ending)

    told = await finish(caller, await submit(caller, body, path), path)

    if path == TEXT:
        assert (told["task_status"], "task_result" in told) == ("failed", False)
        assert told["task_status_msg"]
    else:
        assert (told["status"], told["outputs"], told["billing"]) == ("failed", [], [])
        assert told["message"]


async def test_a_cost_is_what_is_asked_for(caller):
    old = await finish(caller, await submit(caller, {**WAVES, "prompt": "sandbox:cost=12.5"}))
    body = {"prompt": "sandbox:cost=999999999"}
    new = await finish(caller, await submit(caller, body, TURBO), TURBO)

    assert old["final_unit_deduction"] == "12.5"
    assert float(new["billing"][0]["amount"]) == 999_999_999


async def test_a_task_never_ends_on_request(caller):
    task = await submit(caller, {"prompt": "sandbox:never"})
    await asyncio.sleep(0.1)

    async with caller.get(f"/kling{TEXT}/{task['task_id']}") as answer:
        assert (await answer.json())["data"]["task_status"] == "submitted"


@pytest.mark.parametrize(("path", "name"), [(TEXT, "task_id"), (TURBO, "id")])
async def test_polls_fail_on_request(caller, path, name):
    async def asked(failure: str):
        task = await submit(caller, {"prompt": f"a sandbox:{failure}"}, path)
        task_id = task[name]
        poll = f"{path}/{task_id}" if path == TEXT else f"/tasks?task_ids={task_id}"
        return await caller.get(f"/kling{poll}")

    answer = await asked("poll_inside=5000")
    assert (answer.status, (await answer.json())["code"]) == (200, 5000)
    answer = await asked("poll_status=429")
    assert (answer.status, (await answer.json())["code"]) == (429, 1302)
    answer = await asked("poll_nonjson")
    assert (answer.status, answer.content_type) == (200, "text/html")
    answer = await asked("poll_echo")
    assert f"Bearer {KEY}" in await answer.text()
    with pytest.raises((ConnectionError, ClientError)):
        await asked("poll_drop")
    with pytest.raises((ConnectionError, ClientError)):
        await (await asked("poll_cut")).read()
    started = time.monotonic()
    await asked("poll_slow=0.2")
    assert time.monotonic() - started >= 0.2


async def test_planned_poll_failures_are_used_up(far_side, caller):
    task = await submit(caller, {"prompt": "sandbox:delay=0"})
    far_side.fail_next("kling", "poll_inside=1303", times=2)

    codes = []
    for _ in range(3):
        async with caller.get(f"/kling{TEXT}/{task['task_id']}") as answer:
            codes.append((await answer.json())["code"])

    assert codes == [1303, 1303, 0]


@pytest.mark.parametrize(("failure", "accepted"), [("drop_before", 0), ("drop_after", 1)])
async def test_a_dropped_connection_was_or_was_not_accepted(far_side, caller, failure, accepted):
    with pytest.raises((ConnectionError, ClientError)):
        await caller.post(f"/kling{TURBO}", json={"prompt": f"sandbox:{failure}"})

    assert far_side.counts("kling")["accepted"] == accepted


@pytest.mark.parametrize("path", [TEXT, TURBO])
async def test_an_answer_lacks_its_id_or_carries_our_credential(caller, path):
    bare = await submit(caller, {"prompt": "sandbox:no_id"}, path)
    async with caller.post(f"/kling{path}", json={"prompt": "sandbox:echo"}) as answer:
        echoed = await answer.json()

    assert "id" not in bare
    assert "task_id" not in bare
    assert echoed["code"] == 0
    assert f"Bearer {KEY}" in echoed["debug"]


async def test_a_lost_submit_is_found_by_the_callers_own_id(far_side, caller):
    bodies = (
        {**WAVES, "external_task_id": "hold-1"},
        {"prompt": "waves", "options": {"external_task_id": "hold-2"}},
    )
    for body, path in zip(bodies, (TEXT, TURBO), strict=True):
        far_side.fail_next("kling", "drop_after")
        with pytest.raises((ConnectionError, ClientError)):
            await caller.post(f"/kling{path}", json=body)

    async with caller.get(f"/kling{TEXT}/hold-1") as answer:
        old = (await answer.json())["data"]
    async with caller.get("/kling/tasks?external_task_ids=hold-2") as answer:
        new = (await answer.json())["data"][0]
    assert old["task_info"] == {"external_task_id": "hold-1"}
    assert new["external_id"] == "hold-2"
    assert await refused(caller, bodies[0]) == (400, 1201)
    assert await refused(caller, bodies[1], TURBO) == (400, 1201)
    assert far_side.counts("kling")["accepted"] == 2


async def test_a_task_is_known_on_its_own_path_alone(caller, stranger):
    old, new = await submit(caller), await submit(caller, {"prompt": "a"}, TURBO)

    for path in (
        f"{TEXT}/1",
        f"{PICTURES}/{old['task_id']}",
        f"{TEXT}/{new['id']}",
        f"/tasks?task_ids={old['task_id']}",
        "/tasks?task_ids=1,2",
        "/tasks",
        "/tasks?task_ids=" + ",".join(["1"] * 101),
    ):
        async with caller.get(f"/kling{path}") as answer:
            assert (answer.status, (await answer.json())["code"]) == (400, 1201), path
    for path in (f"/files/{old['task_id']}/1.mp4", "/files/1/0.mp4", "/files/1/x.mp4"):
        async with stranger.get(f"/kling{path}") as answer:
            assert (answer.status, (await answer.json())["code"]) == (404, 1203), path


async def test_one_question_asks_for_several_tasks(caller):
    first, second = [await submit(caller, {"prompt": "a"}, TURBO) for _ in range(2)]

    async with caller.get(f"/kling/tasks?task_ids={second['id']},1,{first['id']}") as answer:
        rows = (await answer.json())["data"]

    assert [row["id"] for row in rows] == [second["id"], first["id"]]


async def test_only_a_video_of_ones_own_is_extended(caller):
    extend, sync = "/v1/videos/video-extend", "/v1/videos/lip-sync"
    running = await submit(caller, {"prompt": "sandbox:never"})
    pictures = await finish(caller, await submit(caller, {"prompt": "a"}, PICTURES), PICTURES)
    made = (await finish(caller, await submit(caller)))["task_result"]["videos"][0]["id"]

    longer = await finish(caller, await submit(caller, {"video_id": made}, extend), extend)
    await submit(caller, {"input": {"mode": "text2video", "video_id": made}}, sync)

    assert longer["task_status"] == "succeed"
    for other in ("v1", "1", str(int(running["task_id"]) + 1), str(int(pictures["task_id"]) + 1)):
        assert await refused(caller, {"video_id": other}, extend) == (400, 1201)
    body = {"input": {"mode": "text2video", "video_id": "1"}}
    assert await refused(caller, body, sync) == (400, 1201)


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        (TEXT, {}, 1201),
        (TEXT, {"prompt": ""}, 1201),
        (TEXT, {**WAVES, "duration": 5}, 1201),
        (TEXT, {**WAVES, "duration": "7"}, 1201),
        (TEXT, {**WAVES, "mode": "4k"}, 1201),
        (TEXT, {**WAVES, "mode": "fast"}, 1201),
        (TEXT, {**WAVES, "model_name": "kling-v9"}, 1203),
        (TEXT, {**WAVES, "external_task_id": 7}, 1201),
        (TEXT, [], 1200),
        (TURBO, {"prompt": "a", "settings": {"duration": "5"}}, 1201),
        (TURBO, {"prompt": "a", "settings": {"duration": 16}}, 1201),
        (TURBO, {"prompt": "a", "settings": {"duration": True}}, 1201),
        (TURBO, {"prompt": "a", "settings": {"resolution": "4k"}}, 1201),
        ("/image-to-video/kling-3.0-turbo", {"contents": FIRST[:1]}, 1201),
        ("/image-to-video/kling-3.0-turbo", {"contents": "a"}, 1201),
        ("/v1/videos/image2video", {"image": f"data:image/png;base64,{PIXEL}"}, 1201),
        ("/v1/videos/lip-sync", {"input": {"mode": "text2video"}}, 1201),
        ("/v1/videos/motion-control", {"image_url": PHOTO, "video_url": FILM}, 1201),
        (PICTURES, {"prompt": "a", "n": 10}, 1201),
        (PICTURES, {"prompt": "a", "n": 0}, 1201),
        (PICTURES, {"prompt": "a", "n": "2"}, 1201),
        (TEXT, {"prompt": "sandbox:tokens=5"}, 1200),
        (TEXT, {"prompt": "sandbox:result_drop"}, 1200),
    ],
)
async def test_a_body_it_cannot_use_is_refused(far_side, caller, path, body, code):
    assert (await refused(caller, body, path))[1] == code
    assert far_side.counts("kling")["accepted"] == 0


async def test_the_newest_models_last_from_three_to_fifteen_seconds(caller):
    body = {"prompt": "a", "model_name": "kling-v3", "duration": "13", "mode": "4k"}

    told = await finish(caller, await submit(caller, body))

    assert told["task_result"]["videos"][0]["duration"] == "13"
    assert told["final_unit_deduction"] == "39.0"
