"""Write to the books. Nothing else inserts an entry, except the end of a hold (holds.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import connection, transaction
from django.db.models import F

from common.errors import ConflictingPosting, InsufficientCredits
from common.money import Micros, show
from credits.models import HOUSE, Account, Entry

if TYPE_CHECKING:
    from uuid import UUID


def house(kind: Account.Kind) -> Account:
    """Return the house's account of that kind; a migration made it."""
    return Account.objects.get(pk=HOUSE[kind])


def open_wallet(workspace_id: UUID) -> Account:
    """Open the wallet of a new workspace, empty; it has the workspace's id."""
    return Account.objects.create(id=workspace_id, kind=Account.Kind.WALLET)


@transaction.atomic
def post(
    *,
    kind: Entry.Kind,
    debit: Account,
    credit: Account,
    amount: Micros,
    key: str,
    facts: dict[str, Any] | None = None,
) -> Entry:
    """Move an amount from `debit` to `credit`, once.

    Posting again under the same key returns the first entry and moves nothing, so a caller that
    cannot know whether it succeeded may simply try again. It is numbered in the history of the
    wallet it touches (the credited one, where both are wallets).

    Raises ConflictingPosting if the key was used for another movement, and InsufficientCredits if
    `debit` is a wallet whose available balance is smaller than the amount.
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

    payer = wallets.get(debit.pk)
    if payer is not None and payer.available_micros < amount:
        raise InsufficientCredits(
            f"{show(amount)} are to be taken, {show(payer.available_micros)} are available."
        )
    listed = wallets.get(credit.pk) or payer
    number = None
    for wallet in wallets.values():
        sign = 1 if wallet.pk == credit.pk else -1
        takes = 1 if wallet is listed else 0
        Account.objects.filter(pk=wallet.pk).update(
            balance_micros=F("balance_micros") + sign * amount, events=F("events") + takes
        )
    if listed is not None:
        number = listed.events + 1
    return Entry.objects.create(
        kind=kind,
        debit=debit,
        credit=credit,
        amount_micros=amount,
        key=key,
        event_wallet=listed,
        event_number=number,
        facts=facts or {},
    )


def reverse(entry: Entry, *, reason: str) -> Entry:
    """Correct an entry by its mirror image, once; the first stays as it is.

    Raises InsufficientCredits if a wallet would have to give more than it has available.
    """
    return post(
        kind=Entry.Kind.REVERSAL,
        debit=entry.credit,
        credit=entry.debit,
        amount=Micros(entry.amount_micros),
        key=f"reversal:{entry.key}",
        facts={"reason": reason},
    )


def _lock_key(key: str) -> None:
    """Make postings between house accounts under one key wait for each other."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [key])
