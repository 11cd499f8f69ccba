"""What a quote says would refuse a call is what refuses it: one statement judges both."""

from __future__ import annotations

import uuid

import pytest
from django.core.cache import cache
from proxy_stage import ULTRA, ULTRA_MICROS, in_thread

from accounts.signup import sign_up
from apikeys import allowances
from apikeys.models import ApiKey
from credits.books import holds, limits

RICH = 100 * ULTRA_MICROS


@pytest.fixture(autouse=True)
async def nobody_asked_before(committed):
    await in_thread(cache.clear)


def rule(member, micros, kind="key"):
    of = {"key": member.key_id, "workspace": ""}[kind]
    by = uuid.UUID(member.user)
    workspace = uuid.UUID(member.workspace)
    allowances.set_rule(workspace, kind, of, "month", micros, by=by)


def slots(member, most):
    staff = sign_up(email=f"{uuid.uuid4().hex}@example.org").pk
    limits.set_concurrency(uuid.UUID(member.workspace), most, by=staff, reason="a test")


def pace(member, most):
    ApiKey.objects.filter(pk=member.key_id).update(requests_per_minute=most)


async def quoted(stage, member, **more):
    asked = {"operation": {"path": ULTRA, "body": {"prompt": "fox"}}, **more}
    answer = await stage.post("/v1/quote", member, json=asked)
    assert answer.status == 200, answer.body
    return answer.json()["refused_by"]


async def agreed(stage, member, code):
    """Return the refusal of a quote, once the call itself was refused by the same, in its words."""
    refused = await quoted(stage, member)
    called = await stage.post(ULTRA, member, json={"prompt": uuid.uuid4().hex})
    assert (refused and refused["code"], called.status == 200) == (code, code is None)
    if refused:
        assert called.type == code
    return refused, called


@pytest.mark.parametrize(
    ("kind", "micros", "code"),
    [
        ("key", ULTRA_MICROS - 1, "budget_exceeded"),
        ("key", ULTRA_MICROS, None),
        ("workspace", 0, "budget_exceeded"),
        ("workspace", ULTRA_MICROS, None),
    ],
)
async def test_a_budget_that_would_be_passed_is_told(stage, kind, micros, code):
    member = await stage.member(micros=RICH)
    await in_thread(lambda: rule(member, micros, kind))

    refused, called = await agreed(stage, member, code)

    if code:
        assert refused["message"] == called.json()["message"]
        limit = refused["limit"]
        assert (limit["kind"], limit["of"]) == ("budget", kind)
        assert (limit["most"]["micros"], limit["left"]["micros"]) == (f"{micros}",) * 2
        assert limit["resets_at"]


async def test_of_a_workflow_the_sum_must_be_in_the_budget_and_the_node_is_named(stage):
    member = await stage.member(micros=RICH)
    await in_thread(lambda: rule(member, 2 * ULTRA_MICROS - 1))
    node = {"class_type": "FluxProUltraImageNode", "inputs": {"prompt": "fox", "seed": 1}}
    workflow = {"prompt": {"1": node, "2": node}}

    answer = (await stage.post("/v1/quote", member, json=workflow)).json()

    assert answer["is_complete"] is True
    refused = answer["refused_by"]
    assert (refused["code"], refused["node"]) == ("budget_exceeded", "2")
    assert refused["limit"]["left"]["micros"] == f"{ULTRA_MICROS - 1}"


async def test_no_slot_is_told_and_a_workflows_nodes_need_one_at_a_time(stage):
    member = await stage.member(micros=RICH)
    await in_thread(lambda: slots(member, 1))
    node = {"class_type": "FluxProUltraImageNode", "inputs": {"prompt": "fox", "seed": 1}}
    workflow = {"prompt": {"1": node, "2": node}}
    assert (await stage.post("/v1/quote", member, json=workflow)).json()["refused_by"] is None

    await in_thread(lambda: slots(member, 0))
    refused, called = await agreed(stage, member, "access_disabled")

    assert refused["message"] == called.json()["message"]
    assert refused["limit"] == {"kind": "concurrency", "most": 0, "left": 0, "large": False}


async def test_what_runs_takes_the_slot_of_what_is_quoted(stage):
    member = await stage.member(micros=RICH)
    await in_thread(lambda: slots(member, 1))
    wallet = uuid.UUID(member.workspace)
    await in_thread(lambda: holds.place(wallet, amount=10_000, ttl_seconds=60))

    refused, _ = await agreed(stage, member, "concurrency_limit")

    assert refused["limit"] == {"kind": "concurrency", "most": 1, "left": 0, "large": False}


async def test_a_minute_that_is_used_up_is_told(stage):
    member = await stage.member(micros=RICH)
    await in_thread(lambda: pace(member, 1))
    assert await quoted(stage, member) is None, "a quote takes none of them"
    assert (await stage.post(ULTRA, member, json={"prompt": "fox"})).status == 200

    refused, _ = await agreed(stage, member, "rate_limited")

    assert (refused["limit"]["kind"], refused["limit"]["left"]) == ("requests_per_minute", 0)


async def test_the_most_of_one_call_is_told(stage):
    member = await stage.member(micros=RICH, call_limit_micros=ULTRA_MICROS - 1)

    refused, called = await agreed(stage, member, "budget_exceeded")

    assert refused["message"] == called.json()["message"]
    assert refused["limit"]["kind"] == "per_call"
    assert refused["limit"]["most"]["micros"] == f"{ULTRA_MICROS - 1}"


async def test_a_quote_sets_nothing_aside_and_waits_for_no_lock(stage):
    member = await stage.member(micros=RICH)
    await in_thread(lambda: rule(member, RICH))
    assert await quoted(stage, member) is None, "its budgets have been looked up"
    with stage.db.transaction():
        lock = "SELECT 1 FROM credits_account WHERE id = %s FOR UPDATE"
        stage.db.execute(lock, [member.workspace])
        assert await quoted(stage, member) is None

    assert stage.wallet(member) == (RICH, 0)
    held = (
        "SELECT taken_micros AS taken FROM credits_budget"
        " WHERE owner = (SELECT family::text FROM apikeys_apikey WHERE id = %s)"
    )
    assert [row["taken"] for row in stage.rows(held, member.key_id)] == [0]
