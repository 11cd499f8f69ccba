"""Automatic top-up: a saved card is charged when the wallet runs low, as its owner wished.

It is bought once at a time (a constraint), never beyond the month's cap, and not for a wallet that
is paused. A refused charge is tried again after an hour, then after a day; the third refusal in a
row switches it off. Each charge is a TopUp first, and carries its id as our key: a process that
dies in between leaves a row that is taken up again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, Sum
from django.utils import timezone
from django.utils.translation import gettext, gettext_noop

from common import failpoints
from common.errors import InvalidRequest
from common.money import MICROS_PER_CENT, Micros, show
from common.told import kept
from credits.books import ledger
from credits.models import AutoTopUp, TopUp
from credits.models.purchases import WAITING
from credits.payments import customers, mails, stripe_api, topups

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from credits.payments.stripe_objects import Payment

State = TopUp.State
MOST_FAILURES = 3
WAIT_AFTER_FAILURE = (timedelta(hours=1), timedelta(days=1))
KEY_FORGOTTEN = timedelta(hours=20)
"""After that we look for what we made before we ask under the same key again (stack.md 4)."""
NOT_PAID = ("requires_action", "requires_confirmation", "requires_payment_method", "canceled")
UNSAVED = gettext_noop("Save a payment method first, then switch automatic top-up on.")
TAXED = gettext_noop(
    "Automatic top-up cannot work out the tax that is switched on here. Buy credits by hand."
)
CAPPED = kept("The monthly cap of %(cap)s is reached.")


@dataclass(frozen=True, slots=True)
class Standing:
    """A wish as it stands, and how it fares."""

    enabled: bool
    threshold: Micros
    amount: Micros
    monthly_cap: Micros
    method: str
    """The saved card, as its owner knows it; empty if none is saved."""
    bought_this_month: Micros
    failures: int
    """In a row."""
    last_failure: str
    last_failure_at: datetime | None
    next_try_at: datetime | None

    @property
    def failing(self) -> str:
        """Why nothing is bought by itself now; empty where the last try went well."""
        is_over = self.enabled and not self.failures and self.next_try_at is None
        return "" if is_over else self.last_failure


def standing(wallet_id: UUID) -> Standing:
    """Return the wish of a wallet; one that was never set is off, with our proposals."""
    wish = AutoTopUp.objects.filter(pk=wallet_id).first() or AutoTopUp(pk=wallet_id)
    return Standing(
        enabled=wish.enabled,
        threshold=Micros(wish.threshold_micros),
        amount=Micros(wish.amount_micros),
        monthly_cap=Micros(wish.monthly_cap_micros),
        method=wish.method_label,
        bought_this_month=spent_this_month(wallet_id),
        failures=wish.failures,
        last_failure=wish.last_failure,
        last_failure_at=wish.last_failure_at,
        next_try_at=wish.next_try_at,
    )


def configure(
    wallet_id: UUID, *, enabled: bool, threshold: Micros, amount: Micros, monthly_cap: Micros
) -> AutoTopUp:
    """Set the wish. Raises InvalidRequest if the amounts make no sense, or no card is saved yet."""
    topups.check_amount(amount, field="amount_micro_usd")
    if threshold <= 0:
        raise InvalidRequest(gettext("threshold_micro_usd: must be above zero."))
    if monthly_cap < amount:
        raise InvalidRequest(gettext("monthly_cap_micro_usd: must be at least one top-up."))
    wish, _ = AutoTopUp.objects.get_or_create(wallet_id=wallet_id)
    if enabled and not wish.payment_method_id:
        raise InvalidRequest(UNSAVED)
    if enabled and settings.STRIPE_AUTOMATIC_TAX:
        raise InvalidRequest(TAXED)
    fresh: dict[str, Any] = {}
    if enabled and not wish.enabled:
        fresh = {"failures": 0, "next_try_at": None, "last_failure": ""}
    elif monthly_cap - amount > wish.monthly_cap_micros - wish.amount_micros:
        fresh = {"next_try_at": None}  # It may have been the month's cap that made it wait.
    known = AutoTopUp.objects.filter(pk=wallet_id)
    if enabled:  # The card may have been removed a moment ago.
        known = known.exclude(payment_method_id="")
    if not known.update(
        enabled=enabled,
        threshold_micros=threshold,
        amount_micros=amount,
        monthly_cap_micros=monthly_cap,
        **fresh,
    ):
        raise InvalidRequest(UNSAVED)
    wish.refresh_from_db()
    return wish


def due_wallets(*, limit: int = 100) -> list[UUID]:
    """Return the wallets below their threshold for which nothing is being bought yet."""
    waiting = TopUp.objects.filter(source=TopUp.Source.AUTOMATIC, state__in=WAITING)
    low = (
        AutoTopUp.objects.filter(
            enabled=True,
            wallet__frozen_reason="",
            wallet__balance_micros__lt=F("wallet__held_micros") + F("threshold_micros"),
        )
        .exclude(next_try_at__gt=timezone.now())
        .exclude(wallet__in=waiting.values("wallet"))
    )
    return list(low.values_list("pk", flat=True)[:limit])


def buy(wallet_id: UUID) -> TopUp | None:
    """Buy for a wallet that is below its threshold; None if it is not, or may not, after all."""
    try:
        top_up = _begin(wallet_id)
    except IntegrityError as exc:
        if "topup_one_automatic_at_a_time" in str(exc):
            return None  # Somebody else was first.
        raise
    if top_up is not None:
        failpoints.reached("automatic.begun")
        charge(top_up)
        top_up.refresh_from_db()
    return top_up


@transaction.atomic
def _begin(wallet_id: UUID) -> TopUp | None:
    wallet = ledger.lock(wallet_id)
    wish = AutoTopUp.objects.select_for_update().get(pk=wallet_id)
    too_early = wish.next_try_at is not None and wish.next_try_at > timezone.now()
    enough = wallet.available_micros >= wish.threshold_micros
    if not wish.enabled or too_early or enough or wallet.frozen_reason:
        return None
    if settings.STRIPE_AUTOMATIC_TAX:
        _switch_off(wish, TAXED)
        return None
    if spent_this_month(wallet_id) + wish.amount_micros > wish.monthly_cap_micros:
        _wait_for_next_month(wish)
        return None
    return TopUp.objects.create(
        wallet=wallet,
        user_id=wish.user_id,
        source=TopUp.Source.AUTOMATIC,
        amount_micros=wish.amount_micros,
        payment_method_id=wish.payment_method_id,
        next_check_at=timezone.now() + timedelta(seconds=60),
    )


def spent_this_month(wallet_id: UUID) -> Micros:
    """Return what was bought automatically in this calendar month (UTC)."""
    month = timezone.now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    bought = TopUp.objects.filter(
        wallet_id=wallet_id, source=TopUp.Source.AUTOMATIC, created_at__gte=month
    ).exclude(state__in=[State.FAILED, State.EXPIRED])
    return Micros(bought.aggregate(sum=Sum("amount_micros", default=0))["sum"])


def _switch_off(wish: AutoTopUp, why: str) -> None:
    wish.enabled, wish.last_failure, wish.last_failure_at = False, why, timezone.now()
    wish.save(update_fields=["enabled", "last_failure", "last_failure_at"])
    mails.automatic_failed(wish)


def _wait_for_next_month(wish: AutoTopUp) -> None:
    now = timezone.now()
    first = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    next_month = (first + timedelta(days=32)).replace(day=1)
    AutoTopUp.objects.filter(pk=wish.pk).update(
        next_try_at=next_month,
        last_failure=CAPPED % {"cap": show(wish.monthly_cap_micros)},
        last_failure_at=now,
    )
    wish.refresh_from_db()
    mails.automatic_failed(wish)


def charge(top_up: TopUp) -> None:
    """Charge the saved card for a purchase that was begun, or learn what came of the last try.

    One that was given up is not charged again; if its money came after all, it is credited.
    """
    try:
        seen = _payment(top_up)
    except stripe_api.PaymentsUnavailable:
        return  # The row stays; we ask again under the same key.
    except stripe_api.Refused as exc:
        declined = exc.payment_intent if isinstance(exc, stripe_api.Declined) else ""
        fail(top_up, str(exc), payment_intent=declined)
        return
    if seen is None:
        return
    failpoints.reached("automatic.charged")
    if seen.status not in NOT_PAID:
        topups.learn_payment(top_up, seen)
    elif top_up.state in WAITING:
        why = seen.failure or "The bank wants its owner to confirm the payment."
        fail(top_up, why, payment_intent=seen.id)


def _payment(top_up: TopUp) -> Payment | None:
    """Return the payment of a purchase, made now if it never was; None if it was given up."""
    if top_up.payment_intent_id is not None:
        return stripe_api.payment(top_up.payment_intent_id)
    if top_up.state not in WAITING:
        return None
    customer = customers.customer_of(top_up.wallet_id, email="")
    if timezone.now() - top_up.created_at < KEY_FORGOTTEN:
        return stripe_api.charge_saved_method(
            customer=customer,
            payment_method=top_up.payment_method_id,
            cents=top_up.amount_micros // MICROS_PER_CENT,
            top_up=str(top_up.pk),
            key=f"topup:{top_up.pk}",
        )
    found = stripe_api.payment_for(
        customer=customer, top_up=str(top_up.pk), since=top_up.created_at
    )
    if found is None:
        fail(top_up, gettext_noop("The payment provider could not be reached for a day."))
    return found


def fail(top_up: TopUp, why: str, *, payment_intent: str = "") -> None:
    """Give an automatic purchase up, once: wait longer, or switch off, and tell the owner.

    The payment is cancelled first, so that nobody can finish it later.
    """
    if payment_intent:
        TopUp.objects.filter(pk=top_up.pk, payment_intent_id=None).update(
            payment_intent_id=payment_intent
        )
        failpoints.reached("automatic.declined")
        try:
            paid = _cancel(payment_intent)
        except stripe_api.PaymentsUnavailable:
            return  # Its end is not sure: the row stays, and we ask again.
        if paid is not None:
            topups.learn_payment(top_up, paid)
            return
    failpoints.reached("automatic.refused")
    with transaction.atomic():
        ledger.lock(top_up.wallet_id)
        if not topups.advance(top_up, State.FAILED, failure=why[:300]):
            return
        wish = AutoTopUp.objects.select_for_update().get(pk=top_up.wallet_id)
        wish.failures += 1
        wish.last_failure, wish.last_failure_at = why[:300], timezone.now()
        if wish.failures >= MOST_FAILURES:
            wish.enabled = False
        else:
            wish.next_try_at = timezone.now() + WAIT_AFTER_FAILURE[wish.failures - 1]
        wish.save()
        mails.automatic_failed(wish)
        failpoints.reached("automatic.before_commit")


def _cancel(payment_intent: str) -> Payment | None:
    """Cancel a payment; return it if it cannot be, because its money came or is on its way."""
    try:
        stripe_api.cancel_payment(payment_intent)
    except stripe_api.Refused:
        seen = stripe_api.payment(payment_intent)
        return None if seen.status in NOT_PAID else seen
    return None
