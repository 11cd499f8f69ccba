"""A new pepper takes over key by key, as they are used."""

import asyncio
import uuid

import pytest
from proxy_stage import IMAGE, in_thread

from apikeys import keys
from apikeys.models import ApiKey


@pytest.mark.slow
async def test_a_key_under_an_older_pepper_works_and_gets_its_new_digest(stage, settings):
    member = await stage.member()
    settings.KEY_PEPPERS = {**settings.KEY_PEPPERS, 2: b"2" * 32}

    answers = [await stage.post(IMAGE, member, json={}) for _ in range(2)]

    assert [answer.status for answer in answers] == [200, 200]
    for _ in range(50):
        found = await in_thread(
            lambda: ApiKey.objects.filter(digest=keys.digest(member.key, 2)).first()
        )
        if found:
            break
        await asyncio.sleep(0.05)
    assert found is not None
    assert found.pepper_version == 2
    assert (await stage.post(IMAGE, member, json={})).status == 200


@pytest.mark.slow
async def test_a_repeat_is_the_same_intention_whichever_pepper_makes_digests(stage, settings):
    """Who repeats a call across a rotation is answered from the first, and pays once."""
    member, headers = await stage.member(), {"Idempotency-Key": uuid.uuid4().hex}
    first = await stage.post(IMAGE, member, json={}, headers=headers)
    old, new = settings.KEY_PEPPERS, {2: b"2" * 32}

    answers = []
    for peppers in ({**old, **new}, new):
        settings.KEY_PEPPERS = peppers
        answers.append(await stage.post(IMAGE, member, json={}, headers=headers))
        await in_thread(lambda: keys.repepper(member.key))

    assert [first.status, *(each.status for each in answers)] == [200, 200, 200]
    assert [each.headers["call-id"] for each in answers] == [first.headers["call-id"]] * 2
    assert answers[1].headers["idempotent-replayed"] == "true"
