"""Allowances as calls meet them: every budget of the tree, at two sets of lanes."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections import Counter
from types import SimpleNamespace

import pytest
from django.db import transaction
from proxy_books import an_ask, place, settle, sums, two_sets, verdicts
from proxy_stage import connect, in_thread

from accounts import teams
from accounts.models import Membership
from accounts.signup import sign_up
from apikeys import allowances, keys
from common.errors import BudgetExceeded
from credits.books.allowances import EACH
from credits.gifts import grants
from credits.proofs import reconciliation

CENT = 10_000
K = 6
KINDS = ["workspace", "project", EACH, "member", "key"]


class Team:
    """A team with credits, two members, and two keys of each for one project."""

    def __init__(self, dollars=10):
        people = [sign_up(email=f"{uuid.uuid4().hex}@example.org") for _ in range(3)]
        self.owner, self.members = people[0], people[1:]
        self.workspace = teams.create(owner=self.owner, name="Studio")
        self.id = self.workspace.pk
        self.keys = []
        grants.grant(
            wallet=self.workspace.wallet,
            amount=dollars * 1_000_000,
            key=uuid.uuid4().hex,
            reason="a test",
        )
        for person in self.members:
            teams.join(self.workspace, person, role=Membership.Role.MEMBER, by=self.owner.pk)
            for _ in range(2):
                self.keys.append(self.key(person, project="film"))

    def key(self, person, **fields):
        whole, record = keys.issue(workspace_id=self.id, user_id=person.pk, name="laptop", **fields)
        return SimpleNamespace(key=whole, workspace_id=self.id, api_key_record=record)

    def of(self, kind):
        """Whom a rule of that kind is for, so that the first member's first key is under it."""
        return {
            "workspace": "",
            "project": "film",
            EACH: "",
            "member": str(self.members[0].pk),
            "key": str(self.keys[0].api_key_record.pk),
        }[kind]

    def under(self, kind):
        """The keys that a rule of that kind is for."""
        most = {"workspace": 4, "project": 4, EACH: 2, "member": 2, "key": 1}
        return self.keys[: most[kind]]

    def rule(self, kind, limit, period="month", *, by=None, of=None):
        given = self.of(kind) if of is None else of
        allowances.set_rule(self.id, kind, given, period, limit, by=by or self.owner.pk)

    def budgets(self):
        """What is taken of each budget: held and spent, by kind and period."""
        with connect() as db:
            found = db.execute(
                "SELECT owner_kind, period, held, taken_micros - held FROM credits_budget,"
                " LATERAL (SELECT coalesce(sum(amount_micros), 0)::bigint AS held"
                "            FROM credits_hold WHERE credits_budget.id = ANY (budgets)) open"
                " WHERE owner LIKE %s OR owner = ANY (%s) ORDER BY id",
                [f"{self.id}%", [str(each.api_key_record.family) for each in self.keys]],
            ).fetchall()
        return [tuple(row.values()) for row in found]


@pytest.fixture
async def team(committed):
    return await in_thread(Team)


@pytest.fixture
async def lanes(committed):
    async with two_sets() as both:
        yield both


async def fire(lanes, members, count, amount=CENT):
    """Fire so many asks of these at both sets of lanes; return the asks and what came of each."""
    asks = [(members[n % len(members)], an_ask(amount)) for n in range(count)]
    told = await verdicts(place(lanes[n % 2], *each) for n, each in enumerate(asks))
    return asks, told


async def prove_books():
    def look():
        proofs = reconciliation.prove(reconciliation.CHECKS)
        return [line for proof in proofs for line in proof.differences]

    assert await in_thread(look) == []


@pytest.mark.parametrize("period", ["day", "week", "month", "total"])
@pytest.mark.parametrize("kind", KINDS)
async def test_each_budget_of_the_tree_lets_exactly_what_fits(team, lanes, kind, period):
    """From the first moment, in which two processes make the budget at once."""
    await in_thread(lambda: team.rule(kind, K * CENT, period))

    asks, told = await fire(lanes, team.under(kind), 4 * K)

    assert Counter(told) == {"placed": K, "budget_exceeded": 3 * K}
    taken = [budget for budget in await in_thread(team.budgets) if budget[2]]
    assert taken == [("member" if kind == EACH else kind, period, K * CENT, 0)]
    placed = [each for each, verdict in zip(asks, told, strict=True) if verdict == "placed"]
    charged = [
        await settle(lanes[n % 2], member, ask.hold, n * 1000)
        for n, (member, ask) in enumerate(placed)
    ]
    spent = sum(each.charged for each in charged)
    assert [budget[2:] for budget in await in_thread(team.budgets) if budget[3]] == [(0, spent)]
    assert (await in_thread(lambda: sums(team.keys[0]))) == (10_000_000 - spent, 0)
    await prove_books()


async def test_the_smallest_wins_and_is_named(team, lanes):
    def rules():
        team.rule("workspace", 50 * CENT)
        team.rule("member", 2 * CENT, "day")
        team.rule("key", 3 * CENT, "total")

    await in_thread(rules)
    _, told = await fire(lanes[:1] * 2, team.keys[:1], 2)
    assert told == ["placed", "placed"]

    with pytest.raises(BudgetExceeded, match=r"\$0.00 is left of the budget that you have here"):
        await place(lanes[0], team.keys[1], an_ask())
    assert sorted(await in_thread(team.budgets)) == [
        ("key", "total", 2 * CENT, 0),
        ("member", "day", 2 * CENT, 0),
        ("workspace", "month", 2 * CENT, 0),
    ]
    assert (await fire(lanes, team.keys[2:], 1))[1] == ["placed"]


async def test_how_a_rule_stands_tells_what_is_held_apart_from_what_was_spent(team, lanes):
    await in_thread(lambda: team.rule("workspace", 5 * CENT))
    await in_thread(lambda: team.rule("key", 9 * CENT))
    (member,) = team.keys[:1]
    asks, told = await fire(lanes, [member], 3)
    assert told == ["placed"] * 3
    await settle(lanes[0], member, asks[0][1].hold, CENT)
    await settle(lanes[1], member, asks[1][1].hold, CENT // 4)

    found = await in_thread(lambda: allowances.standing(team.id, by=team.owner.pk))

    spent = CENT + CENT // 4
    assert {(each.kind, each.held, each.spent, each.left) for each in found} == {
        ("workspace", CENT, spent, 4 * CENT - spent),
        ("key", CENT, spent, 8 * CENT - spent),
    }


async def test_a_rule_holds_from_the_next_call_on_and_ends_with_the_next(team, lanes):
    (key,) = team.keys[:1]
    assert (await fire(lanes, [key], 2))[1] == ["placed"] * 2, "no rule yet"

    for limit, told in [
        (CENT, ["placed", "budget_exceeded"]),
        (3 * CENT, ["placed", "placed"]),
        (0, ["budget_exceeded"] * 2),
        (None, ["placed"] * 2),
        (4 * CENT, ["placed", "budget_exceeded"]),
    ]:
        await in_thread(lambda limit=limit: team.rule("key", limit))
        assert sorted((await fire(lanes, [key], 2))[1], reverse=True) == told, limit
    await prove_books()


async def test_a_members_own_rule_stands_before_that_of_each(team, lanes):
    await in_thread(lambda: team.rule(EACH, CENT))
    await in_thread(lambda: team.rule("member", 3 * CENT))

    first, second = team.keys[:2], team.keys[2:]
    assert Counter((await fire(lanes, first, 6))[1]) == {"placed": 3, "budget_exceeded": 3}
    assert Counter((await fire(lanes, second, 6))[1]) == {"placed": 1, "budget_exceeded": 5}

    await in_thread(lambda: team.rule(EACH, 2 * CENT))
    assert Counter((await fire(lanes, second, 6))[1]) == {"placed": 1, "budget_exceeded": 5}
    await in_thread(lambda: team.rule("member", None))
    assert set((await fire(lanes, first, 2))[1]) == {"budget_exceeded"}
    await in_thread(lambda: team.rule(EACH, 4 * CENT))
    assert Counter((await fire(lanes, first, 6))[1]) == {"placed": 1, "budget_exceeded": 5}


async def test_the_next_period_is_another_budget_and_the_first_gets_its_hold_back(team, lanes):
    await in_thread(lambda: team.rule("member", CENT, "day"))
    (key,) = team.keys[:1]
    ((_, ask),), told = await fire(lanes, [key], 1)
    assert told == ["placed"]

    def let_a_day_pass():
        with connect() as db:
            db.execute(
                "UPDATE credits_budget SET starts_at = starts_at - interval '1 day',"
                " ends_at = ends_at - interval '1 day' WHERE owner LIKE %s",
                [f"{team.id}%"],
            )
            for table in ("accounts_membership", "apikeys_apikey"):
                db.execute(
                    f"UPDATE {table} SET budgets_until = budgets_until - interval '1 day'"
                    " WHERE workspace_id = %s",
                    [team.id],
                )

    await in_thread(let_a_day_pass)
    assert Counter((await fire(lanes, [key], 4))[1]) == {"placed": 1, "budget_exceeded": 3}

    await settle(lanes[1], key, ask.hold, 4000)
    assert await in_thread(team.budgets) == [("member", "day", 0, 4000), ("member", "day", CENT, 0)]


async def test_keys_that_a_key_makes_and_its_rotations_have_no_more_than_it(team, lanes):
    def make():
        team.rule("key", K * CENT)
        first = team.keys[0].api_key_record
        made = [team.key(team.members[0], made_by=first, replaces=None) for _ in range(2)]
        made.append(team.key(team.members[0], made_by=made[0].api_key_record))
        rotated = team.key(team.members[0], replaces=first)
        team.rule("project", 2 * CENT, of="other")
        return [*made, rotated]

    made = await in_thread(make)
    _, told = await fire(lanes, [*made, team.keys[0]], 4 * K)
    assert Counter(told) == {"placed": K, "budget_exceeded": 3 * K}

    by = team.owner.pk
    move = lambda: allowances.set_key(team.id, uuid.UUID(team.of("key")), by=by, project="other")  # noqa: E731
    await in_thread(move)
    await in_thread(lambda: team.rule("key", None))
    _, told = await fire(lanes, [made[2]], 8)
    assert Counter(told) == {"placed": 2, "budget_exceeded": 6}, "its maker's project"


async def test_what_was_never_ended_is_given_back_once(team, lanes):
    """Both processes sweep what a crash left behind."""
    await in_thread(lambda: team.rule("workspace", K * CENT))
    asks, told = await fire(lanes, team.keys, K)
    assert told == ["placed"] * K

    await asyncio.gather(
        *(settle(books, member, ask.hold, 0) for books in lanes for member, ask in asks)
    )

    assert await in_thread(team.budgets) == [("workspace", "month", 0, 0)]
    assert (await fire(lanes, team.keys, K))[1] == ["placed"] * K
    await prove_books()


async def test_rules_that_change_all_the_time_let_nobody_pass_the_last_and_lose_nothing(
    team, lanes
):
    """Whatever is set meanwhile: in the end what is taken is what is held, and 0 is 0."""
    over = asyncio.Event()
    placed = []

    async def call(books, key):
        while not over.is_set():
            ask = an_ask()
            with contextlib.suppress(BudgetExceeded):
                await place(books, key, ask)
                placed.append((key, ask))
            await asyncio.sleep(0.005)

    calls = [asyncio.create_task(call(lanes[n % 2], key)) for n, key in enumerate(team.keys)]
    for n in range(6):
        for kind in KINDS:
            await in_thread(lambda kind=kind, n=n: team.rule(kind, (n % 3) * 20 * CENT or None))
    await in_thread(lambda: team.rule("workspace", 0))
    before = len(placed)
    await asyncio.sleep(0.1)
    late = len(placed) - before
    over.set()
    await asyncio.gather(*calls)

    assert late <= len(team.keys), "only who had asked before it was set"
    assert set((await fire(lanes, team.keys, 8))[1]) == {"budget_exceeded"}
    await prove_books()
    for key, ask in placed:
        await settle(lanes[0], key, ask.hold, 1)
    assert all(held == 0 for _, _, held, _ in await in_thread(team.budgets))
    await prove_books()


async def test_who_joins_while_a_rule_is_set_is_under_it(team, lanes):
    """The rule waits for nobody; whoever comes waits for the rule."""
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()

    def set_slowly():
        with transaction.atomic():
            team.rule(EACH, CENT)
            loop.call_soon_threadsafe(begun.set)
            time.sleep(0.3)

    def join():
        person = sign_up(email=f"{uuid.uuid4().hex}@example.org")
        teams.join(team.workspace, person, role=Membership.Role.MEMBER, by=team.owner.pk)
        return team.key(person)

    setting = asyncio.create_task(in_thread(set_slowly))
    await begun.wait()
    key = await in_thread(join)
    _, told = await fire(lanes, [key], 4)
    await setting

    assert Counter(told) == {"placed": 1, "budget_exceeded": 3}


async def test_a_removed_member_leaves_no_budget_taken(team, lanes):
    await in_thread(lambda: team.rule("member", K * CENT))
    asks, _ = await fire(lanes, team.keys[:2], 2)
    by, person = team.owner.pk, team.members[0].pk

    await in_thread(lambda: teams.remove(team.id, person, by=by))

    assert (await fire(lanes, team.keys[:2], 2))[1] == ["unauthorized"] * 2
    for member, ask in asks:
        await settle(lanes[0], member, ask.hold, 0)
    assert await in_thread(team.budgets) == [("member", "month", 0, 0)]


async def test_a_call_without_rules_is_under_no_budget(lanes, make_member):
    alice = make_member()
    ask = an_ask()
    await place(lanes[0], alice, ask)

    with connect() as db:
        (row,) = db.execute("SELECT budgets FROM credits_hold WHERE id = %s", [ask.hold]).fetchall()
        (key,) = db.execute(
            "SELECT budgets_until > now() + interval '1 year' AS fresh FROM apikeys_apikey"
            " WHERE id = %s",
            [alice.api_key_record.pk],
        ).fetchall()
    assert (row["budgets"], key["fresh"]) == (None, True)
