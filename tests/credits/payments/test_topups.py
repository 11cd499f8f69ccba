"""Buying credits, from the page to the entry, whoever tells us of it."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import timezone

from apikeys.models import ApiKey
from common.errors import InvalidRequest, RateLimited
from common.money import usd
from credits.models import Billing, Entry, Finding, TopUp
from credits.payments import customers, following, stripe_api, topups, webhooks

State = TopUp.State


def made_ago(top_up, **ago):
    TopUp.objects.filter(pk=top_up.pk).update(created_at=timezone.now() - timedelta(**ago))


def test_what_was_paid_is_credited_once_however_often_we_ask(alice, shop, books_balance):
    bought = shop.buy(alice, "25.00")
    again = topups.refresh(bought.pk)

    assert bought.state == again.state == State.CREDITED
    assert alice.now().balance_micros == usd("26.00")
    assert Entry.objects.get(key=f"topup:{bought.payment_intent_id}").amount_micros == usd("25.00")
    assert bought.receipt_url.startswith("http")
    books_balance()


def test_a_purchase_of_which_nobody_told_us_is_found_by_asking(alice, shop):
    top_up = shop.open(alice)
    shop.pay(top_up)
    TopUp.objects.filter(pk=top_up.pk).update(next_check_at="2020-01-01T00:00Z")

    for due in following.claim_due():
        following.check(due)

    assert alice.now().balance_micros == usd("26.00")


def test_listed_events_credit_what_no_webhook_told(alice, shop):
    top_up = shop.open(alice)
    shop.pay(top_up)

    shop.hear_all()

    assert alice.now().balance_micros == usd("26.00")
    assert not webhooks.due()
    assert webhooks.catch_up() == 0


@pytest.mark.parametrize("micros", [0, 4_999_999, 10_000_010_000, 5_000_001])
def test_amounts_that_are_not_sold_are_refused_before_anybody_is_asked(alice, shop, micros):
    with pytest.raises(InvalidRequest, match="amount_micros"):
        topups.start(
            alice.workspace_id, amount=micros, email="a@b.example", user_id=None, base_url=""
        )
    assert not TopUp.objects.filter(wallet=alice.wallet).exists()


@pytest.mark.parametrize("dollars", ["5.00", "10000.00", "7.31"])
def test_the_least_the_most_and_odd_cents_are_sold(make_member, shop, dollars):
    member = make_member("0")

    shop.buy(member, dollars)

    assert member.now().balance_micros == usd(dollars)


# --- States ---------------------------------------------------------------------------------


def test_a_slow_payment_is_credited_when_its_money_comes(alice, shop, books_balance):
    top_up = shop.open(alice)
    shop.pay(top_up, card="later")

    assert topups.refresh(top_up.pk).state == State.PROCESSING
    assert alice.now().balance_micros == usd("1.00")

    shop.fake.post(f"payments/{top_up.session_id}/succeed")

    assert topups.refresh(top_up.pk).state == State.CREDITED
    assert alice.now().balance_micros == usd("26.00")
    books_balance()


def test_a_slow_payment_whose_money_does_not_come_has_failed(alice, shop):
    top_up = shop.open(alice)
    shop.pay(top_up, card="later")
    shop.fake.post(f"payments/{top_up.session_id}/fail")

    failed = topups.refresh(top_up.pk)

    assert (failed.state, failed.failure) == (State.FAILED, "The payment failed.")
    assert failed.next_check_at is None
    assert alice.now().balance_micros == usd("1.00")


def test_after_a_declined_card_another_one_can_pay(alice, shop):
    top_up = shop.open(alice)
    shop.fake.post(f"sessions/{top_up.session_id}/decline")
    shop.hear_all()
    top_up.refresh_from_db()
    assert top_up.state == State.OPEN

    shop.pay(top_up)
    shop.hear_all()

    top_up.refresh_from_db()
    assert top_up.state == State.CREDITED


def test_a_page_that_nobody_paid_on_expires(alice, shop):
    top_up = shop.open(alice)
    shop.fake.post(f"sessions/{top_up.session_id}/expire")

    expired = topups.refresh(top_up.pk)

    assert (expired.state, expired.next_check_at) == (State.EXPIRED, None)
    assert "expired" in expired.failure


def test_a_page_expires_by_itself_after_a_day(alice, shop):
    top_up = shop.open(alice)
    shop.fake.post("clock", skew_seconds=24 * 3600 + 1)

    assert topups.refresh(top_up.pk).state == State.EXPIRED


def test_old_news_never_moves_a_purchase_back(alice, shop):
    top_up = shop.open(alice)
    opened = stripe_api.session(top_up.session_id)
    shop.pay(top_up, card="later")
    processing = topups.refresh(top_up.pk)
    slow = stripe_api.payment(processing.payment_intent_id)
    shop.fake.post(f"payments/{top_up.session_id}/succeed")
    topups.refresh(top_up.pk)

    topups.learn(top_up, opened)
    topups.learn_payment(top_up, slow)

    top_up.refresh_from_db()
    assert top_up.state == State.CREDITED
    assert alice.now().balance_micros == usd("26.00")


# --- Tax, receipt, history ------------------------------------------------------------------


@pytest.fixture
def taxed(settings, shop):
    settings.STRIPE_AUTOMATIC_TAX = True
    shop.fake.post("switches", tax_percent=19)


def test_tax_is_paid_on_top_and_is_no_credit(alice, shop, taxed, books_balance):
    bought = shop.buy(alice, "25.00")

    assert (bought.amount_cents, bought.tax_cents, bought.total_cents) == (2500, 475, 2975)
    assert alice.now().balance_micros == usd("26.00")
    tax = Entry.objects.get(key=f"tax:{bought.payment_intent_id}")
    assert (tax.amount_micros, tax.credit.kind, tax.debit.kind) == (usd("4.75"), "tax", "stripe")
    assert stripe_api.payment(bought.payment_intent_id).received_cents == 2975
    books_balance()


def test_receipt_and_invoice_are_kept_as_links(alice, shop):
    bought = shop.buy(alice)

    assert bought.receipt_url.startswith(f"{shop.fake.url}/receipts/")
    assert bought.invoice_url.startswith("http")


def test_without_invoices_there_is_only_a_receipt(alice, shop, settings):
    settings.STRIPE_INVOICES = False

    bought = shop.buy(alice)

    assert (bool(bought.receipt_url), bought.invoice_url) == (True, "")


def test_whoever_returns_from_the_page_sees_credit_added_at_once(alice, shop, client):
    top_up = shop.open(alice)
    shop.pay(top_up)

    client.get(f"/purchases/{top_up.pk}")
    history = client.get(
        "/customers/events", {"page": 1, "limit": 10}, headers={"X-API-KEY": alice.key}
    )

    newest = history.json()["events"][0]
    assert (newest["event_type"], newest["params"]["amount"]) == ("credit_added", 2500)


# --- What goes wrong ------------------------------------------------------------------------


def test_another_amount_than_was_asked_is_not_credited_but_found(alice, shop):
    top_up = shop.open(alice, "25.00")
    TopUp.objects.filter(pk=top_up.pk).update(amount_micros=usd("26.00"))
    shop.pay(top_up)

    for _ in range(2):
        stuck = topups.refresh(top_up.pk)

    assert (stuck.state, stuck.entry, stuck.next_check_at) == (State.PAID, None, None)
    assert alice.now().balance_micros == usd("1.00")
    found = Finding.objects.get(key=f"payment:{stuck.payment_intent_id}")
    assert "2600 cents usd, and 2500 cents usd were paid: not credited" in found.sentence
    assert (found.kind, found.wallet_id) == ("payment", alice.workspace_id)

    TopUp.objects.filter(pk=top_up.pk).update(amount_micros=usd("25.00"))  # Staff mend it.
    topups.refresh(top_up.pk)

    assert alice.now().balance_micros == usd("26.00")
    found.refresh_from_db()
    assert found.resolved_at is not None


def test_as_many_cents_of_another_currency_are_not_credited(alice, shop):
    top_up = shop.open(alice)
    shop.pay(top_up)
    payment = stripe_api.payment(stripe_api.session(top_up.session_id).payment_intent)
    topups.advance(top_up, State.PAID, payment_intent_id=payment.id)

    topups.credit(top_up, replace(payment, currency="eur"))

    assert alice.now().balance_micros == usd("1.00")
    assert "2500 cents eur were paid" in Finding.objects.get(key=f"payment:{payment.id}").sentence


def test_a_purchase_whose_page_we_lost_is_credited_all_the_same(alice, shop, taxed, books_balance):
    """The process died after Stripe had opened the page, and before it was noted.

    News of the payment comes first; only the page knows the tax.
    """
    top_up = shop.open(alice)
    TopUp.objects.filter(pk=top_up.pk).update(session_id=None, checkout_url="")
    shop.pay(top_up)

    webhooks.act(
        "payment_intent.succeeded", stripe_api.session(top_up.session_id).payment_intent, {}
    )

    again = TopUp.objects.get(pk=top_up.pk)
    assert (again.state, again.session_id, again.tax_cents) == ("credited", top_up.session_id, 475)
    assert alice.now().balance_micros == usd("26.00")
    books_balance()  # No finding is left, either.


def test_a_purchase_whose_page_nobody_was_shown_is_given_up_after_two_minutes(alice, shop):
    top_up = shop.open(alice)
    TopUp.objects.filter(pk=top_up.pk).update(session_id=None)

    assert topups.refresh(top_up.pk).state == State.OPEN
    made_ago(top_up, minutes=3)
    assert topups.refresh(top_up.pk).state == State.EXPIRED


def test_money_that_came_for_a_purchase_given_up_is_credited(alice, shop, books_balance):
    top_up = shop.open(alice)
    TopUp.objects.filter(pk=top_up.pk).update(session_id=None)
    made_ago(top_up, minutes=3)
    assert topups.refresh(top_up.pk).state == State.EXPIRED
    shop.pay(top_up)

    shop.hear_all()

    assert alice.now().balance_micros == usd("26.00")
    assert TopUp.objects.get(pk=top_up.pk).failure == "", "nobody is shown why it was given up"
    books_balance()


def test_money_that_came_after_the_payment_had_failed_is_credited(alice, shop):
    top_up = shop.open(alice)
    shop.pay(top_up, card="later")
    topups.refresh(top_up.pk)
    assert topups.advance(top_up, State.FAILED, failure="so it seemed")

    shop.fake.post(f"payments/{top_up.session_id}/succeed")
    shop.hear_all()

    assert alice.now().balance_micros == usd("26.00")


def test_a_payment_that_only_names_our_purchase_is_not_taken_for_it(alice, shop):
    """Somebody with access to the Stripe account made it by hand, with our metadata."""
    top_up = shop.open(alice)
    customer = customers.customer_of(alice.workspace_id, email="")
    other = stripe_api.charge_saved_method(
        customer=customer, payment_method="pm_card_visa", cents=2500, top_up=str(top_up.pk), key="x"
    )
    shop.hear_all()
    assert alice.now().balance_micros == usd("1.00")

    shop.pay(top_up)
    shop.hear_all()

    assert alice.now().balance_micros == usd("26.00")
    assert following.of_payment(other.id) is None


# --- Who asks, and how often ----------------------------------------------------------------


@pytest.mark.parametrize("event_first", [True, False])
def test_the_event_and_the_returning_member_may_come_in_any_order(
    alice, shop, client, event_first, books_balance
):
    top_up = shop.open(alice)
    shop.pay(top_up)
    steps = [shop.hear_all, lambda: client.get(f"/purchases/{top_up.pk}")]

    for step in steps if event_first else reversed(steps):
        step()
        assert alice.now().balance_micros == usd("26.00")

    books_balance()


def test_many_who_ask_at_the_same_moment_credit_once(committed, alice, shop, at_once):
    top_up = shop.open(alice)
    shop.pay(top_up)

    seen = at_once(topups.refresh, [top_up.pk] * 8)

    assert {each.state for each in seen} == {State.CREDITED}
    assert alice.now().balance_micros == usd("26.00")
    assert Entry.objects.filter(credit=alice.wallet, kind="top_up").count() == 1


def test_a_process_that_died_between_paid_and_credited_is_followed_up(alice, shop):
    top_up = shop.open(alice)
    shop.pay(top_up)
    payment = stripe_api.session(top_up.session_id).payment_intent
    TopUp.objects.filter(pk=top_up.pk).update(payment_intent_id=payment)
    topups.advance(top_up, State.PAID)
    TopUp.objects.filter(pk=top_up.pk).update(next_check_at=timezone.now())

    for due in following.claim_due():
        following.check(due)

    assert alice.now().balance_micros == usd("26.00")


def test_a_purchase_to_ask_about_is_one_workers_at_a_time_and_asked_about_more_rarely(alice, shop):
    top_up = shop.open(alice)
    waits = []
    for _ in range(3):
        TopUp.objects.filter(pk=top_up.pk).update(next_check_at=timezone.now())
        (mine,) = [each for each in following.claim_due() if each.pk == top_up.pk]
        assert top_up.pk not in [each.pk for each in following.claim_due()]
        mine.refresh_from_db()
        waits.append(round((mine.next_check_at - timezone.now()).total_seconds()))

    assert waits == [4, 8, 16]


def test_who_begins_thirty_purchases_and_pays_none_waits_for_an_hour(alice, bob, shop):
    for _ in range(30):
        TopUp.objects.create(wallet=alice.wallet, source="checkout", amount_micros=usd("5"))

    with pytest.raises(RateLimited, match="in an hour") as refused:
        shop.open(alice)

    assert refused.value.headers["Retry-After"] == "3600"
    shop.open(bob)
    TopUp.objects.filter(wallet=alice.wallet).update(
        created_at=timezone.now() - timedelta(minutes=61)
    )
    shop.open(alice)


def test_however_many_begin_at_once_thirty_pass(committed, alice, shop, at_once):
    for _ in range(27):
        TopUp.objects.create(wallet=alice.wallet, source="checkout", amount_micros=usd("5"))
    customers.customer_of(alice.workspace_id, email=alice.user.email)

    def begin(_):
        try:
            shop.open(alice)
        except RateLimited:
            return "refused"
        return "begun"

    came = at_once(begin, range(12))

    assert came.count("begun") == 3
    assert TopUp.objects.filter(wallet=alice.wallet).count() == 30


def test_while_its_buyer_looks_at_the_balance_a_purchase_is_asked_about_at_once(
    alice, bob, shop, client
):
    """The frontend reads the balance whenever its window has the focus again (contract 4.4)."""
    top_up = shop.open(alice)
    following.claim_due()
    shop.pay(top_up)

    def due():
        return [each.pk for each in following.claim_due()]

    assert due() == []
    client.get("/customers/balance", headers={"X-API-KEY": bob.key})
    assert due() == []
    client.get("/customers/balance", headers={"X-API-KEY": alice.key})
    assert due() == [top_up.pk]
    client.get("/customers/balance", headers={"X-API-KEY": alice.key})
    assert due() == [], "not more often than every two seconds"


@pytest.mark.parametrize("state", ["credited", "expired", "old"])
def test_what_is_over_is_not_asked_about_however_often_one_looks(alice, shop, state):
    top_up = shop.buy(alice) if state == "credited" else shop.open(alice)
    if state == "expired":
        topups.advance(top_up, State.EXPIRED)
    made_ago(top_up, minutes=61 if state == "old" else 1)

    assert not following.watched(alice.workspace_id)


# --- A customer who is gone before we hear of it --------------------------------------------


@pytest.fixture
def gone(shop, alice):
    """Alice's customer was deleted at Stripe, and its event is not here yet."""
    shop.buy(alice, "5.00")
    customer = Billing.objects.get(pk=alice.workspace_id).customer_id
    stripe_api._v1().customers.delete(customer)
    return customer


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/customers/credit", {"amount_micros": 25_000_000, "currency": "usd"}, 201),
        ("/customers/billing", {}, 200),
        ("/v1/auto-top-up/setup", {}, 201),
    ],
)
def test_a_member_whose_customer_was_deleted_gets_another_before_we_hear_of_it(
    client, alice, shop, gone, path, body, status
):
    ApiKey.objects.filter(pk=alice.api_key_record.pk).update(
        scopes=["proxy", "usage:read", "billing:manage"]
    )

    answer = client.post(
        path, body, content_type="application/json", headers={"X-API-KEY": alice.key}
    )
    shop.hear_all()

    assert answer.status_code == status, answer.content
    billing = Billing.objects.get(pk=alice.workspace_id)
    assert billing.customer_id not in (None, gone)
    assert billing.customers_deleted == 1


def test_of_many_who_find_their_customer_gone_at_once_one_makes_another(
    committed, alice, shop, gone, at_once
):
    made = at_once(lambda _: shop.open(alice, "5.00"), range(5))
    TopUp.objects.filter(wallet=alice.wallet).update(next_check_at=None)  # Nobody else's to ask.

    customers = {stripe_api.session(each.session_id).customer for each in made}
    assert customers == {Billing.objects.get(pk=alice.workspace_id).customer_id}
