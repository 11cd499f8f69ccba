"""Money back: what is unspent of a purchase, once, wherever it was asked."""

import uuid

import pytest

from common.errors import InsufficientCredits
from common.money import usd
from credits import refunds, stripe_api
from credits.models import Refund

STAFF = uuid.uuid4()


def test_staff_give_back_what_is_unspent(alice, shop, books_balance):
    bought = shop.buy(alice, "25.00")
    shop.spend(alice, "11.00")

    refund = refunds.request(bought.pk, reason="asked for it", requested_by=STAFF)

    assert refund.state == Refund.State.SUCCEEDED
    assert refund.cents == 1500
    assert alice.now().balance_micros == 0
    assert [each.cents for each in stripe_api.refunds_of(bought.payment_intent_id)] == [1500]
    with pytest.raises(InsufficientCredits):
        refunds.request(bought.pk, reason="again", requested_by=STAFF)
    books_balance()


def test_a_refund_that_failed_is_put_back(alice, shop, books_balance):
    bought = shop.buy(alice, "25.00")
    shop.fake.post("switches", refunds="pending")
    refund = refunds.request(bought.pk, amount=usd("5"), reason="x", requested_by=STAFF)
    assert refund.state == Refund.State.PENDING
    books_balance()

    shop.fake.post(f"refunds/{refund.stripe_id}/fail")
    shop.hear_all()

    refund.refresh_from_db()
    assert refund.state == Refund.State.FAILED
    assert alice.now().balance_micros == usd("26.00")
    books_balance()


@pytest.mark.parametrize("parts", [[2975], [1, 2974], [51, 11, 2913], [992, 992, 991]])
def test_whatever_parts_are_given_back_at_stripe_credits_and_tax_end_at_nothing(
    alice, shop, settings, parts, books_balance
):
    """Nothing was spent: so nothing is owed, either, not even a cent by rounding."""
    settings.STRIPE_AUTOMATIC_TAX = True
    shop.fake.post("switches", tax_percent=19)
    bought = shop.buy(alice, "25.00")

    for number, cents in enumerate(parts):
        stripe_api.create_refund(
            payment_intent=bought.payment_intent_id,
            cents=cents,
            refund="",
            key=f"part:{bought.pk}:{number}",
        )
        shop.hear_all()

    made = Refund.objects.filter(top_up=bought)
    assert sum(each.cents for each in made) == 2975
    assert sum(each.tax_cents for each in made) == 475
    assert sum(each.owed_micros for each in made) == 0
    assert alice.now().balance_micros == usd("1.00")
    assert alice.now().frozen_reason == ""
    books_balance()


def test_staff_and_stripe_may_give_back_in_turns(alice, shop, settings, books_balance):
    settings.STRIPE_AUTOMATIC_TAX = True
    shop.fake.post("switches", tax_percent=19)
    bought = shop.buy(alice, "25.00")

    for dollars in ("3.33", "0.01", None):
        refunds.request(
            bought.pk,
            amount=usd(dollars) if dollars else None,
            reason="x",
            requested_by=STAFF,
        )
        if dollars:
            stripe_api.create_refund(
                payment_intent=bought.payment_intent_id, cents=7, refund="", key=f"{dollars}"
            )
            shop.hear_all()

    made = Refund.objects.filter(top_up=bought)
    assert (sum(each.cents for each in made), sum(each.tax_cents for each in made)) == (2975, 475)
    assert alice.now().balance_micros == usd("1.00")
    books_balance()
