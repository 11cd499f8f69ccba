"""While the platform is worked on no call begins, whatever process it comes to; what runs ends."""

from __future__ import annotations

import uuid

from proxy_stage import IMAGE, ULTRA, check_refusal, in_thread

from desk import maintenance

STAFF = uuid.uuid4()
SENTENCE = "We move to a larger machine until noon."


async def begin(minutes=None):
    from datetime import timedelta

    from django.utils import timezone

    until = timezone.now() + timedelta(minutes=minutes) if minutes else None
    await in_thread(lambda: maintenance.begin(SENTENCE, until=until, by=STAFF))


async def end():
    return await in_thread(lambda: maintenance.end(by=STAFF, reason="done"))


async def test_a_call_is_refused_before_anything_is_sent_or_held_and_told_when(stage):
    member = await stage.member()
    await begin()
    try:
        refused = await stage.post(IMAGE, member, json={})
    finally:
        await end()
    after = await stage.post(IMAGE, member, json={})

    assert (refused.status, refused.type) == (503, "maintenance")
    assert refused.json()["message"] == SENTENCE
    assert refused.headers["retry-after"] == "60"
    check_refusal(refused)
    assert after.status == 200
    assert len(stage.calls(member)) == 1
    assert stage.vendor.counts("sandbox")["submits"] == 1


async def test_when_it_is_thought_to_be_over_is_told_within_what_clients_wait(stage):
    member = await stage.member()
    told = []
    for minutes in (1, 600):
        await begin(minutes)
        try:
            told.append(int((await stage.post(IMAGE, member, json={})).headers["retry-after"]))
        finally:
            await end()

    assert 50 <= told[0] <= 60
    assert told[1] == maintenance.MOST_SECONDS


async def test_what_was_begun_before_is_polled_settled_and_repeated(stage):
    member = await stage.member()
    headers = {"Idempotency-Key": uuid.uuid4().hex, "Comfy-Core-Version": "0.40.0"}
    done = await stage.post(IMAGE, member, json={}, headers=headers)
    job = (await stage.post(ULTRA, member, json={"prompt": "sandbox:delay=0.5"})).json()
    await begin()
    try:
        again = await stage.post(IMAGE, member, json={}, headers=headers)
        ended = await stage.poll_until_end(job["polling_url"])
    finally:
        await end()

    assert (again.status, again.body) == (200, done.body)
    assert ended.json()["status"] == "Ready"
    assert [each["outcome"] for each in stage.calls(member)] == ["delivered", "delivered"]
    held = stage.wallet(member)[1]
    assert held == 0


async def test_who_could_not_call_anyway_is_told_that(stage):
    poor = await stage.member(micros=0)
    await begin()
    try:
        refused = await stage.post(IMAGE, poor, json={})
    finally:
        await end()

    assert (refused.status, refused.type) == (402, "insufficient_credits")
