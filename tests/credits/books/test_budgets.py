"""Budgets and how many at once: judged where the hold is placed, given back where it ends."""

import asyncio
import json
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone

from common.db import rows
from common.errors import (
    AccessDisabled,
    BudgetExceeded,
    ConcurrencyLimit,
    InsufficientCredits,
)
from common.ids import uuid7
from common.lanes import Lane
from credits.books import allowances, batches, holds, limits, turns
from credits.books.tasks import forget_budgets
from credits.models import Budget, Hold
from credits.proofs import reconciliation

K = 7
PLACE = batches.place_many(
    batches.Payer(
        columns="wallet uuid, budgets bigint[], concurrency int",
        budgets="asked.budgets",
        concurrency="asked.concurrency",
    )
)
SETTLE = batches.settle_many()
MONTH = datetime(2026, 11, 1, tzinfo=UTC)


def a_budget(limit, *, kind="key", ends=True):
    return Budget.objects.create(
        owner_kind=kind,
        owner=uuid.uuid4().hex,
        starts_at=MONTH,
        ends_at=MONTH + timedelta(days=30) if ends else None,
        limit_micros=limit,
    )


def taken(budget):
    """What open holds took of a budget, and what ended ones left there."""
    budget.refresh_from_db()
    took = Hold.objects.filter(budgets__contains=[budget.pk]).values_list(
        "amount_micros", flat=True
    )
    return sum(took), budget.taken_micros - sum(took)


def place(member, amount, *budgets, **more):
    given = [budget.pk for budget in budgets]
    return holds.place(member.workspace_id, amount=amount, ttl_seconds=60, budgets=given, **more)


def test_a_hold_takes_from_its_budgets_and_what_it_cost_stays_there(alice):
    key, workspace, other = a_budget(100), a_budget(500, kind="workspace"), a_budget(100)

    hold = place(alice, 60, key, workspace)

    assert (taken(key), taken(workspace), taken(other)) == ((60, 0), (60, 0), (0, 0))
    assert alice.now().open_holds == 1
    assert holds.capture(hold, 25)
    assert (taken(key), taken(workspace)) == ((0, 25), (0, 25))
    assert alice.now().open_holds == 0


def test_what_was_not_delivered_is_free_again(alice):
    budget = a_budget(100)

    assert holds.void(place(alice, 100, budget))

    assert taken(budget) == (0, 0)


def test_more_than_was_held_is_the_houses_and_no_budgets(alice):
    budget = a_budget(100)

    assert holds.capture(place(alice, 60, budget), 90)

    assert taken(budget) == (0, 60)


def test_the_sentence_names_the_limit_that_won(alice):
    month, rest = a_budget(100_000), a_budget(30_000, kind="workspace", ends=False)
    place(alice, 20_000, rest)

    with pytest.raises(BudgetExceeded) as refused:
        place(alice, 100_001, month)
    assert str(refused.value) == (
        "This call can cost $0.100001, and $0.10 is left of the budget of this key, $0.10. "
        "It begins anew on 2026-12-01 at 00:00 UTC."
    )
    with pytest.raises(BudgetExceeded, match=r"\$0.01 is left of the budget of this workspace"):
        place(alice, 10_001, month, rest)
    with pytest.raises(InsufficientCredits, match=r"\$0.98 of your credits"):
        place(alice, 1_000_000, month)
    assert (taken(month), taken(rest)) == ((0, 0), (20_000, 0))


def test_as_many_at_once_as_may(alice):
    first = place(alice, 1, concurrency=2)
    place(alice, 1, concurrency=2)

    with pytest.raises(ConcurrencyLimit, match="2 calls of this workspace are running, and 2 may"):
        place(alice, 1, concurrency=2)
    with pytest.raises(AccessDisabled, match="limit of calls at once is 0"):
        place(alice, 1, concurrency=0)

    holds.void(first)
    place(alice, 1, concurrency=2)


@pytest.mark.parametrize("limit", [None, 0, 50, 1000])
def test_a_limit_that_changes_meanwhile_takes_nothing_back(alice, limit):
    budget = a_budget(100)
    hold, other = place(alice, 60, budget), place(alice, 30, budget)

    limits.set_limit(budget.pk, limit)

    if limit is not None and limit < 91:
        with pytest.raises(BudgetExceeded):
            place(alice, 1, budget)
    else:
        place(alice, 1, budget)
    assert holds.capture(hold, 60)
    assert holds.void(other)
    assert taken(budget) == (0 if limit in (0, 50) else 1, 60)


def test_a_period_that_is_over_gets_back_what_it_gave(alice):
    november = a_budget(100)
    hold = place(alice, 60, november)
    december = Budget.objects.create(
        owner_kind=november.owner_kind,
        owner=november.owner,
        starts_at=november.ends_at,
        limit_micros=100,
    )
    place(alice, 10, december)

    holds.capture(hold, 50)

    assert (taken(november), taken(december)) == ((0, 50), (10, 0))


def test_a_budget_that_is_gone_is_in_nobodys_way(alice):
    budget = a_budget(100)
    hold = place(alice, 60, budget)
    gone, _ = budget.pk, budget.delete()

    assert holds.capture(hold, 60)
    holds.place(alice.workspace_id, amount=1000, ttl_seconds=60, budgets=[gone])


def ended(budget, *, days):
    """Have a budget's period have ended so many days ago."""
    end = timezone.now() - timedelta(days=days)
    Budget.objects.filter(pk=budget.pk).update(starts_at=end - timedelta(days=1), ends_at=end)


def test_what_is_long_over_is_forgotten_unless_something_is_held(alice):
    """By the task, in steps; what has no end has none, and what is held is given back first."""
    over = [a_budget(100) for _ in range(5)]
    kept = [a_budget(100), a_budget(100, ends=False), a_budget(100)]
    held = a_budget(100)
    hold = place(alice, 60, held)
    for budget in (*over, held):
        ended(budget, days=36)
    ended(kept[0], days=34)

    assert allowances.forget_finished(step=2, steps=2) == 4
    forget_budgets()

    here = Budget.objects.filter(pk__in=[each.pk for each in (*over, *kept, held)])
    assert set(here.all()) == {*kept, held}
    assert holds.capture(hold, 60)
    forget_budgets()
    assert set(here.all()) == set(kept)


def test_a_budget_that_is_taken_from_at_that_moment_stays(alice, monkeypatch):
    """Between the look and the step somebody's call, late, takes from it."""
    Budget.objects.filter(ends_at__isnull=False).delete()  # Whatever other tests left.
    budget = a_budget(100)
    ended(budget, days=36)
    looked = QuerySet.values_list

    def look(self, *fields, **more):
        found = list(looked(self, *fields, **more)) if self.model is Budget else None
        if found is None:
            return looked(self, *fields, **more)
        place(alice, 60, budget)
        return found

    monkeypatch.setattr(QuerySet, "values_list", look)

    assert allowances.forget_finished(step=1, steps=1) == 0
    monkeypatch.undo()
    assert taken(budget) == (60, 0)


def test_reconciliation_sees_what_a_budget_and_a_wallet_count_wrongly(alice):
    budget = a_budget(100)
    place(alice, 60, budget)

    def differences():
        proofs = reconciliation.prove(reconciliation.CHECKS)
        return [line for proof in proofs for line in proof.differences]

    assert differences() == []
    with connection.cursor() as cursor:
        cursor.execute("UPDATE credits_budget SET taken_micros = 59 WHERE id = %s", [budget.pk])
        cursor.execute(
            "UPDATE credits_account SET open_holds = 2 WHERE id = %s", [alice.workspace_id]
        )
    assert differences() == [
        f"wallet {alice.workspace_id}: counts 2, open holds 1",
        f"budget {budget.pk}: taken 59, open holds 60",
    ]


def test_a_statement_without_budgets_leaves_alone_what_took_from_one(alice):
    budget = a_budget(100)
    limited, free = place(alice, 60, budget), place(alice, 5)
    ends = [
        {"hold": hold.id, "wallet": str(alice.workspace_id), "charged": 1, "only_expired": False}
        for hold in (limited, free)
    ]

    with connection.cursor() as cursor:
        cursor.execute(batches.settle_many(budgets=False), [json.dumps(ends)])
        ended = [row[0] for row in cursor.fetchall()]

    assert ended == [free.id]
    assert (taken(budget), alice.now().open_holds) == ((60, 0), 1)


def test_an_end_at_the_full_amount_writes_no_budget(alice):
    """Speed: nothing that is left of a budget changes, so its row stays as it is."""
    budget = a_budget(100)
    whole, half = place(alice, 40, budget), place(alice, 20, budget)

    def settle(hold, charged):
        ask = {"hold": hold.id, "wallet": str(alice.workspace_id), "charged": charged}
        with connection.cursor() as cursor:
            cursor.execute(SETTLE, [json.dumps([{**ask, "only_expired": False}])])
            cursor.execute("SELECT ctid::text FROM credits_budget WHERE id = %s", [budget.pk])
            return cursor.fetchone()

    with connection.cursor() as cursor:
        cursor.execute("SELECT ctid::text FROM credits_budget WHERE id = %s", [budget.pk])
        before = cursor.fetchone()

    assert settle(whole, 40) == before
    assert settle(half, 10) != before
    assert taken(budget) == (0, 50)


# --- Many at once -----------------------------------------------------------------------------


class Process:
    """The lanes of one process, for asks with limits."""

    def __init__(self):
        self.place = Lane("place", self._place)
        self.settle = Lane("settle", self._settle)

    async def close(self):
        await self.place.close()
        await self.settle.close()

    @staticmethod
    async def _place(db, asks):
        async def run(some):
            asked = [{**vars(ask), "n": n} for n, ask in enumerate(some)]
            return await rows(db, PLACE, json.dumps(asked))

        return await turns.in_turn(asks, run)

    @staticmethod
    async def _settle(db, asks):
        done = {row[0] for row in await rows(db, SETTLE, json.dumps(asks))}
        return [ask["hold"] in done for ask in asks]


@pytest.fixture
async def processes():
    made = Process(), Process()
    yield made
    for process in made:
        await process.close()


def an_ask(member, amount, *, budgets=(), concurrency=None):
    return SimpleNamespace(
        hold=uuid7(),
        wallet=str(member.workspace_id),
        amount=amount,
        ttl=60,
        intent=None,
        keyed=False,
        memo={},
        budgets=list(budgets),
        concurrency=concurrency,
    )


async def in_thread(work, *arguments):
    def closing():
        try:
            return work(*arguments)
        finally:
            connection.close()

    return await asyncio.to_thread(closing)


async def fire(processes, asks):
    """Fire them at both, each at one."""
    return await asyncio.gather(
        *(processes[n % 2].place.ask(ask) for n, ask in enumerate(asks)),
    )


@pytest.mark.usefixtures("committed")
async def test_a_budget_for_exactly_so_many_lets_exactly_so_many_pass(processes, make_member):
    """Members of a workspace's budget, each with a wallet; and each under a budget of its own."""
    members = [make_member() for _ in range(4)]
    shared = await in_thread(a_budget, K * 1000)
    own = [await in_thread(a_budget, 1_000_000) for _ in members]

    asks = [an_ask(members[n % 4], 1000, budgets=[own[n % 4].pk, shared.pk]) for n in range(4 * K)]
    answers = await fire(processes, asks)

    assert Counter(answer.verdict for answer in answers) == {"placed": K, "budget": 3 * K}
    assert await in_thread(taken, shared) == (K * 1000, 0)
    mine = [await in_thread(taken, each) for each in own]
    assert sum(held for held, _ in mine) == K * 1000
    (told,) = {json.dumps(answer.told) for answer in answers if answer.told}
    assert json.loads(told) == {
        "limit": "budget",
        "budget": shared.pk,
        "kind": "key",
        "owner": shared.owner,
        "most": K * 1000,
        "left": 0,
        "resets_at": "2026-12-01T00:00:00+00:00",
    }


@pytest.mark.usefixtures("committed")
async def test_exactly_as_many_run_at_once_as_may(processes, alice):
    answers = await fire(processes, [an_ask(alice, 1000, concurrency=K) for _ in range(4 * K)])

    assert Counter(answer.verdict for answer in answers) == {"placed": K, "busy": 3 * K}


@pytest.mark.usefixtures("committed")
async def test_who_is_smaller_than_a_neighbour_that_did_not_fit_is_served(processes, alice):
    budget = await in_thread(a_budget, 100)
    asks = [an_ask(alice, amount, budgets=[budget.pk]) for amount in (60, 70, 30, 50, 10)]

    answers = await asyncio.gather(*(processes[0].place.ask(ask) for ask in asks))

    verdicts = [answer.verdict for answer in answers]
    assert verdicts == ["placed", "budget", "placed", "budget", "placed"]
    assert [answer.told["left"] for answer in answers if answer.told] == [40, 10]


@pytest.mark.usefixtures("committed")
async def test_a_micro_too_little_is_too_little(processes, alice):
    budget = await in_thread(a_budget, 99)
    asks = [an_ask(alice, amount, budgets=[budget.pk]) for amount in (100, 99)]

    answers = [await processes[0].place.ask(ask) for ask in asks]

    assert [answer.verdict for answer in answers] == ["budget", "placed"]


@pytest.mark.usefixtures("committed")
async def test_a_crash_leaves_nothing_taken_after_the_sweep(processes, alice):
    """Nobody ends them; and what ends twice at two processes is given back once."""
    budget = await in_thread(a_budget, 100_000)
    asks = [an_ask(alice, 1000, budgets=[budget.pk]) for _ in range(20)]
    await fire(processes, asks)
    assert await in_thread(taken, budget) == (20_000, 0)

    ends = [
        {"hold": ask.hold, "wallet": ask.wallet, "charged": 0, "only_expired": False}
        for ask in asks
    ]
    done = await asyncio.gather(*(process.settle.ask(end) for process in processes for end in ends))

    assert sum(done) == 20
    assert await in_thread(taken, budget) == (0, 0)
    assert (await in_thread(alice.now)).open_holds == 0
