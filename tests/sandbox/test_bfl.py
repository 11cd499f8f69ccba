"""The sandbox's Black Forest Labs keeps its promises: answers, costs, failures, counts."""

import asyncio
import hashlib
import io
import struct
import uuid

import orjson
import pytest
from aiohttp import ClientError, ClientPayloadError, ClientSession, ServerDisconnectedError
from PIL import Image
from yarl import URL

from sandbox.failures import OF_JOB, OF_POLL, OF_SUBMIT, STATUSES
from sandbox.far_side import FarSide, Settings
from sandbox.jobs import Jobs
from sandbox.media import Media
from sandbox.server import running

ULTRA = "/bfl/v1/flux-pro-1.1-ultra"
FLUX_2 = "/bfl/v1/flux-2-pro"
UPSCALE = "/bfl/v1/flux-tools/video-upscale-v1"
PIXEL = "iVBORw0KGgo="
FOX = {"prompt": "a red fox", "seed": 7, "output_format": "png"}

ROUTES = [
    ("flux-2-max", {"prompt": "a", "width": 1024, "height": 1024}, 7.0, "jpeg"),
    ("flux-2-pro", {"prompt": "a", "width": 1024, "height": 1024}, 3.0, "jpeg"),
    ("flux-kontext-max", {"prompt": "a", "input_image": PIXEL}, 8.0, "jpeg"),
    ("flux-kontext-pro", {"prompt": "a", "output_format": "png"}, 4.0, "png"),
    ("flux-pro-1.0-expand", {"image": PIXEL, "prompt": "sky"}, 5.0, "jpeg"),
    ("flux-pro-1.0-fill", {"image": PIXEL, "mask": PIXEL}, 5.0, "jpeg"),
    ("flux-pro-1.1-ultra", FOX, 6.0, "png"),
    ("flux-3-video", {"prompt": "waves", "mode": "t2v", "duration": 5}, 121.55, "mp4"),
    ("flux-tools/erase-v1", {"image": PIXEL, "mask": PIXEL}, 3.0, "jpeg"),
    ("flux-tools/vto-v1", {"person": PIXEL, "garment": PIXEL}, 3.75, "jpeg"),
    ("flux-tools/video-upscale-v1", {"input_video": "https://example.org/a.mp4"}, None, "mp4"),
]


async def submit(caller: ClientSession, body: object = FOX, path: str = ULTRA) -> dict:
    async with caller.post(path, json=body) as answer:
        assert answer.status == 200
        return await answer.json()


async def poll(caller: ClientSession, job: dict) -> dict:
    async with caller.get(URL(job["polling_url"])) as answer:
        assert answer.status == 200
        return await answer.json()


async def finish(caller: ClientSession, job: dict) -> dict:
    for _ in range(200):
        state = await poll(caller, job)
        if state["status"] != "Pending":
            return state
        await asyncio.sleep(0.01)
    pytest.fail("The job never ended")


def asking(failure: str) -> dict:
    return {**FOX, "prompt": f"a fox sandbox:{failure}, at night."}


@pytest.mark.parametrize(("path", "body", "cost", "ending"), ROUTES)
async def test_each_route_submits_polls_and_delivers(
    far_side, caller, stranger, path, body, cost, ending
):
    job = await submit(caller, body, f"/bfl/v1/{path}")
    state = await finish(caller, job)
    async with stranger.get(URL(state["result"]["sample"])) as delivery:
        content = await delivery.read()

    assert str(uuid.UUID(job["id"])) == job["id"]
    assert job["polling_url"] == f"{far_side.url}/bfl/v1/get_result?id={job['id']}"
    assert job.get("cost") == cost
    assert (state["id"], state["status"], state["progress"]) == (job["id"], "Ready", 1.0)
    assert state["result"]["sample"] == f"{far_side.url}/bfl/delivery/{job['id']}.{ending}"
    assert delivery.status == 200
    if ending == "mp4":
        assert delivery.content_type == "video/mp4"
        assert content[4:8] == b"ftyp"
    else:
        assert delivery.content_type == f"image/{ending}"
        assert Image.open(io.BytesIO(content)).format == ending.upper()
    assert far_side.counts("bfl")["accepted"] == 1
    assert far_side.counts("bfl")["downloads"] == 1


@pytest.mark.parametrize(
    ("model", "body", "cost"),
    [
        ("flux-2-pro", {}, 3.0),
        ("flux-2-pro", {"width": 1024, "height": 1025}, 4.5),
        ("flux-2-pro", {"width": 2048, "height": 2048}, 7.5),
        ("flux-2-pro", {"input_image": PIXEL, "input_image_2": PIXEL, "input_image_3": None}, 6.0),
        ("flux-2-max", {"width": 2048, "height": 2048, "input_image": PIXEL}, 19.0),
        ("flux-3-video", {}, 170.17),
        ("flux-3-video", {"mode": "v2v", "resolution": "fhd", "duration": 10}, 757.9),
    ],
)
async def test_a_cost_follows_the_size(caller, model, body, cost):
    job = await submit(caller, {"prompt": "a", **body}, f"/bfl/v1/{model}")

    assert job["cost"] == pytest.approx(cost)


@pytest.mark.parametrize(
    ("body", "cost"),
    [({}, 594.0), ({"creativity": 0}, 424.0), ({"prompt": "sandbox:cost=12.5"}, 12.5)],
)
async def test_upscaling_names_a_cost_only_on_request(far_side, caller, body, cost):
    if "prompt" not in body:
        far_side.fail_next("bfl", "cost")
    video = {"input_video": "https://example.org/a.mp4"}

    job = await submit(caller, {**video, **body}, UPSCALE)
    another = await submit(caller, video, UPSCALE)

    assert job["cost"] == cost
    assert "cost" not in another


@pytest.mark.parametrize(
    ("body", "extent"),
    [
        ({}, (512, 288)),
        ({"aspect_ratio": "1:1"}, (512, 512)),
        ({"aspect_ratio": "9:21"}, (219, 512)),
        ({"width": 300, "height": 200}, (300, 200)),
        ({"width": 2048, "height": 1024}, (512, 256)),
    ],
)
async def test_a_picture_has_the_shape_that_was_asked_for(caller, body, extent):
    state = await finish(caller, await submit(caller, {**FOX, **body}))
    async with caller.get(URL(state["result"]["sample"])) as delivery:
        picture = Image.open(io.BytesIO(await delivery.read()))
        picture.load()

    assert picture.size == extent
    assert len(picture.getcolors(maxcolors=1 << 20)) > 100


async def test_a_picture_depends_on_prompt_and_seed_alone(caller):
    pictures = []
    for seed in (1, 1, 2):
        state = await finish(caller, await submit(caller, {**FOX, "seed": seed}))
        async with caller.get(URL(state["result"]["sample"])) as delivery:
            pictures.append(await delivery.read())

    assert pictures[0] == pictures[1] != pictures[2]


@pytest.mark.parametrize(
    ("path", "body", "seconds"),
    [
        ("/bfl/v1/flux-3-video", {"prompt": "waves", "duration": 12}, 12),
        ("/bfl/v1/flux-3-video", {"prompt": "waves", "duration": "auto"}, 7),
        (UPSCALE, {"input_video": "https://example.org/a.mp4"}, 5),
    ],
)
async def test_a_video_header_has_the_duration(caller, path, body, seconds):
    state = await finish(caller, await submit(caller, body, path))
    async with caller.get(URL(state["result"]["sample"])) as delivery:
        content = await delivery.read()

    start = content.index(b"mvhd") + 4
    timescale, duration = struct.unpack_from(">II", content, start + 12)
    assert duration / timescale == seconds
    assert struct.unpack_from(">I", content, start - 8) == (108,)
    moov = content.index(b"moov") - 4
    assert moov + struct.unpack_from(">I", content, moov)[0] == len(content)


@pytest.mark.parametrize(
    ("path", "raw", "complaint"),
    [
        (ULTRA, b"{}", {"loc": ["body", "prompt"], "msg": "Field required", "type": "missing"}),
        (ULTRA, b'{"prompt": 1}', {"loc": ["body", "prompt"], "type": "string_type"}),
        (ULTRA, b"not json", {"loc": ["body"], "type": "json_invalid"}),
        (ULTRA, b"[]", {"loc": ["body"], "type": "json_invalid"}),
        (ULTRA, b"", {"loc": ["body"], "type": "json_invalid"}),
        (ULTRA, b'{"prompt": "a", "output_format": "tiff"}', {"loc": ["body", "output_format"]}),
        (FLUX_2, b'{"prompt": "a", "width": "x"}', {"loc": ["body", "width"], "type": "int_type"}),
        (UPSCALE, b"{}", {"loc": ["body", "input_video"], "type": "missing"}),
    ],
)
async def test_a_body_it_cannot_use_is_a_422(far_side, caller, path, raw, complaint):
    async with caller.post(path, data=raw) as answer:
        content = await answer.json()

    assert answer.status == 422
    assert complaint.items() <= content["detail"][0].items()
    assert far_side.counts("bfl")["submits"] == 1
    assert far_side.counts("bfl")["accepted"] == 0


@pytest.mark.parametrize(
    "headers", [{}, {"x-key": "wrong"}, {"authorization": "Bearer vendor-key"}]
)
async def test_a_wrong_credential_is_refused_and_uses_up_no_failure(far_side, stranger, headers):
    far_side.fail_next("bfl", "drop_before")
    async with stranger.post(ULTRA, json=FOX, headers=headers) as answer:
        content = await answer.json()
    async with stranger.get("/bfl/v1/get_result?id=1", headers=headers) as polled:
        assert polled.status == 403

    assert (answer.status, content) == (403, {"detail": "Not authenticated"})
    assert far_side.counts("bfl")["refused_credentials"] == 2
    assert far_side.counts("bfl")["accepted"] == 0
    assert len(far_side.desks["bfl"].plans.submits) == 1


async def test_without_a_key_of_its_own_it_asks_for_none():
    async with running(Settings()) as far_side, ClientSession(far_side.url) as stranger:
        await submit(stranger)

        assert far_side.counts("bfl")["accepted"] == 1


async def test_an_unknown_task_is_not_found(caller, stranger):
    async with caller.get("/bfl/v1/get_result?id=nobody") as answer:
        content = await answer.json()
    async with caller.get("/bfl/v1/get_result") as without_id:
        pass
    async with stranger.get("/bfl/delivery/nobody.png") as delivery:
        pass

    assert (answer.status, content["status"], content["detail"]) == (
        404,
        "Task not found",
        "Task not found",
    )
    assert (without_id.status, delivery.status) == (422, 404)


async def test_a_task_is_pending_first_and_delivers_nothing_yet(caller, stranger):
    job = await submit(caller, asking("delay=30"))
    state = await poll(caller, job)
    async with stranger.get(f"/bfl/delivery/{job['id']}.png") as delivery:
        pass

    assert (state["status"], state["result"]) == ("Pending", None)
    assert 0 <= state["progress"] < 0.1
    assert delivery.status == 404


@pytest.mark.parametrize("planned", [True, False])
@pytest.mark.parametrize(
    ("failure", "status"),
    [
        ("moderated", "Request Moderated"),
        ("content_moderated", "Content Moderated"),
        ("failed", "Error"),
    ],
)
async def test_a_job_ends_badly_on_request(far_side, caller, failure, status, planned):
    if planned:
        far_side.fail_next("bfl", failure)
    job = await submit(caller, FOX if planned else asking(failure))

    state = await finish(caller, job)

    assert (state["status"], state["result"]) == (status, None)
    assert far_side.counts("bfl")["accepted"] == 1


async def test_a_job_never_ends_on_request(caller):
    job = await submit(caller, asking("never"))
    await asyncio.sleep(0.1)

    assert (await poll(caller, job))["status"] == "Pending"


async def test_a_job_takes_as_long_as_requested(caller):
    job = await submit(caller, asking("delay=0"))

    assert (await poll(caller, job))["status"] == "Ready"


@pytest.mark.parametrize("planned", [True, False])
@pytest.mark.parametrize("status", STATUSES)
async def test_a_submit_is_answered_with_a_status(far_side, caller, status, planned):
    if planned:
        far_side.fail_next("bfl", f"status={status}")
    body = FOX if planned else asking(f"status={status}")
    async with caller.post(ULTRA, json=body) as answer:
        content = await answer.json()

    assert answer.status == status
    assert content["detail"]
    assert answer.headers.get("Retry-After") == ("2" if status == 429 else None)
    assert far_side.counts("bfl")["accepted"] == 0


@pytest.mark.parametrize("planned", [True, False])
@pytest.mark.parametrize(("failure", "accepted"), [("drop_before", 0), ("drop_after", 1)])
async def test_a_dropped_connection_was_or_was_not_accepted(
    far_side, caller, failure, accepted, planned
):
    if planned:
        far_side.fail_next("bfl", failure)
    with pytest.raises((ServerDisconnectedError, ConnectionError, ClientError)):
        await caller.post(ULTRA, json=FOX if planned else asking(failure))

    assert far_side.counts("bfl")["submits"] == 1
    assert far_side.counts("bfl")["accepted"] == accepted


async def test_half_an_answer_is_cut_off(far_side, caller):
    async with caller.post(ULTRA, json=asking("cut")) as answer:
        with pytest.raises(ClientPayloadError):
            await answer.read()
        assert answer.status == 200

    assert far_side.counts("bfl")["accepted"] == 1


async def test_half_an_answer_is_half_of_its_bytes(far_side):
    body = orjson.dumps(asking("cut"))
    reader, writer = await asyncio.open_connection("127.0.0.1", int(far_side.url.split(":")[-1]))
    head = f"POST {ULTRA} HTTP/1.1\r\nhost: a\r\nx-key: vendor-key\r\ncontent-length: {len(body)}"
    writer.write(f"{head}\r\n\r\n".encode() + body)
    head, _, half = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()

    announced = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    assert len(half) == announced // 2
    assert half.startswith(b'{"id"')


async def test_a_slow_submit_takes_its_time(caller):
    started = asyncio.get_running_loop().time()
    await submit(caller, asking("slow=0.2"))

    assert asyncio.get_running_loop().time() - started >= 0.2


async def test_somebody_elses_page_is_a_200_of_html(far_side, caller):
    async with caller.post(ULTRA, json=asking("nonjson")) as answer:
        content = await answer.text()

    assert (answer.status, answer.content_type) == (200, "text/html")
    assert content.startswith("<!doctype")


async def test_an_answer_lacks_its_id(far_side, caller):
    job = await submit(caller, asking("no_id"))

    assert "id" not in job
    assert job["cost"] == 6.0
    assert far_side.counts("bfl")["accepted"] == 1


@pytest.mark.parametrize("planned", [True, False])
async def test_polls_fail_on_request(far_side, caller, planned):
    failures = ("poll_status=500", "poll_nonjson", "poll_drop")
    jobs = []
    for failure in failures:
        jobs.append(await submit(caller, FOX if planned else asking(failure)))
        if planned:  # Twice for a drop: this client tries a dropped GET again by itself.
            far_side.fail_next("bfl", failure, times=1 + (failure == "poll_drop"))

    async with caller.get(URL(jobs[0]["polling_url"])) as answer:
        assert answer.status == 500
    async with caller.get(URL(jobs[1]["polling_url"])) as answer:
        assert answer.content_type == "text/html"
    with pytest.raises((ConnectionError, ClientError)):
        await caller.get(URL(jobs[2]["polling_url"]))

    if planned:
        assert (await finish(caller, jobs[2]))["status"] == "Ready"
    else:
        async with caller.get(URL(jobs[0]["polling_url"])) as answer:
            assert answer.status == 500


async def test_failures_can_be_combined(caller):
    body = {**FOX, "prompt": "sandbox:delay=0 sandbox:moderated"}

    assert (await poll(caller, await submit(caller, body)))["status"] == "Request Moderated"


async def test_a_misspelt_failure_is_refused(far_side, caller):
    for wrong in ("moderatd", "status", "status=418", "never=1"):
        async with caller.post(ULTRA, json=asking(wrong)) as answer:
            assert answer.status == 400
        async with caller.post("/control/bfl/next", json={"failures": [wrong]}) as answer:
            assert answer.status == 400

    assert far_side.counts("bfl")["accepted"] == 0


async def test_the_control_api_plans_for_so_many_requests(caller):
    plan = {"failures": ["status=503", "poll_status=502"], "times": 2}
    async with caller.post("/control/bfl/next", json=plan) as answer:
        assert answer.status == 200

    statuses = []
    for _ in range(3):
        async with caller.post(ULTRA, json=FOX) as answer:
            statuses.append(answer.status)
            job = await answer.json()
    polls = []
    for _ in range(3):
        async with caller.get(URL(job["polling_url"])) as answer:
            polls.append(answer.status)

    assert statuses == [503, 503, 200]
    assert polls == [502, 502, 200]


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"{}", b'{"failures": 1}', b'{"failures": ["cut cut"]}']
)
async def test_a_plan_it_cannot_read_is_refused(caller, raw):
    async with caller.post("/control/bfl/next", data=raw) as answer:
        assert answer.status == 400
    async with caller.post("/control/nobody/next", data=raw) as answer:
        assert answer.status == 404


async def test_counts_say_what_was_asked(caller):
    job = await submit(caller)
    await finish(caller, job)
    async with caller.post(FLUX_2, json={}) as answer:
        assert answer.status == 422
    async with caller.get("/control/counts") as answer:
        counts = (await answer.json())["bfl"]

    polls = counts.pop("polls")
    assert polls >= 1
    assert counts == {
        "submits": 2,
        "accepted": 1,
        "downloads": 0,
        "refused_credentials": 0,
        "by_path": {
            "/v1/flux-pro-1.1-ultra": 1,
            "/v1/flux-2-pro": 1,
            "/v1/get_result": polls,
        },
    }


async def test_requests_are_kept_with_their_headers_and_digest(far_side, caller):
    raw = orjson.dumps(FOX)
    await caller.post(ULTRA, data=raw, headers={"X-Api-Key": "comfyui-1", "Cookie": "a=b"})
    async with caller.get("/bfl/v2/elsewhere?a=1") as answer:
        assert answer.status == 404
    async with caller.get("/control/requests?vendor=bfl") as answer:
        first, second = await answer.json()

    assert (first["method"], first["path"]) == ("POST", ULTRA)
    assert (first["size"], first["sha256"]) == (len(raw), hashlib.sha256(raw).hexdigest())
    assert first["headers"]["x-api-key"] == "comfyui-1"
    assert first["headers"]["cookie"] == "a=b"
    assert second["path"] == "/bfl/v2/elsewhere?a=1"


async def test_the_log_of_requests_is_bounded(far_side, caller):
    for _ in range(1010):
        async with caller.get("/bfl/v1/get_result?id=x"):
            pass

    assert len(far_side.requests("bfl")) == 1000
    assert far_side.counts("bfl")["polls"] == 1010


async def test_reset_forgets_everything(far_side, caller):
    job = await submit(caller)
    far_side.fail_next("bfl", "status=500", "poll_drop", times=5)
    async with caller.post("/control/reset") as answer:
        assert answer.status == 200

    assert far_side.counts("bfl")["submits"] == 0
    assert far_side.requests("bfl") == []
    async with caller.get(URL(job["polling_url"])) as answer:
        assert answer.status == 404
    await submit(caller)


def test_the_oldest_job_is_forgotten_first():
    jobs = Jobs(seconds=0, kept=2)
    first, second, third = (jobs.start(Media("png"), failures={}) for _ in range(3))

    assert jobs.find(first.id) is None
    assert jobs.find(second.id) is second
    assert jobs.find(third.id) is third


async def test_results_have_the_public_address_and_polls_the_inner_one():
    settings = Settings(job_seconds=0, public_url="https://sandbox.example.org")
    async with running(settings) as far_side, ClientSession(far_side.url) as caller:
        job = await submit(caller)
        state = await poll(caller, job)

    assert job["polling_url"].startswith(f"{far_side.url}/bfl/")
    assert state["result"]["sample"].startswith("https://sandbox.example.org/bfl/delivery/")


async def test_it_is_healthy(stranger):
    async with stranger.get("/health") as answer:
        assert answer.status == 200


def test_no_failure_has_two_meanings():
    names = [*OF_SUBMIT, *OF_JOB, *OF_POLL]

    assert len(names) == len(set(names))


def test_settings_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("SANDBOX_KEY", "k")
    monkeypatch.setenv("SANDBOX_JOB_SECONDS", "2.5")
    monkeypatch.delenv("SANDBOX_PUBLIC_URL", raising=False)

    assert Settings.from_environment() == Settings(key="k", job_seconds=2.5)


async def test_many_submits_at_once_are_each_accepted_once(far_side: FarSide, caller):
    jobs = await asyncio.gather(*(submit(caller) for _ in range(200)))

    assert len({job["id"] for job in jobs}) == 200
    assert far_side.counts("bfl")["accepted"] == 200
