"""Write to the books. Nothing else inserts an entry, except the end of a hold (holds.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.db import IntegrityError, connection, transaction
from django.db.models import F
from django.utils.translation import gettext

from common.errors import ConflictingPosting, InsufficientCredits
from common.money import Micros, show
from credits.books import elsewhere, lots
from credits.models import HOUSE, Account, Entry, Lot
from webhooks import events

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from uuid import UUID

PAID: Final = (Entry.Kind.TOP_UP, Entry.Kind.REFUND, Entry.Kind.DISPUTE)
"""The kinds that are a member's own money, coming or going back."""


def house(kind: Account.Kind) -> Account:
    """Return the house's account of that kind; a migration made it."""
    return Account(pk=HOUSE[kind], kind=kind)


def open_wallet(workspace_id: UUID) -> Account:
    """Open the wallet of a new workspace, empty; it has the workspace's id."""
    return Account.objects.create(id=workspace_id, kind=Account.Kind.WALLET)


def lock(wallet_id: UUID, *, leaving: bool = False) -> Account:
    """Return the wallet with its row locked until the end of the transaction, and its lots exact.

    Raises Moving or Moved if it leaves for another cell, or has left: whoever moves it says that
    it is `leaving`.

    Holds wait meanwhile, so the transaction is short and asks nobody else. Who locks several does
    so in the order of their ids (holds.py).
    """
    wallet = Account.objects.select_for_update(no_key=True).get(pk=wallet_id, kind="wallet")
    if not leaving:
        elsewhere.require_here(wallet)
    lots.work_out(wallet)
    return wallet


@transaction.atomic
def post(
    *,
    kind: Entry.Kind,
    debit: Account,
    credit: Account,
    amount: Micros,
    key: str,
    facts: dict[str, Any] | None = None,
    lot: Lot | None = None,
    expires_at: datetime | None = None,
) -> Entry:
    """Move an amount from `debit` to `credit`, once.

    Posting again under the same key returns the first entry and moves nothing, so a caller that
    cannot know whether it succeeded may simply try again. It is numbered in the history of the
    wallet it touches (the credited one, where both are wallets).

    What a wallet receives is a new lot (paid, if it is a top-up; it may expire), or goes back into
    `lot`. What a wallet gives is taken from `lot`; without one, from its lots in their order.

    Raises ConflictingPosting if the key was used for another movement, and InsufficientCredits if
    `debit` is a wallet whose available balance, or `lot`, is smaller than the amount. Raises Moving
    or Moved if a wallet leaves this cell, or has left; its move itself is booked all the same.
    """
    # The wallets' rows are locked first, in the order of their ids, as everywhere (holds.py): so
    # two postings under one key wait for each other here, and the second finds the first's entry.
    rows = Account.objects.select_for_update(no_key=True).order_by("id")
    wallets = {row.pk: row for row in rows.filter(pk__in=[debit.pk, credit.pk], kind="wallet")}
    if not wallets:
        _lock_key(key)
    if before := Entry.objects.filter(key=key).first():
        wanted = (str(kind), debit.pk, credit.pk, amount)
        if (before.kind, before.debit_id, before.credit_id, before.amount_micros) != wanted:
            raise ConflictingPosting(f"{key} was used for another movement.")
        return before

    _require_here(wallets.values(), debit, credit)
    payer, receiver = wallets.get(debit.pk), wallets.get(credit.pk)
    if payer is not None and payer.available_micros < amount:
        raise InsufficientCredits(
            gettext("%(amount)s are to be taken, %(available)s are available.")
            % {"amount": show(amount), "available": show(payer.available_micros)}
        )
    for wallet in wallets.values():
        lots.work_out(wallet)
    listed = receiver or payer
    for wallet in wallets.values():
        sign = 1 if wallet is receiver else -1
        takes = 1 if wallet is listed else 0
        Account.objects.filter(pk=wallet.pk).update(
            balance_micros=F("balance_micros") + sign * amount,
            paid_micros=F("paid_micros") + (sign * amount if kind in PAID else 0),
            events=F("events") + takes,
        )
    entry = _insert(
        kind=kind,
        debit_id=debit.pk,
        credit_id=credit.pk,
        amount_micros=amount,
        key=key,
        event_wallet=listed,
        event_number=listed.events + 1 if listed is not None else None,
        facts=facts or {},
    )
    if receiver is not None and lot is None:
        Lot.objects.create(
            entry=entry,
            wallet=receiver,
            kind=Lot.Kind.PAID if kind == Entry.Kind.TOP_UP else Lot.Kind.GRANTED,
            amount_micros=amount,
            left_micros=amount,
            expires_at=expires_at,
        )
        _tell_added(entry, receiver)
    elif lot is not None:
        _move_lot(lot, amount if receiver is not None else -amount)
    return entry


def reverse(entry: Entry, *, reason: str) -> Entry:
    """Correct an entry by its mirror image, once; the first stays as it is.

    What it gave is taken from its own lot; what it took comes back as granted credits. Raises
    InsufficientCredits if a wallet would have to give more than it has left.
    """
    return post(
        kind=Entry.Kind.REVERSAL,
        debit=entry.credit,
        credit=entry.debit,
        amount=Micros(entry.amount_micros),
        key=f"reversal:{entry.pk}",
        facts={"reason": reason, "of": entry.key},
        lot=Lot.objects.filter(entry=entry).first(),
    )


def _require_here(wallets: Iterable[Account], debit: Account, credit: Account) -> None:
    if HOUSE[Account.Kind.MOVED] not in (debit.pk, credit.pk):
        for wallet in wallets:
            elsewhere.require_here(wallet)


def _move_lot(lot: Lot, amount: int) -> None:
    """Give to a lot, or take from it what is left of it; its wallet's row is locked."""
    moved = Lot.objects.filter(pk=lot.pk, left_micros__gte=-amount).update(
        left_micros=F("left_micros") + amount
    )
    if not moved:
        raise InsufficientCredits(f"{show(-amount)} are to be taken from what has less left.")
    lot.refresh_from_db()


def _tell_added(entry: Entry, receiver: Account) -> None:
    """Have the workspace's programs be told that there is more to spend."""
    facts = {"kind": str(entry.kind), "amount_micro_usd": entry.amount_micros}
    events.emit(receiver.pk, "credits.added", facts, key=f"entry:{entry.pk}")


def _insert(**fields: Any) -> Entry:
    """Insert the entry; its key may be taken only by a posting on other accounts."""
    try:
        with transaction.atomic():
            return Entry.objects.create(**fields)
    except IntegrityError as exc:
        if "entry_key_once" in str(exc):
            raise ConflictingPosting(f"{fields['key']} was used for another movement.") from exc
        raise


def _lock_key(key: str) -> None:
    """Make postings between house accounts under one key wait for each other."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [key])
