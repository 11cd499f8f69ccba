"""A payment that a bank contests: never below zero, and everything back if it is won."""

import pytest

from common.errors import AccessDisabled
from common.money import usd
from credits import disputes, holds, stripe_api
from credits.models import Dispute, Receivable


def learn(made):
    disputes.learn(stripe_api.dispute(made["id"]))
    return Dispute.objects.get(pk=made["id"])


def test_a_lost_dispute_takes_the_unspent_part_and_the_rest_is_owed(alice, shop, books_balance):
    bought = shop.buy(alice, "25.00")
    shop.spend(alice, "11.00")  # A dollar of it was granted.

    dispute = learn(shop.dispute(bought))

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


def test_a_won_dispute_gives_everything_back(alice, shop, books_balance):
    bought = shop.buy(alice, "25.00")
    shop.spend(alice, "11.00")
    made = shop.dispute(bought)
    learn(made)

    shop.fake.post(f"disputes/{made['id']}/won")
    dispute = learn(made)

    assert dispute.phase == "returned"
    assert alice.now().balance_micros == usd("15.00")
    assert alice.now().frozen_reason == ""
    books_balance()
