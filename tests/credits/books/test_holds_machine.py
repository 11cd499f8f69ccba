"""The plain forms against the batched statements: the same asks, the same books.

Ann's wallet is driven by `place`, `capture`, `void` and `expire`, one ask after the other; Ben's
by the statements for many, as a lane sends them. After every step all that can be seen is equal.
"""

import asyncio
import json
import uuid
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import psycopg
import pytest
from django.db import connections
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from common.errors import (
    AccessDisabled,
    BudgetExceeded,
    ConcurrencyLimit,
    InsufficientCredits,
    PlatformError,
)
from common.ids import uuid7
from common.money import Micros
from credits.books import batches, holds, ledger, limits, turns
from credits.gifts import grants
from credits.models import LARGE_MICROS, Account, Budget, Entry, Hold
from credits.proofs import reconciliation
from tests.plugin import examples

PLACE = batches.place_many(
    batches.Payer(
        columns="wallet uuid, budgets bigint[], concurrency int",
        budgets="asked.budgets",
        concurrency="asked.concurrency",
    )
)
SETTLE = batches.settle_many()
UNIT = LARGE_MICROS // 50
"""So some of the amounts are large, and have slots of their own."""
AMOUNTS = st.integers(1, 60).map(lambda units: units * UNIT)
INTENTS = {number: (3 + 9 * number) * UNIT for number in range(4)}
"""An intention, and what it asks for: the same request has the same price."""
ASKS = st.lists(
    st.tuples(
        AMOUNTS,
        st.none() | st.sampled_from(sorted(INTENTS)),
        st.sampled_from(["", "", "a", "b", "c", "ab", "abc"]),
        st.sampled_from([None, None, 0, 2, 4]),
    ),
    max_size=6,
)
LIMITS = {"a": 70 * UNIT, "b": 40 * UNIT, "c": None}
"""Budgets: how much each is for."""
WORDS = {
    InsufficientCredits: "short",
    AccessDisabled: "frozen",
    ConcurrencyLimit: "busy",
    BudgetExceeded: "budget",
}


def new_wallet():
    wallet = ledger.open_wallet(uuid.uuid4())
    grants.grant(wallet=wallet, amount=Micros(100 * UNIT), key=uuid.uuid4().hex, reason="test")
    return wallet.pk


def new_budgets():
    begin = datetime(2026, 11, 1, tzinfo=UTC)
    return {
        name: Budget.objects.create(
            owner_kind="key",
            owner=uuid.uuid4().hex,
            starts_at=begin,
            ends_at=begin + timedelta(days=30) if name == "a" else None,
            limit_micros=limit,
        ).pk
        for name, limit in LIMITS.items()
    }


def connect():
    given = connections["default"].settings_dict
    names = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST"}
    parameters = {name: given[key] for name, key in names.items() if given[key]}
    if given["PORT"]:
        parameters["port"] = given["PORT"]
    return psycopg.connect(**parameters, autocommit=True)


class Machine(RuleBasedStateMachine):
    """Two wallets with 100 units each."""

    def __init__(self):
        super().__init__()
        self.plain, self.many = new_wallet(), new_wallet()
        self.db = connect()
        self.intents = {
            wallet: [uuid.uuid4() for _ in INTENTS] for wallet in (self.plain, self.many)
        }
        self.budgets = {wallet: new_budgets() for wallet in (self.plain, self.many)}
        self.held = []  # (hold of the plain wallet, id of the other's), also after their end

    def teardown(self):
        try:
            self.the_books_balance()
        finally:
            self.db.close()

    @rule(data=st.data())
    def round(self, data):
        """Place some and end some: both in one step, or most runs would do one of them only."""
        self.place(data.draw(ASKS))
        if self.held:
            self.settle(data.draw(st.lists(self._an_end(), max_size=6)))

    def place(self, asks):
        asks = [(amount if n is None else INTENTS[n], n, *rest) for amount, n, *rest in asks]
        ids = [uuid7() for _ in asks]
        placed = [self._place_plain(*ask) for ask in asks]

        verdicts = self._place_many(asks, ids)

        assert verdicts == [verdict for verdict, _ in placed]
        self.held += [
            (hold, other) for (_, hold), other in zip(placed, ids, strict=True) if hold is not None
        ]

    def _an_end(self):
        """Of what is still open, mostly."""
        return st.tuples(
            st.integers(1, len(self.held)).map(lambda back: len(self.held) - back),
            st.sampled_from(["capture", "capture", "void", "expire"]),
            st.integers(0, 80).map(lambda units: units * UNIT),
        )

    def settle(self, asks):
        # One who asks twice asks the same.
        terms = {place: (how, charged) for place, how, charged in reversed(asks)}
        asks = [(place, *terms[place]) for place, _, _ in asks]
        plain = [self._end_plain(self.held[place][0], how, micros) for place, how, micros in asks]

        many = self._settle_many(asks)

        assert many == plain

    @rule(data=st.data())
    def meanwhile(self, data):
        """One thing of those that need not be often: most steps place and settle."""
        happen = data.draw(
            st.sampled_from([self.let_time_pass, self.set_a_limit, self.freeze, self.grant])
        )
        happen(data)

    def let_time_pass(self, data):
        with self.db.cursor() as cursor:
            cursor.execute(
                "UPDATE credits_hold SET placed_at = now() - interval '1 hour',"
                " expires_at = now() - interval '1 second' WHERE account_id = ANY (%s)",
                [[self.plain, self.many]],
            )

    def set_a_limit(self, data):
        name = data.draw(st.sampled_from("ab"))
        limit = data.draw(st.none() | st.integers(0, 90).map(lambda units: units * UNIT))
        for wallet in (self.plain, self.many):
            limits.set_limit(self.budgets[wallet][name], limit)

    def freeze(self, data):
        reason = data.draw(st.sampled_from(["", "", "Disputed."]))
        Account.objects.filter(pk__in=[self.plain, self.many]).update(frozen_reason=reason)

    def grant(self, data):
        amount = data.draw(AMOUNTS)
        for wallet in (self.plain, self.many):
            grants.grant(
                wallet=Account(pk=wallet), amount=amount, key=uuid.uuid4().hex, reason="test"
            )

    @invariant()
    def both_wallets_are_the_same(self):
        plain, many = (
            Account.objects.values(
                "balance_micros",
                "held_micros",
                "open_holds",
                "open_large",
                "events",
                "frozen_reason",
            ).get(pk=wallet)
            for wallet in (self.plain, self.many)
        )
        assert plain == many
        assert plain["open_holds"] == Hold.objects.filter(account=self.plain).count()
        large = Hold.objects.filter(account=self.plain, amount_micros__gte=LARGE_MICROS)
        assert plain["open_large"] == large.count()
        assert plain["balance_micros"] >= plain["held_micros"] >= 0

    @invariant()
    def both_have_the_same_budgets(self):
        plain, many = (
            {
                name: Budget.objects.values("limit_micros", "taken_micros", "over_micros").get(
                    pk=pk
                )
                for name, pk in self.budgets[wallet].items()
            }
            for wallet in (self.plain, self.many)
        )
        assert plain == many

    @invariant()
    def both_have_the_same_open_holds_and_entries(self):
        seen = []
        for wallet, names in (
            (self.plain, [hold.id for hold, _ in self.held]),
            (self.many, [other for _, other in self.held]),
        ):
            order = {name: place for place, name in enumerate(names)}
            intents = {intent: n for n, intent in enumerate(self.intents[wallet])}
            open_holds = {
                (order[str(hold.pk)], hold.amount_micros, intents.get(hold.intent))
                for hold in Hold.objects.filter(account=wallet)
            }
            keys = [f"{kind}:{name}" for kind in ("call", "shortfall") for name in names]
            entries = {
                (
                    entry.kind,
                    order[entry.key.partition(":")[2]],
                    entry.amount_micros,
                    "wallet" if entry.debit_id == wallet else entry.debit_id,
                    entry.credit_id,
                )
                for entry in Entry.objects.filter(key__in=keys)
            }
            seen.append((open_holds, entries))
        assert seen[0] == seen[1]

    def the_books_balance(self):
        for proof in reconciliation.prove(reconciliation.CHECKS):
            assert not [
                line
                for line in proof.differences
                if str(self.plain) in line or str(self.many) in line
            ]

    def _place_plain(self, amount, n, budgets, concurrency):
        intent = None if n is None else self.intents[self.plain][n]
        if intent and Hold.objects.filter(intent=intent).exists():
            return "repeat", None
        try:
            hold = holds.place(
                self.plain,
                amount=amount,
                ttl_seconds=60,
                intent=intent,
                budgets=[self.budgets[self.plain][name] for name in budgets],
                concurrency=concurrency,
            )
        except PlatformError as exc:
            return (WORDS[type(exc)], str(exc)), None
        return "placed", hold

    def _place_many(self, asks, ids):
        """Send them together, as the proxy's lane does."""
        together = [
            SimpleNamespace(
                hold=hold,
                wallet=str(self.many),
                amount=amount,
                ttl=60,
                intent=None if intent is None else str(self.intents[self.many][intent]),
                keyed=intent is not None,
                memo={},
                budgets=[self.budgets[self.many][name] for name in budgets],
                concurrency=concurrency,
            )
            for (amount, intent, budgets, concurrency), hold in zip(asks, ids, strict=True)
        ]

        async def run(some):
            rows = [{**vars(ask), "n": n} for n, ask in enumerate(some)]
            answers = self.db.execute(PLACE, [json.dumps(rows)]).fetchall()
            assert [answer[0] for answer in answers] == list(range(len(some)))
            return answers

        answers = asyncio.run(turns.in_turn(together, run))
        return [self._told(*pair) for pair in zip(together, answers, strict=True)]

    @staticmethod
    def _told(ask, answer):
        if answer.verdict in ("placed", "repeat"):
            return answer.verdict
        if answer.verdict == "frozen":
            return "frozen", answer.frozen
        refusal = limits.refusal(answer.told, amount=ask.amount)
        # A limit of 0 is a policy, whatever it is a limit of.
        return WORDS[type(refusal)], str(refusal)

    @staticmethod
    def _end_plain(hold, how, micros):
        if how == "capture":
            return holds.capture(hold, micros)
        return holds.void(hold) if how == "void" else holds.expire(hold)

    def _settle_many(self, asks):
        rows = {
            self.held[place][1]: {
                "hold": self.held[place][1],
                "wallet": str(self.many),
                "charged": micros if how == "capture" else 0,
                "only_expired": how == "expire",
            }
            for place, how, micros in asks
        }
        done = {row[0] for row in self.db.execute(SETTLE, [json.dumps(list(rows.values()))])}
        answers = []
        for place, _, _ in asks:
            answers.append(self.held[place][1] in done)
            done.discard(self.held[place][1])
        return answers


@pytest.mark.usefixtures("committed")
def test_many_at_once_is_the_same_as_one_after_the_other():
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples(30),
            stateful_step_count=20,
            deadline=None,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.usefixtures("committed")
def test_twins_of_one_batch_are_placed_once_even_when_the_money_is_for_one():
    machine = Machine()
    try:
        machine.place([(60 * UNIT, None, "", None), *[(30, 3, "", None)] * 3])

        assert Hold.objects.filter(account=machine.many).count() == 2
        machine.both_wallets_are_the_same()
    finally:
        machine.teardown()


@pytest.mark.usefixtures("committed")
def test_twins_of_one_batch_are_placed_once_when_there_is_money_for_all():
    machine = Machine()
    try:
        machine.place([(0, 1, "", None)] * 3)

        assert Hold.objects.filter(account=machine.many).count() == 1
        machine.both_wallets_are_the_same()
    finally:
        machine.teardown()


@pytest.mark.usefixtures("committed")
@pytest.mark.parametrize("names", ["a", "b"])
def test_a_batch_may_hold_all_of_a_budget_and_no_more(names):
    machine = Machine()
    try:
        most = LIMITS[names]
        machine.place([(most - 30 * UNIT, None, names, None), (30 * UNIT, None, names, None)])
        machine.place([(1, None, names, None), (1, None, "", 3), (1, None, "", 3)])
        machine.settle([(1, "capture", 30 * UNIT), (0, "void", 0)])

        machine.both_have_the_same_budgets()
        budget = Budget.objects.get(pk=machine.budgets[machine.many][names])
        assert budget.taken_micros == 30 * UNIT
        assert Hold.objects.filter(account=machine.many).count() == 1
    finally:
        machine.teardown()


@pytest.mark.usefixtures("committed")
def test_who_comes_after_one_that_was_refused_may_have_the_last_of_another_budget():
    machine = Machine()
    try:
        asks = [(71, "a"), (40, "b"), (1, "b")]
        machine.place([(units * UNIT, None, name, None) for units, name in asks])

        assert Hold.objects.filter(account=machine.many).count() == 1
        machine.both_have_the_same_budgets()
    finally:
        machine.teardown()


@pytest.mark.usefixtures("committed")
def test_a_batch_may_hold_all_that_there_is_and_no_more():
    machine = Machine()
    try:
        machine.place([(amount, None, "", None) for amount in (60 * UNIT, 50 * UNIT, 40 * UNIT, 1)])

        ((verdict, _),) = machine._place_many([(1, None, "", None)], [uuid7()])
        assert verdict == "short"
        assert Hold.objects.filter(account=machine.many).count() == 2
        machine.both_wallets_are_the_same()
    finally:
        machine.teardown()


@pytest.mark.usefixtures("committed")
@pytest.mark.parametrize("first", [(3, "", None), (3, "b", 0)])
def test_who_is_refused_with_a_key_is_told_what_there_was_in_their_turn(first):
    """A smaller neighbour takes of it afterwards, before the key is looked at once more."""
    machine = Machine()
    try:
        machine.place([(80 * UNIT, None, "", None)])
        machine.place([(0, *first), (5 * UNIT, None, "", None)])
        machine.both_wallets_are_the_same()
    finally:
        machine.teardown()


@pytest.mark.usefixtures("committed")
def test_a_batch_ends_each_hold_as_if_it_were_alone():
    """Less than was held, more, all, nothing, freed, not yet over; one is asked for twice."""
    machine = Machine()
    try:
        machine.place([(10 * UNIT, None, names, None) for names in ("", "a", "ab", "c", "", "")])
        asks = [("capture", 4), ("capture", 25), ("capture", 10), ("capture", 0)]
        asks = list(enumerate([*asks, ("void", 0), ("expire", 0)]))
        asks = [(place, how, units * UNIT) for place, (how, units) in [*asks, asks[1]]]
        plain = [machine._end_plain(machine.held[place][0], *how) for place, *how in asks]

        assert machine._settle_many(asks) == plain == [True] * 5 + [False] * 2

        machine.both_wallets_are_the_same()
        machine.both_have_the_same_budgets()
        machine.both_have_the_same_open_holds_and_entries()
        wallet = Account.objects.get(pk=machine.many)
        figures = (wallet.balance_micros, wallet.held_micros, wallet.open_holds)
        assert figures == (76 * UNIT, 10 * UNIT, 1)
        assert Entry.objects.get(key=f"shortfall:{machine.held[1][1]}").amount_micros == 15 * UNIT
    finally:
        machine.teardown()
