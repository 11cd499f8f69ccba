"""Why calls were refused is kept for their owner: which limit, what was left, how often."""

from __future__ import annotations

import asyncio

import pytest
from proxy_stage import IMAGE, ULTRA, eventually

from apikeys import allowances
from proxy import refused
from proxy.refused import Refused

BODY = {"prompt": "a fox"}


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """What is gathered is written at once."""
    monkeypatch.setattr("proxy.process.FLUSH_SECONDS", 0.1)


def rows(stage, member):
    return stage.rows(
        "SELECT * FROM usage_refusal WHERE workspace_id = %s ORDER BY id", member.workspace
    )


async def noted(stage, member, times=1):
    def look():
        found = rows(stage, member)
        return found if sum(row["times"] for row in found) >= times else None

    return await eventually(look, seconds=30)


async def test_too_little_money_is_kept_with_what_there_was(stage):
    poor = await stage.member(50_000)

    for _ in range(3):
        assert (await stage.post(ULTRA, poor, json=BODY)).status == 402

    (row,) = await noted(stage, poor, 3)
    assert (row["code"], row["limit"]) == ("insufficient_credits", "balance")
    assert (row["left_micros"], row["needed_micros"]) == (50_000, 60_000)
    assert (str(row["user_id"]), str(row["key_id"])) == (poor.user, poor.key_id)
    assert (row["vendor"], row["times"]) == ("bfl", 3)
    assert "credits are available" in row["message"]
    assert stage.calls(poor) == []


async def test_each_limit_is_a_row_of_its_own(stage):
    member = await stage.member(5_000_000, call_limit_micros=1_000, project="film")
    other = await stage.member(5_000_000, allowed_vendors=["kling"])

    assert (await stage.post(ULTRA, member, json=BODY)).status == 403
    assert (await stage.post(ULTRA, other, json=BODY)).status == 403

    (row,) = await noted(stage, member)
    assert (row["code"], row["limit"], row["project"]) == ("budget_exceeded", "per_call", "film")
    (row,) = await noted(stage, other)
    assert (row["code"], row["limit"]) == ("access_disabled", "vendor")


async def test_a_budget_says_whose_it_is_and_when_it_begins_anew(stage):
    from proxy_stage import in_thread

    member = await stage.member()
    await in_thread(
        lambda: allowances.set_rule(
            member.workspace, "workspace", "", "day", 10_000, by=member.user
        )
    )

    assert (await stage.post(ULTRA, member, json=BODY)).status == 403

    (row,) = await noted(stage, member)
    assert (row["limit"], row["whose"], row["most_micros"]) == ("budget", "workspace", 10_000)
    assert row["left_micros"] == 10_000
    assert row["resets_at"] is not None


async def test_the_pace_of_a_key_is_kept_with_its_minute(stage):
    member = await stage.member(requests_per_minute=1)

    told = [(await stage.post(IMAGE, member, json={})).status for _ in range(4)]

    assert told.count(429) >= 2
    (row,) = await noted(stage, member, told.count(429))
    assert (row["limit"], row["most"], row["left"]) == ("requests_per_minute", 1, 0)
    assert row["resets_at"] is not None


async def test_what_is_nobodys_is_kept_nowhere(stage):
    before = stage.row("SELECT count(*) AS n FROM usage_refusal")["n"]

    answer = await stage.ask("POST", ULTRA, json=BODY, headers={"X-API-KEY": "comfyui-" + "0" * 64})
    await asyncio.sleep(0.3)

    assert answer.status == 401
    assert stage.row("SELECT count(*) AS n FROM usage_refusal")["n"] == before


async def test_nobody_fills_the_table(stage, monkeypatch):
    """However many ways to be refused there are, an hour has so many rows, and some are counted."""
    monkeypatch.setattr(refused, "MOST_AT_ONCE", 2)
    poor = await stage.member(1)

    for path in (ULTRA, IMAGE):
        for _ in range(5):
            await stage.post(path, poor, json=BODY)

    found = await noted(stage, poor, 10)
    assert len(found) == 2


async def test_an_hour_has_only_so_many_rows(stage, monkeypatch):
    poor = await stage.member(1)
    assert (await stage.post(ULTRA, poor, json=BODY)).status == 402
    await noted(stage, poor)
    monkeypatch.setattr(refused, "WRITE", refused.WRITE.replace(f"< {refused.MOST_AN_HOUR}", "< 1"))

    await stage.post(IMAGE, poor, json={})
    await stage.post(ULTRA, poor, json=BODY)

    (row,) = await noted(stage, poor, 2)
    assert (row["vendor"], row["times"]) == ("bfl", 2)


def test_what_says_nothing_of_an_owner_costs_nothing():
    gathered = Refused()

    from common.errors import Unauthorized

    gathered.note(None, Unauthorized("Who are you?"))  # type: ignore[arg-type]

    assert gathered._of == {}


async def test_a_budget_that_is_used_up_is_told_to_programs_once_for_each_limit(stage):
    from proxy_stage import in_thread

    from webhooks import endpoints

    member = await stage.member()
    types = ["budget.reached", "key.limit_reached"]

    def prepare():
        endpoints.make(
            member.workspace, url="https://8.8.8.8/", types=types, name="", by=member.user
        )
        allowances.set_rule(member.workspace, "workspace", "", "day", 10_000, by=member.user)

    def told():
        return stage.rows(
            "SELECT delivery.type, body::json->'data' AS data FROM webhooks_delivery delivery"
            " JOIN webhooks_endpoint endpoint ON endpoint.id = endpoint_id WHERE workspace_id = %s",
            member.workspace,
        )

    await in_thread(prepare)
    for times in range(1, 4):  # What is told of one is told before the next one is written.
        assert (await stage.post(ULTRA, member, json=BODY)).status == 403
        await noted(stage, member, times)

    (found,) = await eventually(told, seconds=30)
    assert found["type"] == "budget.reached"
    assert (found["data"]["of"], found["data"]["limit_micro_usd"]) == ("workspace", 10_000)
