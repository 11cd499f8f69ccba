"""A key that staff end, or whose person they deactivate, makes no call from that moment."""

from __future__ import annotations

import uuid

import pytest
from proxy_stage import IMAGE, check_refusal, in_thread

from accounts import status
from accounts.models import User
from apikeys import states
from apikeys.models import ApiKey

WHY = {"by": uuid.UUID(int=7), "reason": "a test"}


def whole(change, model, pk):
    return in_thread(lambda: change(model.objects.get(pk=pk), **WHY))


async def called(stage, member):
    answer = await stage.post(IMAGE, member, json={"prompt": str(uuid.uuid4())})
    if answer.status != 200:
        check_refusal(answer)
    return answer.status


async def test_of_somebody_who_is_deactivated_no_call_is_taken(stage):
    member, other = await stage.member(), await stage.member()
    assert await called(stage, member) == 200

    await whole(status.deactivate, User, member.user)
    assert [await called(stage, each) for each in (member, other)] == [401, 200]

    await whole(status.reactivate, User, member.user)
    assert await called(stage, member) == 200
    assert len(stage.calls(member)) == 2


@pytest.mark.parametrize("end", [states.disable, states.revoke])
async def test_a_key_that_was_ended_makes_no_call(stage, end):
    member = await stage.member()
    assert await called(stage, member) == 200

    await whole(end, ApiKey, member.key_id)

    assert await called(stage, member) == 401
    assert len(await stage.settled(member)) == 1


async def test_a_key_that_was_enabled_again_makes_calls_again(stage):
    member = await stage.member()
    await whole(states.disable, ApiKey, member.key_id)
    assert await called(stage, member) == 401

    await whole(states.enable, ApiKey, member.key_id)

    assert await called(stage, member) == 200
