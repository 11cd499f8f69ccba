"""Kling end to end: each work paid for once, by whoever sees its end; each way that it can fail."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import uuid

import jwt
import pytest
from aiohttp import web
from proxy_stage import VENDOR_KEY, answering, check_refusal
from vendor_calls import RICH, followed, micros, spent, until

SECRET = "vendor-secret-of-thirty-two-bytes-or-more"
TEXT2VIDEO = "/proxy/kling/v1/videos/text2video"
EXTEND = "/proxy/kling/v1/videos/video-extend"
LIP_SYNC = "/proxy/kling/v1/videos/lip-sync"
IMAGES = "/proxy/kling/v1/images/generations"
TURBO = "/proxy/kling/text-to-video/kling-3.0-turbo"
WAVES = {"prompt": "waves", "model_name": "kling-v2-6"}
PRICE = "0.35"


def named(answer):
    """Return the task's id in either design."""
    data = answer.json()["data"]
    return data.get("task_id") or data["id"]


def address(path, task):
    return f"{path}/{task}" if "/v1/" in path else f"/proxy/kling/tasks?task_ids={task}"


def told(answer):
    data = answer.json()["data"]
    return data[0] if isinstance(data, list) else data


def word(answer):
    return told(answer).get("task_status") or told(answer).get("status")


def is_over(answer):
    return answer.status != 200 or word(answer) not in ("submitted", "processing")


async def polled(stage, member, path, task):
    return await until(lambda: stage.get(address(path, task), member), is_over)


async def made(stage, member, path=TEXT2VIDEO, body=WAVES):
    answer = await stage.post(path, member, json=body)
    assert answer.status == 200, answer.body
    return named(answer)


async def a_video(stage, member):
    """Make a video; return the id by which later calls name it."""
    task = await made(stage, member)
    (video,) = told(await polled(stage, member, TEXT2VIDEO, task))["task_result"]["videos"]
    return video["id"]


@pytest.mark.parametrize("path", [TEXT2VIDEO, TURBO])
@pytest.mark.parametrize(
    ("failure", "outcome"),
    [("failed", "failed"), ("moderated", "moderated"), ("content_moderated", "moderated")],
)
async def test_a_job_that_ends_without_a_result_costs_nothing(stage, path, failure, outcome):
    member = await stage.member(micros=RICH)
    body = {**WAVES, "prompt": f"sandbox:{failure}", "model_name": "kling-v2-6"}
    task = await made(stage, member, path, body)
    end = await polled(stage, member, path, task)
    again = await stage.get(address(path, task), member)

    assert word(end) == word(again) == "failed"
    assert b"http" not in end.body
    spent(stage, member, "0")
    assert [call["outcome"] for call in stage.calls(member)] == [outcome]


@pytest.mark.parametrize("path", [TEXT2VIDEO, TURBO])
async def test_what_a_task_cost_the_account_is_nobodys_affair(stage, path):
    member = await stage.member(micros=RICH)
    end = await polled(stage, member, path, await made(stage, member, path))

    assert b"deduction" not in end.body
    assert b"billing" not in end.body
    (call,) = stage.calls(member)
    result = await stage.get(f"/v1/calls/{call['id']}/result", member)
    assert result.json()["urls"], result.body
    assert b"deduction" not in result.body
    assert b"billing" not in result.body


async def test_two_pollers_and_the_follower_settle_it_once_and_ask_once(stage):
    member = await stage.member(micros=RICH)
    task = await made(stage, member)
    answers = await asyncio.gather(
        *(stage.get(address(TEXT2VIDEO, task), member) for _ in range(20)),
        followed(stage, member),
    )

    assert {answer.status for answer in answers[:-1]} == {200}
    await stage.settled(member, 1)
    spent(stage, member, PRICE)
    assert stage.vendor.counts("kling")["polls"] <= 2


@pytest.mark.slow
async def test_a_video_that_came_late_is_paid_for_and_can_be_extended(stage):
    member = await stage.member(micros=RICH)
    task = await made(stage, member, body={**WAVES, "prompt": "sandbox:delay=1"})
    stage.over(member)
    await followed(stage, member)
    spent(stage, member, "0")
    await asyncio.sleep(1.1)
    stage.do("UPDATE proxy_job SET asked_at = NULL WHERE workspace_id = %s", member.workspace)
    stage.application._platform.recent._said.clear()

    end = await stage.get(address(TEXT2VIDEO, task), member)

    assert word(end) == "succeed"
    spent(stage, member, PRICE)
    (video,) = told(end)["task_result"]["videos"]
    assert (await stage.post(EXTEND, member, json={"video_id": video["id"]})).status == 200


async def test_what_kling_withdraws_or_does_not_sell_is_refused_before_it_is_held(stage, settings):
    member = await stage.member()
    for body in ({"model_name": "kling-v9"}, {**WAVES, "duration": "7"}, {**WAVES, "mode": "4k"}):
        refused = await stage.post(TEXT2VIDEO, member, json={"prompt": "x", **body})
        assert (refused.status, refused.type) == (400, "invalid_request")
        check_refusal(refused)
    settings.VENDOR_BASE_URL = ""
    refused = await stage.post(TEXT2VIDEO, member, json={**WAVES, "model_name": "kling-v1-6"})
    assert refused.status == 400
    assert "withdrew kling-v1-6 on 2026-09-15" in refused.json()["message"]
    assert stage.calls(member) == []
    assert stage.wallet(member) == (5_000_000, 0)
    assert stage.vendor.counts("kling")["submits"] == 0


async def test_nobody_reaches_what_another_made(stage):
    member, other = await stage.member(micros=RICH), await stage.member(micros=RICH)
    task, turbo = await made(stage, member), await made(stage, member, TURBO, {"prompt": "x"})
    video = told(await polled(stage, member, TEXT2VIDEO, task))["task_result"]["videos"][0]["id"]

    for path in (
        address(TEXT2VIDEO, task),
        address(TURBO, turbo),
        # Known, but of another work; several; none; by the caller's own name for it.
        f"/proxy/kling/v1/videos/image2video/{task}",
        address(TURBO, task),
        "/proxy/kling/tasks",
        f"/proxy/kling/tasks?external_task_ids={turbo}",
    ):
        refused = await stage.get(path, other)
        assert (refused.status, refused.type) == (404, "not_found"), path
        check_refusal(refused)
    assert (await stage.get(f"/proxy/kling/v1/videos/image2video/{task}", member)).status == 404
    several = await stage.get(f"/proxy/kling/tasks?task_ids={turbo},{task}", member)
    assert (several.status, several.type) == (400, "invalid_request")
    check_refusal(several)

    for path, body in (
        (EXTEND, {"video_id": video}),
        (LIP_SYNC, {"input": {"mode": "text2video", "video_id": video}}),
        (LIP_SYNC, {"input": {"mode": "text2video", "task_id": task, "video_url": "https://a"}}),
    ):
        refused = await stage.post(path, other, json=body)
        assert (refused.status, refused.type) == (404, "not_found"), body
        assert stage.wallet(other) == (RICH, 0)
        assert (await stage.post(path, member, json=body)).status == 200
    for body in ({}, {"video_id": 7}, {"video_id": ""}):
        assert (await stage.post(EXTEND, member, json=body)).status == 400
    assert stage.calls(other) == []


@pytest.mark.parametrize("named_so", ["{}\0", "\0{}", "\\u0000{}", "\\\0{}"])
async def test_an_id_with_a_nul_is_nobodys(stage, named_so):
    """No database holds one, and a vendor may read the id only as far as there."""
    member = await stage.member(micros=RICH)
    video = named_so.format(await a_video(stage, member))
    for path, body in ((EXTEND, {"video_id": video}), (LIP_SYNC, {"input": {"video_id": video}})):
        refused = await stage.post(path, member, json=body)
        assert (refused.status, refused.type) == (404, "not_found")
        check_refusal(refused)


async def test_a_name_that_no_database_holds_keeps_no_result_back(stage, settings):
    member = await stage.member(micros=RICH)
    video = {"id": "v\0", "url": "https://x.klingai.com/1.mp4", "duration": "5"}
    done = {"task_id": "t-nul", "task_status": "succeed", "task_result": {"videos": [video]}}

    async def kling(request):
        data = {"task_id": "t-nul"} if request.method == "POST" else done
        return web.json_response({"code": 0, "data": data})

    async with answering(kling) as settings.VENDOR_BASE_URL:
        end = await polled(stage, member, TEXT2VIDEO, await made(stage, member))

    assert told(end)["task_result"]["videos"] == [video]
    spent(stage, member, PRICE)


async def test_a_wrong_key_is_the_operators_affair(stage, configure):
    configure(VENDOR_KLING_KEY="another-vendor-key")
    member = await stage.member()
    refused = await stage.post(TEXT2VIDEO, member, json=WAVES)
    assert (refused.status, refused.type) == (403, "provider_disabled")
    check_refusal(refused)
    configure(VENDOR_KLING_KEY=None)
    refused = await stage.post(TEXT2VIDEO, member, json=WAVES)
    assert (refused.status, refused.type) == (403, "provider_disabled")
    assert stage.wallet(member) == (5_000_000, 0)


async def test_a_pair_of_keys_signs_tokens_that_are_kept_and_covered(stage, configure):
    desk = stage.vendor.desks["kling"]
    desk.settings = dataclasses.replace(desk.settings, secret=SECRET)
    configure(VENDOR_KLING_SECRET=SECRET)
    member = await stage.member(micros=RICH)

    task = await made(stage, member)
    assert word(await polled(stage, member, TEXT2VIDEO, task)) == "succeed"
    echoed = await stage.post(TEXT2VIDEO, member, json={**WAVES, "prompt": "sandbox:echo"})
    shown = {each.headers["authorization"] for each in stage.vendor.requests("kling")}

    (token,) = {each.removeprefix("Bearer ") for each in shown}
    claims = jwt.decode(token, SECRET, algorithms=["HS256"])
    assert claims["iss"] == VENDOR_KEY
    assert claims["exp"] - claims["nbf"] <= 1805
    assert token.encode() not in echoed.body
    assert b"*****" in echoed.body
    spent_before = stage.spent(member)

    # The newer design takes no token: told before anything is held.
    refused = await stage.post(TURBO, member, json={"prompt": "x"})
    assert (refused.status, refused.type) == (403, "provider_disabled")
    assert "pair of keys" in refused.json()["message"]
    assert stage.spent(member) == spent_before
    assert stage.vendor.counts("kling")["refused_credentials"] == 0


ERRORS = [
    (1002, 403, "provider_disabled"),
    (1101, 403, "provider_disabled"),
    (1102, 403, "provider_disabled"),
    (1103, 403, "provider_disabled"),
    (1304, 403, "provider_disabled"),
    (1201, 422, "provider_rejected"),
    (1203, 422, "provider_rejected"),
    (1300, 422, "content_blocked"),
    (1301, 422, "content_blocked"),
    (1302, 429, "provider_rate_limited"),
    (1303, 429, "provider_rate_limited"),
    (5000, 502, "provider_error"),
    (5001, 502, "provider_error"),
    (9999, 422, "outcome_unknown"),
]
OF_A_STATUS = {1201: 400, 1203: 404}
"""Where Kling's own status is about the member's request, it is passed on."""


@pytest.mark.parametrize("how", ["inside", "code"])
async def test_an_error_is_one_whatever_its_status(stage, how):
    member = await stage.member()
    for code, status, type_ in ERRORS:
        if code == 9999 and how == "code":
            continue
        body = {**WAVES, "prompt": f"sandbox:{how}={code}"}
        refused = await stage.post(TEXT2VIDEO, member, json=body)
        status = OF_A_STATUS.get(code, status) if how == "code" else status
        assert (refused.status, refused.type) == (status, type_), code
        check_refusal(refused)
        assert ("retry-after" in refused.headers) == (status == 429)
        assert stage.wallet(member) == (5_000_000, 0)
    assert {call["outcome"] for call in stage.calls(member)} == {"refused", "moderated"}
    assert stage.vendor.counts("kling")["accepted"] == 0


async def test_a_timeout_behind_klings_door_keeps_the_hold(stage):
    """Kling is asked for the task, and knows of none yet: it may still come."""
    for failure in ("code=5002", "drop_before", "status=504"):
        member = await stage.member()
        body = {**WAVES, "prompt": f"sandbox:{failure}"}
        refused = await stage.post(TEXT2VIDEO, member, json=body)
        assert (refused.status, refused.type) == (422, "outcome_unknown"), failure
        check_refusal(refused)
        assert stage.wallet(member) == (5_000_000, micros(PRICE))
        assert stage.calls(member) == []


async def test_an_answer_that_is_no_result_is_charged_to_nobody(stage):
    for failure in ("nonjson", "no_id", "inside=5002"):
        member = await stage.member()
        body = {**WAVES, "prompt": f"sandbox:{failure}"}
        refused = await stage.post(TEXT2VIDEO, member, json=body)
        assert (refused.status, refused.type) == (422, "outcome_unknown"), failure
        check_refusal(refused)
        assert stage.wallet(member) == (5_000_000, 0), failure


@pytest.mark.parametrize("failure", ["cut", "drop_after"])
async def test_the_task_of_an_answer_that_was_lost_is_looked_up(stage, failure):
    member = await stage.member()
    task = await made(stage, member, body={**WAVES, "prompt": f"sandbox:{failure}"})
    await polled(stage, member, TEXT2VIDEO, task)
    spent(stage, member, PRICE, of=5_000_000)
    assert stage.vendor.counts("kling")["accepted"] == 1


async def test_a_poll_that_fails_for_a_moment_is_still_running(stage):
    member = await stage.member(micros=RICH)
    for failure in ("poll_status=500", "poll_inside=1303", "poll_nonjson", "poll_inside=1101"):
        body = {**WAVES, "prompt": f"sandbox:{failure}"}
        task = await made(stage, member, body=body)
        answer = await stage.get(address(TEXT2VIDEO, task), member)
        assert (answer.status, word(answer)) == (200, "processing"), failure
        assert told(answer)["task_id"] == task
    turbo = await made(stage, member, TURBO, {"prompt": "sandbox:poll_status=500"})
    answer = await stage.get(address(TURBO, turbo), member)
    assert (answer.status, told(answer)) == (
        200,
        {"id": turbo, "status": "processing", "message": ""},
    )


async def test_a_task_that_kling_does_not_know_yet_is_running_and_later_is_lost(stage):
    member = await stage.member(micros=RICH)
    task = await made(stage, member)
    stage.vendor.desks["kling"].jobs._by_id.clear()
    answer = await stage.get(address(TEXT2VIDEO, task), member)
    assert word(answer) == "processing"

    stage.do(
        "UPDATE proxy_job SET created_at = now() - interval '2 minutes', asked_at = NULL"
        " WHERE workspace_id = %s",
        member.workspace,
    )
    stage.application._platform.recent._said.clear()
    answer = await stage.get(address(TEXT2VIDEO, task), member)
    assert answer.status == 200
    assert stage.calls(member)[0]["outcome"] == "failed"
    spent(stage, member, "0")


async def test_nobody_is_called_back_and_no_member_names_a_task_for_all(stage):
    member = await stage.member(micros=RICH)
    seen = []

    async def kling(request: web.Request) -> web.Response:
        seen.append(await request.text())
        data = {"task_id": f"{len(seen)}", "id": f"{len(seen)}", "task_status": "submitted"}
        return web.json_response({"code": 0, "message": "SUCCEED", "data": data})

    async with answering(kling) as url:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("proxy.catalogue.moved_to", lambda vendor, base="": url)
            own = {"callback_url": "https://evil.example", "external_task_id": "mine"}
            assert (await stage.post(TEXT2VIDEO, member, json={**WAVES, **own})).status == 200
            body = {"prompt": "x", "options": {**own, "watermark": True}}
            assert (await stage.post(TURBO, member, json=body)).status == 200
            untouched = '{"prompt" : "x",  "model_name":"kling-v2-6"}'
            assert (await stage.post(TURBO, member, data=untouched)).status == 200

    first = json.loads(seen[0])
    assert uuid.UUID(first.pop("external_task_id")).version == 7, "the call's own name"
    assert first == WAVES
    assert json.loads(seen[1]) == {"prompt": "x", "options": {"watermark": True}}
    assert seen[2] == untouched, "what needs no change is sent as it came"


async def test_a_film_is_measured_where_kling_does_not_say_its_length(stage):
    """What is charged is the length of the file; one that cannot be read costs the shortest."""
    path = "/proxy/kling/v1/videos/avatar/image2video"
    member = await stage.member(micros=RICH)
    film = f"{stage.vendor.url}/kling/files"
    first = await made(stage, member, path, {"image": "x", "sound_file": "x", "mode": "pro"})
    url = told(await polled(stage, member, path, first))["task_result"]["videos"][0]["url"]
    assert url.startswith(film)
    assert stage.calls(member)[-1]["charged_micros"] == micros("0.56")

    for shown, usd in ((url, "0.56"), (f"{film}/nothing/0.mp4", "0.224")):
        end = {"task_status": "succeed", "task_result": {"videos": [{"url": shown}]}}
        task = await _ended(stage, member, path, end)
        assert stage.calls(member)[-1]["charged_micros"] == micros(usd), task
    found = stage.rows("SELECT * FROM credits_finding WHERE key = 'unmeasured:kling:127.0.0.1'")
    assert len(found) == 1


async def _ended(stage, member, path, end):
    """Have a job whose end Kling tells in these words."""
    task = await made(stage, member, path, {"image": "x", "sound_file": "x", "mode": "pro"})
    said = web.json_response({"code": 0, "message": "SUCCEED", "data": end}).body
    stage.do(
        "UPDATE proxy_job SET asked_at = now() + interval '1 hour', said = %s, said_status = 200"
        " WHERE vendor_job_id = %s",
        bytes(said),
        task,
    )
    assert word(await stage.get(address(path, task), member)) == "succeed"
    return task
