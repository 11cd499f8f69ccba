"""Every limit at one and at two web processes: room for exactly K, 4K at once, exactly K pass."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
import uuid
from collections import Counter

import pytest
from system_stack import CENT

K = 40
SET = """
from uuid import UUID
from accounts import teams
from accounts.models import Membership
from accounts.signup import sign_up
from apikeys import allowances, keys
from apikeys.models import ApiKey
from common.money import usd
from credits.books import limits
from credits.gifts import grants
owner, other = (sign_up(email=each) for each in {emails!r})
team = teams.create(owner=owner, name='Studio')
teams.join(team, other, role=Membership.Role.MEMBER, by=owner.pk)
grants.grant(wallet=team.wallet, amount=usd('10'), key=str(team.pk), reason='a test')
made = [keys.issue(workspace_id=team.pk, user_id=each.pk, name='x', project='film')
        for each in (owner, other)]
of = {{'workspace': '', 'each_member': '', 'project': 'film', 'member': str(other.pk),
      'key': str(made[1][1].pk)}}
for kind, limit in {budgets!r}.items():
    allowances.set_rule(team.pk, kind, of[kind], {period!r}, limit, by=owner.pk)
if {slots!r} is not None:
    limits.set_concurrency(team.pk, {slots!r}, by=owner.pk, reason='a test')
ApiKey.objects.filter(workspace=team).update(requests_per_minute={pace!r})
import json
print(json.dumps({{'workspace_id': str(team.pk), 'keys': [whole for whole, _ in made]}}))
"""


def a_team(stack, *, budgets=None, period="month", slots=None, pace=None):
    """A team of two with ten dollars, a key each, and these limits."""
    emails = [f"{uuid.uuid4().hex}@example.org" for _ in range(2)]
    script = SET.format(emails=emails, budgets=budgets or {}, period=period, slots=slots, pace=pace)
    return json.loads(stack.manage("shell", "-v0", "-c", script).splitlines()[-1])


def plan(stack, failure, times):
    """Have the vendor fail, or be slow, so often."""
    url = f"http://127.0.0.1:{stack.sandbox_port}/control/sandbox/next"
    body = json.dumps({"failures": [failure], "times": times}).encode()
    headers = {"Content-Type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=60).close()


def each_budget(stack, team):
    """Return of each budget its kind, and what is held and spent of it."""
    found = stack.rows(
        "SELECT owner_kind, held, taken_micros - held AS spent FROM credits_budget,"
        " LATERAL (SELECT coalesce(sum(amount_micros), 0)::bigint AS held"
        "            FROM credits_hold WHERE credits_budget.id = ANY (budgets)) open"
        " WHERE owner LIKE %s OR owner IN (SELECT family::text FROM apikeys_apikey"
        " WHERE workspace_id = %s) ORDER BY owner_kind, spent",
        f"{team['workspace_id']}%",
        team["workspace_id"],
    )
    return [(row["owner_kind"], row["held"], row["spent"]) for row in found]


async def fire(stack, keys, count):
    loads = await asyncio.gather(*(stack.fire(key, count // len(keys)) for key in keys))
    return sum((load.statuses for load in loads), Counter())


@pytest.fixture(scope="module", params=[1, 2])
def processes(stack, request):
    """Start so many web processes for all the tests that ask for them."""
    stack.start_web(workers=request.param)
    yield request.param
    if stack.web is not None:
        assert stack.stop_web() == 0
    assert "DIFFERS" not in stack.reconcile()


@pytest.fixture
def web(stack, processes):
    if stack.web is None:  # The test that kills them came between.
        stack.start_web(workers=processes)
    return stack


@pytest.mark.parametrize("kind", ["workspace", "project", "member", "key"])
async def test_each_budget_at_web_processes(web, kind):
    team = a_team(web, budgets={kind: K * CENT})
    keys = team["keys"] if kind in ("workspace", "project") else team["keys"][1:]

    assert await fire(web, keys, 4 * K) == {200: K, 403: 3 * K}

    assert each_budget(web, team) == [(kind, 0, K * CENT)]
    assert sum(web.charged(team).values()) == K * CENT
    assert web.wallet(team) == (10_000_000 - K * CENT, 0)


async def test_each_member_has_what_is_for_each(web):
    team = a_team(web, budgets={"each_member": K * CENT})

    loads = await asyncio.gather(*(web.fire(key, 4 * K) for key in team["keys"]))

    assert [load.statuses for load in loads] == [{200: K, 403: 3 * K}] * 2
    assert each_budget(web, team) == [("member", 0, K * CENT)] * 2
    assert sum(web.charged(team).values()) == 2 * K * CENT
    assert web.wallet(team) == (10_000_000 - 2 * K * CENT, 0)


async def test_a_member_has_their_own_in_place_of_what_is_for_each(web):
    team = a_team(web, budgets={"each_member": K * CENT, "member": K // 4 * CENT})

    owner, other = await asyncio.gather(*(web.fire(key, 4 * K) for key in team["keys"]))

    assert owner.statuses == {200: K, 403: 3 * K}
    assert other.statuses == {200: K // 4, 403: 4 * K - K // 4}
    assert each_budget(web, team) == [("member", 0, K // 4 * CENT), ("member", 0, K * CENT)]


async def test_a_tree_of_budgets_ends_with_what_was_charged(web):
    team = a_team(web, budgets={"workspace": 3 * K * CENT, "project": 3 * K * CENT,
                                "each_member": K * CENT, "key": K // 2 * CENT})  # fmt: skip

    assert await fire(web, team["keys"], 8 * K) == {200: K + K // 2, 403: 8 * K - K - K // 2}

    # A key of `other` stops at half of what is for each member.
    half, all_of_it = K // 2 * CENT, (K + K // 2) * CENT
    assert each_budget(web, team) == [
        ("key", 0, half),
        ("member", 0, half),
        ("member", 0, K * CENT),
        ("project", 0, all_of_it),
        ("workspace", 0, all_of_it),
    ]


async def test_so_many_run_at_once(web):
    slots = 12
    team = a_team(web, slots=slots)
    plan(web, "slow=3", slots)

    async with asyncio.timeout(60):
        assert await fire(web, team["keys"], 4 * slots) == {200: slots, 429: 3 * slots}

    assert web.rows(
        "SELECT open_holds, open_large FROM credits_account WHERE id = %s", team["workspace_id"]
    ) == [{"open_holds": 0, "open_large": 0}]


async def test_so_many_begin_in_a_minute(web):
    team = a_team(web, pace=K)
    if (left := 60 - time.time() % 60) < 20:
        await asyncio.sleep(left + 0.1)

    begun = await fire(web, team["keys"][:1], 4 * K)
    assert begun[200] + begun[429] == 4 * K
    # What one process took and nobody asked it for is there for who comes next (paces.py).
    later = await fire(web, team["keys"][:1], K)
    assert begun[200] + later.get(200, 0) == K
    assert later.get(200, 0) <= 2


async def test_a_killed_process_leaves_no_budget_taken(stack):
    stack.start_web(workers=1)
    kinds = ("key", "member", "project", "workspace")
    limits = dict.fromkeys((*kinds[2:], "key", "each_member"), K * CENT)
    team = a_team(stack, budgets=limits, slots=K)
    plan(stack, "slow=30", 8)
    calls = asyncio.create_task(stack.fire(team["keys"][1], 8))
    end = time.monotonic() + 20
    while stack.holds() < 8:
        assert time.monotonic() < end
        await asyncio.sleep(0.05)
    assert each_budget(stack, team) == [(kind, 8 * CENT, 0) for kind in kinds]

    stack.kill_web()
    into = await calls
    stack.sweep()

    assert into.statuses == {0: 8}
    assert each_budget(stack, team) == [(kind, 0, 0) for kind in kinds]
    assert "DIFFERS" not in stack.reconcile()
