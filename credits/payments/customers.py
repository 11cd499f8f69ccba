"""Who buys: how a workspace is reached by mail, and its customer at Stripe.

A workspace's Billing row is made here and nowhere else, by whoever needs it first: two at once
make one. The books do not know it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext_noop

from common import failpoints
from common.money import Micros
from credits.models import AutoTopUp, Billing
from credits.payments import mails, stripe_api

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from django.db.models import QuerySet

Answer = TypeVar("Answer")


def billing_of(wallet_id: UUID, *, email: str = "") -> Billing:
    """Return the workspace's Billing row, made now if there is none; mails go to its address.

    An address is noted where none was known; one that is known stays.
    """
    billing, _ = Billing.objects.get_or_create(wallet_id=wallet_id, defaults={"email": email})
    if email and not billing.email:
        Billing.objects.filter(pk=wallet_id, email="").update(email=email)
        billing.refresh_from_db()
    return billing


def forget(wallet_id: UUID) -> None:
    """Take away how a workspace is reached, where it never bought anything."""
    Billing.objects.filter(pk=wallet_id, customer_id=None).delete()


def low_balance(wallet_id: UUID) -> Micros:
    """Return below which balance a mail is sent; 0 is never."""
    least = Billing.objects.filter(pk=wallet_id).values_list("low_balance_micros", flat=True)
    return Micros(least.first() or 0)


def warn_below(wallet_id: UUID, least: Micros) -> None:
    """Have a mail sent whenever the available balance falls below that; 0 is never.

    Who is below already is not told again before it was above.
    """
    known = Billing.objects.filter(pk=billing_of(wallet_id).pk)
    known.update(low_balance_micros=least, is_low=True)


def customer_of(wallet_id: UUID, *, email: str) -> str:
    """Return the workspace's customer at Stripe, made with its first purchase."""
    billing = billing_of(wallet_id, email=email)
    if billing.customer_id is None:
        made = stripe_api.create_customer(
            email=billing.email,
            workspace=str(wallet_id),
            key=f"customer:{wallet_id}:{billing.customers_deleted}",
        )
        failpoints.reached("topup.customer_made")
        Billing.objects.filter(pk=wallet_id, customer_id=None).update(customer_id=made)
        billing.refresh_from_db()
    assert billing.customer_id is not None, "it was made"
    return billing.customer_id


def for_customer(wallet_id: UUID, *, email: str, ask: Callable[[str], Answer]) -> Answer:
    """Ask Stripe for something that is the workspace's customer's, once more if that is gone.

    Who deletes a customer at Stripe sends us an event, and it may come later than the member.
    """
    customer = customer_of(wallet_id, email=email)
    try:
        return ask(customer)
    except stripe_api.Missing:
        drop(customer)
        return ask(customer_of(wallet_id, email=email))


def portal(wallet_id: UUID, *, email: str, return_url: str) -> str:
    """Open Stripe's own page for the workspace's methods and invoices; return where it is."""
    return for_customer(
        wallet_id,
        email=email,
        ask=lambda customer: stripe_api.create_portal(customer=customer, return_url=return_url),
    )


@transaction.atomic
def drop(customer_id: str) -> None:
    """Forget a customer that was deleted at Stripe, and its card; a purchase makes a new one."""
    gone = Billing.objects.filter(customer_id=customer_id)
    lose_card(
        AutoTopUp.objects.filter(wallet__billing__in=gone),
        why=gettext_noop("The customer was deleted at the payment provider."),
    )
    gone.update(customer_id=None, customers_deleted=F("customers_deleted") + 1)


@transaction.atomic
def lose_card(wishes: QuerySet[AutoTopUp], *, why: str) -> None:
    """Have no saved card any more; whose automatic top-up was on is told that it is off."""
    for wish in wishes.exclude(payment_method_id="").select_for_update().order_by("pk"):
        was_on, wish.enabled = wish.enabled, False
        wish.payment_method_id = wish.method_label = ""
        wish.last_failure, wish.last_failure_at = why, timezone.now()
        wish.save(
            update_fields=[
                "enabled", "payment_method_id", "method_label", "last_failure", "last_failure_at"
            ]
        )  # fmt: skip
        if was_on:
            mails.automatic_off(wish)
