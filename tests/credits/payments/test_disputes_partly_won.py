"""A dispute of which a part came back: so much is given back, and the rest is lost."""

import dataclasses
import uuid
from datetime import timedelta

import pytest

from common.money import usd
from credits.models import Dispute, Finding, Receivable
from credits.payments import disputes, processor, refunds, stripe_api


def differences_of(made, bought):
    found = processor.compare(settling=timedelta(0)).differences
    ours = (made["id"], bought.payment_intent_id)
    return {key: said for key, said in found.items() if key.endswith(ours)}


def partly(shop, made, cents, *, event="with it"):
    """Stripe calls it lost, and gives a part back; maybe a moment later."""
    if event == "with it":
        shop.fake.post(f"disputes/{made['id']}/lost", returned=cents)
    else:
        shop.fake.post(f"disputes/{made['id']}/lost")
        shop.learn(made)
        shop.fake.post(f"disputes/{made['id']}/reinstate", amount=cents)
    shop.learn(made)
    return shop.learn(made)


@pytest.mark.parametrize("event", ["with it", "after it"])
def test_what_came_back_of_a_partly_won_dispute_is_given_back_and_the_rest_is_lost(
    alice, shop, books_balance, event
):
    bought = shop.buy(alice, "25.00")
    made = shop.dispute(bought)
    shop.learn(made)

    dispute = partly(shop, made, 1000, event=event)

    assert (dispute.phase, dispute.returned_cents) == ("lost", 1000)
    assert (dispute.taken_micros, dispute.owed_micros) == (usd("15.00"), 0)
    assert alice.now().balance_micros == usd("11.00")
    books_balance()
    assert differences_of(made, bought) == {}


def test_what_came_back_settles_first_what_is_owed(alice, shop, books_balance):
    """Of 25 dollars ten were spent; the bank keeps 8, and 15 unspent ones pay for these."""
    bought = shop.buy(alice, "25.00")
    shop.spend(alice, "11.00")
    made = shop.dispute(bought)
    shop.learn(made)
    assert "$10.00 are due" in alice.now().frozen_reason

    dispute = partly(shop, made, 1700)

    assert (dispute.taken_micros, dispute.owed_micros) == (usd("8.00"), 0)
    assert (alice.now().balance_micros, alice.now().frozen_reason) == (usd("7.00"), "")
    books_balance()


@pytest.mark.parametrize(
    ("paid", "due", "left"), [("0", "6", "0"), ("7", "0", "1"), ("20", "0", "14")]
)
def test_of_what_is_owed_so_much_is_waived_and_what_was_paid_is_repaid(
    alice, shop, books_balance, paid, due, left
):
    bought = shop.buy(alice, "10.00")
    shop.spend(alice, "11.00")
    made = shop.dispute(bought)
    shop.learn(made)
    if paid != "0":
        shop.buy(alice, f"{paid}.00")

    partly(shop, made, 400)

    assert Receivable.objects.get(wallet=alice.wallet).due_micros == usd(due)
    assert alice.now().balance_micros == usd(left)
    books_balance()


def test_a_payment_that_was_given_back_in_part_before_it_was_contested_whole(
    alice, shop, books_balance
):
    """Stripe's own case: the bank contests all of it, and then keeps only the rest."""
    bought = shop.buy(alice, "25.00")
    refunds.request(bought.pk, amount=usd("10"), reason="x", requested_by=uuid.uuid4())
    made = shop.dispute(bought)
    assert shop.learn(made).owed_micros == usd("10.00")

    dispute = partly(shop, made, 1000)

    assert (dispute.phase, dispute.owed_micros) == ("lost", 0)
    assert (alice.now().balance_micros, alice.now().frozen_reason) == (usd("1.00"), "")
    books_balance()


@pytest.mark.parametrize(
    ("balance", "cents"),
    [("usd", 1), ("usd", 7), ("usd", 2974), ("eur", 7), ("eur", 333), ("eur", 2900)],
)
def test_its_share_of_the_tax_comes_back_with_it(
    alice, shop, settings, books_balance, cents, balance
):
    settings.STRIPE_AUTOMATIC_TAX = True
    shop.fake.post("switches", tax_percent=19, balance_currency=balance)
    bought = shop.buy(alice, "25.00")
    made = shop.dispute(bought)
    shop.learn(made)

    dispute = partly(shop, made, cents)

    assert (dispute.returned_cents, dispute.returned_tax_cents) == (cents, 475 * cents // 2975)
    back = (cents - dispute.returned_tax_cents) * 10_000
    assert alice.now().balance_micros == usd("1.00") + back
    books_balance()
    assert differences_of(made, bought) == {}


@pytest.mark.parametrize("spent", ["0.01", "9.00", "26.00"])
def test_parts_that_end_as_the_whole_leave_nothing_owed(alice, shop, books_balance, spent):
    bought = shop.buy(alice, "25.00")
    shop.spend(alice, spent)
    before = alice.now().balance_micros
    made = shop.dispute(bought)
    shop.learn(made)
    if spent == "26.00":
        shop.buy(alice, "10.00")

    for returned in (1000, 1700, 2500):
        seen = stripe_api.dispute(made["id"])
        disputes.learn(dataclasses.replace(seen, returned_cents=returned))
        disputes.learn(dataclasses.replace(seen, returned_cents=returned))
        books_balance()

    assert Dispute.objects.get(pk=made["id"]).phase == "returned"
    assert alice.now().balance_micros == before + usd("10.00") * (spent == "26.00")
    assert alice.now().frozen_reason == ""


def test_one_that_is_won_and_brings_only_a_part_is_lost_for_the_rest(alice, shop, books_balance):
    made = shop.dispute(shop.buy(alice, "25.00"))
    shop.fake.post(f"disputes/{made['id']}/reinstate", amount=2000)
    shop.fake.post(f"disputes/{made['id']}/won")

    assert shop.learn(made).phase == "lost"
    assert alice.now().balance_micros == usd("21.00")
    books_balance()


def test_one_that_was_won_before_only_a_part_came_is_for_staff(alice, shop):
    made = shop.dispute(shop.buy(alice, "25.00"))
    shop.fake.post(f"disputes/{made['id']}/won", move_funds=False)
    assert shop.learn(made).phase == "returned"
    shop.fake.post(f"disputes/{made['id']}/reinstate", amount=2000)

    assert shop.learn(made).phase == "returned"

    found = Finding.objects.get(key=f"dispute:{made['id']}")
    assert "only 2000 of its 2500 cents came back" in found.sentence
