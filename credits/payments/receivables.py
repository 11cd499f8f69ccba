"""What a workspace owes: credits that it had spent when their money was taken back.

While something is due no new hold is placed (a 403 that says why). It is paid first of all from
the next credits that are bought, and from what is left of the purchase itself. Each entry is keyed
by the cause, so that a repeat moves nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import F, Q, Sum

from common.money import Micros, show
from common.told import kept
from credits.books import freezes, ledger
from credits.models import Account, Entry, Freeze, Lot, Receivable, TopUp

if TYPE_CHECKING:
    from uuid import UUID

OWED = kept(
    "A payment was taken back after its credits were spent, and %(due)s are due. Add credits to "
    "settle it; then calls go on."
)
DUE = {"amount_micros__gt": F("paid_micros") + F("waived_micros")}


def due_of(wallet_id: UUID) -> Micros:
    """Return what the workspace owes now."""
    found = Receivable.objects.filter(wallet=wallet_id, **DUE)
    return Micros(sum(each.due_micros for each in found))


def owe(cause: str, *, top_up: TopUp, amount: Micros) -> None:
    """Note that the workspace owes an amount which Stripe took back from us; pause it.

    In the caller's transaction, the wallet locked by `ledger.lock`.
    """
    _, is_new = Receivable.objects.get_or_create(
        cause=cause,
        defaults={"wallet_id": top_up.wallet_id, "top_up": top_up, "amount_micros": amount},
    )
    if is_new:
        ledger.post(
            kind=Entry.Kind.RECEIVABLE,
            debit=ledger.house(Account.Kind.RECEIVABLE),
            credit=ledger.house(Account.Kind.STRIPE),
            amount=amount,
            key=f"{cause}:owed",
        )
    collect(ledger.lock(top_up.wallet_id))


def collect(wallet: Account) -> None:
    """Pay what is due from what may pay it, then pause the wallet or let it go on.

    That is what is left of the purchase which was taken back, and all that was bought later. In
    the caller's transaction, the wallet locked by `ledger.lock`.
    """
    for due in Receivable.objects.filter(wallet=wallet, **DUE).order_by("id"):
        later = Lot.objects.filter(wallet=wallet, kind=Lot.Kind.PAID, left_micros__gt=0)
        for lot in later.select_related("entry").order_by("entry_id"):
            is_own = lot.pk == due.top_up.entry_id
            if is_own or lot.entry.created_at >= due.created_at:
                _pay(due, wallet.pk, lot)
    _pause_or_release(wallet.pk)


def _pay(due: Receivable, wallet_id: UUID, lot: Lot) -> None:
    wallet = Account.objects.get(pk=wallet_id)
    amount = Micros(min(due.due_micros, lot.left_micros, wallet.available_micros))
    if amount <= 0:
        return
    ledger.post(
        kind=Entry.Kind.RECEIVABLE,
        debit=wallet,
        credit=ledger.house(Account.Kind.RECEIVABLE),
        amount=amount,
        key=f"{due.cause}:paid:{due.paid_micros}",
        lot=lot,
    )
    due.paid_micros += amount
    due.save(update_fields=["paid_micros"])


def collect_due(*, limit: int = 200) -> None:
    """Collect from the wallets that have something again which may pay what they owe.

    A call that was running when it came to be owed has ended since, and freed what it held.
    """
    own = Q(wallet__lots__entry=F("top_up__entry"))
    later = Q(wallet__lots__entry__created_at__gte=F("created_at"))
    able = Receivable.objects.filter(
        own | later,
        **DUE,
        wallet__lots__kind=Lot.Kind.PAID,
        wallet__lots__left_micros__gt=0,
        wallet__balance_micros__gt=F("wallet__held_micros"),
    )
    wallets = able.order_by("wallet_id").values_list("wallet_id", flat=True).distinct()
    for wallet_id in wallets[:limit]:
        with transaction.atomic():
            collect(ledger.lock(wallet_id))


def undo(cause: str) -> None:
    """Waive what is due and give back what was paid: the money came back to us.

    In the caller's transaction, the wallet locked by `ledger.lock`.
    """
    owed = Receivable.objects.filter(cause=cause).select_related("top_up").first()
    if owed is not None:
        repaid = Entry.objects.filter(key__startswith=f"{cause}:repaid")
        before = repaid.aggregate(sum=Sum("amount_micros", default=0))["sum"]
        _forgive(owed, Micros(owed.due_micros + owed.paid_micros - before))


def undo_part(cause: str, *, amount: Micros, part: str) -> None:
    """Do so for an amount, of what is due first; `part` tells the entries from other parts'."""
    owed = Receivable.objects.select_related("top_up").get(cause=cause)
    _forgive(owed, amount, part=f":{part}")


def _forgive(owed: Receivable, amount: Micros, *, part: str = "") -> None:
    stripe = ledger.house(Account.Kind.STRIPE)
    if due := Micros(min(amount, owed.due_micros)):
        ledger.post(
            kind=Entry.Kind.RECEIVABLE,
            debit=stripe,
            credit=ledger.house(Account.Kind.RECEIVABLE),
            amount=due,
            key=f"{owed.cause}:waived{part}",
        )
    if paid := Micros(amount - due):
        give_back(
            owed.top_up, kind=Entry.Kind.RECEIVABLE, debit=stripe,
            amount=paid, key=f"{owed.cause}:repaid{part}",
        )  # fmt: skip
    Receivable.objects.filter(pk=owed.pk).update(waived_micros=F("waived_micros") + due)
    collect(ledger.lock(owed.wallet_id))


def give_back(top_up: TopUp, *, kind: Entry.Kind, debit: Account, amount: Micros, key: str) -> None:
    """Return credits to a wallet, into the lot of their purchase if they are from there."""
    lot = top_up.lot
    fits = lot.left_micros + amount <= lot.amount_micros
    ledger.post(
        kind=kind,
        debit=debit,
        credit=Account.objects.get(pk=top_up.wallet_id),
        amount=amount,
        key=key,
        facts={"purchase": str(top_up.pk)},
        lot=lot if fits else None,
    )


def _pause_or_release(wallet_id: UUID) -> None:
    if due := due_of(wallet_id):
        freezes.freeze(wallet_id, Freeze.Cause.RECEIVABLE, OWED % {"due": show(due)})
    else:
        freezes.lift(wallet_id, Freeze.Cause.RECEIVABLE)
