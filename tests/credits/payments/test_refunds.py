"""Money back: what is unspent of a purchase, once, wherever it was asked."""

import dataclasses
import threading
import uuid
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from common.errors import InsufficientCredits, InvalidRequest
from common.money import usd
from credits.books import ledger
from credits.models import Entry, Finding, Refund
from credits.payments import refunds, stripe_api, tasks
from credits.proofs import reconciliation
from outbox.models import Mail

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


# --- Asking for one -------------------------------------------------------------------------


def test_the_tax_of_what_goes_back_goes_back_with_it(alice, shop, settings, books_balance):
    settings.STRIPE_AUTOMATIC_TAX = True
    shop.fake.post("switches", tax_percent=20)
    bought = shop.buy(alice, "25.00")

    refund = refunds.request(bought.pk, amount=usd("5"), reason="x", requested_by=STAFF)

    assert (refund.cents, refund.tax_cents, refund.taken_micros) == (600, 100, usd("5"))
    books_balance()


def test_the_tax_of_a_refund_that_failed_is_owed_again(alice, shop, settings, books_balance):
    settings.STRIPE_AUTOMATIC_TAX = True
    shop.fake.post("switches", tax_percent=20, refunds="pending")
    bought = shop.buy(alice, "25.00")
    refund = refunds.request(bought.pk, amount=usd("5"), reason="x", requested_by=STAFF)
    tax = Entry.objects.filter(kind="tax").order_by("pk")
    assert [(each.credit.kind, each.amount_micros) for each in tax] == [
        ("tax", usd("5")),
        ("stripe", usd("1")),
    ]

    shop.fake.post(f"refunds/{refund.stripe_id}/fail")
    shop.hear_all()

    assert (tax.last().credit.kind, tax.last().amount_micros) == ("tax", usd("1"))
    books_balance()


def test_what_a_running_call_may_need_is_not_given_back(alice, shop, place_hold):
    bought = shop.buy(alice, "25.00")
    place_hold(alice, "20")

    with pytest.raises(InsufficientCredits, match=r"\$6.00 of this purchase"):
        refunds.request(bought.pk, amount=usd("7"), reason="x", requested_by=STAFF)

    assert refunds.request(bought.pk, reason="x", requested_by=STAFF).cents == 600


@pytest.mark.parametrize(
    ("micros", "error"),
    [(usd("25.01"), InsufficientCredits), (0, InsufficientCredits), (1, InvalidRequest)],
)
def test_no_more_than_there_is_nothing_and_no_parts_of_cents(alice, shop, micros, error):
    bought = shop.buy(alice, "25.00")

    with pytest.raises(error):
        refunds.request(bought.pk, amount=micros, reason="x", requested_by=STAFF)

    assert alice.now().balance_micros == usd("26.00")


def test_a_refund_needs_a_reason_and_a_credited_purchase(alice, shop):
    with pytest.raises(InvalidRequest, match="reason"):
        refunds.request(shop.buy(alice).pk, reason=" ", requested_by=STAFF)
    with pytest.raises(InvalidRequest, match="nothing to give back"):
        refunds.request(shop.open(alice).pk, reason="x", requested_by=STAFF)


def test_of_many_who_ask_at_once_the_credits_go_back_once(committed, alice, shop, at_once):
    bought = shop.buy(alice, "25.00")

    def ask(_):
        try:
            return refunds.request(bought.pk, reason="x", requested_by=STAFF).cents
        except InsufficientCredits:
            return 0

    assert sorted(at_once(ask, range(5))) == [0, 0, 0, 0, 2500]
    assert sum(each.cents for each in stripe_api.refunds_of(bought.payment_intent_id)) == 2500


# --- Unknown, refused, failed ---------------------------------------------------------------


@pytest.mark.parametrize("failure", ["status=503", "status_after=503", "drop_before", "drop_after"])
@pytest.mark.parametrize("forgotten", [False, True])
def test_what_is_not_known_is_asked_again_and_given_once(
    alice, shop, impatient, failure, forgotten, books_balance
):
    bought = shop.buy(alice, "25.00")
    shop.fake.post("next", failure=failure, times=3, path="/v1/refunds")
    refund = refunds.request(bought.pk, reason="x", requested_by=STAFF)
    assert (refund.state, alice.now().balance_micros) == (Refund.State.REQUESTED, usd("1.00"))
    books_balance()
    if forgotten:
        shop.fake.post("keys/forget")
    Refund.objects.filter(pk=refund.pk).update(next_try_at="2020-01-01T00:00Z")

    for due in refunds.claim_due():
        refunds.send(due)

    refund.refresh_from_db()
    assert (refund.state, refund.next_try_at) == (Refund.State.SUCCEEDED, None)
    assert [each.cents for each in stripe_api.refunds_of(bought.payment_intent_id)] == [2500]
    books_balance()


# --- One that waits -------------------------------------------------------------------------

STUCK = "no refund waits for more than an hour"


@pytest.fixture
def stuck(alice, shop, impatient):
    """A refund that our key may not make: its credits are taken, and nothing goes back."""
    bought = shop.buy(alice, "25.00")
    shop.fake.post("next", failure="status=403", path="/v1/refunds")
    refund = refunds.request(bought.pk, amount=usd("5"), reason="x", requested_by=STAFF)
    assert refund.state == Refund.State.REQUESTED
    return refund


def wait(refund, **span):
    Refund.objects.filter(pk=refund.pk).update(
        created_at=timezone.now() - timedelta(**span), next_try_at=timezone.now()
    )
    tasks.tend_wallets()


def findings_of(refund):
    return Finding.objects.filter(key=f"refund:{refund.pk}")


def test_a_refund_that_does_not_go_through_is_shown_to_staff_after_an_hour(
    stuck, alice, books_balance
):
    wait(stuck, minutes=59)
    assert not findings_of(stuck)
    books_balance()

    for hours in (1, 30):
        wait(stuck, hours=hours, minutes=1)

    (found,) = findings_of(stuck)
    assert (found.kind, found.wallet_id, found.resolved_at) == ("payment", alice.wallet.pk, None)
    for fact in (str(stuck.pk), str(stuck.top_up_id), "$5.00", "may make refunds"):
        assert fact in found.sentence
    (proof,) = [each for each in reconciliation.prove(reconciliation.MONEY) if STUCK in each.name]
    assert [str(stuck.pk) in line for line in proof.differences] == [True]


@pytest.mark.parametrize("end", ["it goes through", "it is refused", "it was found by others"])
def test_what_staff_were_shown_is_resolved_by_itself(stuck, books_balance, end):
    wait(stuck, hours=2)
    assert findings_of(stuck).get().resolved_at is None
    if end == "it is refused":
        refunds.fail(stuck.pk, "No.")
    elif end == "it was found by others":  # Of which the row was told in a way of its own.
        Refund.objects.filter(pk=stuck.pk).update(state="failed", next_try_at=None)
        tasks.tend_wallets()
    else:
        refunds.send(stuck.pk)
        stuck.refresh_from_db()
        assert stuck.state == Refund.State.SUCCEEDED

    assert findings_of(stuck).get().resolved_at is not None
    if end != "it was found by others":
        books_balance()


def test_what_waits_is_shown_where_payments_were_switched_off_since(stuck, settings):
    settings.STRIPE_API_KEY = ""

    wait(stuck, hours=2)

    assert findings_of(stuck).get().resolved_at is None


def test_what_stripe_refuses_is_put_back_at_once(alice, shop, books_balance):
    bought = shop.buy(alice, "25.00")
    stripe_api.create_refund(
        payment_intent=bought.payment_intent_id, cents=2500, refund="", key="dashboard"
    )

    refund = refunds.request(bought.pk, reason="x", requested_by=STAFF)

    assert (refund.state, alice.now().balance_micros) == (Refund.State.FAILED, usd("26.00"))
    assert "already been refunded" in refund.failure
    shop.hear_all()
    assert alice.now().balance_micros == usd("1.00")
    books_balance()


def test_a_refund_of_spent_credits_is_owed_and_forgiven_if_it_fails(alice, shop, books_balance):
    bought = shop.buy(alice, "25.00")
    shop.spend(alice, "20.00")
    made = stripe_api.create_refund(
        payment_intent=bought.payment_intent_id, cents=2500, refund="", key="dashboard"
    )
    shop.hear_all()
    assert (alice.now().balance_micros, "$19.00 are due" in alice.now().frozen_reason) == (0, True)
    books_balance()

    shop.fake.post(f"refunds/{made.id}/fail")
    shop.hear_all()

    assert (alice.now().balance_micros, alice.now().frozen_reason) == (usd("6.00"), "")
    books_balance()


def test_credits_that_were_put_back_are_again_those_of_their_purchase(alice, shop):
    bought = shop.buy(alice, "25.00")
    refund = refunds.request(bought.pk, amount=usd("5"), reason="x", requested_by=STAFF)
    shop.fake.post(f"refunds/{refund.stripe_id}/fail")
    shop.hear_all()

    assert refunds.request(bought.pk, reason="again", requested_by=STAFF).cents == 2500


@pytest.mark.parametrize("word", [None, "in_transit"])
def test_a_word_of_stripe_that_we_do_not_know_puts_no_credits_back(
    alice, shop, books_balance, word
):
    bought = shop.buy(alice, "25.00")
    shop.fake.post("switches", refunds="pending")
    refund = refunds.request(bought.pk, amount=usd("5"), reason="x", requested_by=STAFF)
    seen = stripe_api.refund(refund.stripe_id)

    refunds.learn(dataclasses.replace(seen, status=word))

    refund.refresh_from_db()
    assert (refund.state, alice.now().balance_micros) == (Refund.State.PENDING, usd("21.00"))
    books_balance()


@pytest.mark.slow
def test_who_was_told_of_a_refund_a_moment_before_it_failed_is_told_that_too(
    committed, alice, shop, at_once
):
    bought = shop.buy(alice, "25.00")
    shop.fake.post("next", failure="status=503", times=3, path="/v1/refunds")
    refund = refunds.request(bought.pk, reason="x", requested_by=STAFF)
    made = stripe_api.create_refund(
        payment_intent=bought.payment_intent_id, cents=2500, refund=str(refund.pk), key="again"
    )
    locked, failed = threading.Event(), threading.Event()

    def act(who):
        if who == "first":
            with transaction.atomic():
                ledger.lock(alice.workspace_id)
                locked.set()
                failed.wait(0.5)  # The second has read the row by then, and waits for the lock.
                refunds.learn(stripe_api.refund(made.id))
        else:
            locked.wait(10)
            refunds.fail(refund.pk, "The bank did not take it.")
            failed.set()

    at_once(act, ["first", "second"])

    letters = Mail.objects.filter(to=alice.user.email, key__startswith=f"refund:{refund.pk}")
    assert {each.key for each in letters} == {f"refund:{refund.pk}", f"refund:{refund.pk}:failed"}
