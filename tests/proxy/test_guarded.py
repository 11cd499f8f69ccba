"""Whatever is raised between a hold and its end, no hold is left behind."""

from __future__ import annotations

import pytest
from proxy_stage import CENT, ECHO, IMAGE, ULTRA, check_refusal

from proxy import metered
from proxy.relay import Relay


@pytest.mark.parametrize("path", [IMAGE, ULTRA, ECHO])
async def test_a_request_that_cannot_be_written_holds_nothing(stage, path):
    """Fifty-one parameters: the query is read before money is set aside."""
    member = await stage.member()
    query = "&".join(f"a{n}=1" for n in range(60))
    stream = "/proxy/sandbox/v1/stream"

    answer = await stage.post(f"{stream}?{query}", member, json={})

    assert answer.status == 400
    check_refusal(answer)
    assert stage.wallet(member) == (5_000_000, 0)
    assert stage.holds(member) == []
    assert (await stage.post(f"{path}?{query}", member, json={"prompt": "x"})).status == 200


async def test_our_own_mistake_before_anything_was_sent_frees_the_hold(stage, monkeypatch):
    async def mistaken(*_: object) -> None:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(metered, "send", mistaken)
    member = await stage.member()

    answer = await stage.post(IMAGE, member, json={})

    assert (answer.status, answer.type) == (500, "internal")
    assert stage.wallet(member) == (5_000_000, 0)
    assert stage.holds(member) == []
    (call,) = stage.calls(member)
    assert (call["outcome"], call["charged_micros"]) == ("refused", 0)


async def test_our_own_mistake_after_it_was_sent_keeps_the_hold(stage, monkeypatch):
    """The vendor may have done the work: no client repeats it, the sweep frees it in time."""

    async def mistaken(*_: object) -> None:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(Relay, "exchange", mistaken)
    member = await stage.member()

    answer = await stage.post(IMAGE, member, json={})

    assert (answer.status, answer.type) == (422, "outcome_unknown")
    assert stage.wallet(member) == (5_000_000, CENT)
    assert len(stage.holds(member)) == 1
