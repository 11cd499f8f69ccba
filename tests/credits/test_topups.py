"""Buying credits, from the page to the entry, whoever tells us of it."""

import pytest

from common.errors import InvalidRequest
from common.money import usd
from credits import topups, webhooks
from credits.models import Entry, StripeEvent, TopUp


def test_what_was_paid_is_credited_once_however_often_we_ask(alice, shop, books_balance):
    bought = shop.buy(alice, "25.00")
    again = topups.refresh(bought.pk)

    assert bought.state == again.state == TopUp.State.CREDITED
    assert alice.now().balance_micros == usd("26.00")
    assert Entry.objects.get(key=f"topup:{bought.payment_intent_id}").amount_micros == usd("25.00")
    assert bought.receipt_url.startswith("http")
    books_balance()


def test_a_purchase_of_which_nobody_told_us_is_found_by_asking(alice, shop):
    top_up = shop.open(alice)
    shop.fake.post(f"sessions/{top_up.session_id}/pay")
    TopUp.objects.filter(pk=top_up.pk).update(next_check_at="2020-01-01T00:00Z")

    for due in topups.claim_due():
        topups.check(due)

    assert alice.now().balance_micros == usd("26.00")


def test_listed_events_credit_what_no_webhook_told(alice, shop):
    top_up = shop.open(alice)
    shop.fake.post(f"sessions/{top_up.session_id}/pay")

    shop.hear_all()

    assert alice.now().balance_micros == usd("26.00")
    assert not StripeEvent.objects.filter(processed_at=None).exists()
    assert webhooks.catch_up() == 0


@pytest.mark.parametrize("micros", [0, 4_999_999, 10_000_010_000, 5_000_001])
def test_amounts_that_are_not_sold_are_refused_before_anybody_is_asked(alice, shop, micros):
    with pytest.raises(InvalidRequest, match="amount_micros"):
        topups.start(
            alice.workspace_id, amount=micros, email="a@b.example", user_id=None, base_url=""
        )
    assert not TopUp.objects.filter(wallet=alice.wallet).exists()
