"""Automatic top-up: one purchase at a time, never beyond the cap, and nobody is charged twice."""

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from common.money import usd
from credits.books import freezes
from credits.models import AutoTopUp, Billing, Entry, Freeze, TopUp
from credits.payments import automatic, following, methods, stripe_api
from outbox.models import Mail

State = TopUp.State


@pytest.fixture
def wish(shop):
    """Have a member with a saved card wish for 20 dollars whenever there are less than 5."""

    def make(member, *, card="visa", cap="100"):
        session = methods.start_setup(
            member.workspace_id,
            email=member.user.email,
            user_id=member.user.pk,
            base_url="http://u",
        )
        shop.fake.post(f"sessions/{session.id}/save", card=card)
        methods.refresh_setup(member.workspace_id)
        return automatic.configure(
            member.workspace_id,
            enabled=True,
            threshold=usd("5"),
            amount=usd("20"),
            monthly_cap=usd(cap),
        )

    return make


def bought(member):
    return list(TopUp.objects.filter(wallet=member.wallet).order_by("created_at"))


def payments(shop):
    return shop.fake.get("state").get("payment_intent", [])


def try_again(wish):
    AutoTopUp.objects.filter(pk=wish.pk).update(next_try_at=timezone.now())


def use_a_bank_account(member):
    """Pages save cards only; an account with bank debits could have any method."""
    AutoTopUp.objects.filter(pk=member.workspace_id).update(
        payment_method_id="pm_usBankAccount", setup_session_id=""
    )


def letters(member):
    return Mail.objects.filter(to=member.user.email, key__startswith="automatic:")


# --- When it buys ---------------------------------------------------------------------------


def test_below_the_threshold_it_buys_once_and_above_not(alice, shop, wish, books_balance):
    wish(alice)

    assert automatic.due_wallets() == [alice.workspace_id]
    top_up = automatic.buy(alice.workspace_id)

    assert (top_up.state, top_up.source) == (State.CREDITED, "automatic")
    assert alice.now().balance_micros == usd("21.00")
    assert automatic.due_wallets() == []
    assert automatic.buy(alice.workspace_id) is None
    assert len(payments(shop)) == 1
    books_balance()


def test_what_is_held_does_not_count_as_left(make_member, place_hold, shop, wish):
    member = make_member("6")
    wish(member)
    assert automatic.due_wallets() == []

    place_hold(member, "1.50")

    assert automatic.due_wallets() == [member.workspace_id]


def test_many_who_notice_at_once_buy_once(committed, alice, shop, wish, at_once):
    wish(alice)

    at_once(automatic.buy, [alice.workspace_id] * 8)

    assert [each.state for each in bought(alice)] == [State.CREDITED]
    assert len(payments(shop)) == 1
    assert alice.now().balance_micros == usd("21.00")


def test_nothing_is_bought_for_who_did_not_wish_it(alice, shop, wish):
    wish(alice)
    AutoTopUp.objects.filter(pk=alice.workspace_id).update(enabled=False)

    assert automatic.due_wallets() == []
    assert automatic.buy(alice.workspace_id) is None


def test_a_paused_wallet_is_not_charged(alice, shop, wish):
    wish(alice)
    freezes.freeze(alice.workspace_id, Freeze.Cause.STAFF, "Write to us.", by=uuid.uuid4())

    assert automatic.due_wallets() == []
    assert automatic.buy(alice.workspace_id) is None
    assert not payments(shop)


def test_where_tax_is_switched_on_later_it_switches_itself_off_and_says_so(
    alice, shop, wish, settings
):
    wish(alice)
    settings.STRIPE_AUTOMATIC_TAX = True

    assert automatic.buy(alice.workspace_id) is None

    now = AutoTopUp.objects.get(pk=alice.workspace_id)
    assert (now.enabled, now.last_failure) == (False, automatic.TAXED)
    assert not payments(shop)
    assert "switched off now" in letters(alice).get().text


def test_what_is_exactly_the_threshold_is_enough(alice, shop, wish):
    wish(alice)
    automatic.buy(alice.workspace_id)
    shop.spend(alice, "16")
    assert alice.now().balance_micros == usd("5")

    assert automatic.buy(alice.workspace_id) is None
    shop.spend(alice, "0.01")
    assert automatic.buy(alice.workspace_id).state == State.CREDITED


# --- The month's cap ------------------------------------------------------------------------


def test_the_months_cap_is_never_exceeded(alice, shop, wish):
    wish(alice, cap="45")
    for _ in range(2):
        automatic.buy(alice.workspace_id)
        shop.spend(alice, "20")

    assert automatic.buy(alice.workspace_id) is None

    now = AutoTopUp.objects.get(pk=alice.workspace_id)
    assert len(payments(shop)) == 2
    assert now.last_failure == "The monthly cap of $45.00 is reached."
    assert (now.next_try_at.day, now.next_try_at.hour) == (1, 0)
    assert now.next_try_at > timezone.now()
    assert (now.enabled, now.failures) == (True, 0)
    assert automatic.due_wallets() == []
    assert letters(alice).count() == 1


@pytest.mark.parametrize(("cap", "times"), [("40", 2), ("39.99", 1)])
def test_the_months_cap_is_used_to_the_last_cent_and_no_further(alice, shop, wish, cap, times):
    wish(alice, cap=cap)
    for _ in range(times):
        assert automatic.buy(alice.workspace_id).state == State.CREDITED
        shop.spend(alice, "20")

    assert automatic.buy(alice.workspace_id) is None
    assert len(payments(shop)) == times


def test_a_new_month_has_a_new_cap(alice, shop, wish):
    made = wish(alice, cap="20")
    automatic.buy(alice.workspace_id)
    shop.spend(alice, "20")
    assert automatic.buy(alice.workspace_id) is None

    TopUp.objects.filter(wallet=alice.wallet).update(
        created_at=timezone.now().replace(day=1) - timedelta(days=1)
    )
    try_again(made)

    assert automatic.buy(alice.workspace_id).state == State.CREDITED


def test_the_month_begins_with_its_first_moment(alice, shop, wish):
    wish(alice)
    bought = automatic.buy(alice.workspace_id)
    month = timezone.now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    spent = []

    for created in (month, month - timedelta(microseconds=1)):
        TopUp.objects.filter(pk=bought.pk).update(created_at=created)
        spent.append(automatic.spent_this_month(alice.workspace_id))

    assert spent == [usd("20"), 0]


def test_a_higher_cap_counts_at_once(alice, shop, wish):
    wish(alice, cap="20")
    automatic.buy(alice.workspace_id)
    shop.spend(alice, "20")
    assert automatic.buy(alice.workspace_id) is None

    automatic.configure(
        alice.workspace_id,
        enabled=True,
        threshold=usd("5"),
        amount=usd("20"),
        monthly_cap=usd("40"),
    )

    assert automatic.due_wallets() == [alice.workspace_id]
    assert automatic.buy(alice.workspace_id).state == State.CREDITED


def test_a_refused_charge_does_not_count_towards_the_cap(alice, shop, wish):
    wish(alice, card="chargeCustomerFail", cap="20")

    automatic.buy(alice.workspace_id)

    assert automatic.spent_this_month(alice.workspace_id) == 0


# --- Refused --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("card", "why"),
    [
        ("chargeCustomerFail", "Your card was declined."),
        ("authenticationRequired", "Your card was declined. This transaction requires"),
    ],
)
def test_a_refused_card_is_tried_later_then_no_more_and_its_owner_is_told_each_time(
    alice, shop, wish, card, why
):
    made = wish(alice, card=card)

    waits = []
    for failures in (1, 2, 3):
        assert automatic.buy(alice.workspace_id).state == State.FAILED
        made.refresh_from_db()
        assert made.failures == failures
        assert made.last_failure.startswith(why)
        assert made.last_failure_at is not None
        assert letters(alice).count() == failures
        assert automatic.due_wallets() == []
        if made.enabled:
            waits.append(made.next_try_at - timezone.now())
            assert automatic.buy(alice.workspace_id) is None
            try_again(made)

    assert [round(each.total_seconds() / 3600) for each in waits] == [1, 24]
    assert not made.enabled
    assert why in letters(alice).order_by("pk").last().text
    assert "switched off now" in letters(alice).order_by("pk").last().text
    assert {each["status"] for each in payments(shop)} == {"canceled"}
    assert alice.now().balance_micros == usd("1.00")


def test_a_success_forgives_earlier_failures(alice, shop, wish):
    made = wish(alice, card="chargeCustomerFail")
    automatic.buy(alice.workspace_id)
    shop.fake.post(f"payment_methods/{made.payment_method_id}", behaviour="ok")
    try_again(made)

    assert automatic.buy(alice.workspace_id).state == State.CREDITED

    made.refresh_from_db()
    assert (made.failures, made.next_try_at, made.enabled) == (0, None, True)


def test_a_refusal_counts_once_however_many_tell_of_it(alice, shop, wish):
    """The events of the failed and of the cancelled payment come, too, and the member looks."""
    wish(alice, card="chargeCustomerFail")
    top_up = automatic.buy(alice.workspace_id)

    shop.hear_all()
    following.check(top_up)

    assert AutoTopUp.objects.get(pk=alice.workspace_id).failures == 1
    assert letters(alice).count() == 1
    assert len(payments(shop)) == 1


def test_a_refusal_counts_if_the_process_died_after_cancelling_the_payment(alice, shop, wish):
    wish(alice, card="chargeCustomerFail")
    top_up = automatic._begin(alice.workspace_id)
    with pytest.raises(stripe_api.Declined) as declined:
        automatic._payment(top_up)
    TopUp.objects.filter(pk=top_up.pk).update(payment_intent_id=declined.value.payment_intent)
    stripe_api.cancel_payment(declined.value.payment_intent)  # And then it died.

    top_up.refresh_from_db()
    following.check(top_up)

    top_up.refresh_from_db()
    now = AutoTopUp.objects.get(pk=alice.workspace_id)
    assert (top_up.state, now.failures) == (State.FAILED, 1)
    assert now.next_try_at > timezone.now()
    assert letters(alice).count() == 1


def test_who_looks_at_a_failed_purchase_is_not_charged_for_it(alice, shop, wish, client):
    """It failed without a payment: the customer was gone at that moment, and is there again."""
    made = wish(alice)
    customer = Billing.objects.get(pk=alice.workspace_id).customer_id
    Billing.objects.filter(pk=alice.workspace_id).update(customer_id="cus_gone")
    top_up = automatic.buy(alice.workspace_id)
    assert (top_up.state, top_up.payment_intent_id) == (State.FAILED, None)
    Billing.objects.filter(pk=alice.workspace_id).update(customer_id=customer)

    page = client.get(f"/purchases/{top_up.pk}")

    assert "did not succeed" in page.content.decode()
    assert not payments(shop)
    made.refresh_from_db()
    assert made.failures == 1


# --- Slow, and unknown ----------------------------------------------------------------------


def test_a_slow_charge_waits_and_is_credited_when_its_money_comes(alice, shop, wish):
    wish(alice)
    use_a_bank_account(alice)

    top_up = automatic.buy(alice.workspace_id)

    assert top_up.state == State.PROCESSING
    assert automatic.due_wallets() == [], "one at a time"
    assert automatic.buy(alice.workspace_id) is None
    shop.fake.post(f"payments/{top_up.payment_intent_id}/succeed")
    shop.hear_all()
    assert alice.now().balance_micros == usd("21.00")
    assert len(payments(shop)) == 1


def test_a_slow_charge_whose_money_does_not_come_is_a_refusal(alice, shop, wish):
    wish(alice)
    use_a_bank_account(alice)
    top_up = automatic.buy(alice.workspace_id)

    shop.fake.post(f"payments/{top_up.payment_intent_id}/fail")
    shop.hear_all()

    top_up.refresh_from_db()
    assert (top_up.state, top_up.failure) == (State.FAILED, "The payment failed.")
    assert AutoTopUp.objects.get(pk=alice.workspace_id).failures == 1
    assert letters(alice).count() == 1


@pytest.mark.parametrize("failure", ["status=503", "status_after=503", "drop_before", "drop_after"])
@pytest.mark.parametrize("lookup", ["key", "metadata"])
def test_what_is_not_known_is_asked_again_and_paid_once(
    alice, shop, wish, impatient, failure, lookup, books_balance
):
    """After a day Stripe has forgotten the key: what an earlier try made is searched for."""
    wish(alice)
    shop.fake.post("next", failure=failure, times=3, path="/v1/payment_intents")

    top_up = automatic.buy(alice.workspace_id)

    assert (top_up.state, top_up.payment_intent_id) == (State.OPEN, None)
    assert automatic.buy(alice.workspace_id) is None, "one at a time"
    assert AutoTopUp.objects.get(pk=alice.workspace_id).failures == 0
    if lookup == "metadata":
        shop.fake.post("keys/forget")
        TopUp.objects.filter(pk=top_up.pk).update(created_at=timezone.now() - timedelta(hours=21))
    top_up.refresh_from_db()
    following.check(top_up)

    top_up.refresh_from_db()
    made_then = failure in ("status_after=503", "drop_after")
    paid = lookup == "key" or made_then
    assert top_up.state == (State.CREDITED if paid else State.FAILED)
    assert [each["status"] for each in payments(shop)] == ["succeeded"] * paid
    assert alice.now().balance_micros == (usd("21.00") if paid else usd("1.00"))
    books_balance()


def test_an_unknown_charge_is_credited_by_its_event(alice, shop, wish, impatient):
    wish(alice)
    shop.fake.post("next", failure="drop_after", times=3, path="/v1/payment_intents")
    automatic.buy(alice.workspace_id)

    shop.hear_all()

    assert [each.state for each in bought(alice)] == [State.CREDITED]
    assert Entry.objects.filter(credit=alice.wallet, kind="top_up").count() == 1


def test_while_a_payment_cannot_be_cancelled_it_is_not_given_up(alice, shop, wish, impatient):
    """It might still be paid, and then a second one would be bought beside it."""
    wish(alice, card="chargeCustomerFail")
    shop.fake.post("next", failure="status=503", times=3, path="/v1/payment_intents/")

    top_up = automatic.buy(alice.workspace_id)

    assert top_up.state == State.OPEN
    assert top_up.payment_intent_id is not None
    following.check(top_up)
    top_up.refresh_from_db()
    assert top_up.state == State.FAILED
    assert letters(alice).count() == 1


def test_stripe_away_at_the_very_first_step_leaves_a_row_that_is_taken_up_again(
    alice, shop, wish, impatient
):
    wish(alice)
    Billing.objects.filter(pk=alice.workspace_id).update(customer_id=None)
    shop.fake.post("keys/forget")
    shop.fake.post("next", failure="status=503", times=3, path="/v1/customers")

    top_up = automatic.buy(alice.workspace_id)

    assert top_up.state == State.OPEN
    assert AutoTopUp.objects.get(pk=alice.workspace_id).failures == 0
