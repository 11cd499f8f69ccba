"""A vendor's job: settled once by whoever sees the end, polled by whom it belongs to."""

from __future__ import annotations

import asyncio
import base64
import io
from urllib.parse import quote, urlsplit

import pytest
from aiohttp import web
from PIL import Image
from proxy_stage import ULTRA, ULTRA_MICROS, answering, check_refusal, in_thread

from common.money import credits_text
from proxy import looking, tasks

FLUX2 = "/proxy/bfl/flux-2-pro/generate"
FLUX3 = "/proxy/bfl/v1/flux-3-video"
UPSCALE = "/proxy/bfl/v1/flux-tools/video-upscale-v1"
ERASE = "/proxy/bfl/v1/flux-tools/erase-v1"
VTO = "/proxy/bfl/v1/flux-tools/vto-v1"


def picture(width: int, height: int, form: str = "PNG") -> str:
    out = io.BytesIO()
    Image.new("1" if form == "PNG" else "L", (width, height)).save(out, form)
    return base64.b64encode(out.getvalue()).decode()


@pytest.mark.slow
async def test_poll_and_follower_settle_it_once(stage):
    member = await stage.member()
    for n in range(20):
        made = await stage.post(ULTRA, member, json={"prompt": f"race {n}"})
        stage.due(member)
        polled, _, again = await asyncio.gather(
            stage.poll_until_end(made.json()["polling_url"]),
            in_thread(tasks.follow_jobs),
            stage.poll_until_end(made.json()["polling_url"]),
        )
        assert polled.json()["status"] == again.json()["status"] == "Ready"
        await stage.settled(member, n + 1)
        assert stage.wallet(member) == (5_000_000 - (n + 1) * ULTRA_MICROS, 0)
    calls = stage.calls(member)
    assert len(calls) == 20
    assert {call["outcome"] for call in calls} == {"delivered"}
    assert {call["charged_micros"] for call in calls} == {ULTRA_MICROS}


async def test_the_polling_url_is_absolute_ours_and_needs_no_credential(stage):
    member = await stage.member()
    made = await stage.post(ULTRA, member, json={"prompt": "x"})
    body = made.json()
    assert set(body) == {"id", "polling_url", "cost"}
    url = body["polling_url"]
    assert url.startswith(f"{stage.url}/proxy/bfl/v1/get_result?id={body['id']}&token=")
    assert made.headers["x-comfy-credits-used"] == "12.66"

    for _ in range(3):
        polled = await stage.get(url)
        assert polled.status == 200
        assert polled.json()["status"] == "Ready"
        assert polled.json()["result"]["sample"].startswith("http")
        assert polled.headers["x-comfy-credits-used"] == "12.66"
        assert polled.headers["content-type"] == "application/json"
    assert stage.wallet(member) == (5_000_000 - ULTRA_MICROS, 0)
    assert len(stage.calls(member)) == 1


async def test_the_public_url_is_used_where_there_is_one(stage, settings):
    settings.PUBLIC_URL = "https://credits.example.org"
    member = await stage.member()
    made = await stage.post(ULTRA, member, json={"prompt": "x"})
    assert made.json()["polling_url"].startswith("https://credits.example.org/proxy/bfl/v1/")


async def test_a_token_is_good_for_its_job_only(stage):
    member, other = await stage.member(), await stage.member()
    one = (await stage.post(ULTRA, member, json={"prompt": "1"})).json()
    two = (await stage.post(ULTRA, other, json={"prompt": "2"})).json()
    path = "/proxy/bfl/v1/get_result"
    token = one["polling_url"].rpartition("token=")[2]
    good = token[:-1] + ("0" if token[-1] != "0" else "1")

    for query in (
        f"?id={two['id']}&token={token}",
        f"?id={one['id']}&token={good}",
        f"?id={one['id']}&token=x",
        f"?id={one['id']}&token=%C3%A4",
        f"?id={one['id']}&token={token}0",
        f"?id=unknown&token={token}",
        f"?token={token}",
        "?id=%00&token=x",
        f"?id={'x' * 201}&token=x",
        "",
    ):
        refused = await stage.get(path + query)
        assert (refused.status, refused.type) == (404, "not_found"), query
        check_refusal(refused)
        assert (await stage.get(path + query, other)).status == 404, query
    without = await stage.get(f"{path}?id={one['id']}")
    assert (without.status, without.type) == (401, "unauthorized")
    check_refusal(without)
    empty = await stage.get(f"{path}?id={one['id']}&token=")
    assert empty.status == 401
    bearer = {"Authorization": "Bearer abc"}
    assert (await stage.get(f"{path}?id={one['id']}", headers=bearer)).status == 401
    assert (await stage.get(one["polling_url"], headers=bearer)).status == 200
    assert stage.calls(other) == []


async def test_with_a_credential_the_owner_may_ask_and_nobody_else(stage):
    member, other = await stage.member(), await stage.member()
    job = (await stage.post(ULTRA, member, json={"prompt": "x"})).json()
    path = f"/proxy/bfl/v1/get_result?id={job['id']}"

    refused = await stage.get(path, other)
    assert (refused.status, refused.type) == (404, "not_found")
    check_refusal(refused)
    assert stage.calls(member) == []
    assert (await stage.get(path, member)).json()["status"] == "Ready"

    for key in (member.key[:-1] + "0", member.key[:-1] + "1", "comfyui-" + "0" * 64, "x"):
        if key != member.key:
            refused = await stage.get(path, headers={"X-API-KEY": key})
            assert (refused.status, refused.type) == (401, "unauthorized")
    stage.do("UPDATE apikeys_apikey SET revoked_at = now() WHERE id = %s", member.key_id)
    assert (await stage.get(path, member)).status == 401
    assert (await stage.get(job["polling_url"])).status == 200, "the token needs no key"


async def test_the_polling_url_may_come_back_as_a_parameter(stage):
    member, other = await stage.member(), await stage.member()
    job = (await stage.post(ULTRA, member, json={"prompt": "x"})).json()
    given = quote(job["polling_url"], safe="")

    polled = await stage.get(f"/proxy/bfl/v1/get_result?polling_url={given}", member)
    assert (polled.status, polled.json()["status"]) == (200, "Ready")
    assert (await stage.get(f"/proxy/bfl/v1/get_result?polling_url={given}")).status == 200
    elsewhere = quote(f"http://evil.example/?id={job['id']}", safe="")
    refused = await stage.get(f"/proxy/bfl/v1/get_result?polling_url={elsewhere}", other)
    assert refused.status == 404
    for bad in ("http://[", "%00", "x" * 5000, "http://a/?" + "a=1&" * 60):
        refused = await stage.get(f"/proxy/bfl/v1/get_result?polling_url={quote(bad)}", other)
        assert refused.status in (400, 404), bad
        check_refusal(refused)


@pytest.mark.slow
async def test_a_poll_is_never_refused_for_money(stage):
    member = await stage.member(micros=ULTRA_MICROS)
    job = (await stage.post(ULTRA, member, json={"prompt": "sandbox:delay=0.7"})).json()
    assert stage.wallet(member) == (ULTRA_MICROS, ULTRA_MICROS)
    stage.do("UPDATE credits_account SET frozen_reason = 'Frozen.' WHERE id = %s", member.workspace)
    path = f"/proxy/bfl/v1/get_result?id={job['id']}"
    assert (await stage.get(path, member)).json()["status"] == "Pending"
    assert (await stage.poll_until_end(path, member)).json()["status"] == "Ready"
    assert stage.wallet(member) == (0, 0)
    assert (await stage.get(path, member)).status == 200
    assert (await stage.get(job["polling_url"])).status == 200


async def test_a_vendor_that_is_switched_off_meanwhile_is_pending(stage, settings):
    member = await stage.member()
    job = (await stage.post(ULTRA, member, json={"prompt": "x"})).json()
    settings.VENDOR_BASE_URL = "http://127.0.0.1:9/{vendor}"
    polled = await stage.get(job["polling_url"])
    assert (polled.status, polled.json()["status"]) == (200, "Pending")


async def test_the_result_is_fetched_without_credential(stage):
    member = await stage.member()
    job = (await stage.post(ULTRA, member, json={"prompt": "x", "output_format": "png"})).json()
    polled = await stage.get(job["polling_url"])
    async with stage.session.get(polled.json()["result"]["sample"]) as response:
        assert (await response.read()).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "named",
    [
        "twice",
        *("a\0b", "a b", "\u00e9", "a" * 201),
    ],
)
async def test_a_job_that_cannot_be_told_apart_costs_nothing(stage, settings, named):
    """Its end could not be asked for, or would be paid for by two calls."""

    async def accepting(_: web.Request) -> web.Response:
        return web.json_response({"id": named, "polling_url": "x"})

    member = await stage.member()
    async with answering(accepting) as settings.VENDOR_BASE_URL:
        if named == "twice":
            assert (await stage.post(ULTRA, member, json={"prompt": "x"})).status == 200
        before = stage.wallet(member)
        answer = await stage.post(ULTRA, member, json={"prompt": "x"})

    assert (answer.status, answer.type) == (422, "outcome_unknown")
    check_refusal(answer)
    assert stage.wallet(member) == before
    assert [call["outcome"] for call in stage.calls(member)] == ["refused"]


# --- What a job costs --------------------------------------------------------------------------


async def finish(stage, member, path, body, *, status="Ready"):
    made = await stage.post(path, member, json=body)
    assert made.status == 200, made.body
    held = stage.wallet(member)[1]
    polled = await stage.poll_until_end(made.json()["polling_url"])
    assert polled.json()["status"] == status
    return made, polled, held


@pytest.mark.parametrize(
    ("body", "held", "charged"),
    [
        ({"width": 1024, "height": 1024}, 30_000, 30_000),
        ({"width": 1025, "height": 1024}, 45_000, 45_000),
        ({"width": 2048, "height": 2048}, 75_000, 75_000),
        ({}, 30_000, 30_000),
        ({"width": None, "height": None}, 30_000, 30_000),
        ({"input_image": "a"}, 90_000, 45_000),
        ({"input_image": "a", "input_image_2": "b", "input_image_3": ""}, 150_000, 60_000),
        ({"input_image": "a", "prompt": "sandbox:cost=5.5"}, 90_000, 55_000),
        ({"input_image": "a", "prompt": "sandbox:cost=0"}, 90_000, 45_000),
        ({"prompt": "sandbox:cost=99"}, 30_000, 30_000),
    ],
)
async def test_flux_2(stage, body, held, charged):
    member = await stage.member()
    body = {k: v for k, v in body.items() if v != ""}
    made, _, was_held = await finish(stage, member, FLUX2, {"prompt": "x", **body})
    assert was_held == held
    assert stage.spent(member) == charged
    assert float(made.headers["x-comfy-credits-used"]) == pytest.approx(charged * 211e-6, abs=0.01)


async def test_flux_2_that_costs_more_than_was_held_is_the_houses_loss(stage):
    member = await stage.member()
    before = stage.row("SELECT count(*) AS n FROM credits_entry WHERE kind = 'shortfall'")["n"]
    await finish(stage, member, FLUX2, {"prompt": "sandbox:cost=25", "input_image": "a"})
    assert stage.spent(member) == 90_000
    (call,) = stage.calls(member)
    shortfall = stage.row(
        "SELECT amount_micros FROM credits_entry WHERE key = %s", f"shortfall:{call['id']}"
    )
    assert shortfall["amount_micros"] == 160_000
    after = stage.row("SELECT count(*) AS n FROM credits_entry WHERE kind = 'shortfall'")["n"]
    assert after == before + 1


@pytest.mark.parametrize("who", ["member", "follower"])
@pytest.mark.parametrize(
    ("body", "held", "charged"),
    [
        ({"mode": "t2v", "duration": 5}, 1_215_500, 1_215_500),
        ({"mode": "t2v", "duration": "auto"}, 4_862_000, 7 * 243_100),
        ({"mode": "i2v", "resolution": "fhd"}, 20 * 414_700, 7 * 414_700),
        ({"mode": "v2v", "resolution": "FHD", "duration": 3}, 3 * 757_900, 3 * 757_900),
    ],
)
async def test_flux_3_video(stage, who, body, held, charged):
    member = await stage.member(micros=10_000_000)
    made = await stage.post(FLUX3, member, json={"prompt": "waves", **body})
    assert made.status == 200
    assert stage.wallet(member)[1] == held
    if who == "follower":
        stage.due(member)
        await in_thread(tasks.follow_jobs)
    else:
        await stage.poll_until_end(made.json()["polling_url"])
    assert stage.spent(member) == charged
    (call,) = stage.calls(member)
    assert call["facts"]["inputs"]["mode"] == body["mode"]
    if body.get("duration", "auto") == "auto":
        assert call["facts"]["measured_seconds"] == 7.0
        assert "x-comfy-credits-used" not in made.headers
    else:
        assert "x-comfy-credits-used" in made.headers


async def test_a_job_that_cannot_be_settled_is_not_its_neighbours(stage, monkeypatch):
    broken, member = await stage.member(10_000_000), await stage.member()
    await stage.post(FLUX3, broken, json={"prompt": "x", "mode": "t2v"})
    await stage.post(ULTRA, member, json={"prompt": "x"})
    stage.do("UPDATE proxy_job SET inputs = '{}' WHERE workspace_id = %s", broken.workspace)
    for each in (broken, member):
        stage.due(each)
    ask = looking.ask

    async def slow(platform, vendor, job, shape):
        if job.workspace == member.workspace:
            await asyncio.sleep(0.5)
        return await ask(platform, vendor, job, shape)

    monkeypatch.setattr(looking, "ask", slow)
    with pytest.raises(KeyError):
        await in_thread(tasks.follow_jobs)

    assert stage.wallet(member) == (5_000_000 - ULTRA_MICROS, 0)
    stage.do("DELETE FROM proxy_job WHERE workspace_id = %s", broken.workspace)


async def test_who_comes_after_the_follower_is_told_what_it_cost(stage):
    member = await stage.member(micros=10_000_000)
    made = await stage.post(FLUX3, member, json={"prompt": "x", "mode": "t2v"})
    stage.due(member)
    await in_thread(tasks.follow_jobs)
    (call,) = stage.calls(member)

    polled = await stage.get(made.json()["polling_url"])

    assert call["charged_micros"] > 0
    assert polled.headers["x-comfy-credits-used"] == credits_text(call["charged_micros"])


async def test_a_video_that_cannot_be_measured_costs_the_shortest(stage, monkeypatch):
    from proxy import measure

    async def nothing(chunks):
        return None

    monkeypatch.setattr(measure, "mp4_seconds", nothing)
    member = await stage.member()
    await finish(stage, member, FLUX3, {"prompt": "waves", "duration": "auto", "mode": "t2v"})
    assert stage.spent(member) == 5 * 243_100


@pytest.mark.parametrize(
    ("body", "prompt", "charged"),
    [
        ({"creativity": 1}, "sandbox:cost=33.3", 333_000),
        ({"creativity": 0}, "", 5 * 848_000),
        ({}, "", 5 * 1_188_000),
    ],
)
async def test_upscaling(stage, body, prompt, charged):
    member = await stage.member(micros=200_000_000)
    body = {"input_video": "https://example.org/a.mp4", "prompt": prompt, **body}
    _, _, held = await finish(stage, member, UPSCALE, body)
    assert held == 120 * (848_000 if body.get("creativity") == 0 else 1_188_000)
    assert stage.spent(member) == charged


@pytest.mark.parametrize(
    ("path", "field", "other", "size", "charged"),
    [
        (ERASE, "image", "mask", (64, 64), 30_000),
        (ERASE, "image", "mask", (1024, 1024), 30_000),
        (ERASE, "image", "mask", (2048, 1024), 34_000),
        (ERASE, "image", "mask", (4096, 4096), 60_000),
        (VTO, "person", "garment", (1024, 2048), 42_500),
        (VTO, "person", "garment", (8192, 2048), 75_000),
    ],
)
async def test_tools_cost_by_the_pixels_of_their_input(stage, path, field, other, size, charged):
    member = await stage.member()
    for prefix in ("", "data:image/png;base64,"):
        body = {field: prefix + picture(*size), other: picture(1, 1), "prompt": "x"}
        await finish(stage, member, path, body)
    assert [call["charged_micros"] for call in stage.calls(member)] == [charged] * 2


async def test_jpeg_and_webp_are_measured_too(stage):
    member = await stage.member()
    for form in ("JPEG", "WEBP"):
        body = {"image": picture(2048, 1024, form), "mask": "x"}
        await finish(stage, member, ERASE, body)
    assert stage.spent(member) == 68_000


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        (FLUX3, {"mode": "t2v", "duration": 0}, "duration"),
        (FLUX3, {"mode": "t2v", "duration": 61}, "duration"),
        (FLUX3, {"mode": "t2v", "duration": -5}, "duration"),
        (FLUX3, {"mode": "t2v", "duration": 5.5}, "duration"),
        (FLUX3, {"mode": "t2v", "duration": True}, "duration"),
        (FLUX3, {"mode": "t2v", "duration": "5"}, "duration"),
        (FLUX3, {"mode": "t2v", "duration": ""}, "duration"),
        (FLUX3, {"mode": "t2v", "duration": False}, "duration"),
        (FLUX3, {"mode": "t2v", "duration": [5]}, "duration"),
        (FLUX3, {"mode": "t2v", "resolution": "8k"}, "resolution"),
        (FLUX3, {"mode": "t2v", "resolution": 5}, "resolution"),
        (FLUX3, {"mode": "x2v"}, "mode"),
        (FLUX2, {"width": 0}, "width"),
        (FLUX2, {"width": 100_000}, "width"),
        (FLUX2, {"height": "1024"}, "height"),
        (FLUX2, {"height": 10**30}, "body"),
        (UPSCALE, {"creativity": 2}, "creativity"),
        (UPSCALE, {"creativity": "0"}, "creativity"),
        (ERASE, {}, "image"),
        (ERASE, {"image": None}, "image"),
        (ERASE, {"image": 5}, "image"),
        (ERASE, {"image": "not base64 !"}, "image"),
        (ERASE, {"image": base64.b64encode(b"GIF89a?").decode()}, "image"),
        (ERASE, {"image": base64.b64encode(b"hello world" * 9).decode()}, "image"),
        (ERASE, {"image": "https://example.org/a.png"}, "image"),
        (VTO, {"person": "data:image/png;base64,"}, "person"),
    ],
)
async def test_what_has_no_price_is_refused_with_a_sentence(stage, path, body, named):
    member = await stage.member(micros=500_000_000)
    if body.get("height") == 10**30:
        answer = await stage.post(path, member, data=b'{"height": 1' + b"0" * 30 + b"}")
        assert answer.status in (400,)
    else:
        answer = await stage.post(path, member, json={"prompt": "x", **body})
        assert named in answer.json()["message"]
    assert (answer.status, answer.type) == (400, "invalid_request")
    check_refusal(answer)
    assert stage.vendor.counts("bfl")["submits"] == 0
    assert stage.calls(member) == stage.holds(member) == []


async def test_the_job_id_is_the_vendors(stage):
    member = await stage.member()
    made = await stage.post(ULTRA, member, json={"prompt": "x"})
    job = stage.row("SELECT * FROM proxy_job WHERE workspace_id = %s", member.workspace)
    assert job["vendor_job_id"] == made.json()["id"]
    assert str(job["id"]) == made.headers["call-id"]
    assert urlsplit(job["poll_url"]).netloc == urlsplit(stage.vendor.url).netloc
    await stage.poll_until_end(made.json()["polling_url"])
    (call,) = stage.calls(member)
    assert call["vendor_job_id"] == made.json()["id"]
    assert str(call["id"]) == made.headers["call-id"]
