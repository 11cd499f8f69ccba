"""Reads of the books for their owner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db.models import Sum

from common.money import MICROS_PER_CENT
from credits.books import lots
from credits.models import Account, Billing, Receivable, Refund, TopUp
from credits.payments.receivables import DUE

if TYPE_CHECKING:
    from uuid import UUID

    from common.money import Micros


@dataclass(frozen=True, slots=True)
class Balance:
    """A wallet in micros: posted so far, set aside, and what can be spent."""

    balance: int
    held: int

    @property
    def available(self) -> int:
        """The balance less what is held; never negative."""
        return self.balance - self.held


def balance(workspace_id: UUID) -> Balance:
    """Return the wallet of a workspace as it is now."""
    wallet = Account.objects.get(pk=workspace_id)
    return Balance(wallet.balance_micros, wallet.held_micros)


def dues(workspace_id: UUID) -> dict[str, Any]:
    """Return what is due, why calls are paused (if they are), and when a mail warns. Micros."""
    least = Billing.objects.filter(pk=workspace_id).values_list("low_balance_micros", flat=True)
    open_ones = Receivable.objects.filter(wallet=workspace_id, **DUE)
    reason = Account.objects.values_list("frozen_reason", flat=True).get(pk=workspace_id)
    return {
        "due_micro_usd": sum(each.due_micros for each in open_ones),
        "paused_because": reason,
        "low_balance_micro_usd": least.first() or 0,
    }


def warn_below(workspace_id: UUID, least: Micros) -> None:
    """Have a mail sent whenever the available balance falls below that; 0 is never.

    Who is below already is not told again before it was above.
    """
    Billing.objects.update_or_create(
        wallet_id=workspace_id, defaults={"low_balance_micros": least, "is_low": True}
    )


@dataclass(frozen=True, slots=True)
class Purchases:
    """One page, and how many purchases there are."""

    total: int
    rows: list[dict[str, Any]]


def purchases(workspace_id: UUID, *, page: int, limit: int) -> Purchases:
    """Return one page (1-based) of a workspace's purchases, newest first."""
    found = TopUp.objects.filter(wallet=workspace_id).order_by("-created_at", "id")
    some = list(found[(page - 1) * limit : page * limit])
    refunded = dict(
        Refund.objects.filter(top_up__in=some)
        .exclude(state=Refund.State.FAILED)
        .values_list("top_up")
        .annotate(cents=Sum("cents"))
    )
    left = {lot.entry: lot.left for lot in lots.contents(workspace_id).lots}
    return Purchases(
        found.count(),
        [
            {
                "id": each.pk,
                "state": each.state,
                "automatic": each.source == TopUp.Source.AUTOMATIC,
                "amount_micro_usd": each.amount_micros,
                "tax_micro_usd": each.tax_cents * MICROS_PER_CENT,
                "refunded_micro_usd": refunded.get(each.pk, 0) * MICROS_PER_CENT,
                "unspent_micro_usd": left.get(each.entry_id or 0, 0),
                "checkout_url": each.checkout_url if each.state == TopUp.State.OPEN else "",
                "receipt_url": each.receipt_url,
                "invoice_url": each.invoice_url,
                "failure": each.failure,
                "created_at": each.created_at,
                "credited_at": each.credited_at,
            }
            for each in some
        ],
    )
