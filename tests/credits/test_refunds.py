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
