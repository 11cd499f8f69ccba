"""Buying credits: from the wish, over Stripe's hosted page, to the entry.

    open --> processing --> paid --> credited
      |          '--> failed (the money did not come)
      '--> expired (nobody paid)

Whatever tells us that something happened (following.py), `refresh` reads the purchase from Stripe
and moves it forward, never back. Money that came is always credited, even for a purchase that we
had given up. The entry's key is the payment's id.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext, gettext_noop

from common import failpoints
from common.errors import InvalidRequest, RateLimited
from common.money import MICROS_PER_CENT, Micros, show
from credits.books import elsewhere, findings, ledger
from credits.models import Account, AutoTopUp, Billing, Entry, Finding, TopUp
from credits.models.purchases import LEAST_MICROS, MOST_MICROS
from credits.payments import customers, mails, receivables, stripe_api, taxes

if TYPE_CHECKING:
    from uuid import UUID

    from credits.payments.stripe_objects import Payment, Session

State = TopUp.State
BEFORE = {
    State.PROCESSING: [State.OPEN],
    State.FAILED: [State.OPEN, State.PROCESSING],
    State.EXPIRED: [State.OPEN],
    State.PAID: [State.OPEN, State.PROCESSING, State.FAILED, State.EXPIRED],
}
"""From which states a purchase comes into this one."""
OPEN_AT_ONCE = 30
"""Purchases that a workspace may have begun in an hour and not finished."""
FIRST_CHECK_SECONDS = 4


def check_amount(amount: int, *, field: str = "amount_micros") -> None:
    """Raise InvalidRequest unless credits can be bought for that many micros (contract 4.4)."""
    if not LEAST_MICROS <= amount <= MOST_MICROS:
        raise InvalidRequest(
            gettext(
                "%(field)s: credits are sold for %(least)s to %(most)s, and this is %(amount)s."
            )
            % {
                "field": field,
                "least": show(LEAST_MICROS),
                "most": show(MOST_MICROS),
                "amount": show(amount),
            }
        )
    if amount % MICROS_PER_CENT:
        raise InvalidRequest(
            gettext("%(field)s: %(amount)s is not a whole number of cents.")
            % {"field": field, "amount": show(amount)}
        )


def start(
    wallet_id: UUID, *, amount: Micros, email: str, user_id: UUID | None, base_url: str
) -> TopUp:
    """Begin a purchase, and open Stripe's page for it (`checkout_url`).

    Nothing is charged or credited before somebody pays there. Raises InvalidRequest for an amount
    that is not sold, PaymentsUnavailable if Stripe cannot be reached.
    """
    check_amount(amount)
    elsewhere.require_wallet_here(wallet_id)
    stripe_api.require_configured()
    # Before there is a row: without a customer there is no page.
    customers.customer_of(wallet_id, email=email)
    top_up = _begin(wallet_id, amount=amount, user_id=user_id)
    failpoints.reached("topup.begun")
    page = f"{base_url}/purchases/{top_up.pk}"
    session = customers.for_customer(
        wallet_id,
        email=email,
        ask=lambda customer: stripe_api.create_payment_page(
            customer=customer,
            cents=top_up.amount_cents,
            top_up=str(top_up.pk),
            return_url=page,
            cancel_url=f"{page}?cancelled=1",
            key=f"topup:{top_up.pk}:{customer}",
        ),
    )
    failpoints.reached("topup.page_opened")
    TopUp.objects.filter(pk=top_up.pk).update(session_id=session.id, checkout_url=session.url)
    top_up.refresh_from_db()
    return top_up


@transaction.atomic
def _begin(wallet_id: UUID, *, amount: Micros, user_id: UUID | None) -> TopUp:
    """Have the purchase's row; raise RateLimited if too many were begun and not finished.

    The workspace's row of billing is locked first: however many begin at once, each counts those
    before it.
    """
    Billing.objects.select_for_update(no_key=True).get(pk=wallet_id)
    hour = timezone.now() - timedelta(hours=1)
    begun = TopUp.objects.filter(wallet_id=wallet_id, state=State.OPEN, created_at__gt=hour)
    if begun.count() >= OPEN_AT_ONCE:
        raise RateLimited(
            gettext(
                "Many purchases were begun and not finished. Finish one, or try again in an hour."
            ),
            headers={"Retry-After": "3600"},
        )
    return TopUp.objects.create(
        wallet_id=wallet_id,
        user_id=user_id,
        source=TopUp.Source.CHECKOUT,
        amount_micros=amount,
        next_check_at=timezone.now() + timedelta(seconds=FIRST_CHECK_SECONDS),
    )


def refresh(top_up_id: UUID) -> TopUp:
    """Read a hosted purchase from Stripe, and move it as far as it came. Safe to repeat."""
    top_up = TopUp.objects.get(pk=top_up_id)
    if top_up.state == State.CREDITED:
        return top_up
    if top_up.session_id is None:
        # The process died before it knew the page; so nobody was ever shown it.
        if timezone.now() - top_up.created_at > timedelta(minutes=2):
            advance(
                top_up, State.EXPIRED, failure=gettext_noop("The payment page was never shown.")
            )
    else:
        learn(top_up, stripe_api.session(top_up.session_id))
    top_up.refresh_from_db()
    return top_up


def learn(top_up: TopUp, session: Session) -> None:
    """Move a purchase as far as its session, just read, has come."""
    known = TopUp.objects.filter(pk=top_up.pk)
    known.filter(session_id=None).update(session_id=session.id)
    if session.status == "expired":
        advance(top_up, State.EXPIRED, failure=gettext_noop("Nobody paid before the page expired."))
    elif session.status == "complete" and session.payment_intent:
        payment = stripe_api.payment(session.payment_intent)
        known.update(tax_cents=session.tax_cents, invoice_url=session.invoice_url)
        learn_payment(top_up, payment)


def learn_payment(top_up: TopUp, payment: Payment) -> None:
    """Move a purchase as far as its payment, just read, has come; credit it if the money came."""
    known = TopUp.objects.filter(pk=top_up.pk)
    known.filter(payment_intent_id=None).update(payment_intent_id=payment.id)
    failpoints.reached("topup.payment_known")
    if payment.status == "processing":
        advance(top_up, State.PROCESSING)
    elif payment.status in ("requires_payment_method", "canceled"):
        advance(
            top_up,
            State.FAILED,
            failure=payment.failure or gettext_noop("The payment did not succeed."),
        )
    elif payment.status == "succeeded":
        known.update(receipt_url=payment.receipt_url)
        advance(top_up, State.PAID)
        failpoints.reached("topup.paid")
        credit(top_up, payment)


def advance(top_up: TopUp, state: State, **fields: Any) -> bool:
    """Move a purchase into a state; False if it was there already, or further."""
    if state in (State.FAILED, State.EXPIRED):
        fields["next_check_at"] = None
    elif state == State.PAID:  # If we die before it is credited, somebody looks again.
        fields["next_check_at"] = timezone.now() + timedelta(seconds=FIRST_CHECK_SECONDS)
    moved = TopUp.objects.filter(pk=top_up.pk, state__in=BEFORE[state])
    return bool(moved.update(state=state, **fields))


@transaction.atomic
def credit(top_up: TopUp, payment: Payment) -> None:
    """Post what was paid, once: the wallet gets its credits, what it owes is taken from them.

    A payment of another amount than was asked is not credited: staff find it.
    """
    wallet = ledger.lock(top_up.wallet_id)
    top_up = TopUp.objects.select_for_update().get(pk=top_up.pk)
    if top_up.state != State.PAID:
        return
    if (payment.received_cents, payment.currency) != (top_up.total_cents, "usd"):
        findings.report(
            f"payment:{payment.id}",
            kind=Finding.Kind.PAYMENT,
            wallet_id=wallet.pk,
            sentence=(
                f"Purchase {top_up.pk} is of {top_up.total_cents} cents usd, and "
                f"{payment.received_cents} cents {payment.currency} were paid: not credited."
            ),
        )
        TopUp.objects.filter(pk=top_up.pk).update(next_check_at=None)
        return
    stripe = ledger.house(Account.Kind.STRIPE)
    entry = ledger.post(
        kind=Entry.Kind.TOP_UP,
        debit=stripe,
        credit=wallet,
        amount=Micros(top_up.amount_micros),
        key=f"topup:{payment.id}",
        facts={"purchase": str(top_up.pk)},
    )
    taxes.receive(top_up.tax_cents, key=f"tax:{payment.id}")
    findings.resolve(f"payment:{payment.id}")
    TopUp.objects.filter(pk=top_up.pk).update(
        state=State.CREDITED, entry=entry, credited_at=timezone.now(), next_check_at=None,
        failure="",  # It may have been given up before.
    )  # fmt: skip
    if top_up.source == TopUp.Source.AUTOMATIC:
        AutoTopUp.objects.filter(pk=wallet.pk).update(failures=0, next_try_at=None)
    receivables.collect(wallet)
    top_up.refresh_from_db()
    mails.receipt(top_up)
    failpoints.reached("topup.before_commit")


def by_our_id(name: str) -> TopUp | None:
    """Return the purchase that a Stripe object names as ours; None if it names none."""
    try:
        return TopUp.objects.filter(pk=name).first() if name else None
    except (ValidationError, ValueError):
        return None
