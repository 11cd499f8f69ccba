"""Refunds above the limit of one person: asked for, decided by another, made once."""

import uuid

import pytest
from django.db import IntegrityError, transaction

from common.errors import AccessDisabled, InsufficientCredits, InvalidRequest
from common.money import usd
from credits.models import Refund, RefundAsk
from credits.payments import refund_asks

ASKS, DECIDES = uuid.uuid4(), uuid.uuid4()


@pytest.fixture
def asked(alice, shop, settings):
    """A refund of 25 dollars that waits, where one person may give back 10."""
    settings.ADJUSTMENT_LIMIT_MICROS = usd("10")
    bought = shop.buy(alice, "25.00")
    return refund_asks.request(bought.pk, reason="left us", requested_by=ASKS)


def test_up_to_the_limit_it_is_made_at_once(alice, shop, settings):
    settings.ADJUSTMENT_LIMIT_MICROS = usd("10")
    bought = shop.buy(alice, "25.00")

    made = refund_asks.request(bought.pk, amount=usd("10"), reason="x", requested_by=ASKS)

    assert isinstance(made, Refund)
    assert not RefundAsk.objects.filter(top_up=bought).exists()


def test_above_it_nothing_moves_until_somebody_else_accepts(alice, asked, books_balance):
    assert asked.state == "waiting"
    assert alice.now().balance_micros == usd("26")
    with pytest.raises(AccessDisabled, match="second person"):
        refund_asks.decide(asked.pk, accept=True, decided_by=ASKS)

    made = refund_asks.decide(asked.pk, accept=True, decided_by=DECIDES)
    again = refund_asks.decide(asked.pk, accept=True, decided_by=DECIDES)

    assert (made.state, again.refund_id) == ("done", made.refund_id)
    assert Refund.objects.get(top_up=asked.top_up_id).cents == 2500
    assert alice.now().balance_micros == usd("1")
    books_balance()


def test_asking_again_returns_what_waits(asked):
    again = refund_asks.request(asked.top_up_id, reason="again", requested_by=DECIDES)

    assert again.pk == asked.pk


def test_what_was_spent_meanwhile_is_not_given_back(alice, shop, asked, books_balance):
    shop.spend(alice, "20.00")

    with pytest.raises(InsufficientCredits):
        refund_asks.decide(asked.pk, accept=True, decided_by=DECIDES)

    asked.refresh_from_db()
    assert asked.state == "waiting"
    assert not Refund.objects.filter(top_up=asked.top_up_id).exists()
    books_balance()


def test_who_refuses_it_says_why(alice, asked):
    with pytest.raises(InvalidRequest, match="reason"):
        refund_asks.decide(asked.pk, accept=False, decided_by=DECIDES)

    made = refund_asks.decide(asked.pk, accept=False, decided_by=DECIDES, reason="not ours")

    assert (made.state, made.decision) == ("refused", "not ours")
    assert refund_asks.decide(asked.pk, accept=True, decided_by=DECIDES).state == "refused"
    assert alice.now().balance_micros == usd("26")


def test_the_database_refuses_one_person_and_two_that_wait(asked):
    rows = RefundAsk.objects.filter(pk=asked.pk)
    with pytest.raises(IntegrityError, match="refund_ask_done_by_its_refund"), transaction.atomic():
        rows.update(state="done", decided_by=DECIDES)
    with pytest.raises(IntegrityError, match="once_per_purchase"), transaction.atomic():
        RefundAsk.objects.create(
            top_up_id=asked.top_up_id, amount_micros=usd("1"), reason="x", requested_by=ASKS
        )
