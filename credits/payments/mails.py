"""What members are told by mail about their money. Written in the transaction that it tells of."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext

from common.money import MICROS_PER_CENT, show
from common.told import told
from credits.models import Billing
from outbox import mails as outbox
from webhooks import events

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from credits.models import AutoTopUp, Dispute, Refund, RefundAsk, TopUp


def receipt(top_up: TopUp) -> None:
    """Tell that credits were bought."""
    amount = show(top_up.amount_micros)
    with _letter(f"receipt:{top_up.pk}", top_up.wallet_id) as letter:
        letter.subject = gettext("Receipt: %(amount)s of credits") % {"amount": amount}
        bought = gettext("You bought %(amount)s of credits. They are in your balance now.")
        letter.lines = [
            bought % {"amount": amount},
            "",
            gettext("Purchase   %(id)s") % {"id": top_up.pk},
            gettext("Credits    %(amount)s") % {"amount": amount},
            gettext("Tax        %(amount)s") % {"amount": _cents(top_up.tax_cents)},
            gettext("Paid       %(amount)s") % {"amount": _cents(top_up.total_cents)},
        ]
        if top_up.receipt_url:
            letter.lines.append(gettext("Receipt    %(url)s") % {"url": top_up.receipt_url})
        if top_up.invoice_url:
            letter.lines.append(gettext("Invoice    %(url)s") % {"url": top_up.invoice_url})
        if top_up.source == top_up.Source.AUTOMATIC:
            said = gettext("This was an automatic top-up; you can change or end it at any time.")
            letter.lines += ["", said]


def refunded(refund: Refund) -> None:
    """Tell that money of a purchase goes back."""
    amount = _cents(refund.cents)
    with _letter(f"refund:{refund.pk}", refund.top_up.wallet_id) as letter:
        letter.subject = gettext("Refund: %(amount)s") % {"amount": amount}
        goes_back = gettext(
            "%(amount)s of your purchase %(id)s go back to where you paid from. Banks take five to "
            "ten days to show it."
        )
        taken = gettext("Credits taken from your balance   %(amount)s")
        letter.lines = [
            goes_back % {"amount": amount, "id": refund.top_up_id},
            "",
            taken % {"amount": show(refund.taken_micros)},
        ]
        if refund.owed_micros:
            owed = gettext("Credits that were spent and are due %(amount)s")
            letter.lines.append(owed % {"amount": show(refund.owed_micros)})


def refund_failed(refund: Refund) -> None:
    """Tell that money which was said to go back did not."""
    amount = _cents(refund.cents)
    with _letter(f"refund:{refund.pk}:failed", refund.top_up.wallet_id) as letter:
        letter.subject = gettext("Refund failed: %(amount)s") % {"amount": amount}
        failed = gettext(
            "The refund of %(amount)s of your purchase %(id)s did not reach you: your bank did not "
            "take it."
        )
        back = gettext("Credits put back into your balance   %(amount)s")
        letter.lines = [
            failed % {"amount": amount, "id": refund.top_up_id},
            "",
            back % {"amount": show(refund.taken_micros)},
            gettext("Write to us, and we find another way."),
        ]


def refund_declined(ask: RefundAsk) -> None:
    """Tell that staff do not give back what a member asked for, and why."""
    amount = show(ask.amount_micros)
    with _letter(f"refund_ask:{ask.pk}:refused", ask.top_up.wallet_id) as letter:
        letter.subject = gettext("No refund of %(amount)s") % {"amount": amount}
        asked = gettext(
            "You asked for %(amount)s of your purchase %(id)s. It is not given back; its credits "
            "stay in your balance:"
        )
        letter.lines = [asked % {"amount": amount, "id": ask.top_up_id}, "", f"    {ask.decision}"]


def disputed(dispute: Dispute) -> None:
    """Tell that the bank contests a payment."""
    amount = _cents(dispute.cents)
    with _letter(f"dispute:{dispute.pk}", dispute.top_up.wallet_id) as letter:
        letter.subject = gettext("Disputed payment: %(amount)s") % {"amount": amount}
        contests = gettext("Your bank contests the payment of %(amount)s for your purchase %(id)s.")
        aside = gettext("Until it has decided, %(amount)s of unspent credits are set aside.")
        letter.lines = [
            contests % {"amount": amount, "id": dispute.top_up_id},
            "",
            aside % {"amount": show(dispute.taken_micros)},
            gettext("If this is a mistake, tell your bank, and write to us."),
        ]


def dispute_closed(dispute: Dispute) -> None:
    """Tell what the bank has decided."""
    key = f"dispute:{dispute.pk}:{dispute.phase}"
    key += f":{dispute.returned_cents}" if dispute.returned_cents else ""
    with _letter(key, dispute.top_up.wallet_id) as letter:
        letter.subject = gettext("Dispute closed: %(amount)s") % {"amount": _cents(dispute.cents)}
        purchase = gettext("Purchase %(id)s") % {"id": dispute.top_up_id}
        letter.lines = [*_decided(dispute), "", purchase]


def _decided(dispute: Dispute) -> list[str]:
    if dispute.phase == dispute.Phase.RETURNED:
        return [
            gettext("The dispute of your payment is over. Your credits are back in your balance.")
        ]
    lines = [
        gettext("Your bank took the payment back. The credits that were bought with it are gone.")
    ]
    if dispute.returned_cents:
        partly = gettext(
            "Your bank took %(lost)s of the payment back; %(returned)s of it came to us again. The "
            "credits that were bought with what came are yours, the others are gone."
        )
        lost = dispute.cents - dispute.returned_cents
        lines = [partly % {"lost": _cents(lost), "returned": _cents(dispute.returned_cents)}]
    if dispute.owed_micros:
        owed = gettext(
            "Of these, %(amount)s had been spent and are due: calls are paused until you add "
            "credits."
        )
        lines.append(owed % {"amount": show(dispute.owed_micros)})
    return lines


def automatic_failed(wish: AutoTopUp) -> None:
    """Tell why an automatic top-up did not happen."""
    with _letter(_because(wish), wish.pk) as letter:
        letter.subject = gettext("Automatic top-up failed")
        failed = gettext("Your automatic top-up of %(amount)s did not happen:")
        letter.lines = [failed % {"amount": show(wish.amount_micros)}, ""]
        letter.lines += [f"    {told(wish.last_failure)}", ""]
        if not wish.enabled:
            letter.lines.append(
                gettext("Automatic top-up is switched off now, until you switch it on again.")
            )
        elif wish.next_try_at is not None:
            again = gettext("It is tried again after %(time)s UTC.")
            letter.lines.append(again % {"time": f"{wish.next_try_at:%Y-%m-%d %H:%M}"})


def automatic_off(wish: AutoTopUp) -> None:
    """Tell that nothing is bought automatically any more, though nothing was tried."""
    with _letter(_because(wish), wish.pk) as letter:
        letter.subject = gettext("Automatic top-up switched off")
        off = gettext("Your automatic top-up of %(amount)s is switched off:")
        letter.lines = [off % {"amount": show(wish.amount_micros)}, ""]
        letter.lines += [f"    {told(wish.last_failure)}", ""]
        letter.lines.append(
            gettext("Save a payment method and switch it on again, or buy credits by hand.")
        )


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
    told_of = 0
    for billing in fell[:limit]:
        with transaction.atomic():
            if not Billing.objects.filter(pk=billing.pk, is_low=False).update(is_low=True):
                continue
            key = f"low:{billing.pk}:{billing.wallet.events}:{billing.low_balance_micros}"
            _low(billing, key)
            facts = {
                "available_micro_usd": billing.wallet.available_micros,
                "threshold_micro_usd": billing.low_balance_micros,
            }
            events.emit(billing.pk, "credits.low", facts, key=key)
            told_of += 1
    return told_of


def _low(billing: Billing, key: str) -> None:
    left = show(billing.wallet.available_micros)
    with _letter(key, billing.pk, kind="low_balance") as letter:
        letter.subject = gettext("Low balance: %(left)s left") % {"left": left}
        below = gettext("%(left)s of your credits are left, below %(threshold)s.")
        letter.lines = [
            below % {"left": left, "threshold": show(billing.low_balance_micros)},
            gettext("Calls that cost more than what is left are refused until you add some."),
        ]


@dataclass
class Letter:
    """A mail as it is being written."""

    subject: str = ""
    lines: list[str] = field(default_factory=list)


@contextmanager
def _letter(key: str, wallet_id: UUID, *, kind: str = "") -> Iterator[Letter]:
    """Have a mail be written to whoever pays, in their language: once for each key."""
    billing = Billing.objects.filter(pk=wallet_id).first()
    address, letter = billing.email if billing is not None else "", Letter()
    with outbox.in_language_of(address):
        yield letter
        text = "\n".join(letter.lines) + "\n"
        outbox.write(key, to=address, subject=letter.subject, text=text, kind=kind)


def _cents(cents: int) -> str:
    return show(cents * MICROS_PER_CENT)
