"""Each failure of the vendor: what the member is charged and told, and how often it was asked."""

from __future__ import annotations

import asyncio
import dataclasses
import time

import pytest
from aiohttp import web
from proxy_stage import (
    CENT,
    ECHO,
    IMAGE,
    STREAM,
    ULTRA,
    ULTRA_MICROS,
    answering,
    check_refusal,
    in_thread,
)

from proxy import tasks
from proxy.books import Books
from proxy.vendors import catalogue

TOLD = {
    400: (400, "provider_rejected"),
    401: (403, "provider_disabled"),
    402: (403, "provider_disabled"),
    403: (403, "provider_disabled"),
    404: (404, "provider_rejected"),
    409: (422, "provider_rejected"),
    422: (422, "provider_rejected"),
    429: (429, "provider_rate_limited"),
    500: (502, "provider_error"),
    502: (502, "provider_error"),
    503: (502, "provider_error"),
}


@pytest.mark.parametrize("path", [ULTRA, IMAGE, ECHO])
@pytest.mark.parametrize("status", TOLD)
async def test_a_refusing_vendor_costs_nothing(stage, path, status):
    member = await stage.member()
    vendor = path.split("/")[2]
    stage.vendor.fail_next(vendor, f"status={status}")

    answer = await stage.post(path, member, json={"prompt": "x"})

    assert (answer.status, answer.type) == TOLD[status]
    check_refusal(answer)
    assert answer.headers["call-id"] == str(stage.calls(member)[0]["id"])
    assert answer.headers.get("retry-after") == ("2" if status == 429 else None)
    counts = stage.vendor.counts(vendor)
    assert (counts["submits"], counts["accepted"]) == (1, 0)
    assert stage.wallet(member) == (5_000_000, 0)
    (call,) = stage.calls(member)
    assert (call["outcome"], call["status"], call["charged_micros"]) == ("refused", status, 0)
    assert call["reason"]


@pytest.mark.parametrize("path", [ULTRA, IMAGE, ECHO])
@pytest.mark.parametrize(
    ("failure", "accepted"), [("drop_before", 0), ("drop_after", 1), ("status=504", 0)]
)
async def test_a_lost_answer_keeps_its_hold_until_its_time_is_over(stage, path, failure, accepted):
    member = await stage.member()
    vendor = path.split("/")[2]
    stage.vendor.fail_next(vendor, failure)

    answer = await stage.post(path, member, json={"prompt": "x"})

    assert (answer.status, answer.type) == (422, "outcome_unknown")
    assert "stays held for" in answer.json()["message"]
    check_refusal(answer)
    counts = stage.vendor.counts(vendor)
    assert (counts["submits"], counts["accepted"]) == (1, accepted)
    (hold,) = stage.holds(member)
    assert stage.wallet(member) == (5_000_000, hold["amount_micros"])
    assert stage.calls(member) == []

    await in_thread(tasks.sweep_holds)
    assert stage.holds(member), "the sweep leaves a hold whose time is not over"

    stage.over(member)
    await in_thread(tasks.sweep_holds)
    assert stage.wallet(member) == (5_000_000, 0)
    (call,) = stage.calls(member)
    assert (call["outcome"], call["charged_micros"]) == ("expired", 0)
    assert str(call["id"]) == str(hold["id"])


def complaint(field: str, message: str) -> dict[str, object]:
    return {"detail": [{"loc": ["body", field], "msg": message, "type": "x"}]}


@pytest.mark.parametrize(
    ("said", "type_", "outcome", "sentence"),
    [
        (
            complaint("safety_tolerance", "Input should be less than or equal to 2"),
            *("provider_rejected", "refused", "safety_tolerance: Input should be less"),
        ),
        ({"detail": "no\0such\0thing"}, "provider_rejected", "refused", "no such thing"),
        *(
            (
                {"detail": detail},
                *("content_blocked", "moderated"),
                f"failed the safety checks. Black Forest Labs says: {detail}",
            )
            for detail in ("Request Moderated", "Blocked by our Safety Filter")
        ),
    ],
)
async def test_what_is_moderated_is_told_from_what_is_wrong(
    stage, settings, said, type_, outcome, sentence
):
    async def refusing(_: web.Request) -> web.Response:
        return web.json_response(said, status=422)

    member = await stage.member()
    async with answering(refusing) as settings.VENDOR_BASE_URL:
        answer = await stage.post(ULTRA, member, json={"prompt": "x"})

    assert (answer.status, answer.type) == (422, type_)
    assert sentence in answer.json()["message"]
    check_refusal(answer)
    assert [call["outcome"] for call in stage.calls(member)] == [outcome]
    assert stage.wallet(member) == (5_000_000, 0)


@pytest.mark.parametrize(
    ("failure", "status", "outcome"),
    [
        ("moderated", "Request Moderated", "moderated"),
        ("content_moderated", "Content Moderated", "moderated"),
        ("failed", "Error", "failed"),
    ],
)
@pytest.mark.parametrize("who", ["member", "follower"])
async def test_a_job_without_a_result_costs_nothing(stage, failure, status, outcome, who):
    member = await stage.member()
    made = await stage.post(ULTRA, member, json={"prompt": f"sandbox:{failure}"})
    assert made.status == 200
    assert stage.wallet(member) == (5_000_000, ULTRA_MICROS)

    if who == "follower":
        stage.due(member)
        await in_thread(tasks.follow_jobs)
        assert stage.wallet(member) == (5_000_000, 0)
    for _ in range(2):
        polled = await stage.get(made.json()["polling_url"])
        assert (polled.status, polled.json()["status"]) == (200, status)
        assert "x-comfy-credits-used" not in polled.headers

    assert stage.wallet(member) == (5_000_000, 0)
    (call,) = stage.calls(member)
    assert (call["outcome"], call["charged_micros"]) == (outcome, 0)
    assert stage.vendor.counts("bfl")["accepted"] == 1


@pytest.mark.parametrize("failure", ["nonjson", "no_id", "cut"])
async def test_a_success_that_is_none_costs_nothing(stage, failure):
    member = await stage.member()
    stage.vendor.fail_next("bfl", failure)

    answer = await stage.post(ULTRA, member, json={"prompt": "x"})

    assert (answer.status, answer.type) == (422, "outcome_unknown")
    check_refusal(answer)
    assert stage.vendor.counts("bfl")["submits"] == 1
    assert stage.wallet(member) == (5_000_000, 0)
    (call,) = stage.calls(member)
    assert (call["outcome"], call["charged_micros"]) == ("refused", 0)


@pytest.mark.parametrize("failure", ["nonjson", "cut"])
async def test_a_measured_answer_that_cannot_be_read_costs_nothing(stage, failure):
    member = await stage.member()
    stage.vendor.fail_next("sandbox", failure)

    answer = await stage.post(ECHO, member, json={"units": 1})

    assert (answer.status, answer.type) == (422, "outcome_unknown")
    check_refusal(answer)
    assert stage.wallet(member) == (5_000_000, 0)
    (call,) = stage.calls(member)
    assert call["outcome"] == "refused"


async def test_a_page_in_place_of_a_file_costs_nothing_and_is_not_given(stage):
    """As whoever stands between says that its terms must be accepted: with a 200."""
    member = await stage.member()
    stage.vendor.fail_next("sandbox", "nonjson")

    answer = await stage.post(IMAGE, member, json={"prompt": "x"})

    assert (answer.status, answer.type) == (422, "outcome_unknown")
    check_refusal(answer)
    assert stage.wallet(member) == (5_000_000, 0)
    (call,) = stage.calls(member)
    assert (call["outcome"], call["charged_micros"]) == ("refused", 0)


async def test_a_stream_that_breaks_off_costs_nothing_and_breaks_off_here_too(stage):
    member = await stage.member()
    stage.vendor.fail_next("sandbox", "cut")

    async with stage.session.post(
        f"{stage.url}{STREAM}?bytes=4000000&seconds=0.1", json={}, headers=member.headers
    ) as response:
        assert response.status == 200
        with pytest.raises(Exception, match=r"payload|closed|disconnected|reset"):
            await response.read()

    (call,) = await stage.settled(member)
    assert (call["outcome"], call["charged_micros"]) == ("refused", 0)
    assert stage.wallet(member) == (5_000_000, 0)


async def test_an_empty_success_is_no_result(stage):
    member = await stage.member()

    answer = await stage.post(STREAM + "?bytes=0", member, json={})

    assert (answer.status, answer.type) == (422, "outcome_unknown")
    check_refusal(answer)
    assert stage.wallet(member) == (5_000_000, 0)


async def test_a_slow_vendor_is_waited_for(stage):
    member = await stage.member()
    stage.vendor.fail_next("sandbox", "slow=0.8")
    began = time.monotonic()

    answer = await stage.post(IMAGE, member, json={})

    assert answer.status == 200
    assert time.monotonic() - began >= 0.8
    assert stage.wallet(member) == (5_000_000 - CENT, 0)


async def test_our_own_fault_is_found_by_the_id_that_was_told(stage, monkeypatch, caplog):
    monkeypatch.setattr(Books, "settle", None)
    member = await stage.member()

    answer = await stage.post(IMAGE, member, json={})

    assert (answer.status, answer.type) == (422, "outcome_unknown")
    check_refusal(answer)
    (hold,) = stage.holds(member)
    assert answer.headers["call-id"] == str(hold["id"])
    assert answer.headers["x-request-id"] in caplog.text


async def test_a_vendor_that_is_not_there_costs_nothing(stage, settings):
    member = await stage.member()
    settings.VENDOR_BASE_URL = "http://127.0.0.1:9/{vendor}"

    answer = await stage.post(IMAGE, member, json={})

    assert (answer.status, answer.type) == (502, "provider_error")
    check_refusal(answer)
    assert stage.wallet(member) == (5_000_000, 0)
    (call,) = stage.calls(member)
    assert (call["outcome"], call["status"]) == ("refused", 0)


@pytest.mark.slow
async def test_a_vendor_that_is_too_slow_is_a_lost_answer(stage, monkeypatch):
    routes = catalogue()._exact
    route = routes["POST", IMAGE]
    hasty = dataclasses.replace(route.operation, timeout_seconds=1)
    monkeypatch.setitem(routes, ("POST", IMAGE), dataclasses.replace(route, operation=hasty))
    member = await stage.member()
    stage.vendor.fail_next("sandbox", "slow=2")

    answer = await stage.post(IMAGE, member, json={})

    assert (answer.status, answer.type) == (422, "outcome_unknown")
    assert stage.wallet(member) == (5_000_000, CENT)


async def test_a_wrong_credential_of_ours_is_not_the_members_fault(stage, settings):
    member = await stage.member()
    settings.VENDOR_SETTINGS = {"VENDOR_BFL_KEY": "wrong", "VENDOR_SANDBOX_KEY": "wrong"}

    for path in (ULTRA, IMAGE):
        answer = await stage.post(path, member, json={"prompt": "x"})
        assert (answer.status, answer.type) == (403, "provider_disabled")
        check_refusal(answer)
        assert b"wrong" not in answer.body
    assert stage.wallet(member) == (5_000_000, 0)


# --- Jobs whose end nobody sees, and polls that break --------------------------------------------


async def test_a_job_that_never_ends_expires(stage):
    member = await stage.member()
    made = await stage.post(ULTRA, member, json={"prompt": "sandbox:never"})
    url = made.json()["polling_url"]
    assert (await stage.get(url)).json()["status"] == "Pending"
    stage.due(member)
    await in_thread(tasks.follow_jobs)
    assert stage.wallet(member) == (5_000_000, ULTRA_MICROS)

    stage.over(member)
    await in_thread(tasks.follow_jobs)

    assert stage.wallet(member) == (5_000_000, 0)
    (call,) = stage.calls(member)
    assert (call["outcome"], call["charged_micros"]) == ("expired", 0)
    told = await stage.get(url)
    assert (told.status, told.type) == (422, "job_expired")
    check_refusal(told)
    assert len(stage.calls(member)) == 1


async def test_the_sweep_alone_ends_a_job_too(stage):
    member = await stage.member()
    made = await stage.post(ULTRA, member, json={"prompt": "sandbox:never"})
    stage.over(member)

    await in_thread(tasks.sweep_holds)

    assert stage.wallet(member) == (5_000_000, 0)
    (call,) = stage.calls(member)
    assert (call["outcome"], call["vendor_job_id"]) == ("expired", call["vendor_job_id"])
    job = stage.row("SELECT * FROM proxy_job WHERE workspace_id = %s", member.workspace)
    assert job["outcome"] == "expired"
    assert (await stage.get(made.json()["polling_url"])).type == "job_expired"


async def test_a_result_after_the_deadline_is_charged_once_and_given(stage):
    member = await stage.member()
    made = await stage.post(ULTRA, member, json={"prompt": "x"})
    url = made.json()["polling_url"]
    stage.over(member)
    await in_thread(tasks.sweep_holds)
    assert stage.wallet(member) == (5_000_000, 0)

    polled = await asyncio.gather(*(stage.get(url) for _ in range(8)))
    again = await stage.get(url)

    assert {answer.status for answer in polled} == {200}, "a client gives up at a 422"
    assert {answer.json()["status"] for answer in polled} <= {"Ready", "Pending"}
    assert again.json()["status"] == "Ready"
    assert again.headers["x-comfy-credits-used"] == "12.66"
    assert stage.wallet(member) == (5_000_000 - ULTRA_MICROS, 0)
    calls = stage.calls(member)
    assert [call["outcome"] for call in calls] == ["expired", "delivered"]
    assert calls[1]["facts"]["late_of"] == str(calls[0]["id"])


async def test_a_late_result_that_nobody_can_pay_for_is_not_given(stage):
    member = await stage.member(micros=ULTRA_MICROS)
    made = await stage.post(ULTRA, member, json={"prompt": "x"})
    url = made.json()["polling_url"]
    stage.over(member)
    await in_thread(tasks.sweep_holds)
    spent = await stage.post(IMAGE, member, json={})
    assert spent.status == 200

    refused = await stage.get(url)

    assert (refused.status, refused.type) == (402, "insufficient_credits")
    check_refusal(refused)
    assert b"sample" not in refused.body
    assert stage.wallet(member) == (ULTRA_MICROS - CENT, 0)


@pytest.mark.slow
@pytest.mark.parametrize(
    "failures",
    [
        *(f"poll_status={status}" for status in (400, 401, 402, 403, 404, 409, 422, 429)),
        *(f"poll_status={status}" for status in (500, 502, 503, 504)),
        "poll_nonjson",
        "poll_drop",
    ],
)
async def test_while_the_vendor_cannot_be_asked_the_job_still_runs(stage, failures):
    member = await stage.member()
    made = await stage.post(ULTRA, member, json={"prompt": "x"})
    stage.vendor.fail_next("bfl", failures, times=2)

    polled = await stage.get(made.json()["polling_url"])

    assert polled.status == 200
    assert polled.json() == {
        "id": made.json()["id"],
        "status": "Pending",
        "result": None,
        "progress": None,
    }
    assert polled.headers["content-type"] == "application/json"
    assert stage.calls(member) == []
    stage.vendor.desks["bfl"].plans.questions.clear()
    assert (await stage.poll_until_end(made.json()["polling_url"])).json()["status"] == "Ready"
    assert stage.wallet(member) == (5_000_000 - ULTRA_MICROS, 0)


@pytest.mark.slow
async def test_a_job_that_the_vendor_forgot_has_failed(stage):
    member = await stage.member()
    made = await stage.post(ULTRA, member, json={"prompt": "sandbox:never"})
    forgotten = dict(stage.vendor.desks["bfl"].jobs._by_id)
    stage.vendor.desks["bfl"].jobs._by_id.clear()

    early = await stage.get(made.json()["polling_url"])
    assert early.json()["status"] == "Pending", "in its first minute that means not yet"
    assert stage.wallet(member) == (5_000_000, ULTRA_MICROS)

    stage.aged(member)
    await asyncio.sleep(1.1)  # This process remembers for a second what it was told.
    polled = await stage.get(made.json()["polling_url"])
    assert polled.json()["status"] == "Error"
    assert stage.wallet(member) == (5_000_000, 0)
    assert [call["outcome"] for call in stage.calls(member)] == ["failed"]

    stage.vendor.desks["bfl"].jobs._by_id.update(forgotten)
    stage.aged(member)
    assert (await stage.get(made.json()["polling_url"])).json()["status"] == "Error"


async def test_one_failure_is_not_its_neighbours(stage):
    member = await stage.member()
    bodies = [
        {"prompt": "sandbox:status=500" if n % 3 == 0 else "fine", "seed": n} for n in range(30)
    ]

    answers = await asyncio.gather(*(stage.post(IMAGE, member, json=body) for body in bodies))

    assert [answer.status for answer in answers] == [502 if n % 3 == 0 else 200 for n in range(30)]
    assert stage.wallet(member) == (5_000_000 - 20 * CENT, 0)
    assert sorted(call["number"] for call in stage.calls(member)) == list(range(2, 32))
