"""Stripe, in our words: the only file that imports `stripe`.

Every call has a time-out and, where it changes something, the idempotency key of our intention.
It has three outcomes: done; refused (`Declined`, `Refused`: certainly not done); and unknown
(`PaymentsUnavailable`: ask again, under the same key). Amounts are cents, as Stripe counts.

What an event says is only a hint; before money moves, the object is read again here.

The library is imported where it is first used: it brings two HTTP clients, a quarter of what it
takes to start any command, and most commands never ask Stripe.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.utils.translation import gettext

from common.errors import AccessDisabled, InvalidRequest, PlatformError, Unavailable
from credits.payments.stripe_objects import (
    DisputeSeen,
    Endpoint,
    Heard,
    Method,
    Movement,
    Payment,
    RefundSeen,
    Session,
    cents_moved,
    id_of,
    our_id,
)

if TYPE_CHECKING:
    import stripe

TIMEOUT_SECONDS = 20
FUTURE_SECONDS = 60
"""How far ahead of ours Stripe's clock may be: the SDK itself would take any future time."""
HANDLED = (
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.expired",
    "payment_intent.succeeded",
    "payment_intent.payment_failed",
    "payment_intent.requires_action",
    "payment_intent.processing",
    "payment_intent.canceled",
    "setup_intent.succeeded",
    "setup_intent.setup_failed",
    "payment_method.detached",
    "payment_method.updated",
    "payment_method.automatically_updated",
    "customer.updated",
    "customer.deleted",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "charge.refunded",
    "charge.refund.updated",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
    "charge.dispute.closed",
    "radar.early_fraud_warning.created",
    "review.opened",
)
"""The events that a webhook endpoint must send us; docs/money.md says what each does."""


class PaymentsUnavailable(Unavailable):
    """Stripe did not answer, or not clearly: whether it acted is not known."""

    code = "payments_unavailable"


class KeyRefused(PaymentsUnavailable):
    """Stripe does not let our key do this; whoever buys cannot mend it."""


class Refused(PlatformError):
    """Stripe certainly did not do it, and will not if asked the same again."""

    code = "payment_refused"


class Missing(Refused):
    """There is no such object."""


class Declined(Refused):
    """The card was not charged; the sentence is for its owner."""

    def __init__(self, sentence: str, *, payment_intent: str = "") -> None:
        super().__init__(sentence)
        self.payment_intent = payment_intent


def is_configured() -> bool:
    """Whether credits can be bought here at all."""
    return bool(settings.STRIPE_API_KEY)


def require_configured() -> None:
    """Raise AccessDisabled where credits cannot be bought."""
    if not is_configured():
        raise AccessDisabled(
            gettext("Credits cannot be bought here: no payment provider is configured.")
        )


# --- Customers and hosted pages -------------------------------------------------------------


def create_customer(*, email: str, workspace: str, key: str) -> str:
    """Make a customer; return its id."""
    asked = {"email": email, "metadata": {"workspace": workspace}}
    with _asking():
        return str(_v1().customers.create(asked, {"idempotency_key": key}).id)


def delete_customer(customer: str) -> bool:
    """Delete a customer with its saved methods; False if it is gone already."""
    try:
        with _asking():
            _v1().customers.delete(customer)
    except Missing:
        return False
    return True


def readdress_customer(customer: str, *, email: str) -> None:
    """Have a customer be reached at another address; one that is gone is left so."""
    with suppress(Missing), _asking():
        _v1().customers.update(customer, {"email": email})


def create_payment_page(
    *, customer: str, cents: int, top_up: str, return_url: str, cancel_url: str, key: str
) -> Session:
    """Open a hosted page that sells credits for `cents` (tax comes on top, if switched on).

    Which methods it offers (card, Link, Alipay, WeChat Pay, ...) is what the account has switched
    on; the amount is always shown and taken in dollars.
    """
    asked: dict[str, Any] = {
        "mode": "payment",
        "customer": customer,
        "client_reference_id": top_up,
        "line_items": [
            {
                "quantity": 1,
                "price_data": {
                    "currency": "usd",
                    "unit_amount": cents,
                    "tax_behavior": "exclusive",
                    "product_data": {"name": "Prepaid credits"},
                },
            }
        ],
        "metadata": {"top_up": top_up},
        "payment_intent_data": {"metadata": {"top_up": top_up}},
        "invoice_creation": {"enabled": settings.STRIPE_INVOICES},
        "adaptive_pricing": {"enabled": False},
        "success_url": return_url,
        "cancel_url": cancel_url,
    }
    if settings.STRIPE_AUTOMATIC_TAX:
        asked["automatic_tax"] = {"enabled": True}
        asked["customer_update"] = {"address": "auto"}
    with _asking():
        return Session.of(_v1().checkout.sessions.create(asked, {"idempotency_key": key}))


def create_setup_page(*, customer: str, return_url: str, cancel_url: str, key: str) -> Session:
    """Open a hosted page that saves a card for later charges."""
    asked: dict[str, Any] = {
        "mode": "setup",
        "currency": "usd",
        "customer": customer,
        "success_url": return_url,
        "cancel_url": cancel_url,
    }
    with _asking():
        return Session.of(_v1().checkout.sessions.create(asked, {"idempotency_key": key}))


def create_portal(*, customer: str, return_url: str) -> str:
    """Return the address of the hosted billing portal, good for a few minutes."""
    with _asking():
        asked = {"customer": customer, "return_url": return_url}
        return str(_v1().billing_portal.sessions.create(asked).url)


def session(session_id: str) -> Session:
    """Read a Checkout session."""
    with _asking():
        return Session.of(_v1().checkout.sessions.retrieve(session_id, {"expand": ["invoice"]}))


def session_of(payment_intent: str) -> str | None:
    """Return the id of the session in which a payment was made; None if it was made in none."""
    with _asking():
        asked: Any = {"payment_intent": payment_intent, "limit": 1}
        found = _v1().checkout.sessions.list(asked).data
        return str(found[0].id) if found else None


# --- Payments -------------------------------------------------------------------------------


def charge_saved_method(
    *, customer: str, payment_method: str, cents: int, top_up: str, key: str
) -> Payment:
    """Charge a saved method while its owner is away. Raises Declined if it was refused."""
    asked: dict[str, Any] = {
        "amount": cents,
        "currency": "usd",
        "customer": customer,
        "payment_method": payment_method,
        "off_session": True,
        "confirm": True,
        "metadata": {"top_up": top_up},
        "expand": ["latest_charge"],
    }
    with _asking():
        return Payment.of(_v1().payment_intents.create(asked, {"idempotency_key": key}))


def payment(payment_intent: str) -> Payment:
    """Read a payment."""
    with _asking():
        found = _v1().payment_intents.retrieve(payment_intent, {"expand": ["latest_charge"]})
        return Payment.of(found)


def payment_for(*, customer: str, top_up: str, since: datetime) -> Payment | None:
    """Find the payment that we made for a purchase, where its key may be forgotten by now."""
    with _asking():
        asked: Any = {
            "customer": customer,
            "created": {"gte": int(since.timestamp()) - FUTURE_SECONDS},
            "limit": 100,
            "expand": ["data.latest_charge"],
        }
        for found in _v1().payment_intents.list(asked).auto_paging_iter():
            if our_id(found, "top_up") == top_up:
                return Payment.of(found)
    return None


def cancel_payment(payment_intent: str) -> None:
    """Give an unfinished payment up, so that nobody can finish it later; raises Refused if paid."""
    with _asking():
        _v1().payment_intents.cancel(payment_intent)


def payment_of_charge(charge: str) -> str:
    """Return the id of the payment that a charge belongs to; empty if it has none."""
    with _asking():
        return id_of(_v1().charges.retrieve(charge).payment_intent)


def payment_of_warning(warning: str, payload: dict[str, Any]) -> str:
    """Return the payment that an early fraud warning or a review is about.

    Its event has it; one that only names its object has not, and that is read.
    """
    if "data" in payload:
        about = payload["data"]["object"]
    else:
        is_review = payload["related_object"]["type"] == "review"
        with _asking():
            v1 = _v1()
            found = (v1.reviews if is_review else v1.radar.early_fraud_warnings).retrieve(warning)
        about = found.to_dict()
    if payment_intent := id_of(about.get("payment_intent")):
        return payment_intent
    return payment_of_charge(id_of(about["charge"])) if about.get("charge") else ""


def customer_of_setup(setup_intent: str) -> str:
    """Return the customer for whom a set-up is."""
    with _asking():
        return id_of(_v1().setup_intents.retrieve(setup_intent).customer)


def saved_method(setup_intent: str) -> Method | None:
    """Return the method that a set-up saved; None if it saved none."""
    with _asking():
        found = _v1().setup_intents.retrieve(setup_intent, {"expand": ["payment_method"]})
        if found.status != "succeeded" or found.payment_method is None:
            return None
        return Method.of(found.payment_method)


def method(payment_method: str) -> Method:
    """Read a payment method."""
    with _asking():
        return Method.of(_v1().payment_methods.retrieve(payment_method))


# --- Money back -----------------------------------------------------------------------------


def create_refund(*, payment_intent: str, cents: int, refund: str, key: str) -> RefundSeen:
    """Give money back to where it came from."""
    asked: dict[str, Any] = {
        "payment_intent": payment_intent,
        "amount": cents,
        "metadata": {"refund": refund},
    }
    with _asking():
        return RefundSeen.of(_v1().refunds.create(asked, {"idempotency_key": key}))


def refund(refund_id: str) -> RefundSeen:
    """Read a refund."""
    with _asking():
        return RefundSeen.of(_v1().refunds.retrieve(refund_id))


def refunds_of(payment_intent: str) -> list[RefundSeen]:
    """Read all refunds of a payment."""
    with _asking():
        found = _v1().refunds.list({"payment_intent": payment_intent, "limit": 100})
        return [RefundSeen.of(each) for each in found.auto_paging_iter()]


def dispute(dispute_id: str) -> DisputeSeen:
    """Read a dispute."""
    with _asking():
        return DisputeSeen.of(_v1().disputes.retrieve(dispute_id))


# --- What happened --------------------------------------------------------------------------


def verify(body: bytes, signature: str) -> Heard:
    """Return the event that Stripe signed; raise InvalidRequest for whatever else came.

    Any of the secrets may have signed it, so that they can be rotated. The SDK raises errors of
    many kinds for malformed input (stack.md 4): none of them is a reason for a 500.
    """
    import stripe

    if not any(_has_signed(body, signature, secret) for secret in settings.STRIPE_WEBHOOK_SECRETS):
        raise InvalidRequest("This is not an event that the payment provider signed for us.")
    try:
        said = json.loads(body)
        if said["object"] == "v2.core.event":
            return Heard.of_thin(said)
        return Heard.of(stripe.Event.construct_from(said, None))
    except Exception as exc:
        raise InvalidRequest(
            "The payment provider signed this, but it is no event that we can read: the endpoint's"
            " payload must be a snapshot or a thin event (docs/money.md)."
        ) from exc


def _has_signed(body: bytes, signature: str, secret: str) -> bool:
    """Whether the signature is of that secret, and of now."""
    import stripe

    try:
        tolerance = stripe.Webhook.DEFAULT_TOLERANCE
        stripe.WebhookSignature.verify_header(body, signature, secret, tolerance)
        _check_time(signature)
    except Exception:
        return False
    return True


def events_since(since: datetime) -> Iterator[Heard]:
    """List the events that we handle, newest first, back to `since`."""
    with _asking():
        for start in range(0, len(HANDLED), 20):  # Stripe takes up to twenty types at once.
            asked: Any = {
                "types": list(HANDLED[start : start + 20]),
                "created": {"gte": int(since.timestamp())},
                "limit": 100,
            }
            for found in _v1().events.list(asked).auto_paging_iter():
                yield Heard.of(found)


def endpoints() -> list[Endpoint]:
    """List where Stripe sends events to: whole ones, and thin ones, which its second API knows."""
    client = _configured()
    with _asking():
        first = client.v1.webhook_endpoints.list({"limit": 100}).auto_paging_iter()
        whole = [Endpoint.of(each) for each in first]
    asked: Any = {"include": ["webhook_endpoint.url"], "limit": 100}
    try:
        with _asking():
            second = client.v2.core.event_destinations.list(asked).auto_paging_iter()
            others = [Endpoint.of_thin(each) for each in second if each.event_payload == "thin"]
    except (Refused, KeyRefused):
        others = []  # Neither every key may ask that, nor does every stand-in know it.
    return [*whole, *others]


def movements_since(since: datetime) -> Iterator[Movement]:
    """List what moved on our balance with Stripe, newest first, back to `since`."""
    with _asking():
        asked: Any = {
            "created": {"gte": int(since.timestamp())},
            "limit": 100,
            "expand": ["data.source"],
        }
        for found in _v1().balance_transactions.list(asked).auto_paging_iter():
            yield Movement.of(found)


def moved_by_refund(refund_id: str) -> int:
    """Return the cents that a refund has moved on our balance since it was made."""
    with _asking():
        both = ["balance_transaction", "failure_balance_transaction"]
        found = _v1().refunds.retrieve(refund_id, {"expand": both})
        moved = [getattr(found, name, None) for name in both]
        return sum(cents_moved(each, found) for each in moved if each is not None)


def moved_by_dispute(dispute_id: str) -> int:
    """Return the cents that a dispute has moved on our balance since it was opened."""
    with _asking():
        found = _v1().disputes.retrieve(dispute_id)
        return sum(cents_moved(each, found) for each in found.balance_transactions)


# --- The way to Stripe ----------------------------------------------------------------------


@lru_cache(maxsize=4)
def _client(key: str, base: str) -> stripe.StripeClient:
    import stripe

    addresses: Any = {"api": base} if base else {}
    return stripe.StripeClient(
        key,
        base_addresses=addresses,
        max_network_retries=2,
        http_client=stripe.RequestsClient(timeout=TIMEOUT_SECONDS),
    )


def _configured() -> stripe.StripeClient:
    require_configured()
    return _client(settings.STRIPE_API_KEY, settings.STRIPE_API_BASE)


def _v1() -> Any:
    return _configured().v1


@contextmanager
def _asking() -> Iterator[None]:
    import stripe

    try:
        yield
    except stripe.CardError as exc:
        intent = getattr(exc.error, "payment_intent", None) if exc.error else None
        said = exc.user_message or "The card was declined."
        raise Declined(said, payment_intent=id_of(intent)) from exc
    except stripe.IdempotencyError as exc:
        # The same key with other parameters is our mistake; the first try stands.
        raise Refused(gettext("This was asked before with other figures.")) from exc
    except stripe.InvalidRequestError as exc:
        if exc.http_status == 404 or exc.code == "resource_missing":
            raise Missing(gettext("The payment provider does not know this.")) from exc
        if exc.http_status == 409:
            raise PaymentsUnavailable(gettext("The first try of this is still running.")) from exc
        said = exc.user_message or "The payment provider refused this."
        raise Refused(said[:300]) from exc
    except stripe.StripeError as exc:
        # Connection, 5xx, rate limit; a wrong key too: nothing that the caller can mend.
        of_key = isinstance(exc, stripe.AuthenticationError | stripe.PermissionError)
        raise (KeyRefused if of_key else PaymentsUnavailable)(
            "The payment provider cannot be reached right now. Try again in a moment."
        ) from exc


def _check_time(signature: str) -> None:
    said = [part.partition("=")[2] for part in signature.split(",") if part.startswith("t=")]
    if not said or int(said[0]) > time.time() + FUTURE_SECONDS:
        raise InvalidRequest("The event is from the future.")
