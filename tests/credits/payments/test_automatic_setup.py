"""Saving a card for automatic top-up, losing it again, and the wish over the wire."""

import json
import threading

import pytest
import stripe
from django.db import transaction

from apikeys.models import ApiKey
from common.errors import InvalidRequest
from common.money import usd
from credits.models import AutoTopUp, Billing
from credits.payments import automatic, methods, stripe_api

PATH = "/v1/auto-top-up"
WISH = {
    "enabled": True,
    "threshold_micro_usd": 5_000_000,
    "amount_micro_usd": 20_000_000,
    "monthly_cap_micro_usd": 100_000_000,
}


def start(member):
    return methods.start_setup(
        member.workspace_id, email=member.user.email, user_id=member.user.pk, base_url="http://us"
    )


def save(shop, member, *, card="visa"):
    session = start(member)
    shop.fake.post(f"sessions/{session.id}/save", card=card)
    return session


def wish_of(member):
    return AutoTopUp.objects.get(pk=member.workspace_id)


def switch_on(member):
    return automatic.configure(
        member.workspace_id,
        enabled=True,
        threshold=usd("5"),
        amount=usd("20"),
        monthly_cap=usd("100"),
    )


@pytest.fixture
def account(fake):
    """Stripe as the operator has it in its own dashboard."""
    http = stripe.RequestsClient()
    yield stripe.StripeClient(
        "sk_test_operator", base_addresses={"api": fake.url}, http_client=http
    ).v1
    http.close()


# --- Saving ---------------------------------------------------------------------------------


def test_a_card_is_saved_on_stripes_page_and_charged_only_if_wished(alice, shop):
    save(shop, alice)

    wish = methods.refresh_setup(alice.workspace_id)

    assert wish.method_label == "visa ending in 4242"
    assert wish.payment_method_id.startswith("pm_")
    assert (wish.enabled, automatic.due_wallets()) == (False, [])


def test_a_saved_card_is_heard_of_by_events_too(alice, shop):
    save(shop, alice)

    shop.hear_all()

    assert wish_of(alice).method_label == "visa ending in 4242"


@pytest.mark.parametrize("act", ["decline", "expire"])
def test_a_card_that_was_not_saved_is_not_there(alice, shop, act):
    session = start(alice)
    shop.fake.post(f"sessions/{session.id}/{act}")
    shop.hear_all()

    assert methods.refresh_setup(alice.workspace_id).payment_method_id == ""


def test_the_newest_page_counts_whenever_news_of_an_older_one_comes(alice, shop):
    old = save(shop, alice)
    save(shop, alice, card="mastercard")
    methods.refresh_setup(alice.workspace_id)

    shop.hear_all()
    methods.learn_setup(stripe_api.session(old.id))

    assert wish_of(alice).method_label == "mastercard ending in 4444"


def test_a_card_that_is_saved_on_an_older_page_counts_too(alice, shop, client):
    """She has two tabs open, and saves in the one that she opened first."""
    old = start(alice)
    start(alice)
    shop.fake.post(f"sessions/{old.id}/save")

    page = client.get("/purchases/method", {"session": old.id})

    assert "Your payment method is saved" in page.content.decode()
    assert wish_of(alice).method_label == "visa ending in 4242"


@pytest.mark.parametrize("told", ["the page", "events", "the newest page first"])
def test_of_two_cards_the_one_that_was_saved_last_counts(alice, shop, client, told):
    old, new = start(alice), start(alice)
    shop.fake.post(f"sessions/{new.id}/save", card="mastercard")
    if told == "the newest page first":
        methods.refresh_setup(alice.workspace_id)
    shop.fake.post("clock", skew_seconds=5)
    shop.fake.post(f"sessions/{old.id}/save")

    for _ in range(2):
        if told == "events":
            shop.hear_all()
        else:
            client.get("/purchases/method", {"session": old.id})
        assert wish_of(alice).method_label == "visa ending in 4242"
        client.get("/purchases/method", {"session": new.id})
        methods.learn_setup(stripe_api.session(new.id))

    shop.hear_all()
    assert wish_of(alice).method_label == "visa ending in 4242"


def test_a_card_that_was_removed_does_not_come_back_from_any_page(alice, shop, client):
    old, new = start(alice), start(alice)
    for session in (old, new):
        shop.fake.post(f"sessions/{session.id}/save")
    methods.refresh_setup(alice.workspace_id)
    stripe_api._v1().payment_methods.detach(wish_of(alice).payment_method_id)
    shop.hear_all()

    for session in (old, new):
        page = client.get("/purchases/method", {"session": session.id})
        assert "No payment method was saved" in page.content.decode()

    assert wish_of(alice).payment_method_id == ""


def test_a_page_of_another_workspaces_customer_is_not_ours(alice, bob, shop, client):
    """Even one that we opened for Alice, if it were Bob's customer's by then."""
    page = start(alice)
    start(bob)
    shop.fake.post(f"sessions/{page.id}/save")
    for member in (alice, bob):
        Billing.objects.filter(pk=member.workspace_id).update(customer_id=f"cus_{member.user.pk}")

    answer = client.get("/purchases/method", {"session": page.id})
    shop.hear_all()

    assert "No payment method was saved" in answer.content.decode()
    assert {wish_of(each).payment_method_id for each in (alice, bob)} == {""}


def test_another_members_page_saves_nothing_here(alice, bob, shop):
    start(bob)
    session = save(shop, alice)
    AutoTopUp.objects.filter(pk=bob.workspace_id).update(setup_session_id=session.id)

    assert methods.refresh_setup(bob.workspace_id).payment_method_id == ""


def test_looking_at_the_page_again_forgets_no_failure(alice, shop, client):
    session = save(shop, alice, card="chargeCustomerFail")
    methods.refresh_setup(alice.workspace_id)
    switch_on(alice)
    automatic.buy(alice.workspace_id)

    page = client.get("/purchases/method", {"session": session.id})
    shop.hear_all()

    assert "Your payment method is saved" in page.content.decode()
    assert (wish_of(alice).failures, wish_of(alice).last_failure[:9]) == (1, "Your card")


def test_another_card_is_tried_at_once(alice, shop):
    save(shop, alice, card="chargeCustomerFail")
    methods.refresh_setup(alice.workspace_id)
    switch_on(alice)
    automatic.buy(alice.workspace_id)

    save(shop, alice, card="mastercard")
    methods.refresh_setup(alice.workspace_id)

    assert automatic.due_wallets() == [alice.workspace_id]
    assert automatic.buy(alice.workspace_id).state == "credited"


def test_switching_on_again_begins_afresh(alice, shop):
    save(shop, alice)
    methods.refresh_setup(alice.workspace_id)
    AutoTopUp.objects.filter(pk=alice.workspace_id).update(
        failures=3, last_failure="x", next_try_at="2999-01-01T00:00Z"
    )

    wish = switch_on(alice)

    assert (wish.failures, wish.last_failure, wish.next_try_at) == (0, "", None)


# --- Losing it ------------------------------------------------------------------------------


@pytest.fixture
def on(alice, shop):
    save(shop, alice)
    methods.refresh_setup(alice.workspace_id)
    return switch_on(alice)


def test_a_detached_card_is_not_charged_again(alice, shop, on):
    stripe_api._v1().payment_methods.detach(on.payment_method_id)

    shop.hear_all()

    wish = wish_of(alice)
    assert (wish.enabled, wish.payment_method_id, wish.method_label) == (False, "", "")
    assert wish.last_failure == "The saved payment method was removed."
    assert wish.last_failure_at is not None
    methods.refresh_setup(alice.workspace_id)
    assert wish_of(alice).payment_method_id == "", "the old page does not bring it back"


def test_who_switches_it_on_as_the_card_is_removed_is_told_to_save_one(
    committed, alice, shop, at_once
):
    """Looking for the card and switching on are two statements: between them it may go."""
    save(shop, alice)
    methods.refresh_setup(alice.workspace_id)
    card = wish_of(alice).payment_method_id
    removed, asked = threading.Event(), threading.Event()

    def act(who):
        if who == "webhook":
            with transaction.atomic():
                methods.forget(card, why="It was removed.")
                removed.set()
                asked.wait(0.5)  # The member's statement waits for ours by then.
            return None
        removed.wait(10)
        try:
            return switch_on(alice)
        except InvalidRequest as refused:
            return str(refused)
        finally:
            asked.set()

    assert at_once(act, ["webhook", "member"])[1] == automatic.UNSAVED
    assert not wish_of(alice).enabled


def test_a_card_that_was_renewed_shows_its_name_and_stays(alice, shop, on):
    AutoTopUp.objects.filter(pk=alice.workspace_id).update(method_label="old name")
    shop.fake.post(f"payment_methods/{on.payment_method_id}", automatically_update=True)

    shop.hear_all()

    assert (wish_of(alice).enabled, wish_of(alice).method_label) == (True, "visa ending in 4242")


@pytest.mark.parametrize("before", ["heard", "not heard"])
def test_a_deleted_customer_is_forgotten_and_the_next_purchase_makes_another(
    alice, shop, on, account, before
):
    gone = Billing.objects.get(pk=alice.workspace_id).customer_id
    account.customers.delete(gone)
    if before == "not heard":
        assert automatic.buy(alice.workspace_id).state == "failed"

    shop.hear_all()
    shop.hear_all()

    wish, billing = wish_of(alice), Billing.objects.get(pk=alice.workspace_id)
    assert (wish.enabled, wish.payment_method_id) == (False, "")
    assert wish.last_failure
    assert (billing.customer_id, billing.customers_deleted) == (None, 1)
    assert shop.buy(alice).state == "credited"
    billing.refresh_from_db()
    assert billing.customer_id not in (None, gone)


# --- Over the wire --------------------------------------------------------------------------


@pytest.fixture
def ask(client, alice):
    """Alice asks with a key that may manage."""
    key = ApiKey.objects.filter(pk=alice.api_key_record.pk)
    key.update(scopes=["proxy", "usage:read", "billing:manage"])

    def send(method, path=PATH, body=None, *, key=alice.key):
        return client.generic(
            method.upper(),
            path,
            "" if body is None else json.dumps(body),
            content_type="application/json",
            headers={"X-API-KEY": key} if key else {},
        )

    return send


def test_without_a_wish_the_defaults_are_shown_and_nothing_is_made(ask, alice, fake):
    shown = ask("get").json()

    assert shown == {
        **WISH,
        "enabled": False,
        "payment_method": "",
        "bought_this_month_micro_usd": 0,
        "failures": 0,
        "last_failure": "",
        "last_failure_at": None,
        "next_try_at": None,
    }
    assert not AutoTopUp.objects.filter(pk=alice.workspace_id).exists()


def test_from_the_page_to_the_wish_to_the_purchase(ask, alice, shop):
    answer = ask("post", f"{PATH}/setup")
    assert answer.status_code == 201
    assert answer.json()["setup_url"].startswith(f"{shop.fake.url}/c/pay/")
    shop.fake.post(f"sessions/{answer.json()['setup_url'].rpartition('/')[2]}/save")
    shop.hear_all()

    put = ask("put", body={**WISH, "amount_micro_usd": 30_000_000})
    automatic.buy(alice.workspace_id)

    assert put.status_code == 200
    shown = ask("get").json()
    assert (shown["enabled"], shown["payment_method"]) == (True, "visa ending in 4242")
    assert shown["bought_this_month_micro_usd"] == 30_000_000


def test_the_last_failure_is_shown(ask, alice, shop):
    save(shop, alice, card="chargeCustomerFail")
    methods.refresh_setup(alice.workspace_id)
    ask("put", body=WISH)

    automatic.buy(alice.workspace_id)

    shown = ask("get").json()
    assert (shown["failures"], shown["last_failure"]) == (1, "Your card was declined.")
    assert shown["last_failure_at"]
    assert shown["next_try_at"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"enabled": True}, "Save a payment method first"),
        ({"enabled": "perhaps"}, "enabled: Must be a valid boolean."),
        ({"amount_micro_usd": 4_000_000}, "amount_micro_usd: credits are sold for $5.00"),
        ({"amount_micro_usd": 5_000_001}, "amount_micro_usd: $5.000001 is not a whole number"),
        ({"amount_micro_usd": 10_000_010_000}, "amount_micro_usd: credits are sold"),
        ({"threshold_micro_usd": 0}, "threshold_micro_usd: "),
        ({"monthly_cap_micro_usd": 19_999_999}, "monthly_cap_micro_usd: must be at least one"),
        ({"monthly_cap_micro_usd": 2**60}, "monthly_cap_micro_usd: "),
        ({"threshold_micro_usd": None}, "threshold_micro_usd: This field may not be null."),
    ],
)
def test_a_wish_that_makes_no_sense_is_refused_by_name(ask, alice, fake, change, sentence):
    answer = ask("put", body={**WISH, "enabled": False, **change})

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert sentence in answer.json()["message"]
    assert not AutoTopUp.objects.filter(pk=alice.workspace_id, enabled=True).exists()


def test_where_tax_is_switched_on_it_cannot_be_wished(alice, shop, settings):
    save(shop, alice)
    methods.refresh_setup(alice.workspace_id)
    settings.STRIPE_AUTOMATIC_TAX = True

    with pytest.raises(InvalidRequest, match="cannot work out the tax"):
        switch_on(alice)

    assert not wish_of(alice).enabled


@pytest.mark.parametrize(("method", "path"), [("put", PATH), ("post", f"{PATH}/setup")])
def test_a_key_that_only_reads_may_see_the_wish_and_not_change_it(ask, alice, fake, method, path):
    ApiKey.objects.filter(pk=alice.api_key_record.pk).update(scopes=["usage:read"])

    answer = ask(method, path, WISH)

    assert (answer.status_code, answer.json()["error"]) == (403, "access_disabled")
    assert "billing:manage" in answer.json()["message"]
    assert ask("get").status_code == 200
    assert not fake.get("requests")


@pytest.mark.parametrize(
    ("method", "path"), [("get", PATH), ("put", PATH), ("post", f"{PATH}/setup")]
)
def test_without_a_key_it_is_a_401(ask, fake, method, path):
    assert ask(method, path, WISH, key=None).status_code == 401


def test_without_a_payment_provider_no_card_can_be_saved(ask, settings):
    settings.STRIPE_API_KEY = ""

    answer = ask("post", f"{PATH}/setup")

    assert (answer.status_code, answer.json()["error"]) == (403, "access_disabled")
