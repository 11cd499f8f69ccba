"""The operator has Stripe forget a member who stays (contract 4.9)."""

import uuid

import pytest
from django.db.models import TextField
from django.db.models.functions import Cast
from test_automatic_setup import save, switch_on, wish_of

from audit.models import Event
from credits.models import Billing, StripeEvent, TopUp
from credits.payments import methods, stripe_api
from outbox.models import Mail

SECRET = "s" * 40


@pytest.fixture
def forget(client, settings):
    settings.ADMIN_SECRETS = [SECRET]

    def asked(user_id, **headers):
        path = f"/admin/customers/{user_id}/stripe-data"
        return client.delete(path, headers=headers or {"X-Comfy-Admin-Secret": SECRET})

    return asked


def telling(*words):
    text = StripeEvent.objects.annotate(text=Cast("payload", TextField()))
    return [text.filter(text__contains=word).count() for word in words]


def test_customer_card_and_what_was_told_are_gone_and_the_credits_stay(alice, shop, forget):
    shop.buy(alice)
    save(shop, alice)
    methods.refresh_setup(alice.workspace_id)
    switch_on(alice)
    shop.hear_all()
    customer = Billing.objects.get(pk=alice.workspace_id).customer_id
    before = alice.now().balance_micros
    assert telling(customer) != [0]

    answer = forget(alice.user.pk)

    assert (answer.status_code, answer.json()) == (200, {"message": "Customers deleted: 1."})
    assert stripe_api._v1().customers.retrieve(customer).deleted
    wish, billing = wish_of(alice), Billing.objects.get(pk=alice.workspace_id)
    assert (wish.enabled, wish.payment_method_id, wish.method_label) == (False, "", "")
    assert billing.customer_id is None
    assert telling(alice.user.email) == [0]
    assert alice.now().balance_micros == before
    assert Mail.objects.filter(to=alice.user.email, subject__icontains="automatic").exists()
    note = Event.objects.get(action="stripe-data.deleted", subject_id=alice.user.pk)
    assert (note.actor_id, note.after["customers"]) == (None, 1)


def test_again_it_is_gone_and_the_next_purchase_makes_another_customer(alice, shop, forget):
    shop.buy(alice)
    gone = Billing.objects.get(pk=alice.workspace_id).customer_id

    told = [forget(alice.user.pk).json()["message"] for _ in range(2)]
    shop.hear_all()

    assert told == ["Customers deleted: 1.", "Customers deleted: 0."]
    assert shop.buy(alice).state == "credited"
    billing = Billing.objects.get(pk=alice.workspace_id)
    assert billing.customer_id not in (None, gone)
    assert billing.customers_deleted == 1


@pytest.mark.parametrize("what", ["purchase", "dispute"])
def test_not_while_money_is_on_its_way(alice, shop, forget, what):
    top_up = shop.open(alice) if what == "purchase" else shop.buy(alice)
    if what == "dispute":
        shop.learn(shop.dispute(top_up))
    customer = Billing.objects.get(pk=alice.workspace_id).customer_id

    answer = forget(alice.user.pk)

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert what in answer.json()["message"]
    assert Billing.objects.get(pk=alice.workspace_id).customer_id == customer
    assert not getattr(stripe_api._v1().customers.retrieve(customer), "deleted", False)


def test_where_stripe_is_away_nothing_is_forgotten_and_it_can_be_asked_again(
    alice, shop, forget, monkeypatch
):
    shop.buy(alice)
    customer = Billing.objects.get(pk=alice.workspace_id).customer_id

    def away(_):
        raise stripe_api.PaymentsUnavailable("It did not answer.")

    with monkeypatch.context() as patch:
        patch.setattr(stripe_api, "delete_customer", away)
        assert forget(alice.user.pk).status_code == 503
    assert Billing.objects.get(pk=alice.workspace_id).customer_id == customer
    assert not Event.objects.filter(action="stripe-data.deleted").exists()

    assert forget(alice.user.pk).json() == {"message": "Customers deleted: 1."}


def test_one_that_was_deleted_at_stripe_before_is_dropped_all_the_same(alice, shop, forget):
    shop.buy(alice)
    stripe_api._v1().customers.delete(Billing.objects.get(pk=alice.workspace_id).customer_id)

    assert forget(alice.user.pk).status_code == 200
    assert Billing.objects.get(pk=alice.workspace_id).customer_id is None


def test_anothers_customer_stays_and_who_never_bought_has_none(alice, bob, shop, forget):
    shop.buy(bob)

    assert forget(alice.user.pk).json() == {"message": "Customers deleted: 0."}
    assert Billing.objects.get(pk=bob.workspace_id).customer_id is not None
    assert TopUp.objects.filter(wallet=bob.wallet).exists()


def test_only_the_operators_programs_ask_it(alice, shop, forget):
    shop.buy(alice)

    for headers in ({"X-API-KEY": alice.key}, {"X-Comfy-Admin-Secret": "guess"}):
        assert forget(alice.user.pk, **headers).status_code == 401
    assert Billing.objects.get(pk=alice.workspace_id).customer_id is not None
    assert forget(uuid.uuid4()).status_code == 404
