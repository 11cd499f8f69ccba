"""What Stripe tells us: verify it, store it, say 200; then act, from the stored row.

An event is a hint that an object changed. `act` reads the object again and moves our rows to where
it is, so that events may be doubled, late, lost or out of order. Lost ones are found by listing
(`catch_up`), and our own purchases are asked about besides (following.claim_due).
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db import DataError, IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from audit import log as audit
from common import failpoints
from common.errors import InvalidRequest, Moved, PlatformError
from credits.books import findings
from credits.models import AutoTopUp, Finding, StripeEvent, TopUp, Watermark
from credits.payments import (
    customers,
    disputes,
    following,
    methods,
    refunds,
    stripe_api,
    stripe_objects,
    topups,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from credits.payments.stripe_objects import Heard

log = logging.getLogger(__name__)

LEASE_SECONDS = 60
"""For how long an event is one worker's; if that dies, it is anybody's again."""
OVERLAP = timedelta(minutes=10)
FIRST_LOOK = timedelta(days=29)  # Stripe lists events for thirty days.
WATERMARK = "stripe-events"


def receive(body: bytes, signature: str) -> str | None:
    """Store an event that Stripe signed; return its id, None if it was stored before.

    The sweep acts upon it soon; whoever is called may hurry that. Raises InvalidRequest.
    """
    heard = stripe_api.verify(body, signature)
    return heard.id if store(heard, listed=False) else None


def store(heard: Heard, *, listed: bool) -> bool:
    """Have a row for the event, once; True if it is new.

    Raises InvalidRequest for what no row can hold (an id without end, a NUL).
    """
    if not heard.id:
        raise InvalidRequest("An event without an id cannot be stored.")
    try:
        with transaction.atomic():
            _, is_new = StripeEvent.objects.get_or_create(
                id=heard.id,
                defaults={
                    "type": heard.type,
                    "object_id": heard.object_id,
                    "payload": heard.payload,
                    "happened_at": heard.happened_at,
                    "listed": listed,
                },
            )
    except (DataError, IntegrityError, TypeError, ValueError) as exc:
        raise InvalidRequest(f"The event {heard.id!r:.100} cannot be stored.") from exc
    return is_new


def process(event_id: str) -> bool:
    """Act on a stored event, unless it was done or is somebody's just now; True if it is done.

    What cannot be done now (Stripe away, a bug of ours) is tried again, later and later, and the
    row says why.
    """
    now = timezone.now()
    mine = StripeEvent.objects.filter(pk=event_id, processed_at=None, next_try_at__lte=now)
    if not mine.update(
        next_try_at=now + timedelta(seconds=LEASE_SECONDS), attempts=F("attempts") + 1
    ):
        return False
    failpoints.reached("event.claimed")
    event = StripeEvent.objects.get(pk=event_id)
    try:
        act(event.type, event.object_id, event.payload)
    except Exception as exc:
        _put_off(event, exc)
        if not isinstance(exc, PlatformError):
            raise  # A bug: the worker logs it with its trace, and the row is tried again.
        return False
    failpoints.reached("event.acted")
    # What it told of people is of no use any more, and would outlive them here. Who had it be tried
    # anew meanwhile (config/cells) counted an attempt: then it is not done.
    StripeEvent.objects.filter(pk=event_id, attempts=event.attempts).update(
        processed_at=timezone.now(),
        next_try_at=None,
        error="",
        payload=stripe_objects.essence(event.payload),
    )
    return True


def _put_off(event: StripeEvent, exc: Exception) -> None:
    wait = min(3600, 2 ** min(event.attempts, 12))
    StripeEvent.objects.filter(pk=event.pk, processed_at=None).update(
        error=f"{type(exc).__name__}: {exc}"[:300],
        next_try_at=timezone.now() + timedelta(seconds=wait),
    )
    log.warning("event %s (%s) is put off: %s", event.pk, event.type, exc)


def act(kind: str, object_id: str, payload: dict[str, Any]) -> None:
    """Read what an event is about from Stripe, and move our rows to where it is."""
    for prefix, action in ACTIONS.items():
        if kind.startswith(prefix):
            try:
                action(object_id, payload)
            except stripe_api.Missing:
                # It was deleted since: then there is nothing to learn from it.
                log.info("%s: %s is gone", kind, object_id)
            except Moved:
                # Every cell hears Stripe: the one that has the wallet acts.
                log.info("%s: %s is of a wallet that has moved", kind, object_id)
            return


def _session(object_id: str, _: object) -> None:
    session = stripe_api.session(object_id)
    if session.mode == "setup":
        methods.learn_setup(session)
        return
    top_up = TopUp.objects.filter(session_id=session.id).first()
    top_up = top_up or topups.by_our_id(session.top_up)
    if top_up is not None:
        topups.learn(top_up, session)


def _payment(object_id: str, _: object) -> None:
    following.of_payment(object_id)


def _setup(object_id: str, _: object) -> None:
    customer = stripe_api.customer_of_setup(object_id)
    for wish in AutoTopUp.objects.filter(wallet__billing__customer_id=customer):
        methods.refresh_setup(wish.pk)


def _method(object_id: str, _: object) -> None:
    methods.learn_method(object_id)


def _customer_gone(object_id: str, _: object) -> None:
    customers.drop(object_id)


def _refund(object_id: str, _: object) -> None:
    refunds.learn(stripe_api.refund(object_id))


def _charge(object_id: str, _: object) -> None:
    payment = stripe_api.payment_of_charge(object_id)
    for seen in stripe_api.refunds_of(payment) if payment else ():
        refunds.learn(seen)


def _dispute(object_id: str, _: object) -> None:
    disputes.learn(stripe_api.dispute(object_id))


def _suspicion(object_id: str, payload: dict[str, Any]) -> None:
    top_up = following.of_payment(stripe_api.payment_of_warning(object_id, payload))
    if top_up is not None:
        findings.report(
            f"fraud:{object_id}",
            kind=Finding.Kind.FRAUD,
            wallet_id=top_up.wallet_id,
            sentence=f"The processor suspects the payment of purchase {top_up.pk}.",
        )


def _nothing(_: str, __: object) -> None:
    """Do nothing: we hear of it, and need not act."""


ACTIONS: dict[str, Callable[[str, dict[str, Any]], None]] = {
    "checkout.session.": _session,
    "payment_intent.": _payment,
    "setup_intent.": _setup,
    "payment_method.": _method,
    "customer.deleted": _customer_gone,
    "customer.updated": _nothing,
    "refund.": _refund,
    "charge.refund.": _refund,
    "charge.refunded": _charge,
    "charge.dispute.": _dispute,
    "radar.early_fraud_warning.": _suspicion,
    "review.opened": _suspicion,
}
"""By the beginning of an event's type; the first that fits acts."""


@transaction.atomic
def try_now(event_id: str, *, by: UUID) -> bool:
    """Have an event that waits be due now, for somebody of staff; False if it does not wait.

    One that a worker has claimed stays its own until its lease is over.
    """
    now = timezone.now()
    waiting = StripeEvent.objects.filter(
        pk=event_id, processed_at=None, next_try_at__gt=now + timedelta(seconds=LEASE_SECONDS)
    )
    due_now = StripeEvent.objects.filter(pk=event_id, processed_at=None, next_try_at__lte=now)
    if not waiting.update(next_try_at=now) and not due_now.exists():
        return False
    audit.note("event.tried", actor=by, target=event_id)
    return True


def due(*, limit: int = 100) -> list[str]:
    """Return the events that wait to be acted upon, oldest first."""
    waiting = StripeEvent.objects.filter(next_try_at__lte=timezone.now())
    return list(waiting.order_by("next_try_at").values_list("pk", flat=True)[:limit])


def catch_up() -> int:
    """Store the events whose delivery we never got; return how many there were.

    Lists from a little before the last listing on. The mark is moved only when all are stored.
    """
    began = timezone.now()
    mark = Watermark.objects.filter(name=WATERMARK).first()
    since = (mark.at - OVERLAP) if mark else began - FIRST_LOOK
    missed = 0
    for heard in stripe_api.events_since(since):
        try:
            missed += store(heard, listed=True)
        except InvalidRequest:
            log.exception("an event that Stripe lists is passed over")
    failpoints.reached("event.listed")
    Watermark.objects.update_or_create(name=WATERMARK, defaults={"at": began})
    if missed:
        log.warning("%s events of Stripe were never delivered", missed)
    return missed
