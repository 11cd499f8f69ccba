"""Stripe's objects in our words, each with how it is read; amounts are cents, as Stripe counts.

This is all of them that the rest of the code sees. `stripe_api` gets them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Session:
    """A Checkout session: the hosted page where somebody pays, or saves a method."""

    id: str
    url: str
    mode: str
    status: str
    """`open`, `complete` or `expired`."""
    tax_cents: int
    payment_intent: str
    setup_intent: str
    customer: str
    invoice_url: str
    top_up: str
    """Our id of the purchase."""

    @classmethod
    def of(cls, found: Any) -> Self:
        """Read it."""
        invoice = found.invoice
        totals = found.total_details
        return cls(
            id=found.id,
            url=found.url or "",
            mode=found.mode,
            status=found.status,
            tax_cents=totals.amount_tax if totals else 0,
            payment_intent=id_of(found.payment_intent),
            setup_intent=id_of(found.setup_intent),
            customer=id_of(found.customer),
            invoice_url=(getattr(invoice, "hosted_invoice_url", "") or "") if invoice else "",
            top_up=our_id(found, "top_up"),
        )


@dataclass(frozen=True, slots=True)
class Payment:
    """A PaymentIntent."""

    id: str
    status: str
    cents: int
    received_cents: int
    currency: str
    receipt_url: str
    failure: str
    top_up: str

    @classmethod
    def of(cls, found: Any) -> Self:
        """Read it, with its `latest_charge` expanded."""
        error, charge = found.last_payment_error, found.latest_charge
        return cls(
            id=found.id,
            status=found.status,
            cents=found.amount,
            received_cents=found.amount_received,
            currency=found.currency,
            receipt_url=(getattr(charge, "receipt_url", "") or "") if charge else "",
            failure=((getattr(error, "message", "") or "") if error else "")[:300],
            top_up=our_id(found, "top_up"),
        )


@dataclass(frozen=True, slots=True)
class RefundSeen:
    """A refund as Stripe has it."""

    id: str
    status: str
    """`pending`, `requires_action`, `succeeded`, `failed` or `canceled`."""
    cents: int
    payment_intent: str
    refund: str
    """Our id, if we made it."""
    failure: str

    @classmethod
    def of(cls, found: Any) -> Self:
        """Read it."""
        return cls(
            id=found.id,
            status=found.status,
            cents=found.amount,
            payment_intent=id_of(found.payment_intent),
            refund=our_id(found, "refund"),
            failure=getattr(found, "failure_reason", "") or "",
        )


@dataclass(frozen=True, slots=True)
class DisputeSeen:
    """A dispute as Stripe has it."""

    id: str
    status: str
    reason: str
    cents: int
    payment_intent: str
    withdrawn: bool
    """Whether the money was taken from us at some time."""
    returned_cents: int
    """How much came back since, and was not taken again. All, if the dispute is won; of one that
    Stripe calls partly won a part, and its status is `lost`."""

    @property
    def reinstated(self) -> bool:
        """Whether all of it came back."""
        return self.returned_cents >= self.cents

    @classmethod
    def of(cls, found: Any) -> Self:
        """Read it, with what moved because of it."""
        moved = [cents_moved(each, found) for each in found.balance_transactions]
        came_back = any(cents > 0 for cents in moved)
        return cls(
            id=found.id,
            status=found.status,
            reason=found.reason,
            cents=found.amount,
            payment_intent=id_of(found.payment_intent),
            withdrawn=any(cents < 0 for cents in moved),
            returned_cents=max(0, found.amount + min(0, sum(moved))) if came_back else 0,
        )


@dataclass(frozen=True, slots=True)
class Method:
    """A saved payment method, and whose it is (nobody's once it is detached)."""

    id: str
    customer: str
    label: str
    saved_at: datetime

    @classmethod
    def of(cls, found: Any) -> Self:
        """Read it."""
        card = getattr(found, "card", None)
        label = f"{card.brand} ending in {card.last4}" if card else str(found.type)
        return cls(
            id=found.id, customer=id_of(found.customer), label=label, saved_at=_at(found.created)
        )


@dataclass(frozen=True, slots=True)
class Heard:
    """An event: that something happened to an object."""

    id: str
    type: str
    object_id: str
    happened_at: datetime
    payload: dict[str, Any]

    @classmethod
    def of(cls, found: Any) -> Self:
        """Read it."""
        return cls(
            id=found.id,
            type=found.type,
            object_id=str(found.data.object["id"]) if "id" in found.data.object else "",
            happened_at=_at(found.created),
            payload=found.to_dict(),
        )

    @classmethod
    def of_thin(cls, said: dict[str, Any]) -> Self:
        """Read one that only names its object; of an object of the first API it has our name."""
        related = said.get("related_object") or {"id": ""}
        return cls(
            id=said["id"],
            type=said["type"].removeprefix("v1."),
            object_id=related.get("id", ""),
            happened_at=datetime.fromisoformat(said["created"]),
            payload=said,
        )


ESSENTIAL = frozenset(
    (
        "id", "object", "type", "api_version", "created", "livemode", "data", "related_object",
        "payment_intent", "charge", "customer", "payment_method", "invoice", "status", "reason",
        "currency", "amount", "amount_received", "amount_total", "mode", "payment_status",
        "fraud_type", "open",
    )
)  # fmt: skip
"""The fields of an event that name nobody, and tell what it was about."""


def essence(payload: Any) -> Any:
    """Return an event without what names people: numbers, states and what refers to what."""
    if isinstance(payload, dict):
        return {name: essence(of) for name, of in payload.items() if name in ESSENTIAL}
    return [essence(each) for each in payload] if isinstance(payload, list) else payload


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address that Stripe sends events to."""

    url: str
    is_enabled: bool
    events: tuple[str, ...]
    """Kinds of event by our names; `*` is all of them."""

    @classmethod
    def of(cls, found: Any) -> Self:
        """Read one that gets whole events."""
        return cls(str(found.url), found.status == "enabled", tuple(found.enabled_events))

    @classmethod
    def of_thin(cls, found: Any) -> Self:
        """Read one that gets thin events; what is no web address (a cloud's bus) has no URL."""
        url = getattr(found.webhook_endpoint, "url", None) or ""
        events = tuple(name.removeprefix("v1.") for name in found.enabled_events)
        return cls(str(url), found.status == "enabled", events)


@dataclass(frozen=True, slots=True)
class Movement:
    """A balance transaction: what really moved between us and Stripe."""

    id: str
    type: str
    """`charge`, `payment`, `refund`, `payment_refund`, `adjustment`, ..."""
    cents: int
    """In the currency of the payment, whatever that of our balance is."""
    source: str
    payment_intent: str
    happened_at: datetime

    @classmethod
    def of(cls, found: Any) -> Self:
        """Read it, with its `source` expanded."""
        return cls(
            id=found.id,
            type=found.type,
            cents=cents_moved(found, found.source),
            source=id_of(found.source),
            payment_intent=id_of(getattr(found.source, "payment_intent", None)),
            happened_at=_at(found.created),
        )


def id_of(thing: Any) -> str:
    """Return an id, whether the object was expanded or not; empty for nothing."""
    if thing is None:
        return ""
    return thing if isinstance(thing, str) else str(thing.id)


def _at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def cents_moved(transaction: Any, source: Any) -> int:
    """Return the cents of a balance transaction, in its source's currency.

    An account that is paid out in euros has its balance in euros: what a payment in dollars
    moved there is another figure, at the rate of that day.
    """
    amount: int = transaction.amount
    if getattr(source, "currency", transaction.currency) == transaction.currency:
        return amount
    total, rate = int(source.amount), getattr(transaction, "exchange_rate", None)
    if amount < 0:
        return -total
    if source.object == "dispute" and rate:
        # Of a dispute a part may come back. What differs from all by rounding only is all of it.
        part = round(amount / rate)
        return part if total - part > 2 + total // 10_000 else total
    return total


def our_id(thing: Any, name: str) -> str:
    """Return the id of ours that we noted on an object; empty if there is none."""
    return str(thing.metadata[name]) if thing.metadata and name in thing.metadata else ""
