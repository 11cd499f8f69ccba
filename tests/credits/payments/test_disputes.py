"""A payment that a bank contests: never below zero, and everything back if it is won."""

import dataclasses
import threading
import uuid

import pytest
from django.db import transaction

from common.errors import AccessDisabled
from common.money import usd
from credits.books import freezes, holds, ledger
from credits.models import Account, Dispute, Entry, Finding, Freeze, Receivable
from credits.payments import disputes, receivables, refunds, stripe_api

GRACE = uuid.UUID(int=7)


def test_a_lost_dispute_takes_the_unspent_part_and_the_rest_is_owed(alice, shop, books_balance):
    bought = shop.buy(alice, "25.00")
    shop.spend(alice, "11.00")  # A dollar of it was granted.

    dispute = shop.learn(shop.dispute(bought))

    assert (dispute.phase, dispute.taken_micros) == ("withdrawn", usd("15.00"))
    assert dispute.owed_micros == usd("10.00")
    assert alice.now().balance_micros == 0
    with pytest.raises(AccessDisabled, match=r"\$10.00 are due"):
        holds.place(alice.workspace_id, amount=usd("0.01"), ttl_seconds=60)
    books_balance()

    shop.buy(alice, "12.00")

    assert alice.now().balance_micros == usd("2.00")
    assert Receivable.objects.get(wallet=alice.wallet).due_micros == 0
    holds.place(alice.workspace_id, amount=usd("0.01"), ttl_seconds=60)
    books_balance()


def test_what_was_bought_before_it_came_to_be_owed_does_not_pay(alice, shop, books_balance):
    bought = shop.buy(alice, "25.00")
    shop.buy(alice, "10.00")
    shop.spend(alice, "26.00")

    shop.learn(shop.dispute(bought))

    assert alice.now().balance_micros == usd("10.00")
    assert Receivable.objects.get(wallet=alice.wallet).due_micros == usd("25.00")
    shop.buy(alice, "30.00")
    assert alice.now().balance_micros == usd("15.00")
    assert Receivable.objects.get(wallet=alice.wallet).due_micros == 0
    books_balance()


def test_a_won_dispute_gives_everything_back(alice, shop, books_balance):
    bought = shop.buy(alice, "25.00")
    shop.spend(alice, "11.00")
    made = shop.dispute(bought)
    shop.learn(made)

    shop.fake.post(f"disputes/{made['id']}/won")
    dispute = shop.learn(made)

    assert dispute.phase == "returned"
    assert alice.now().balance_micros == usd("15.00")
    assert alice.now().frozen_reason == ""
    books_balance()


# --- What is taken, and when ----------------------------------------------------------------


def test_an_inquiry_sets_aside_what_is_unspent_and_takes_nothing_yet(alice, shop, books_balance):
    bought = shop.buy(alice, "25.00")
    shop.spend(alice, "11.00")
    made = shop.dispute(bought, status="warning_needs_response")

    dispute = shop.learn(made)

    assert (dispute.phase, dispute.taken_micros, dispute.owed_micros) == ("open", usd("15"), 0)
    assert (alice.now().balance_micros, alice.now().frozen_reason) == (0, "")
    books_balance()

    shop.fake.post(f"disputes/{made['id']}/warning_closed")
    assert shop.learn(made).phase == "returned"
    assert alice.now().balance_micros == usd("15.00")
    books_balance()


def test_an_inquiry_that_becomes_a_dispute_takes_what_was_set_aside(alice, shop, books_balance):
    bought = shop.buy(alice, "25.00")
    made = shop.dispute(bought, status="warning_needs_response")
    shop.learn(made)
    shop.fake.post(f"disputes/{made['id']}/withdraw")

    dispute = shop.learn(made)

    assert (dispute.phase, dispute.taken_micros, dispute.owed_micros) == ("withdrawn", usd("25"), 0)
    assert alice.now().balance_micros == usd("1.00")
    books_balance()


def test_only_the_contested_part_is_taken_and_its_share_of_the_tax(
    alice, shop, settings, books_balance
):
    settings.STRIPE_AUTOMATIC_TAX = True
    shop.fake.post("switches", tax_percent=20)
    bought = shop.buy(alice, "25.00")

    dispute = shop.learn(shop.dispute(bought, amount=600))

    assert (dispute.cents, dispute.tax_cents, dispute.taken_micros) == (600, 100, usd("5"))
    assert alice.now().balance_micros == usd("21.00")
    books_balance()


def test_what_a_running_call_holds_is_owed_instead_of_taken(alice, shop, place_hold, books_balance):
    bought = shop.buy(alice, "25.00")
    hold = place_hold(alice, "20.00")

    dispute = shop.learn(shop.dispute(bought))

    assert (dispute.taken_micros, dispute.owed_micros) == (usd("6.00"), usd("19.00"))
    assert alice.now().balance_micros == alice.now().held_micros == usd("20.00")
    assert "$19.00 are due" in alice.now().frozen_reason
    books_balance()

    holds.void(hold)
    receivables.collect(ledger.lock(alice.workspace_id))
    assert alice.now().balance_micros == usd("1.00")
    assert alice.now().frozen_reason == ""
    books_balance()


def test_a_dispute_is_learnt_once_however_often_and_by_however_many(
    committed, alice, shop, at_once
):
    bought = shop.buy(alice, "25.00")
    made = shop.dispute(bought)

    at_once(lambda _: shop.learn(made), range(6))

    assert alice.now().balance_micros == usd("1.00")
    assert Entry.objects.filter(key__startswith=f"dispute:{made['id']}:").count() == 2


@pytest.mark.parametrize("end", ["won", "prevented"])
def test_what_was_paid_of_the_debt_comes_back_too(alice, shop, books_balance, end):
    bought = shop.buy(alice, "25.00")
    shop.spend(alice, "26.00")
    made = shop.dispute(bought)
    shop.learn(made)
    shop.buy(alice, "30.00")
    assert alice.now().balance_micros == usd("5.00")

    shop.fake.post(f"disputes/{made['id']}/{end}")
    shop.learn(made)

    assert alice.now().balance_micros == usd("30.00")
    assert Receivable.objects.get(wallet=alice.wallet).due_micros == 0
    books_balance()


def test_a_dispute_lost_after_its_money_came_back_is_for_staff(alice, shop):
    bought = shop.buy(alice, "25.00")
    made = shop.dispute(bought)
    shop.fake.post(f"disputes/{made['id']}/reinstate")
    shop.learn(made)
    assert alice.now().balance_micros == usd("26.00")
    shop.fake.post(f"disputes/{made['id']}/lost")

    assert shop.learn(made).phase == "returned"

    found = Finding.objects.get(key=f"dispute:{made['id']}")
    assert "lost after its money had come back" in found.sentence


def lost_and_reinstated(shop, bought, reads):
    """Stripe calls it lost, and later gives all of it back; we read it at these moments."""
    made = shop.dispute(bought)
    for moment, act in (("opened", None), ("lost", "lost"), ("reinstated", "reinstate")):
        if act:
            shop.fake.post(f"disputes/{made['id']}/{act}")
        if moment in reads:
            shop.learn(made)
    return shop.learn(made)


@pytest.mark.parametrize("spent", ["0", "11.00"])
@pytest.mark.parametrize("reads", ["opened lost reinstated", "opened lost", "opened", "lost", ""])
def test_a_dispute_that_was_lost_and_reinstated_later_leaves_nothing_to_look_at(
    alice, shop, books_balance, reads, spent
):
    """All of its money is ours: whenever we heard of what, the credits are its owner's."""
    bought = shop.buy(alice, "25.00")
    if spent != "0":
        shop.spend(alice, spent)

    dispute = lost_and_reinstated(shop, bought, reads)

    assert dispute.phase == "returned"
    assert alice.now().balance_micros == usd("26.00") - usd(spent)
    assert alice.now().frozen_reason == ""
    assert not Finding.objects.filter(key=f"dispute:{dispute.pk}").exists()
    books_balance()


def test_a_finding_about_a_dispute_is_closed_when_its_money_comes_after_all(
    alice, shop, books_balance
):
    made = shop.dispute(shop.buy(alice, "25.00"))
    shop.fake.post(f"disputes/{made['id']}/won", move_funds=False)
    shop.learn(made)
    seen = stripe_api.dispute(made["id"])
    disputes.learn(dataclasses.replace(seen, returned_cents=2000))
    assert Finding.objects.get(key=f"dispute:{made['id']}").resolved_at is None

    disputes.learn(dataclasses.replace(seen, returned_cents=2500))

    assert Finding.objects.get(key=f"dispute:{made['id']}").resolved_at is not None
    books_balance()


def test_a_disputed_payment_is_not_refunded_by_staff(alice, shop):
    bought = shop.buy(alice, "25.00")
    made = shop.dispute(bought, amount=100)
    shop.learn(made)

    with pytest.raises(AccessDisabled, match="the bank decides"):
        refunds.request(bought.pk, reason="x", requested_by=uuid.uuid4())

    shop.fake.post(f"disputes/{made['id']}/won")
    shop.learn(made)
    assert refunds.request(bought.pk, reason="x", requested_by=uuid.uuid4()).cents == 2500


def test_staff_who_pause_a_wallet_keep_it_paused_when_its_debt_is_paid(alice, shop):
    bought = shop.buy(alice, "25.00")
    shop.spend(alice, "26.00")
    shop.learn(shop.dispute(bought))
    freezes.freeze(alice.workspace_id, Freeze.Cause.STAFF, "Write to us.", by=GRACE)

    shop.buy(alice, "30.00")

    assert alice.now().frozen_reason == "Write to us."
    freezes.lift(alice.workspace_id, Freeze.Cause.STAFF, by=GRACE, reason="they wrote")
    assert alice.now().frozen_reason == ""


# --- Inquiries that a refund ends, and what Stripe prevents ---------------------------------


def refund_at_stripe(bought, cents):
    return stripe_api.create_refund(
        payment_intent=bought.payment_intent_id, cents=cents, refund="", key=f"desk:{uuid.uuid4()}"
    )


@pytest.mark.parametrize(("spent", "owed"), [("0", "0"), ("11.00", "10.00")])
def test_a_refund_that_ends_an_inquiry_is_paid_by_what_was_set_aside(
    alice, shop, books_balance, spent, owed
):
    bought = shop.buy(alice, "25.00")
    if spent != "0":
        shop.spend(alice, spent)
    made = shop.dispute(bought, status="warning_needs_response")
    shop.learn(made)
    books_balance()

    refund_at_stripe(bought, 2500)
    shop.hear_all()

    due = sum(each.due_micros for each in Receivable.objects.filter(wallet=alice.wallet))
    assert due == usd(owed)
    assert Dispute.objects.get(pk=made["id"]).taken_micros == 0
    books_balance()

    shop.fake.post(f"disputes/{made['id']}/warning_closed")
    assert shop.learn(made).phase == "returned"
    assert alice.now().balance_micros == (usd("1.00") if owed == "0" else 0)
    assert bool(alice.now().frozen_reason) == (owed != "0")
    books_balance()


def test_what_a_failed_refund_puts_back_is_taken_again_when_the_inquiry_becomes_a_dispute(
    alice, shop, books_balance
):
    """The same sum is set aside twice, each time by an entry of its own."""
    bought = shop.buy(alice, "25.00")
    made = shop.dispute(bought, status="warning_needs_response")
    shop.learn(made)
    refund = refund_at_stripe(bought, 2500)
    shop.hear_all()
    shop.fake.post(f"refunds/{refund.id}/fail")
    shop.hear_all()
    assert alice.now().balance_micros == usd("26.00")

    shop.fake.post(f"disputes/{made['id']}/withdraw")
    dispute = shop.learn(made)

    assert (dispute.phase, dispute.taken_micros, dispute.owed_micros) == ("withdrawn", usd("25"), 0)
    assert alice.now().balance_micros == usd("1.00")
    books_balance()


@pytest.mark.parametrize("heard_before", [True, False])
def test_a_dispute_that_was_prevented_by_giving_the_money_back_is_lost(
    alice, shop, books_balance, heard_before
):
    """Visa's rapid resolution takes the money, as a refund would: nothing comes back."""
    bought = shop.buy(alice, "25.00")
    shop.spend(alice, "11.00")
    made = shop.dispute(bought)
    if heard_before:
        shop.learn(made)
    shop.fake.post(f"disputes/{made['id']}/prevented", move_funds=False)

    dispute = shop.learn(made)

    assert (dispute.phase, alice.now().balance_micros) == ("lost", 0)
    assert dispute.owed_micros == usd("10.00")
    books_balance()


def test_a_dispute_that_was_blocked_gives_everything_back(alice, shop, books_balance):
    bought = shop.buy(alice, "25.00")
    made = shop.dispute(bought, withdraw=False)
    assert shop.learn(made).taken_micros == usd("25.00")
    shop.fake.post(f"disputes/{made['id']}/prevented")

    assert shop.learn(made).phase == "returned"
    assert alice.now().balance_micros == usd("26.00")
    books_balance()


def test_staff_who_release_a_wallet_as_it_comes_to_owe_leave_it_paused(
    committed, alice, shop, at_once, books_balance
):
    bought = shop.buy(alice, "25.00")
    shop.spend(alice, "26.00")
    made = shop.dispute(bought)
    freezes.freeze(alice.workspace_id, Freeze.Cause.STAFF, "Write to us.", by=GRACE)
    owes, released = threading.Event(), threading.Event()

    def act(who):
        if who == "bank":
            with transaction.atomic():
                shop.learn(made)
                owes.set()
                released.wait(0.5)  # Staff's statement waits for ours by then.
        else:
            owes.wait(10)
            freezes.lift(alice.workspace_id, Freeze.Cause.STAFF, by=GRACE, reason="they wrote")
            released.set()

    at_once(act, ["bank", "staff"])

    assert "$25.00 are due" in alice.now().frozen_reason
    books_balance()


def test_a_wallet_that_takes_calls_though_it_owes_is_a_difference(alice, shop, books_balance):
    bought = shop.buy(alice, "25.00")
    shop.spend(alice, "26.00")
    shop.learn(shop.dispute(bought))
    Account.objects.filter(pk=alice.workspace_id).update(frozen_reason="")

    with pytest.raises(AssertionError, match="no wallet with a reason to be paused takes calls"):
        books_balance()
