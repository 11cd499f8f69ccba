"""A payment that the member's bank contests.

    open --> withdrawn --> lost
      '----------'----------'--> returned (won, closed without the money being taken, or lost and
                                           then all of it given back)

What is unspent is set aside at once, in the house's account `disputed`. When the funds are
withdrawn it goes to Stripe, and the spent part is owed. When they come back everything is undone;
when a part of them does (Stripe calls that partly won, and the dispute lost), so much of it is.
A refund at Stripe while nothing is withdrawn yet (an inquiry) takes what it needs from there.
All of a dispute is read from Stripe each time, so the order in which its events come is nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import Sum
from django.utils import timezone

from common import failpoints
from common.money import MICROS_PER_CENT, Micros
from credits.books import findings, ledger
from credits.models import Account, Dispute, Entry, Finding, TopUp
from credits.payments import following, mails, receivables, taxes

if TYPE_CHECKING:
    from credits.payments.stripe_objects import DisputeSeen

Phase = Dispute.Phase
IN_OUR_FAVOUR = ("won", "warning_closed")


def learn(seen: DisputeSeen) -> None:
    """Move the books to where a dispute, just read, has come. Safe to repeat, in any order."""
    top_up = following.of_payment(seen.payment_intent)
    if top_up is None or top_up.entry_id is None:
        return  # A payment of something else that this Stripe account sells.
    failpoints.reached("dispute.read")
    with transaction.atomic():
        wallet = ledger.lock(top_up.wallet_id)
        dispute = Dispute.objects.filter(pk=seen.id).first() or _open(top_up, wallet, seen)
        failpoints.reached("dispute.opened")
        # What was prevented was blocked (nothing moves), or resolved by giving the money back.
        blocked = seen.status == "prevented" and not seen.withdrawn
        # News that it is won may come before its money; money that came tells how much was won.
        won = seen.status in IN_OUR_FAVOUR and not seen.returned_cents
        returned = seen.reinstated or blocked or won
        # The money decides, not the word: all of one that is called lost may have come back.
        lost = not returned and seen.status in ("lost", "prevented", *IN_OUR_FAVOUR)
        if (seen.withdrawn or lost) and dispute.phase == Phase.OPEN:
            _withdraw(dispute)
        if returned and dispute.phase != Phase.RETURNED:
            _return(dispute)
        elif seen.returned_cents > dispute.returned_cents and dispute.phase != Phase.RETURNED:
            _return_part(dispute, seen.returned_cents)
        if lost:
            _lose(dispute, seen)
        elif returned:
            findings.resolve(f"dispute:{dispute.pk}")
        closed = lost or returned
        dispute.status = seen.status[:50]
        dispute.closed_at = dispute.closed_at or (timezone.now() if closed else None)
        dispute.save(update_fields=["status", "closed_at"])
        failpoints.reached("dispute.before_commit")


def _open(top_up: TopUp, wallet: Account, seen: DisputeSeen) -> Dispute:
    tax = seen.cents * top_up.tax_cents // top_up.total_cents
    dispute = Dispute.objects.create(
        pk=seen.id,
        top_up=top_up,
        status=seen.status[:50],
        reason=seen.reason[:100],
        cents=seen.cents,
        tax_cents=tax,
    )
    _set_aside(dispute, wallet)
    mails.disputed(dispute)
    return dispute


def _set_aside(dispute: Dispute, wallet: Account) -> None:
    """Take what is unspent of the purchase, and available, out of the wallet."""
    lot = dispute.top_up.lot
    missing = _credits(dispute) - dispute.taken_micros
    amount = Micros(min(missing, lot.left_micros, wallet.available_micros))
    if amount <= 0:
        return
    ledger.post(
        kind=Entry.Kind.DISPUTE,
        debit=wallet,
        credit=ledger.house(Account.Kind.DISPUTED),
        amount=amount,
        key=f"dispute:{dispute.pk}:taken:{dispute.taken_micros + _released(dispute)}",
        facts={"purchase": str(dispute.top_up_id)},
        lot=lot,
    )
    dispute.taken_micros += amount
    dispute.save(update_fields=["taken_micros"])


def release(top_up: TopUp, *, amount: Micros, refund: str) -> None:
    """Put back what open disputes set aside of a purchase, as far as a refund of it needs that.

    An inquiry is often ended by a refund: its credits pay for it, so that they are not owed.
    In the caller's transaction, the wallet locked by `ledger.lock`.
    """
    for dispute in top_up.disputes.filter(phase=Phase.OPEN, taken_micros__gt=0).order_by("pk"):
        back = Micros(min(amount, dispute.taken_micros))
        if back <= 0:
            return
        receivables.give_back(
            top_up,
            kind=Entry.Kind.DISPUTE,
            debit=ledger.house(Account.Kind.DISPUTED),
            amount=back,
            key=f"{_release_of(dispute)}{refund}",
        )
        amount = Micros(amount - back)
        dispute.taken_micros -= back
        dispute.save(update_fields=["taken_micros"])


def _released(dispute: Dispute) -> int:
    """Return what was set aside once and put back for a refund: a key names both ways."""
    back = Entry.objects.filter(
        credit_id=dispute.top_up.wallet_id, key__startswith=_release_of(dispute)
    )
    return int(back.aggregate(sum=Sum("amount_micros", default=0))["sum"])


def _release_of(dispute: Dispute) -> str:
    return f"dispute:{dispute.pk}:released:"


def _withdraw(dispute: Dispute) -> None:
    """Stripe took the money: what was set aside pays it, what was spent is owed."""
    key, stripe = f"dispute:{dispute.pk}", ledger.house(Account.Kind.STRIPE)
    _set_aside(dispute, ledger.lock(dispute.top_up.wallet_id))
    if dispute.taken_micros:
        ledger.post(
            kind=Entry.Kind.DISPUTE,
            debit=ledger.house(Account.Kind.DISPUTED),
            credit=stripe,
            amount=Micros(dispute.taken_micros),
            key=f"{key}:withdrawn",
        )
    taxes.pay_back(dispute.tax_cents, key=f"{key}:tax")
    dispute.owed_micros = _credits(dispute) - dispute.taken_micros
    dispute.phase = Phase.WITHDRAWN
    dispute.save(update_fields=["owed_micros", "phase"])
    if dispute.owed_micros:
        receivables.owe(key, top_up=dispute.top_up, amount=Micros(dispute.owed_micros))


def _return(dispute: Dispute) -> None:
    """Give everything back as it was before: the money is ours again."""
    key, stripe = f"dispute:{dispute.pk}", ledger.house(Account.Kind.STRIPE)
    never_left = dispute.phase == Phase.OPEN
    if dispute.taken_micros:
        receivables.give_back(
            dispute.top_up,
            kind=Entry.Kind.DISPUTE,
            debit=ledger.house(Account.Kind.DISPUTED) if never_left else stripe,
            amount=Micros(dispute.taken_micros),
            key=f"{key}:returned",
        )
    if not never_left:
        taxes.receive(dispute.tax_cents - dispute.returned_tax_cents, key=f"{key}:tax:returned")
    receivables.undo(key)
    dispute.phase = Phase.RETURNED
    dispute.save(update_fields=["phase"])
    receivables.collect(ledger.lock(dispute.top_up.wallet_id))
    mails.dispute_closed(dispute)


def _return_part(dispute: Dispute, cents: int) -> None:
    """Of what was taken, so many cents are ours again by now: the member's, as far as not before.

    What is owed is forgiven first: what the bank keeps is paid by what was unspent.
    """
    key, before = f"dispute:{dispute.pk}", dispute.returned_cents
    tax = dispute.tax_cents * cents // dispute.cents - dispute.returned_tax_cents
    amount = (cents - before - tax) * MICROS_PER_CENT
    forgiven = min(amount, dispute.owed_micros)
    back = amount - forgiven
    if forgiven:
        receivables.undo_part(key, amount=Micros(forgiven), part=str(before))
    if back:
        receivables.give_back(
            dispute.top_up,
            kind=Entry.Kind.DISPUTE,
            debit=ledger.house(Account.Kind.STRIPE),
            amount=Micros(back),
            key=f"{key}:returned:{before}",
        )
    taxes.receive(tax, key=f"{key}:tax:returned:{before}")
    dispute.owed_micros -= forgiven
    dispute.taken_micros -= back
    dispute.returned_cents = cents
    dispute.returned_tax_cents += tax
    dispute.save(
        update_fields=["owed_micros", "taken_micros", "returned_cents", "returned_tax_cents"]
    )
    receivables.collect(ledger.lock(dispute.top_up.wallet_id))
    if dispute.phase == Phase.LOST:  # Its owner was told that all of it is gone.
        mails.dispute_closed(dispute)


def _lose(dispute: Dispute, seen: DisputeSeen) -> None:
    if dispute.phase == Phase.RETURNED:
        how = "was lost after its money had come back."
        if seen.status != "lost":
            how = (
                f"gave all credits back, and only {seen.returned_cents} of its {seen.cents} cents "
                "came back."
            )
        findings.report(
            f"dispute:{dispute.pk}",
            kind=Finding.Kind.PAYMENT,
            wallet_id=dispute.top_up.wallet_id,
            sentence=f"Dispute {dispute.pk} {how}",
        )
    elif dispute.phase == Phase.WITHDRAWN:
        dispute.phase = Phase.LOST
        dispute.save(update_fields=["phase"])
        mails.dispute_closed(dispute)


def _credits(dispute: Dispute) -> int:
    """Return the micros of credits that are contested: all but the tax."""
    return (dispute.cents - dispute.tax_cents) * MICROS_PER_CENT
