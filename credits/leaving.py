"""Who leaves: what of money keeps them here for a while, and how money forgets them.

The books themselves name nobody: an entry is an amount between two numbers. So nothing of them is
changed. What is personal stands beside them, in rows that may be: addresses, cards, pages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import Q, TextField
from django.db.models.functions import Cast
from django.utils.translation import gettext

from common.errors import InvalidRequest
from common.money import show
from common.personal import Person, without
from credits.books import ledger, lots
from credits.models import (
    Account,
    Adjustment,
    AutoTopUp,
    Billing,
    Dispute,
    Entry,
    Finding,
    Freeze,
    Lot,
    Refund,
    RefundAsk,
    SetupPage,
    StripeEvent,
    TopUp,
    VoucherTry,
)
from credits.payments import customers, receivables, stripe_api, stripe_objects

if TYPE_CHECKING:
    from uuid import UUID


def obstacles(wallets: tuple[UUID, ...], *, gives_up: bool) -> dict[str, str]:
    """Return why the owner of some wallets cannot go yet: a code and a sentence for each reason."""
    found: dict[str, str] = {}
    for wallet_id in wallets:
        found |= _of_payments(wallet_id)
        found |= _of_wallet(wallet_id, gives_up=gives_up)
    return found


def _of_payments(wallet_id: UUID) -> dict[str, str]:
    found = {}
    if TopUp.objects.filter(wallet_id=wallet_id, state__in=("open", "processing", "paid")).exists():
        found["purchase"] = gettext(
            "A purchase was begun and has not ended. What is not paid ends by itself within a day."
        )
    moving = Refund.objects.filter(top_up__wallet_id=wallet_id, state__in=("requested", "pending"))
    if moving.exists():
        found["refund"] = gettext("Money is on its way back to you. Banks take five to ten days.")
    if Dispute.objects.filter(top_up__wallet_id=wallet_id, closed_at=None).exists():
        found["dispute"] = gettext("A payment is contested at your bank. It must decide first.")
    if due := receivables.due_of(wallet_id):
        found["receivable"] = gettext(
            "%(due)s are due: a payment was taken back after its credits were spent. Add credits "
            "to settle it, or write to us."
        ) % {"due": show(due)}
    return found


def _of_wallet(wallet_id: UUID, *, gives_up: bool) -> dict[str, str]:
    found = {}
    if Account.objects.filter(pk=wallet_id, open_holds__gt=0).exists():
        found["running"] = gettext("Calls are running. They end by themselves.")
    if Adjustment.objects.filter(wallet_id=wallet_id, state=Adjustment.State.WAITING).exists():
        found["adjustment"] = gettext(
            "Staff must decide first on credits that are to be given or taken."
        )
    left = lots.contents(wallet_id).left(Lot.Kind.PAID)
    if left and not gives_up:
        found["credits"] = gettext(
            "%(left)s of credits that you paid for are unspent. Spend them, ask us for the money "
            "back, or give them up. Credits that were given to you lapse."
        ) % {"left": show(left)}
    return found


# --- Forgetting -------------------------------------------------------------------------------


def customers_of(wallets: tuple[UUID, ...]) -> tuple[str, ...]:
    """Return what the payment provider knows the owner of some wallets as."""
    known = Billing.objects.filter(pk__in=wallets, customer_id__isnull=False)
    return tuple(str(each) for each in known.values_list("customer_id", flat=True))


def leave_payments(person: Person) -> dict[str, int]:
    """Have somebody's customers deleted at the payment provider, with cards and subscriptions.

    Again: those that are left. Raises PaymentsUnavailable where it is not known whether they are.
    """
    deleted = 0
    for customer in person.customers:
        deleted += stripe_api.delete_customer(customer)
        # First the wish: who goes is not told by mail that a card of theirs is gone.
        SetupPage.objects.filter(wish_id__in=person.workspaces).delete()
        AutoTopUp.objects.filter(pk__in=person.workspaces).delete()
        customers.drop(customer)
    return {"customers": deleted}


def forget_customers(person: Person) -> dict[str, int]:
    """Have the payment provider forget somebody who stays: customer, cards, and what it told us.

    Who bought automatically is told that this is off; the next purchase makes a new customer. What
    was bought stays in the books. Again: what is left. Raises InvalidRequest while money is on its
    way, and PaymentsUnavailable.
    """
    moving = {name for each in person.workspaces for name in _of_payments(each)} - {"receivable"}
    if moving:
        raise InvalidRequest(f"Not yet, for money is on its way: {', '.join(sorted(moving))}.")
    for customer in person.customers:
        stripe_api.delete_customer(customer)
        SetupPage.objects.filter(wish_id__in=person.workspaces).delete()
        customers.drop(customer)
    return {"customers": len(person.customers), "events": _take_out_of_events(person)}


def erase(person: Person) -> dict[str, int]:
    """Give up what is left in somebody's wallets, and take out what names them beside the books."""
    wallets = person.workspaces
    gone = {"given_up_micros": sum(_give_up(each) for each in sorted(wallets))}
    SetupPage.objects.filter(wish_id__in=wallets).delete()
    VoucherTry.objects.filter(wallet_id__in=wallets).delete()
    gone["automatic"] = AutoTopUp.objects.filter(pk__in=wallets).delete()[0]
    known = Billing.objects.filter(pk__in=wallets)
    gone["addresses"] = known.exclude(email="").update(email="", low_balance_micros=0)
    pages = {"checkout_url": "", "receipt_url": "", "invoice_url": "", "payment_method_id": ""}
    gone["purchases"] = TopUp.objects.filter(wallet_id__in=wallets).update(failure="", **pages)
    return gone | {"texts": _take_out(person), "events": _take_out_of_events(person)}


def _give_up(wallet_id: UUID) -> int:
    """Move what is left of a wallet to the house's account `expired`; return how much it was."""
    with transaction.atomic():
        wallet = ledger.lock(wallet_id, leaving=True)  # An archive of a moved one is empty.
        amount = wallet.available_micros
        if amount:
            ledger.post(
                kind=Entry.Kind.EXPIRY,
                debit=wallet,
                credit=ledger.house(Account.Kind.EXPIRED),
                amount=amount,
                key=f"expiry:deletion:{wallet_id}:at:{wallet.events + 1}",
                facts={"reason": "given up by its owner, who left"},
            )
    return amount


def _take_out(person: Person) -> int:
    """Have texts of staff name somebody no more; return how many did."""
    own, through = Q(wallet_id__in=person.workspaces), Q(top_up__wallet_id__in=person.workspaces)
    return sum(
        without(rows, column, person)
        for rows, column in (
            (Adjustment.objects.filter(own), "reason"),
            (Adjustment.objects.filter(own), "decision"),
            (Refund.objects.filter(through), "reason"),
            (RefundAsk.objects.filter(through), "reason"),
            (RefundAsk.objects.filter(through), "decision"),
            (Refund.objects.filter(through), "failure"),
            (Freeze.objects.filter(own), "sentence"),
            (Freeze.objects.filter(own), "lift_reason"),
            (Finding.objects.filter(own), "sentence"),
            (Finding.objects.filter(own), "resolution"),
            (Account.objects.filter(pk__in=person.workspaces), "frozen_reason"),
        )
    )


def _take_out_of_events(person: Person) -> int:
    naming = Q(pk__in=[])
    for word in (*person.emails, *person.customers):
        naming |= Q(text__contains=word)
    found = StripeEvent.objects.annotate(text=Cast("payload", TextField())).filter(naming)
    count = 0
    for event in found.iterator(chunk_size=100):
        essence = stripe_objects.essence(event.payload)
        count += StripeEvent.objects.filter(pk=event.pk).update(payload=essence)
    return count


def billed_to(person: Person) -> list[UUID]:
    """Return the wallets of others whose mails about money go to somebody."""
    others = Billing.objects.filter(email__in=person.emails).exclude(pk__in=person.workspaces)
    return list(others.values_list("pk", flat=True))


def readdress(wallet_id: UUID, *, person: Person, email: str) -> bool:
    """Have mails about a team's money go to its owner, where they went to somebody who leaves.

    Also at the payment provider. Returns whether they did.
    """
    billing = Billing.objects.filter(pk=wallet_id, email__in=person.emails).first()
    if billing is None:
        return False
    if billing.customer_id is not None:
        stripe_api.readdress_customer(billing.customer_id, email=email)
    Billing.objects.filter(pk=wallet_id).update(email=email)
    return True


def unlink(wallets: tuple[UUID, ...]) -> int:
    """Take out what still leads from purchases to pages of the payment provider, and to numbers.

    For the day on which books need not be kept any longer: what remains are sums.
    """
    old = TopUp.objects.filter(wallet_id__in=wallets)
    return old.update(user_id=None, session_id=None, failure="")
