"""A refund that waits, decided by several at once: it is made once, or not at all."""

import uuid

import pytest

from common.errors import PlatformError
from common.money import usd
from credits.models import Account, Refund, RefundAsk
from credits.payments import refund_asks

ASKS = uuid.uuid4()


@pytest.fixture
def asked(committed, make_member, shop, settings):
    """A refund of 25 dollars that waits, seen by every connection."""
    settings.ADJUSTMENT_LIMIT_MICROS = usd("10")
    member = make_member()
    bought = shop.buy(member, "25.00")
    return refund_asks.request(bought.pk, reason="left us", requested_by=ASKS)


def balance_of(asked):
    return Account.objects.get(pk=asked.top_up.wallet_id).balance_micros


def test_of_many_second_persons_at_once_one_decides_and_money_goes_back_once(asked, at_once):
    people = [uuid.uuid4() for _ in range(6)]
    before = balance_of(asked)

    made = at_once(lambda by: refund_asks.decide(asked.pk, accept=True, decided_by=by), people)

    assert {each.state for each in made} == {"done"}
    assert len({each.refund_id for each in made}) == 1
    assert len({each.decided_by for each in made}) == 1
    assert Refund.objects.filter(top_up=asked.top_up_id).count() == 1
    assert before - balance_of(asked) == usd("25")


@pytest.mark.parametrize("attempt", range(4))
def test_who_asked_takes_it_back_while_others_accept_and_all_are_told_the_same(
    asked, at_once, attempt
):
    """Whoever is first decides; nobody moves money for what was refused, and nobody fails."""
    before = balance_of(asked)

    def decide(accept):
        by = uuid.uuid4() if accept else ASKS
        reason = "" if accept else "they stay"
        return refund_asks.decide(asked.pk, accept=accept, decided_by=by, reason=reason).state

    told = at_once(decide, [False, True, True, False] if attempt % 2 else [True, False, True])

    kept = RefundAsk.objects.get(pk=asked.pk)
    assert set(told) == {kept.state}
    refunds = Refund.objects.filter(top_up=asked.top_up_id).count()
    gone = before - balance_of(asked)
    assert (refunds, gone) == ((1, usd("25")) if kept.state == "done" else (0, 0))


def test_what_is_spent_while_it_is_accepted_is_never_given_back_too(asked, at_once, shop):
    """Both want the same money: one has it, the other a verdict."""
    wallet = asked.top_up.wallet_id

    def work(what):
        try:
            if what == "accept":
                refund_asks.decide(asked.pk, accept=True, decided_by=uuid.uuid4())
            else:
                spend(wallet)
        except PlatformError as refusal:
            return refusal.code
        return what

    told = at_once(work, ["accept", "spend", "accept"])

    account = Account.objects.get(pk=wallet)
    assert account.balance_micros - account.held_micros >= 0
    done = RefundAsk.objects.get(pk=asked.pk).state == "done"
    assert done == ("accept" in told)
    assert done != ("spend" in told)


def spend(wallet):
    """Hold what is unspent of it."""
    from credits.books import holds

    holds.place(wallet, amount=usd("20"), ttl_seconds=60, memo={})


def test_several_ask_for_one_purchase_at_once_and_one_ask_waits(
    committed, make_member, shop, settings, at_once
):
    settings.ADJUSTMENT_LIMIT_MICROS = usd("10")
    bought = shop.buy(make_member(), "25.00")

    made = at_once(
        lambda by: refund_asks.request(bought.pk, reason="x", requested_by=by),
        [uuid.uuid4() for _ in range(5)],
    )

    assert len({each.pk for each in made}) == 1
    assert RefundAsk.objects.filter(top_up=bought, state="waiting").count() == 1
