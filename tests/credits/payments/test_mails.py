"""What members are told by mail about their money: each thing once, in plain figures."""

import json
import uuid

import pytest

from common.money import usd
from credits.books import holds
from credits.models import Billing
from credits.payments import automatic, customers, mails, methods, refunds, stripe_api, topups
from outbox.models import Mail
from webhooks import endpoints
from webhooks.models import Delivery

STAFF = uuid.uuid4()


@pytest.fixture
def inbox(alice):
    """Return Alice's mails whose reason begins so, oldest first."""

    def read(reason=""):
        found = Mail.objects.filter(to=alice.user.email, key__startswith=reason)
        return list(found.order_by("pk"))

    return read


# --- Purchases ------------------------------------------------------------------------------


def test_a_purchase_has_one_receipt_with_its_figures_and_links(alice, shop, inbox, settings):
    settings.STRIPE_AUTOMATIC_TAX = True
    shop.fake.post("switches", tax_percent=19)

    bought = shop.buy(alice, "25.00")
    topups.refresh(bought.pk)
    shop.hear_all()

    (receipt,) = inbox("receipt:")
    assert receipt.subject == "Receipt: $25.00 of credits"
    for line in (
        f"Purchase   {bought.pk}",
        "Credits    $25.00",
        "Tax        $4.75",
        "Paid       $29.75",
        f"Receipt    {bought.receipt_url}",
        f"Invoice    {bought.invoice_url}",
    ):
        assert f"\n{line}\n" in receipt.text
    assert "automatic" not in receipt.text


def test_who_has_not_paid_gets_no_receipt(alice, shop, inbox):
    top_up = shop.open(alice)
    shop.pay(top_up, card="later")
    topups.refresh(top_up.pk)

    assert not inbox()


def test_an_automatic_purchase_says_that_it_was_one(alice, shop, inbox):
    wish_for_credits(alice, shop, card="visa")

    automatic.buy(alice.workspace_id)

    (receipt,) = inbox("receipt:")
    assert "This was an automatic top-up; you can change or end it at any time." in receipt.text


def wish_for_credits(member, shop, *, card):
    session = methods.start_setup(
        member.workspace_id, email=member.user.email, user_id=member.user.pk, base_url="http://us"
    )
    shop.fake.post(f"sessions/{session.id}/save", card=card)
    methods.refresh_setup(member.workspace_id)
    automatic.configure(
        member.workspace_id,
        enabled=True,
        threshold=usd("5"),
        amount=usd("20"),
        monthly_cap=usd("100"),
    )


def test_a_failed_automatic_top_up_says_why_and_when_it_is_tried_again(alice, shop, inbox):
    wish_for_credits(alice, shop, card="chargeCustomerFail")

    automatic.buy(alice.workspace_id)

    (mail,) = inbox("automatic:")
    wish = automatic.AutoTopUp.objects.get(pk=alice.workspace_id)
    assert mail.subject == "Automatic top-up failed"
    assert "top-up of $20.00 did not happen:\n\n    Your card was declined.\n" in mail.text
    assert f"tried again after {wish.next_try_at:%Y-%m-%d %H:%M} UTC" in mail.text
    assert "switched off" not in mail.text


@pytest.mark.parametrize(
    ("lost", "why"),
    [
        ("card", "The saved payment method was removed."),
        ("customer", "The customer was deleted at the payment provider."),
    ],
)
def test_who_loses_the_saved_card_is_told_once_that_it_is_switched_off(
    alice, shop, inbox, lost, why
):
    wish_for_credits(alice, shop, card="visa")

    for _ in range(2):
        lose(alice, lost)
        shop.hear_all()

    (mail,) = inbox("automatic:")
    assert mail.subject == "Automatic top-up switched off"
    assert f"is switched off:\n\n    {why}\n\n" in mail.text
    assert "Save a payment method and switch it on again" in mail.text


@pytest.mark.parametrize("lost", ["card", "customer"])
def test_who_had_not_switched_it_on_is_told_nothing(alice, shop, inbox, lost):
    wish_for_credits(alice, shop, card="visa")
    automatic.AutoTopUp.objects.update(enabled=False)

    lose(alice, lost)

    assert not inbox("automatic:")
    assert not automatic.AutoTopUp.objects.get(pk=alice.workspace_id).payment_method_id


def test_of_many_who_hear_of_it_at_once_one_tells(committed, alice, shop, inbox, at_once):
    wish_for_credits(alice, shop, card="visa")
    card = automatic.AutoTopUp.objects.get(pk=alice.workspace_id).payment_method_id

    at_once(lambda _: methods.forget(card, why="It was removed."), range(6))

    assert len(inbox("automatic:")) == 1


def lose(member, what):
    wish = automatic.AutoTopUp.objects.get(pk=member.workspace_id)
    customer = Billing.objects.get(pk=member.workspace_id).customer_id
    if what == "customer" and customer:
        customers.drop(customer)
    elif what == "card" and wish.payment_method_id:
        stripe_api._v1().payment_methods.detach(wish.payment_method_id)
        methods.learn_method(wish.payment_method_id)


# --- Money back -----------------------------------------------------------------------------


def test_a_refund_is_told_once(alice, shop, inbox):
    bought = shop.buy(alice, "25.00")
    shop.spend(alice, "11.00")

    refund = refunds.request(bought.pk, reason="asked for it", requested_by=STAFF)
    shop.hear_all()

    (mail,) = inbox("refund:")
    assert mail.key == f"refund:{refund.pk}"
    assert mail.subject == "Refund: $15.00"
    assert f"$15.00 of your purchase {bought.pk} go back" in mail.text
    assert "Credits taken from your balance   $15.00" in mail.text
    assert "asked for it" not in mail.text, "what staff note is theirs"


def test_a_refund_of_spent_credits_says_what_is_due(alice, shop, inbox):
    bought = shop.buy(alice, "25.00")
    shop.spend(alice, "11.00")
    stripe_api.create_refund(
        payment_intent=bought.payment_intent_id, cents=2500, refund="", key="dashboard"
    )

    shop.hear_all()

    (mail,) = inbox("refund:")
    assert "Credits that were spent and are due $10.00" in mail.text


def test_a_refund_that_failed_after_it_was_told_is_told_too(alice, shop, inbox):
    bought = shop.buy(alice, "25.00")
    refund = refunds.request(bought.pk, amount=usd("5"), reason="x", requested_by=STAFF)

    shop.fake.post(f"refunds/{refund.stripe_id}/fail")
    shop.hear_all()
    shop.hear_all()

    told, failed = inbox("refund:")
    assert (told.subject, failed.subject) == ("Refund: $5.00", "Refund failed: $5.00")
    assert "Credits put back into your balance   $5.00" in failed.text


def test_a_refund_that_was_refused_at_once_is_not_told_at_all(alice, shop, inbox):
    bought = shop.buy(alice, "25.00")
    shop.dispute(bought)  # Of which we have not heard yet.

    refund = refunds.request(bought.pk, amount=usd("5"), reason="x", requested_by=STAFF)

    assert refund.state == "failed"
    assert not inbox("refund:")
    assert alice.now().balance_micros == usd("26.00")


# --- Disputes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "sentence"),
    [
        ("won", "Your credits are back in your balance."),
        ("lost", "The credits that were bought with it are gone."),
    ],
)
def test_a_dispute_is_told_when_it_opens_and_when_it_ends(alice, shop, inbox, end, sentence):
    bought = shop.buy(alice, "25.00")
    shop.spend(alice, "11.00")
    made = shop.dispute(bought)
    shop.hear_all()
    shop.fake.post(f"disputes/{made['id']}/{end}")
    shop.hear_all()
    shop.learn(made)

    opened, closed = inbox("dispute:")

    assert (opened.subject, closed.subject) == (
        "Disputed payment: $25.00",
        "Dispute closed: $25.00",
    )
    assert f"contests the payment of $25.00 for your purchase {bought.pk}" in opened.text
    assert "$15.00 of unspent credits are set aside" in opened.text
    assert sentence in closed.text
    assert ("$10.00 had been spent and are due" in closed.text) == (end == "lost")


def test_what_came_back_of_a_dispute_is_told_once_for_each_sum(alice, shop, inbox):
    bought = shop.buy(alice, "25.00")
    shop.spend(alice, "19.00")
    made = shop.dispute(bought)
    shop.fake.post(f"disputes/{made['id']}/lost")
    shop.hear_all()
    shop.fake.post(f"disputes/{made['id']}/reinstate", amount=1000)
    for _ in range(2):
        shop.learn(made)

    _, lost, partly = inbox("dispute:")

    assert "Your bank took the payment back" in lost.text
    assert (
        "Your bank took $15.00 of the payment back; $10.00 of it came to us again." in partly.text
    )
    assert "Of these, $8.00 had been spent and are due" in partly.text


# --- Low balance ----------------------------------------------------------------------------


@pytest.fixture
def low(alice, inbox):
    """Tell who is low; return what Alice was told so far."""

    def tell():
        mails.tell_low_balances()
        return [mail.subject for mail in inbox("low:")]

    return tell


def give(member, dollars):
    from credits.gifts import grants

    grants.grant(wallet=member.now(), amount=usd(dollars), key=f"{uuid.uuid4()}", reason="x")


def test_a_low_balance_is_told_once_for_each_time_it_falls(alice, shop, low):
    """The threshold is a dollar."""
    assert low() == [], "a dollar is not below a dollar"

    shop.spend(alice, "0.25")
    assert low() == ["Low balance: $0.75 left"]
    shop.spend(alice, "0.25")
    assert low() == ["Low balance: $0.75 left"]

    give(alice, "0.30")
    assert len(low()) == 1, "still below"
    give(alice, "5")
    assert len(low()) == 1
    shop.spend(alice, "5.50")
    assert low() == ["Low balance: $0.75 left", "Low balance: $0.30 left"]


def test_their_programs_are_told_of_it_too_and_as_often(alice, shop, low):
    endpoints.make(
        alice.workspace_id, url="https://8.8.8.8/", types=["credits.low"], name="",
        by=alice.user.pk,
    )  # fmt: skip
    low()
    shop.spend(alice, "0.25")
    for _ in range(2):
        low()

    (told,) = Delivery.objects.filter(endpoint__workspace_id=alice.workspace_id)
    said = json.loads(told.body)
    assert (said["type"], said["data"]) == (
        "credits.low",
        {"available_micro_usd": 750_000, "threshold_micro_usd": 1_000_000},
    )


def test_what_is_held_does_not_count_as_left(alice, low, place_hold):
    low()
    hold = place_hold(alice, "0.60")

    assert low() == ["Low balance: $0.40 left"]
    holds.void(hold)
    low()
    place_hold(alice, "0.60")
    assert len(low()) == 2


def test_who_falls_below_another_threshold_is_told_though_nothing_was_booked_between(
    alice, low, place_hold
):
    """What a call holds is not in the history: the figure that named the last mail is the same."""
    low()
    Billing.objects.filter(pk=alice.workspace_id).update(low_balance_micros=usd("1.50"))
    assert len(low()) == 1
    Billing.objects.filter(pk=alice.workspace_id).update(low_balance_micros=usd("0.50"))
    assert len(low()) == 1
    place_hold(alice, "0.60")

    assert low()[1:] == ["Low balance: $0.40 left"]


def test_a_new_wallet_is_not_low_before_it_ever_was_above(make_member):
    member = make_member("0")

    mails.tell_low_balances()

    assert not Mail.objects.filter(to=member.user.email).exists()


def test_who_wants_no_such_mail_gets_none(alice, shop, low):
    low()
    Billing.objects.filter(pk=alice.workspace_id).update(low_balance_micros=0)

    shop.spend(alice, "1")

    assert low() == []


def test_many_workers_at_once_tell_once(committed, alice, shop, at_once, low):
    low()
    shop.spend(alice, "0.50")

    at_once(lambda _: mails.tell_low_balances(), range(6))

    assert low() == ["Low balance: $0.50 left"]


def test_who_has_no_address_is_told_nothing_and_buys_all_the_same(alice, shop):
    Billing.objects.filter(pk=alice.workspace_id).update(email="")
    before = Mail.objects.count()
    top_up = topups.start(
        alice.workspace_id, amount=usd("25"), email="", user_id=None, base_url="http://us"
    )
    shop.pay(top_up)

    assert topups.refresh(top_up.pk).state == "credited"
    assert Mail.objects.count() == before
