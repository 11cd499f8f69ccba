"""What our code relies on Stripe for, as scenarios to be played on any Stripe through its library.

Each returns what it saw, and beside it stands what must be seen: by our fake and by Stripe itself,
and in EVERYWHERE also by localstripe, which somebody else wrote from the same documentation. What
localstripe has not, or has otherwise than Stripe, is left out of those and stands in STRIPES_OWN.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import stripe

Seen = dict[str, Any]
PATIENCE_SECONDS = 20  # Stripe lists an event, and books what it took, a moment afterwards.


@dataclass(frozen=True)
class FarStripe:
    """Some Stripe: the library's way to it, its way to name a test card, what it settles in."""

    v1: Any
    card: Callable[[str], str] = "pm_card_{}".format
    currency: str = "usd"


@dataclass(frozen=True)
class Scenario:
    """Something to do on a Stripe, and what is seen of it."""

    play: Callable[[FarStripe], Seen]
    sees: Seen

    @property
    def name(self) -> str:
        return self.play.__name__


EVERYWHERE: list[Scenario] = []
STRIPES_OWN: list[Scenario] = []


def scenario(where: list[Scenario], **sees: Any) -> Callable[[Any], Any]:
    """Add a scenario to a list, together with what it must see."""

    def add(play: Callable[[FarStripe], Seen]) -> Callable[[FarStripe], Seen]:
        where.append(Scenario(play, sees))
        return play

    return add


def somebody(far: FarStripe) -> Any:
    return far.v1.customers.create({"email": f"{uuid.uuid4().hex}@example.com", "name": "Alice"})


def save(far: FarStripe, customer: Any, card: str) -> Any:
    return far.v1.payment_methods.attach(far.card(card), {"customer": customer.id})


def charge(far: FarStripe, card: str = "visa", **more: Any) -> Any:
    """Charge a saved card as an automatic top-up does: nobody is there to be asked."""
    customer = somebody(far)
    asked = {
        "amount": 2500,
        "currency": far.currency,
        "customer": customer.id,
        "payment_method": save(far, customer, card).id,
        "payment_method_types": ["card"],
        "confirm": True,
        "metadata": {"topup": "7"},
        "expand": ["latest_charge"],
    }
    return far.v1.payment_intents.create({**asked, **more})


def refusal(act: Callable[..., Any], *arguments: Any) -> stripe.StripeError:
    with pytest.raises(stripe.StripeError) as refused:
        act(*arguments)
    return refused.value


def in_time(read: Callable[[], Any], wanted: Callable[[Any], bool]) -> Any:
    """Read until it is as wanted, or patience ends."""
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        found = read()
        if wanted(found) or time.monotonic() > end:
            return found
        time.sleep(0.5)


def booked(far: FarStripe, service: Any, thing: Any) -> Any:
    """Return how a charge or a refund changed the account's balance."""
    read = in_time(lambda: service.retrieve(thing.id), lambda now: bool(now.balance_transaction))
    return far.v1.balance_transactions.retrieve(read.balance_transaction)


def events_about(far: FarStripe, things: set[str], many: int, asked: Seen) -> list[Any]:
    """Return the events on these objects, once there are so many."""

    def read() -> list[Any]:
        page = far.v1.events.list({**asked, "limit": 100})
        return [each for each in page.data if each.data.object["id"] in things]

    return in_time(read, lambda found: len(found) >= many)


@scenario(
    EVERYWHERE,
    email=True,
    metadata={"a": "1", "b": "2"},
    name="Bob",
    found=1,
    deleted=True,
    missing=(stripe.InvalidRequestError, 404),
)
def a_customer_comes_and_goes(far: FarStripe) -> Seen:
    customers, email = far.v1.customers, f"{uuid.uuid4().hex}@example.com"
    made = customers.create({"email": email, "name": "Alice", "metadata": {"a": "1"}})
    customers.update(made.id, {"name": "Bob", "metadata": {"b": "2"}})
    now = customers.retrieve(made.id)
    found = customers.list({"email": email})
    missing = refusal(customers.retrieve, "cus_nobody")
    return {
        "email": now.email == email,
        "metadata": now.metadata.to_dict(),
        "name": now.name,
        "found": len(found.data),
        "deleted": customers.delete(made.id).deleted,
        "missing": (type(missing), missing.http_status),
    }


@scenario(EVERYWHERE, last4="4242", saved=True, default=True, detached=None, left=0)
def a_card_is_saved_and_removed(far: FarStripe) -> Seen:
    alice = somebody(far)
    card = save(far, alice, "visa")
    saved = far.v1.payment_methods.list({"customer": alice.id, "type": "card"}).data
    preferred = {"invoice_settings": {"default_payment_method": card.id}}
    after = far.v1.customers.update(alice.id, preferred)
    detached = far.v1.payment_methods.detach(card.id)
    left = far.v1.payment_methods.list({"customer": alice.id, "type": "card"}).data
    return {
        "last4": card.card.last4,
        "saved": [each.id for each in saved] == [card.id],
        "default": after.invoice_settings.default_payment_method == card.id,
        "detached": detached.customer,
        "left": len(left),
    }


@scenario(EVERYWHERE, first="requires_payment_method", then="succeeded", card=True, usage=True)
def a_card_is_set_up(far: FarStripe) -> Seen:
    asked = {"customer": somebody(far).id, "payment_method_types": ["card"]}
    first = far.v1.setup_intents.create({**asked, "usage": "off_session"})
    then = far.v1.setup_intents.confirm(first.id, {"payment_method": far.card("visa")})
    return {
        "first": first.status,
        "then": then.status,
        "card": then.payment_method.startswith("pm_"),
        "usage": then.usage == "off_session",
    }


@scenario(EVERYWHERE, asked="requires_action", action=True, given_up="canceled")
def a_set_up_asks_for_the_payer(far: FarStripe) -> Seen:
    intents, alice = far.v1.setup_intents, somebody(far)
    made = intents.create({"customer": alice.id, "payment_method_types": ["card"]})
    asked = intents.confirm(made.id, {"payment_method": far.card("authenticationRequired")})
    return {
        "asked": asked.status,
        "action": asked.next_action is not None,
        "given_up": intents.cancel(made.id).status,
    }


@scenario(
    EVERYWHERE,
    status="succeeded",
    metadata={"topup": "7"},
    charged=(2500, True, "succeeded"),
    moved=(2500, "charge"),
    of_the_charge=True,
)
def a_saved_card_is_charged_off_session(far: FarStripe) -> Seen:
    intent = charge(far, off_session=True)
    taken = intent.latest_charge
    moved = booked(far, far.v1.charges, taken)
    return {
        "status": intent.status,
        "metadata": intent.metadata.to_dict(),
        "charged": (taken.amount, taken.paid, taken.status),
        "moved": (moved.amount, moved.type),
        "of_the_charge": (moved.source, moved.currency) == (taken.id, far.currency),
    }


@scenario(
    EVERYWHERE,
    raised=(stripe.CardError, 402, "card_declined"),
    charged=("failed", False, "card_declined"),
    status="requires_payment_method",
    error="card_declined",
)
def a_saved_card_is_declined_off_session(far: FarStripe) -> Seen:
    declined = refusal(lambda: charge(far, "chargeCustomerFail", off_session=True))
    failed = far.v1.charges.retrieve(declined.error.charge)
    intent = far.v1.payment_intents.retrieve(failed.payment_intent)
    return {
        "raised": (type(declined), declined.http_status, declined.code),
        "charged": (failed.status, failed.paid, failed.failure_code),
        "status": intent.status,
        "error": intent.last_payment_error.code,
    }


@scenario(EVERYWHERE, asked="requires_action", action=True, charged=None, given_up="canceled")
def a_payment_asks_for_the_payer(far: FarStripe) -> Seen:
    asked = charge(far, "authenticationRequired")
    return {
        "asked": asked.status,
        "action": asked.next_action is not None,
        "charged": asked.latest_charge,
        "given_up": far.v1.payment_intents.cancel(asked.id).status,
    }


@scenario(
    EVERYWHERE,
    first=(1000, "succeeded"),
    then=1500,
    refunded=[(1000, False), (2500, True)],
    moved=[(-1000, "refund"), (-1500, "refund")],
    listed=2,
)
def a_payment_is_refunded_in_two_parts(far: FarStripe) -> Seen:
    refunds, intent = far.v1.refunds, charge(far, off_session=True)
    first = refunds.create({"payment_intent": intent.id, "amount": 1000})
    partly = far.v1.charges.retrieve(intent.latest_charge.id)
    then = refunds.create({"payment_intent": intent.id, "amount": 1500})
    wholly = far.v1.charges.retrieve(intent.latest_charge.id)
    moved = [booked(far, refunds, each) for each in (first, then)]
    return {
        "first": (first.amount, first.status),
        "then": then.amount,
        "refunded": [(each.amount_refunded, each.refunded) for each in (partly, wholly)],
        "moved": [(each.amount, each.type) for each in moved],
        "listed": len(refunds.list({"payment_intent": intent.id}).data),
    }


@scenario(EVERYWHERE, types={"payment_intent.succeeded"}, times=1)
def what_happened_is_listed_by_type_and_time(far: FarStripe) -> Seen:
    intent = charge(far, off_session=True)
    asked = {"type": "payment_intent.succeeded", "created": {"gte": intent.created}}
    found = events_about(far, {intent.id}, 1, asked)
    return {"types": {each.type for each in found}, "times": len(found)}


@scenario(STRIPES_OWN, types=["charge.refunded", "payment_intent.succeeded", "refund.created"])
def what_happened_is_listed_by_several_types(far: FarStripe) -> Seen:
    intent = charge(far, off_session=True)
    refund = far.v1.refunds.create({"payment_intent": intent.id})
    wanted = ["payment_intent.succeeded", "charge.refunded", "refund.created"]
    asked = {"types": wanted, "created": {"gte": intent.created}}
    things = {intent.id, intent.latest_charge.id, refund.id}
    return {"types": sorted(each.type for each in events_about(far, things, 3, asked))}


@scenario(STRIPES_OWN, raised=(stripe.CardError, 402, "authentication_required"), error=True)
def nobody_is_there_to_be_asked_off_session(far: FarStripe) -> Seen:
    refused = refusal(lambda: charge(far, "authenticationRequired", off_session=True))
    intent = far.v1.payment_intents.retrieve(refused.error.payment_intent.id)
    return {
        "raised": (type(refused), refused.http_status, refused.code),
        "error": (intent.status, intent.last_payment_error.code)
        == ("requires_payment_method", "authentication_required"),
    }


@scenario(STRIPES_OWN, customers=1, other=(stripe.IdempotencyError, 400))
def the_same_key_acts_once(far: FarStripe) -> Seen:
    customers, options = far.v1.customers, {"idempotency_key": uuid.uuid4().hex}
    made = {customers.create({"name": "Alice"}, options).id for _ in range(2)}
    other = refusal(customers.create, {"name": "Bob"}, options)
    return {"customers": len(made), "other": (type(other), other.http_status)}


@scenario(STRIPES_OWN, deleted=True)
def a_deleted_customer_is_remembered(far: FarStripe) -> Seen:
    alice = somebody(far)
    far.v1.customers.delete(alice.id)
    return {"deleted": far.v1.customers.retrieve(alice.id).deleted}


@scenario(STRIPES_OWN, saved=True)
def a_set_up_card_belongs_to_its_customer(far: FarStripe) -> Seen:
    alice = somebody(far)
    asked = {"customer": alice.id, "payment_method_types": ["card"], "confirm": True}
    done = far.v1.setup_intents.create({**asked, "payment_method": far.card("visa")})
    saved = far.v1.customers.payment_methods.list(alice.id).data
    return {"saved": [each.id for each in saved] == [done.payment_method]}


@scenario(STRIPES_OWN, more=(stripe.InvalidRequestError, 400), again="charge_already_refunded")
def no_more_is_refunded_than_was_paid(far: FarStripe) -> Seen:
    intent = charge(far, off_session=True)
    more = refusal(far.v1.refunds.create, {"payment_intent": intent.id, "amount": 2501})
    far.v1.refunds.create({"payment_intent": intent.id})
    again = refusal(far.v1.refunds.create, {"payment_intent": intent.id})
    return {"more": (type(more), more.http_status), "again": again.code}


@scenario(
    STRIPES_OWN,
    made=("payment", "open", "unpaid", 5000, None),
    page=True,
    metadata={"topup": "7"},
    expired=("expired", "unpaid", None),
    again=(stripe.InvalidRequestError, 400),
)
def a_checkout_is_made_and_expires(far: FarStripe) -> Seen:
    sessions = far.v1.checkout.sessions
    price = {"currency": far.currency, "unit_amount": 2500, "product_data": {"name": "Credits"}}
    made = sessions.create(
        {
            "mode": "payment",
            "customer": somebody(far).id,
            "line_items": [{"price_data": price, "quantity": 2}],
            "metadata": {"topup": "7"},
            "success_url": "https://shop.example/done?session={CHECKOUT_SESSION_ID}",
            "cancel_url": "https://shop.example/cancelled",
        }
    )
    sessions.expire(made.id)
    after = sessions.retrieve(made.id)
    again = refusal(sessions.expire, made.id)
    state = (made.mode, made.status, made.payment_status)
    return {
        "made": (*state, made.amount_total, made.payment_intent),
        "page": made.url.startswith("http"),
        "metadata": after.metadata.to_dict(),
        "expired": (after.status, after.payment_status, after.url),
        "again": (type(again), again.http_status),
    }


@scenario(STRIPES_OWN, made=("setup", "open", "no_payment_required", None))
def a_checkout_saves_a_card(far: FarStripe) -> Seen:
    asked = {"mode": "setup", "currency": far.currency, "success_url": "https://shop.example/"}
    made = far.v1.checkout.sessions.create({**asked, "customer": somebody(far).id})
    return {"made": (made.mode, made.status, made.payment_status, made.amount_total)}
