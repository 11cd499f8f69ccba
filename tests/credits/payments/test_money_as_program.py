"""Money comes in and goes back through the role of the programs, which cannot change an entry."""

import uuid

from credits.models import Refund, TopUp
from credits.payments import refunds, tasks
from credits.proofs import accounting
from credits.statements import sealing


def test_a_program_sells_disputes_and_gives_back(alice, shop, as_program, books_balance):
    bought = shop.buy(alice, "25.00")
    shop.spend(alice, "11.00")
    refund = refunds.request(bought.pk, reason="asked for it", requested_by=uuid.uuid4())
    contested = shop.buy(alice, "50.00")
    shop.learn(shop.dispute(contested))
    shop.hear_all()
    tasks.follow_money()
    accounting.tally()
    sealing.seal(alice.workspace_id)

    bought.refresh_from_db()
    assert bought.state == TopUp.State.CREDITED
    assert refund.state == Refund.State.SUCCEEDED
    books_balance()
