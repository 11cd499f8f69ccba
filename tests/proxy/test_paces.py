"""How many calls a key begins in a minute, whichever process it asks."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter

import pytest
from proxy_books import an_ask, place, two_sets, verdicts
from proxy_stage import IMAGE, check_refusal, connect, in_thread

from apikeys import paces
from apikeys.models import ApiKey
from common.errors import RateLimited

K = 21


@pytest.fixture
async def early():
    """Be in no minute's last seconds."""
    left = 60 - time.time() % 60
    if left < 12:
        await asyncio.sleep(left + 0.1)


def limit(key_id, most):
    return in_thread(lambda: ApiKey.objects.filter(pk=key_id).update(requests_per_minute=most))


def let_a_minute_pass(lanes, member):
    with connect() as db:
        db.execute(
            "UPDATE apikeys_pace SET minute = minute - interval '1 minute' WHERE family = %s",
            [member.api_key_record.family],
        )
    for books in lanes:
        for share in books._shares._shares.values():
            share.until = 0


@pytest.mark.slow
@pytest.mark.usefixtures("committed", "early")
@pytest.mark.parametrize("most", [1, 2, K, 100])
async def test_exactly_so_many_at_two_processes_and_again_in_the_next_minute(make_member, most):
    alice = make_member("50")
    await limit(alice.api_key_record.pk, most)
    async with two_sets() as lanes:
        for _ in range(2):
            told = await verdicts(place(lanes[n % 2], alice, an_ask()) for n in range(4 * most + 4))
            assert Counter(told) == {"placed": most, "rate_limited": 3 * most + 4}
            let_a_minute_pass(lanes, alice)


@pytest.mark.slow
@pytest.mark.usefixtures("committed", "early")
async def test_a_limit_holds_from_the_next_call_on_and_a_key_without_writes_nothing(make_member):
    alice = make_member()
    counted = "SELECT count(*) AS n FROM apikeys_pace WHERE family = %s"
    async with two_sets() as lanes:
        assert await verdicts(place(lanes[0], alice, an_ask()) for _ in range(8)) == ["placed"] * 8
        with connect() as db:
            assert db.execute(counted, [alice.api_key_record.family]).fetchone() == {"n": 0}

        await limit(alice.api_key_record.pk, 2)
        told = await verdicts(place(lanes[0], alice, an_ask()) for _ in range(8))
        assert Counter(told) == {"placed": 2, "rate_limited": 6}
        await limit(alice.api_key_record.pk, None)
        let_a_minute_pass(lanes, alice)
        assert await verdicts(place(lanes[0], alice, an_ask()) for _ in range(8)) == ["placed"] * 8


@pytest.mark.slow
@pytest.mark.usefixtures("committed", "early")
async def test_calls_are_taken_in_parts_not_one_by_one(make_member):
    alice = make_member("50")
    await limit(alice.api_key_record.pk, 800)
    async with two_sets() as lanes:
        taken = []
        query = lanes[0].query

        async def counting(statement, *parameters):
            taken.append(statement)
            return await query(statement, *parameters)

        lanes[0].query = counting
        for _ in range(5):
            assert set(await verdicts(place(lanes[0], alice, an_ask(1)) for _ in range(60))) == {
                "placed"
            }

    assert 3 <= taken.count(paces.TAKE) < 20


@pytest.mark.slow
@pytest.mark.usefixtures("committed", "early")
async def test_a_repeat_is_answered_whatever_the_pace(make_member):
    alice = make_member()
    await limit(alice.api_key_record.pk, 1)
    intent = uuid.uuid4().hex
    async with two_sets() as lanes:
        assert (await place(lanes[0], alice, an_ask(intent=intent))).verdict == "placed"
        with pytest.raises(RateLimited):
            await place(lanes[1], alice, an_ask())
        for books in lanes:
            assert (await place(books, alice, an_ask(intent=intent))).verdict == "repeat"


@pytest.mark.slow
@pytest.mark.usefixtures("early")
async def test_answers_say_how_the_minute_stands(stage):
    member = await stage.member()
    await limit(member.key_id, 2)

    good = [await stage.post(IMAGE, member, json={"prompt": str(n)}) for n in range(2)]
    refused = await stage.post(IMAGE, member, json={"prompt": "3"})

    assert [each.status for each in good] == [200, 200]
    assert [each.headers["ratelimit"].split(";t=")[0] for each in good] == [
        '"key";r=1',
        '"key";r=0',
    ]
    check_refusal(refused)
    assert (refused.status, refused.type) == (429, "rate_limited")
    assert refused.headers["ratelimit-policy"] == '"key";q=2;w=60'
    assert 0 < int(refused.headers["retry-after"]) <= 60
    assert "2 calls in a minute, and 0 are left" in refused.json()["message"]
    assert len(stage.vendor.requests("sandbox")) == 2
