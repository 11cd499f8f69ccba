"""Acting on stored events: doubled, late, lost or out of order, the same end."""

import itertools
import json
import random
import time
from datetime import timedelta

import pytest
from django.utils import timezone

from common.money import usd
from credits.models import Dispute, Entry, Finding, Refund, StripeEvent, TopUp, Watermark
from credits.payments import stripe_api, topups, webhooks
from sandbox.stripe.webhooks import signature


@pytest.fixture
def stored(shop):
    """Store all that happened; return what was not acted upon, oldest first."""

    def store(kind=None):
        webhooks.catch_up()
        happened = [each["id"] for each in shop.fake.get("state")["event"]]
        found = StripeEvent.objects.filter(pk__in=happened, processed_at=None)
        found = found.filter(type=kind) if kind else found
        return list(found.order_by("happened_at", "pk"))

    return store


def due_now(event):
    StripeEvent.objects.filter(pk=event.pk).update(next_try_at=timezone.now())


def refund_at_stripe(top_up, cents):
    """Somebody gives money back in Stripe's own dashboard."""
    return stripe_api.create_refund(
        payment_intent=top_up.payment_intent_id or payment_of(top_up),
        cents=cents,
        refund="",
        key=f"dashboard:{random.random()}",
    )


def payment_of(top_up):
    return stripe_api.session(top_up.session_id).payment_intent


# --- Out of order ---------------------------------------------------------------------------


def test_news_of_a_dispute_may_come_before_news_of_the_payment(alice, shop, stored, books_balance):
    top_up = shop.open(alice)
    shop.pay(top_up)
    shop.fake.post("disputes", payment_intent=payment_of(top_up))
    (first,) = stored("charge.dispute.created")

    assert webhooks.process(first.pk)

    assert Dispute.objects.filter(top_up=top_up).count() == 1
    assert alice.now().balance_micros == usd("1.00")
    shop.hear_all()
    assert alice.now().balance_micros == usd("1.00")
    books_balance()


def test_news_of_a_refund_may_come_before_news_of_the_payment(alice, shop, stored, books_balance):
    top_up = shop.open(alice)
    shop.pay(top_up)
    refund_at_stripe(top_up, 1000)
    (first,) = stored("refund.created")

    assert webhooks.process(first.pk)

    assert alice.now().balance_micros == usd("16.00")
    shop.hear_all()
    assert alice.now().balance_micros == usd("16.00")
    assert Refund.objects.get(top_up=top_up).state == Refund.State.SUCCEEDED
    books_balance()


def test_the_money_may_come_before_the_page_was_completed(alice, shop, stored):
    top_up = shop.open(alice)
    shop.pay(top_up, card="later")
    shop.fake.post(f"payments/{top_up.session_id}/succeed")
    events = {each.type: each for each in stored()}

    assert webhooks.process(events["checkout.session.async_payment_succeeded"].pk)
    assert alice.now().balance_micros == usd("26.00")
    assert webhooks.process(events["checkout.session.completed"].pk)

    top_up.refresh_from_db()
    assert top_up.state == TopUp.State.CREDITED
    assert alice.now().balance_micros == usd("26.00")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_in_whatever_order_and_however_often_events_come_the_end_is_the_same(
    alice, shop, stored, seed, books_balance
):
    """A slow payment, a part given back, the rest contested, withdrawn, and won."""
    order = random.Random(seed)
    top_up = shop.open(alice)
    shop.pay(top_up, card="later")
    early = stored()
    order.shuffle(early)
    for event in early[: order.randint(0, len(early))]:
        webhooks.process(event.pk)
    shop.fake.post(f"payments/{top_up.session_id}/succeed")
    refund = refund_at_stripe(top_up, 1000)
    shop.fake.post(f"refunds/{refund.id}/succeed")
    made = shop.fake.post("disputes", payment_intent=payment_of(top_up), amount=1500)
    shop.fake.post(f"disputes/{made['id']}/won")

    events = stored() * 2
    order.shuffle(events)
    for event in events:
        webhooks.act(event.type, event.object_id, event.payload)

    assert alice.now().balance_micros == usd("16.00")
    assert Refund.objects.get(top_up=top_up).state == Refund.State.SUCCEEDED
    assert Dispute.objects.get(top_up=top_up).phase == Dispute.Phase.RETURNED
    assert Entry.objects.filter(kind="top_up", credit=alice.wallet).count() == 1
    for event in stored():
        webhooks.process(event.pk)
    books_balance()


# --- What is not ours -----------------------------------------------------------------------


def test_what_else_this_stripe_account_sells_is_left_alone(alice, shop, client, books_balance):
    """Every event of somebody else's purchase, also of types that we did not ask for."""
    before = [kind.objects.count() for kind in (Entry, TopUp, Refund, Dispute, Finding)]
    other = stripe_api.create_customer(email="x@example.org", workspace="", key="other")
    paid = stripe_api.charge_saved_method(
        customer=other, payment_method="pm_card_visa", cents=900, top_up="not-a-uuid", key="other-2"
    )
    stripe_api.create_refund(payment_intent=paid.id, cents=100, refund="neither", key="other-3")
    shop.fake.post("disputes", payment_intent=paid.id, amount=500)
    shop.fake.post("early_fraud_warnings", payment_intent=paid.id)
    shop.fake.post("reviews", payment_intent=paid.id)
    everything = shop.fake.get("state")["event"]

    for each in everything:
        webhooks.store(heard(each), listed=False)
        assert webhooks.process(each["id"]), each["type"]

    assert {"charge.succeeded", "payment_intent.created", "customer.created"} < {
        each["type"] for each in everything
    }
    after = [kind.objects.count() for kind in (Entry, TopUp, Refund, Dispute, Finding)]
    assert after == before
    books_balance()


def heard(event):
    return stripe_api.Heard(
        id=event["id"],
        type=event["type"],
        object_id=event["data"]["object"].get("id", ""),
        happened_at=timezone.now(),
        payload=event,
    )


@pytest.mark.parametrize("how", ["early_fraud_warnings", "reviews"])
def test_a_suspicion_of_the_processors_is_shown_to_staff_once(alice, shop, how):
    bought = shop.buy(alice)
    shop.fake.post(how, payment_intent=bought.payment_intent_id)

    for _ in range(2):
        shop.hear_all()

    (found,) = Finding.objects.filter(wallet=alice.wallet)
    assert (found.kind, found.resolved_at) == ("fraud", None)
    assert str(bought.pk) in found.sentence


def thin(event):
    """The same news as an event that only names its object."""
    about = event["data"]["object"]
    return {
        "id": f"{event['id']}_thin",
        "object": "v2.core.event",
        "type": f"v1.{event['type']}",
        "created": "2026-11-01T00:00:00.000Z",
        "livemode": False,
        "related_object": {"id": about["id"], "type": about["object"], "url": "/v1/x"},
    }


def told_thinly(client, fake):
    """Post everything that happened, as thin events; return the statuses."""
    statuses = []
    for event in fake.get("state")["event"]:
        body = json.dumps(thin(event)).encode()
        mark = signature(body, ["whsec_for_tests"], int(time.time()))
        answer = client.post(
            "/webhooks/stripe", body, content_type="application/json",
            headers={"Stripe-Signature": mark},
        )  # fmt: skip
        statuses.append(answer.status_code)
    return statuses


@pytest.mark.parametrize("how", ["early_fraud_warnings", "reviews"])
def test_thin_events_are_taken_and_acted_upon_as_the_others(alice, shop, client, how):
    top_up = shop.open(alice)
    shop.pay(top_up)
    top_up.refresh_from_db()
    payment = shop.fake.get("state")["payment_intent"][0]["id"]
    shop.fake.post(how, payment_intent=payment)

    statuses = told_thinly(client, shop.fake)
    for event_id in webhooks.due():
        webhooks.process(event_id)

    assert set(statuses) == {200}
    assert alice.now().balance_micros == usd("26.00")
    assert Finding.objects.get(wallet=alice.wallet).kind == "fraud"
    assert not StripeEvent.objects.filter(processed_at=None, id__endswith="_thin").exists()


def test_what_was_deleted_since_has_nothing_to_tell(alice, shop, stored):
    top_up = shop.open(alice)
    shop.pay(top_up)
    events = stored()
    shop.fake.post("reset")

    assert [webhooks.process(event.pk) for event in events] == [True] * len(events)


# --- What fails is tried again --------------------------------------------------------------


def test_while_stripe_is_away_an_event_is_put_off_later_and_later(alice, shop, stored, impatient):
    top_up = shop.open(alice)
    shop.pay(top_up)
    (event,) = stored("checkout.session.completed")
    shop.fake.post("next", failure="status=503", times=9, method="GET", path="/v1/checkout")

    waits = []
    for attempt in range(1, 4):
        assert not webhooks.process(event.pk)
        event.refresh_from_db()
        waits.append(round((event.next_try_at - timezone.now()).total_seconds()))
        assert (event.attempts, event.processed_at) == (attempt, None)
        assert event.error.startswith("PaymentsUnavailable: ")
        assert not webhooks.process(event.pk), "not before its time"
        due_now(event)

    assert waits == [2, 4, 8]
    assert event.pk in webhooks.due()
    assert webhooks.process(event.pk)
    event.refresh_from_db()
    assert (event.attempts, event.error, event.next_try_at) == (4, "", None)
    assert alice.now().balance_micros == usd("26.00")


def test_a_mistake_of_ours_is_raised_and_the_event_is_kept(db, fake):
    StripeEvent.objects.create(
        id="evt_odd",
        type="review.opened",
        object_id="prv_1",
        payload={"data": {}},
        happened_at=timezone.now(),
    )

    with pytest.raises(KeyError):
        webhooks.process("evt_odd")

    kept = StripeEvent.objects.get(pk="evt_odd")
    assert (kept.error, kept.attempts, kept.processed_at) == ("KeyError: 'object'", 1, None)
    assert kept.next_try_at > timezone.now()


def test_an_event_whose_worker_died_is_anybodys_after_a_minute(alice, shop, stored):
    top_up = shop.open(alice)
    shop.pay(top_up)
    (event,) = stored("checkout.session.completed")
    claimed = StripeEvent.objects.filter(pk=event.pk)
    claimed.update(next_try_at=timezone.now() + timedelta(seconds=60), attempts=1)

    assert not webhooks.process(event.pk)
    claimed.update(next_try_at=timezone.now())
    assert webhooks.process(event.pk)
    assert not webhooks.process(event.pk), "it is done"

    assert alice.now().balance_micros == usd("26.00")


def test_an_event_that_many_take_up_at_once_is_acted_upon_once(
    committed, alice, shop, stored, at_once
):
    top_up = shop.open(alice)
    shop.pay(top_up)
    (event,) = stored("checkout.session.completed")

    done = at_once(webhooks.process, [event.pk] * 8)

    assert sorted(done) == [False] * 7 + [True]
    assert StripeEvent.objects.get(pk=event.pk).attempts == 1
    assert alice.now().balance_micros == usd("26.00")


def test_all_news_of_one_payment_at_once_credit_it_once(committed, alice, shop, at_once):
    top_up = shop.open(alice)
    shop.pay(top_up)
    session, payment = top_up.session_id, payment_of(top_up)

    at_once(
        lambda news: webhooks.act(*news, {}),
        [("checkout.session.completed", session), ("payment_intent.succeeded", payment)] * 4,
    )

    assert alice.now().balance_micros == usd("26.00")
    assert Entry.objects.filter(credit=alice.wallet, kind="top_up").count() == 1


# --- What was lost is found by listing ------------------------------------------------------


def listings(fake):
    """Return the `created` bound of each listing of events so far."""
    asked = [each for each in fake.get("requests") if each["path"] == "/v1/events"]
    return [int(each["params"]["created"]["gte"]) for each in asked]


@pytest.mark.slow
def test_more_events_than_a_page_holds_are_all_stored(alice, shop, stored):
    bought = shop.buy(alice)
    method = shop.fake.get("state")["payment_method"][0]["id"]
    for _ in range(230):
        shop.fake.post(f"payment_methods/{method}", automatically_update=True)

    assert webhooks.catch_up() > 230

    ours = StripeEvent.objects.filter(object_id=method)
    assert ours.count() == 230
    assert set(ours.values_list("listed", flat=True)) == {True}
    assert StripeEvent.objects.filter(object_id=bought.session_id).exists()


def test_the_first_listing_reaches_back_a_month_and_the_next_a_little_before_the_last(db, shop):
    Watermark.objects.all().delete()
    webhooks.catch_up()
    first = Watermark.objects.get().at
    webhooks.catch_up()

    bounds = listings(shop.fake)
    half = len(bounds) // 2
    month = (timezone.now() - timedelta(days=29)).timestamp()
    assert all(abs(bound - month) < 5 for bound in bounds[:half])
    assert all(abs(bound - (first.timestamp() - 600)) < 2 for bound in bounds[half:])
    assert Watermark.objects.get().at > first


def test_the_mark_stays_when_the_listing_fails(db, shop, impatient):
    webhooks.catch_up()
    before = Watermark.objects.get().at
    shop.fake.post("next", failure="status=503", times=3, method="GET", path="/v1/events")

    with pytest.raises(stripe_api.PaymentsUnavailable):
        webhooks.catch_up()

    assert Watermark.objects.get().at == before


def test_what_was_delivered_is_not_missed_and_keeps_its_state(alice, shop):
    top_up = shop.open(alice)
    shop.pay(top_up)
    shop.hear_all()
    before = set(StripeEvent.objects.values_list("pk", "processed_at"))

    Watermark.objects.all().delete()

    assert webhooks.catch_up() == 0
    assert set(StripeEvent.objects.values_list("pk", "processed_at")) == before


def test_an_event_that_cannot_be_stored_does_not_stop_the_others(alice, shop):
    top_up = shop.open(alice)
    shop.pay(top_up)
    method = shop.fake.get("state")["payment_method"][0]["id"]
    shop.fake.post("switches", methods=["card", "\x00"])
    odd = shop.open(alice)  # Its session holds a NUL.
    shop.fake.post(f"sessions/{odd.session_id}/expire")
    shop.fake.post(f"payment_methods/{method}", automatically_update=True)

    shop.hear_all()

    assert not StripeEvent.objects.filter(object_id=odd.session_id).exists()
    assert StripeEvent.objects.filter(object_id=method).exists()
    assert alice.now().balance_micros == usd("26.00")


def test_every_type_that_we_ask_for_has_its_action():
    assert all(
        any(kind.startswith(prefix) for prefix in webhooks.ACTIONS) for kind in stripe_api.HANDLED
    )
    assert len(set(stripe_api.HANDLED)) == len(stripe_api.HANDLED)


def test_no_two_actions_fit_one_type():
    for kind, (one, other) in itertools.product(
        stripe_api.HANDLED, itertools.combinations(webhooks.ACTIONS, 2)
    ):
        assert not (kind.startswith(one) and kind.startswith(other)), kind


def test_a_purchase_is_found_by_nothing_that_is_no_id(db):
    assert topups.by_our_id("") is None
    assert topups.by_our_id("not-a-uuid") is None
    assert topups.by_our_id("00000000-0000-0000-0000-00000000ffff") is None
