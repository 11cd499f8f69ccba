"""Lots: granted first, then earliest expiry, then oldest; exact after any history."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from common.errors import InsufficientCredits
from common.money import Micros, usd
from credits.books import expiry, holds, ledger, lots
from credits.gifts import grants
from credits.models import Account, Entry, Lot
from tests.plugin import examples

STRIPE = Account.Kind.STRIPE


def give(member, dollars, key, *, days=None):
    """Give credits that last so many days (from now; below zero: their time is over)."""
    at = timezone.now() + timedelta(days=days) if days is not None else None
    return grants.grant(
        wallet=member.now(), amount=usd(dollars), key=f"{key}:{member.workspace_id}", reason="x",
        expires_at=at,
    )  # fmt: skip


def pay_in(member, dollars, key):
    """Post what a purchase posts."""
    return ledger.post(
        kind=Entry.Kind.TOP_UP,
        debit=ledger.house(STRIPE),
        credit=member.now(),
        amount=usd(dollars),
        key=f"{key}:{member.workspace_id}",
    )


def spend(member, dollars):
    hold = holds.place(member.workspace_id, amount=usd(dollars), ttl_seconds=60)
    assert holds.capture(hold, usd(dollars))


def left(member):
    """Return what is left of each lot, in the order of their use, in dollars."""
    found = lots.contents(member.workspace_id).lots
    return [lot.left / usd("1") for lot in found]


@pytest.fixture
def member(make_member):
    return make_member("0")


def test_granted_goes_before_paid_then_what_expires_first_then_what_is_oldest(member):
    pay_in(member, "1", "a")
    give(member, "2", "never")
    give(member, "3", "late", days=20)
    give(member, "4", "soon", days=10)
    pay_in(member, "5", "b")
    give(member, "6", "never too")
    assert left(member) == [4, 3, 2, 6, 1, 5]

    spend(member, "4.50")
    assert left(member) == [2.5, 2, 6, 1, 5]
    spend(member, "10.50")
    assert left(member) == [1, 5]
    spend(member, "1.25")
    assert left(member) == [4.75]


def test_what_was_spent_before_more_came_in_is_not_taken_from_that(member):
    pay_in(member, "10", "a")
    spend(member, "4")

    give(member, "3", "later")

    assert left(member) == [3, 6]


def test_paid_and_granted_add_up_to_the_balance(member):
    pay_in(member, "10", "a")
    give(member, "3", "b")
    spend(member, "4")

    now = lots.contents(member.workspace_id)

    assert (now.left(Lot.Kind.GRANTED), now.left(Lot.Kind.PAID)) == (0, usd("9"))
    assert now.balance == usd("9")


def test_looking_changes_nothing_and_equals_working_out(member, django_assert_num_queries):
    pay_in(member, "10", "a")
    give(member, "3", "b")
    spend(member, "4")
    before = list(Lot.objects.order_by("pk").values_list())

    with django_assert_num_queries(1):
        seen = lots.contents(member.workspace_id)

    assert list(Lot.objects.order_by("pk").values_list()) == before
    ledger.lock(member.workspace_id)
    kept = Lot.objects.filter(wallet=member.wallet, left_micros__gt=0).order_by(*lots.IN_ORDER)
    assert [(lot.entry, lot.left) for lot in seen.lots] == list(
        kept.values_list("entry_id", "left_micros")
    )
    assert lots.contents(member.workspace_id) == seen


def test_an_empty_wallet_has_no_lots_and_an_unknown_one_is_none(member):
    assert lots.contents(member.workspace_id) == lots.Contents(0, 0, "", [])
    with pytest.raises(Account.DoesNotExist):
        lots.contents(ledger.house(STRIPE).pk.__class__(int=99))


def test_an_entry_reversed_is_taken_from_its_own_lot(member):
    first = give(member, "3", "a", days=1)
    second = give(member, "5", "b")

    ledger.reverse(second, reason="a mistake")

    assert Lot.objects.get(entry=second).left_micros == 0
    assert left(member) == [3]
    give(member, "5", "c")
    spend(member, "1")
    with pytest.raises(InsufficientCredits):  # There are seven, and two are left of it.
        ledger.reverse(first, reason="too late")
    assert left(member) == [2, 5]


# --- Expiry ---------------------------------------------------------------------------------


def test_what_is_left_when_its_time_is_over_goes_to_the_house(member, shop, books_balance):
    entry = give(member, "3", "a", days=-1)
    shop.buy(member, "5.00")
    spend(member, "1")

    expiry.expire_due()
    expiry.expire_due()

    assert member.now().balance_micros == usd("5")
    assert left(member) == [5]
    ended = Entry.objects.get(key__startswith=f"expiry:{entry.pk}:")
    assert (ended.amount_micros, ended.kind, ended.credit.kind) == (usd("2"), "expiry", "expired")
    books_balance()


def test_what_comes_back_to_a_lot_whose_time_is_over_expires_too(member, books_balance):
    entry = give(member, "3", "a", days=-1)
    expiry.expire_due()
    for n in range(2):
        ledger.post(
            kind=Entry.Kind.ADJUSTMENT,
            debit=ledger.house(Account.Kind.PROMOTION),
            credit=member.wallet,
            amount=usd("3"),
            key=f"back-{n}",
            lot=Lot.objects.get(entry=entry),
        )
        expiry.expire_due()
        assert member.now().balance_micros == 0
    books_balance()


def test_what_does_not_expire_stays(member):
    give(member, "3", "a", days=1)
    give(member, "2", "b")

    expiry.expire_due()

    assert member.now().balance_micros == usd("5")


def test_what_a_hold_may_still_need_stays_until_it_ended(member, place_hold, books_balance):
    give(member, "3", "a", days=-1)
    hold = place_hold(member, "2.25")

    expiry.expire_due()
    assert (member.now().balance_micros, member.now().held_micros) == (usd("2.25"), usd("2.25"))

    holds.capture(hold, usd("1"))
    expiry.expire_due()
    assert member.now().balance_micros == 0
    amounts = Entry.objects.filter(debit=member.wallet, kind="expiry").order_by("pk")
    assert [each.amount_micros for each in amounts] == [usd("0.75"), usd("1.25")]
    books_balance()


def test_two_workers_expire_once(committed, member, at_once):
    give(member, "3", "a", days=-1)
    give(member, "2", "b")

    at_once(lambda _: expiry.expire_due(), range(4))

    assert member.now().balance_micros == usd("2")


# --- Any history ----------------------------------------------------------------------------

CENTS = st.integers(1, 500)
HISTORY = st.lists(
    st.one_of(
        st.tuples(st.just("pay"), CENTS),
        st.tuples(st.just("give"), CENTS, st.sampled_from([None, 1, 2, 30])),
        st.tuples(st.just("spend"), CENTS),
        st.tuples(st.just("work out")),
        st.tuples(st.just("expire"), st.sampled_from([0, 1, 2, 30])),
        st.tuples(st.just("look")),
    ),
    max_size=14,
)


class Model:
    """The same by the plainest means: every spending is taken from the lots at once."""

    def __init__(self):
        self.lots = []  # [granted first, days, number, left in cents]

    def add(self, rank, days, cents):
        self.lots.append([rank, days or 10**6, len(self.lots), cents])

    def spend(self, cents):
        if cents > sum(lot[3] for lot in self.lots):
            return False
        for lot in sorted(self.lots):
            taken = min(cents, lot[3])
            lot[3] -= taken
            cents -= taken
        return True

    def expire(self, day):
        for lot in self.lots:
            if lot[1] <= day:
                lot[3] = 0

    def left(self):
        return [lot[3] for lot in sorted(self.lots) if lot[3]]


@hypothesis_settings(
    max_examples=examples(60),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(history=HISTORY)
def test_after_any_history_each_lot_is_exact(make_member, history):
    member, model, began = make_member("0"), Model(), timezone.now()
    for number, (what, *given_) in enumerate(history):
        amount = Micros(given_[0] * 10_000) if given_ and what != "expire" else Micros(0)
        if what == "pay":
            pay_in(member, f"{given_[0] / 100:.2f}", number)
            model.add(1, None, given_[0])
        elif what == "give":
            days = given_[1]
            grants.grant(
                wallet=member.now(), amount=amount, key=f"{number}:{member.workspace_id}",
                reason="x", expires_at=began + timedelta(days=days) if days else None,
            )  # fmt: skip
            model.add(0, days, given_[0])
        elif what == "spend":
            if model.spend(given_[0]):
                spend(member, f"{given_[0] / 100:.2f}")
            else:
                with pytest.raises(InsufficientCredits):
                    spend(member, f"{given_[0] / 100:.2f}")
        elif what == "work out":
            ledger.lock(member.workspace_id)
        elif what == "expire":
            expiry.expire_due(now=began + timedelta(days=given_[0], minutes=1))
            model.expire(given_[0])
        now = lots.contents(member.workspace_id)
        assert [lot.left // 10_000 for lot in now.lots] == model.left()
        assert now.balance == sum(lot.left for lot in now.lots) == member.now().balance_micros


# --- Wallets from before there were lots ----------------------------------------------------


def test_the_migration_makes_a_lot_of_each_entry_that_a_wallet_received(member):
    """What was spent of them is worked out when somebody asks, like everywhere."""
    from importlib import import_module

    paid = pay_in(member, "10", "a")
    granted = give(member, "3", "b")
    spend(member, "4")
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM credits_lot")
        cursor.execute(import_module("credits.migrations.0004_house_and_lots").LOTS)

    made = Lot.objects.filter(wallet=member.wallet).order_by("pk").values_list("pk", "kind")
    assert list(made) == [(paid.pk, "paid"), (granted.pk, "granted")]
    assert left(member) == [9]
