"""A client that repeats what a vendor refused fills no history: one row, with a count."""

from __future__ import annotations

import uuid

import pytest
from proxy_stage import CENT, IMAGE, ULTRA


@pytest.mark.parametrize("keyed", [True, False])
@pytest.mark.parametrize("failure", ["status=429", "status=503"])
@pytest.mark.parametrize("path", [ULTRA, IMAGE])
async def test_seventeen_tries_are_one_row(stage, path, failure, keyed):
    member = await stage.member()
    vendor = path.split("/")[2]
    headers = {"Idempotency-Key": uuid.uuid4().hex} if keyed else {}
    stage.vendor.fail_next(vendor, failure, times=17)

    answers = [
        await stage.post(path, member, json={"prompt": "x"}, headers=headers) for _ in range(17)
    ]

    assert {answer.status for answer in answers} == {429 if failure == "status=429" else 502}
    (call,) = stage.calls(member)
    assert (call["outcome"], call["attempts"], call["charged_micros"]) == ("refused", 17, 0)
    assert stage.wallet(member) == (5_000_000, 0)
    events = stage.row("SELECT events FROM credits_account WHERE id = %s", member.workspace)
    assert events["events"] == 2, "the grant, and one call"


async def test_the_try_that_succeeds_is_a_row_of_its_own(stage):
    member = await stage.member()
    stage.vendor.fail_next("sandbox", "status=429", times=2)
    for _ in range(3):
        await stage.post(IMAGE, member, json={"prompt": "x"})

    calls = stage.calls(member)

    assert [(call["outcome"], call["attempts"]) for call in calls] == [
        ("refused", 2),
        ("delivered", 1),
    ]
    assert [call["number"] for call in calls] == [2, 3]
    assert stage.wallet(member) == (5_000_000 - CENT, 0)


async def test_another_request_and_another_member_are_rows_of_their_own(stage):
    one, two = await stage.member(), await stage.member()
    stage.vendor.fail_next("sandbox", "status=429", times=4)
    for member, prompt in ((one, "x"), (one, "y"), (two, "x"), (two, "x")):
        await stage.post(IMAGE, member, json={"prompt": prompt})

    assert [call["attempts"] for call in stage.calls(one)] == [1, 1]
    assert [call["attempts"] for call in stage.calls(two)] == [2]
