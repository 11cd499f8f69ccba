"""What members are told by mail about their money. Written in the transaction that it tells of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import F

from common.money import MICROS_PER_CENT, show
from credits.models import Billing
from outbox import mails as outbox
from webhooks import events

if TYPE_CHECKING:
    from uuid import UUID

    from credits.models import AutoTopUp, Dispute, Refund, TopUp


def receipt(top_up: TopUp) -> None:
    """Tell that credits were bought."""
    lines = [
        f"You bought {show(top_up.amount_micros)} of credits. They are in your balance now.",
        "",
        f"Purchase   {top_up.pk}",
        f"Credits    {show(top_up.amount_micros)}",
        f"Tax        {show(top_up.tax_cents * MICROS_PER_CENT)}",
        f"Paid       {show(top_up.total_cents * MICROS_PER_CENT)}",
    ]
    lines += [f"Receipt    {top_up.receipt_url}"] if top_up.receipt_url else []
    lines += [f"Invoice    {top_up.invoice_url}"] if top_up.invoice_url else []
    if top_up.source == top_up.Source.AUTOMATIC:
        lines += ["", "This was an automatic top-up; you can change or end it at any time."]
    subject = f"Receipt: {show(top_up.amount_micros)} of credits"
    _write(f"receipt:{top_up.pk}", top_up.wallet_id, subject, lines)


def refunded(refund: Refund) -> None:
    """Tell that money of a purchase goes back."""
    lines = [
        f"{show(refund.cents * MICROS_PER_CENT)} of your purchase {refund.top_up_id} go back to "
        "where you paid from. Banks take five to ten days to show it.",
        "",
        f"Credits taken from your balance   {show(refund.taken_micros)}",
    ]
    if refund.owed_micros:
        lines.append(f"Credits that were spent and are due {show(refund.owed_micros)}")
    subject = f"Refund: {show(refund.cents * MICROS_PER_CENT)}"
    _write(f"refund:{refund.pk}", refund.top_up.wallet_id, subject, lines)


def refund_failed(refund: Refund) -> None:
    """Tell that money which was said to go back did not."""
    lines = [
        f"The refund of {show(refund.cents * MICROS_PER_CENT)} of your purchase "
        f"{refund.top_up_id} did not reach you: your bank did not take it.",
        "",
        f"Credits put back into your balance   {show(refund.taken_micros)}",
        "Write to us, and we find another way.",
    ]
    subject = f"Refund failed: {show(refund.cents * MICROS_PER_CENT)}"
    _write(f"refund:{refund.pk}:failed", refund.top_up.wallet_id, subject, lines)


def disputed(dispute: Dispute) -> None:
    """Tell that the bank contests a payment."""
    lines = [
        f"Your bank contests the payment of {show(dispute.cents * MICROS_PER_CENT)} for your "
        f"purchase {dispute.top_up_id}.",
        "",
        f"Until it has decided, {show(dispute.taken_micros)} of unspent credits are set aside.",
        "If this is a mistake, tell your bank, and write to us.",
    ]
    subject = f"Disputed payment: {show(dispute.cents * MICROS_PER_CENT)}"
    _write(f"dispute:{dispute.pk}", dispute.top_up.wallet_id, subject, lines)


def dispute_closed(dispute: Dispute) -> None:
    """Tell what the bank has decided."""
    if dispute.phase == dispute.Phase.RETURNED:
        lines = ["The dispute of your payment is over. Your credits are back in your balance."]
    else:
        lines = ["Your bank took the payment back. The credits that were bought with it are gone."]
        if dispute.returned_cents:
            lost = dispute.cents - dispute.returned_cents
            lines = [
                f"Your bank took {show(lost * MICROS_PER_CENT)} of the payment back; "
                f"{show(dispute.returned_cents * MICROS_PER_CENT)} of it came to us again. The "
                "credits that were bought with what came are yours, the others are gone."
            ]
        if dispute.owed_micros:
            lines.append(
                f"Of these, {show(dispute.owed_micros)} had been spent and are due: calls are "
                "paused until you add credits."
            )
    subject = f"Dispute closed: {show(dispute.cents * MICROS_PER_CENT)}"
    key = f"dispute:{dispute.pk}:{dispute.phase}"
    key += f":{dispute.returned_cents}" if dispute.returned_cents else ""
    _write(key, dispute.top_up.wallet_id, subject, [*lines, "", f"Purchase {dispute.top_up_id}"])


def automatic_failed(wish: AutoTopUp) -> None:
    """Tell why an automatic top-up did not happen."""
    lines = [f"Your automatic top-up of {show(wish.amount_micros)} did not happen:", ""]
    lines += [f"    {wish.last_failure}", ""]
    if not wish.enabled:
        lines.append("Automatic top-up is switched off now, until you switch it on again.")
    elif wish.next_try_at is not None:
        lines.append(f"It is tried again after {wish.next_try_at:%Y-%m-%d %H:%M} UTC.")
    _write(_because(wish), wish.pk, "Automatic top-up failed", lines)


def automatic_off(wish: AutoTopUp) -> None:
    """Tell that nothing is bought automatically any more, though nothing was tried."""
    lines = [f"Your automatic top-up of {show(wish.amount_micros)} is switched off:", ""]
    lines += [f"    {wish.last_failure}", ""]
    lines.append("Save a payment method and switch it on again, or buy credits by hand.")
    _write(_because(wish), wish.pk, "Automatic top-up switched off", lines)


def _because(wish: AutoTopUp) -> str:
    at = wish.last_failure_at.timestamp() if wish.last_failure_at else 0
    return f"automatic:{wish.pk}:{at}"


def tell_low_balances(*, limit: int = 200) -> int:
    """Write to those whose balance fell below their threshold, once until it was above again."""
    below = F("wallet__held_micros") + F("low_balance_micros")
    Billing.objects.filter(is_low=True, wallet__balance_micros__gte=below).update(is_low=False)
    fell = Billing.objects.filter(
        is_low=False, low_balance_micros__gt=0, wallet__balance_micros__lt=below
    ).select_related("wallet")
    told = 0
    for billing in fell[:limit]:
        with transaction.atomic():
            if not Billing.objects.filter(pk=billing.pk, is_low=False).update(is_low=True):
                continue
            left = show(billing.wallet.available_micros)
            lines = [f"{left} of your credits are left, below {show(billing.low_balance_micros)}."]
            lines.append("Calls that cost more than what is left are refused until you add some.")
            key = f"low:{billing.pk}:{billing.wallet.events}:{billing.low_balance_micros}"
            _write(key, billing.pk, f"Low balance: {left} left", lines)
            facts = {
                "available_micro_usd": billing.wallet.available_micros,
                "threshold_micro_usd": billing.low_balance_micros,
            }
            events.emit(billing.pk, "credits.low", facts, key=key)
            told += 1
    return told


def _write(key: str, wallet_id: UUID, subject: str, lines: list[str]) -> None:
    billing = Billing.objects.filter(pk=wallet_id).first()
    if billing is not None:
        outbox.write(key, to=billing.email, subject=subject, text="\n".join(lines) + "\n")
