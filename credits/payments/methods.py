"""The card that is saved for automatic purchases: on Stripe's hosted page, never on one of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from credits.books import elsewhere
from credits.models import AutoTopUp, SetupPage
from credits.payments import customers, stripe_api

if TYPE_CHECKING:
    from uuid import UUID

    from credits.payments.stripe_objects import Session


def start_setup(wallet_id: UUID, *, email: str, user_id: UUID | None, base_url: str) -> Session:
    """Open Stripe's page that saves a card; what it saved is learnt from the session."""
    elsewhere.require_wallet_here(wallet_id)
    wish, _ = AutoTopUp.objects.get_or_create(wallet_id=wallet_id)
    page = f"{base_url}/purchases/method"
    now = timezone.now()
    session = customers.for_customer(
        wallet_id,
        email=email,
        ask=lambda customer: stripe_api.create_setup_page(
            customer=customer,
            return_url=f"{page}?session={{CHECKOUT_SESSION_ID}}",  # Stripe fills it in.
            cancel_url=page,
            key=f"setup:{customer}:{now.timestamp():.6f}",
        ),
    )
    with transaction.atomic():
        SetupPage.objects.get_or_create(session_id=session.id, defaults={"wish": wish})
        AutoTopUp.objects.filter(pk=wish.pk).update(setup_session_id=session.id, user_id=user_id)
    return session


def learn_setup(session: Session) -> None:
    """Remember the card that a session, just read, has saved; its customer says whose it is."""
    if session.status != "complete" or not session.setup_intent:
        return
    method = stripe_api.saved_method(session.setup_intent)
    if method is None or not method.customer or method.customer != session.customer:
        return
    # The card that was saved last counts, whichever page it came from; of two in one second, that
    # of the newest page. News of an older one changes nothing, whenever it comes. And each counts
    # only once: what failed since is not forgotten because somebody looks at the page again.
    later = Q(method_saved_at=None) | Q(method_saved_at__lt=method.saved_at)
    newest = Q(method_saved_at=method.saved_at, setup_session_id=session.id)
    wishes = AutoTopUp.objects.filter(later | newest, wallet__billing__customer_id=method.customer)
    wishes.exclude(payment_method_id=method.id).update(
        payment_method_id=method.id,
        method_label=method.label,
        method_saved_at=method.saved_at,
        failures=0,
        next_try_at=None,
        last_failure="",
    )


def refresh_setup(wallet_id: UUID, *, session_id: str = "") -> AutoTopUp | None:
    """Ask Stripe what a set-up page of that wallet saved (the newest, if none is named)."""
    wish = AutoTopUp.objects.filter(pk=wallet_id).first()
    page = session_id or (wish.setup_session_id if wish else "")
    if wish is None or not page:
        return wish
    learn_setup(stripe_api.session(page))
    wish.refresh_from_db()
    return wish


def learn_method(payment_method: str) -> None:
    """Show the new name of a saved card that changed, or stop charging one that is gone."""
    wishes = AutoTopUp.objects.filter(payment_method_id=payment_method)
    if not wishes.exists():
        return
    try:
        method = stripe_api.method(payment_method)
    except stripe_api.Missing:
        method = None
    if method is not None and method.customer:
        wishes.update(method_label=method.label)
    else:
        forget(payment_method, why="The saved payment method was removed.")


def forget(payment_method: str, *, why: str) -> None:
    """Stop charging a method that is gone."""
    customers.lose_card(AutoTopUp.objects.filter(payment_method_id=payment_method), why=why)
