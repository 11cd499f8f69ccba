"""Stripe is away, or does not answer clearly: 503, nothing half done, and then it works."""

from datetime import timedelta

import pytest
from django.utils import timezone

from apikeys.models import ApiKey
from common.money import usd
from credits.models import Billing, Entry, TopUp
from credits.payments import stripe_api, topups

ATTEMPTS = 3  # The library's: the first, and two repeats.
NOT_DONE = ["status=500", "status=503", "drop_before"]
DONE_AND_LOST = ["status_after=503", "timeout=1", "drop_after"]
CUSTOMERS, SESSIONS = "/v1/customers", "/v1/checkout/sessions"


@pytest.fixture
def buy(client, alice, fake, settings, monkeypatch, impatient):
    """Ask for a purchase, as the frontend does; we wait for Stripe a third of a second."""
    monkeypatch.setattr(stripe_api, "TIMEOUT_SECONDS", 0.3)
    settings.STRIPE_API_KEY = "sk_test_impatient"  # A client of its own, with that time-out.

    def ask():
        return client.post(
            "/customers/credit",
            {"amount_micros": 25_000_000, "currency": "usd"},
            content_type="application/json",
            headers={"X-API-KEY": alice.key},
        )

    return ask


def made(fake, kind):
    return fake.get("state").get(kind, [])


def pay(fake, session):
    fake.post(f"sessions/{session}/pay")


@pytest.mark.slow
@pytest.mark.parametrize("path", [CUSTOMERS, SESSIONS])
@pytest.mark.parametrize("failure", NOT_DONE + DONE_AND_LOST)
def test_it_is_a_503_and_later_it_works(alice, fake, buy, failure, path, books_balance):
    fake.post("next", failure=failure, times=ATTEMPTS, path=path)

    refused = buy()

    assert refused.status_code == 503
    assert refused.json()["error"] == "payments_unavailable"
    assert "Try again in a moment" in refused.json()["message"]
    assert refused["Retry-After"] == "2"
    assert not Entry.objects.filter(credit=alice.wallet, kind="top_up").exists()
    assert not TopUp.objects.filter(wallet=alice.wallet).exclude(session_id=None).exists()

    accepted = buy()

    assert accepted.status_code == 201
    assert len(made(fake, "customer")) == 1, "asked again under the same key"
    top_up = TopUp.objects.get(checkout_url=accepted.json()["checkout_url"])
    pay(fake, top_up.session_id)
    topups.refresh(top_up.pk)
    assert alice.now().balance_micros == usd("26.00")
    books_balance()


@pytest.mark.parametrize("failure", ["status=503", "drop_before", "drop_after"])
@pytest.mark.parametrize("times", [1, 2])
def test_a_short_failure_is_not_even_noticed(fake, buy, failure, times):
    fake.post("next", failure=failure, times=times, path=SESSIONS)

    assert buy().status_code == 201
    assert len(made(fake, "checkout.session")) == 1


def test_a_page_whose_answer_was_lost_is_given_up_and_credited_if_somebody_pays_on_it(
    alice, shop, buy, books_balance
):
    shop.fake.post("next", failure="drop_after", times=ATTEMPTS, path=SESSIONS)
    buy()
    lost = TopUp.objects.get(wallet=alice.wallet)
    TopUp.objects.filter(pk=lost.pk).update(created_at=timezone.now() - timedelta(minutes=3))
    assert topups.refresh(lost.pk).state == TopUp.State.EXPIRED

    (session,) = made(shop.fake, "checkout.session")
    pay(shop.fake, session["id"])
    shop.hear_all()

    lost.refresh_from_db()
    assert lost.state == TopUp.State.CREDITED
    assert alice.now().balance_micros == usd("26.00")
    books_balance()


@pytest.fixture
def manager(alice):
    """Alice's key may change how she pays."""
    key = ApiKey.objects.filter(pk=alice.api_key_record.pk)
    key.update(scopes=["proxy", "usage:read", "billing:manage"])


def test_when_stripe_asks_us_to_slow_down_the_member_is_asked_to_try_again(fake, buy):
    fake.post("next", failure="status=429", path=SESSIONS)

    assert buy().status_code == 503
    assert buy().status_code == 201


@pytest.mark.usefixtures("manager")
def test_the_portal_is_a_503_too(client, alice, fake, impatient):
    fake.post("next", failure="status=503", times=ATTEMPTS, path="/v1/billing_portal")

    answer = client.post(
        "/customers/billing", content_type="text/plain", headers={"X-API-KEY": alice.key}
    )

    assert (answer.status_code, answer.json()["error"]) == (503, "payments_unavailable")


@pytest.mark.usefixtures("manager")
def test_a_wrong_credential_of_ours_is_no_fault_of_the_member(client, alice, fake, settings):
    settings.STRIPE_API_KEY = "pk_nonsense"

    answer = client.post(
        "/customers/billing", content_type="text/plain", headers={"X-API-KEY": alice.key}
    )

    assert (answer.status_code, answer.json()["error"]) == (503, "payments_unavailable")
    assert "pk_nonsense" not in answer.content.decode()


def test_a_customer_made_by_a_process_that_died_is_not_made_twice(alice, shop):
    shop.open(alice)
    Billing.objects.filter(pk=alice.workspace_id).update(customer_id=None)

    shop.open(alice)

    assert len(made(shop.fake, "customer")) == 1


def test_many_first_purchases_at_once_have_one_customer(committed, alice, shop, at_once):
    at_once(lambda _: shop.open(alice), range(6))
    TopUp.objects.filter(wallet=alice.wallet).update(next_check_at=None)  # Nobody else's to ask.

    assert len(made(shop.fake, "customer")) == 1
    assert len(made(shop.fake, "checkout.session")) == 6
