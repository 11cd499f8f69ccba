"""A lost answer is asked for once more where the vendor knows its request again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from vendor_calls import RICH, followed, spent

from proxy.vendors import VENDORS

SAMPLES = Path(__file__).parent / "samples"
KNOWN = [
    ("synclabs", "/proxy/synclabs/v2/generate"),
    ("pixverse", "/proxy/pixverse/video/text/generate"),
    ("byteplus", "/proxy/byteplusmediakit/api/v1/tools/enhance-video"),
    ("kling", "/proxy/kling/v1/videos/text2video"),
]
EACH = pytest.mark.parametrize(("vendor", "path"), KNOWN, ids=[vendor for vendor, _ in KNOWN])


def sample(vendor, path):
    every = json.loads((SAMPLES / f"{vendor}.json").read_text())
    return next(each for each in every if each["path"] == path and each["kind"] == "submit")


def jobs_of(stage, vendor):
    """Return how many jobs the vendor has begun."""
    return len(stage.vendor.desks[vendor].jobs._by_id)


async def settled(stage, member):
    for _ in range(50):
        await followed(stage, member)
        if stage.wallet(member)[1] == 0:
            return
    raise AssertionError("its job does not end")


def test_these_are_all_that_know_one():
    found = {o.path.split("/")[0] for v in VENDORS for o in v.operations if o.known_by}
    assert found == {path.split("/")[2] for _, path in KNOWN}
    for vendor in VENDORS:
        for operation in vendor.operations:
            if operation.known_by:
                assert bool(operation.known_by.header) != bool(operation.known_by.field)


@EACH
@pytest.mark.parametrize("failure", ["drop_after", "cut"])
async def test_the_job_of_a_lost_answer_is_found_and_charged_once(stage, vendor, path, failure):
    asked = sample(vendor, path)
    member = await stage.member(RICH)
    stage.vendor.fail_next(vendor, failure)

    answer = await stage.post(path, member, json=asked["body"])

    assert answer.status in (200, 201), answer.body
    assert jobs_of(stage, vendor) == 1
    await settled(stage, member)
    spent(stage, member, asked["usd"])
    stage.prove(member)


@EACH
async def test_what_never_came_to_the_vendor_stays_unknown_or_begins_once(stage, vendor, path):
    """A request that was lost on its way begins its job when it comes again; a lookup does not."""
    asked = sample(vendor, path)
    member = await stage.member(RICH)
    stage.vendor.fail_next(vendor, "drop_before")

    answer = await stage.post(path, member, json=asked["body"])

    if vendor == "kling":
        assert (answer.status, answer.type) == (422, "outcome_unknown")
        assert jobs_of(stage, vendor) == 0
        assert stage.wallet(member)[1] > 0
    else:
        assert answer.status in (200, 201), answer.body
        assert jobs_of(stage, vendor) == 1


@EACH
@pytest.mark.parametrize("second", ["status=429", "status=402", "status=500", "status=400"])
async def test_a_refused_question_says_nothing_of_the_request(
    stage, vendor, path, second, configure
):
    """Else what the vendor works at would be freed, or sent to the next account."""
    asked = sample(vendor, path)
    member = await stage.member(RICH)
    stage.vendor.fail_next(vendor, "drop_after")
    if vendor == "kling":
        stage.vendor.fail_next(vendor, f"poll_{second}")
    else:
        stage.vendor.fail_next(vendor, second)

    answer = await stage.post(path, member, json=asked["body"])

    assert (answer.status, answer.type) == (422, "outcome_unknown"), answer.body
    (hold,) = stage.holds(member)
    assert hold["intent"] is None, "the next try is a new call"
    assert stage.spent(member) == 0


async def test_what_a_lookup_tells_of_the_end_is_a_polls_to_give(stage):
    """It is not paid for yet, and what the account paid is nobody's affair."""
    vendor, path = "kling", "/proxy/kling/v1/videos/text2video"
    member = await stage.member(RICH)
    stage.vendor.fail_next(vendor, "drop_after", "delay=0")

    answer = await stage.post(path, member, json=sample(vendor, path)["body"])

    assert answer.status == 200, answer.body
    (job,) = stage.vendor.desks[vendor].jobs._by_id.values()
    assert job.ending == "done"
    told = answer.json()["data"]
    assert told == {"task_id": job.id, "task_status": "processing", "task_status_msg": ""}
    assert stage.spent(member) == 0


async def test_it_is_asked_once(stage):
    vendor, path = KNOWN[0]
    member = await stage.member(RICH)
    stage.vendor.fail_next(vendor, "drop_after", times=2)

    answer = await stage.post(path, member, json=sample(vendor, path)["body"])

    assert (answer.status, answer.type) == (422, "outcome_unknown")
    assert stage.vendor.counts(vendor)["submits"] == 2


async def test_a_hold_that_ended_meanwhile_asks_nothing(stage, monkeypatch):
    vendor, path = KNOWN[0]
    member = await stage.member(RICH)
    stage.vendor.fail_next(vendor, "drop_after")

    async def ended(*_, **__):
        return False

    monkeypatch.setattr(stage.application._platform.books, "move", ended)
    answer = await stage.post(path, member, json=sample(vendor, path)["body"])

    assert (answer.status, answer.type) == (422, "outcome_unknown")
    assert stage.vendor.counts(vendor)["submits"] == 1


async def test_two_calls_have_two_names(stage):
    vendor, path = KNOWN[0]
    member = await stage.member(RICH)
    for _ in range(2):
        assert (await stage.post(path, member, json=sample(vendor, path)["body"])).status == 201

    assert jobs_of(stage, vendor) == 2
    names = {each.headers["idempotency-key"] for each in stage.vendor.requests(vendor)}
    assert len(names) == 2


@EACH
async def test_a_name_of_the_members_own_is_not_passed_on(stage, vendor, path):
    own = {"byteplus": {"client_token": "mine"}, "kling": {"external_task_id": "mine"}}
    body = sample(vendor, path)["body"] | own.get(vendor, {})
    member = await stage.member(RICH)
    headers = {"Idempotency-Key": "mine", "Ai-trace-id": "mine"}

    answer = await stage.post(path, member, json=body, headers=headers)

    assert answer.status in (200, 201), answer.body
    assert "mine" not in stage.vendor.desks[vendor].jobs._by_alias
