"""Tax that Stripe added at the checkout: in the house's account until it is declared."""

from __future__ import annotations

from common.money import MICROS_PER_CENT, Micros
from credits.books import ledger
from credits.models import Account, Entry


def receive(cents: int, *, key: str) -> None:
    """Note tax that came in with a payment, or came back with it; 0 is nothing."""
    _move(Account.Kind.STRIPE, Account.Kind.TAX, cents, key)


def pay_back(cents: int, *, key: str) -> None:
    """Note tax that went back with a payment; 0 is nothing."""
    _move(Account.Kind.TAX, Account.Kind.STRIPE, cents, key)


def _move(debit: Account.Kind, credit: Account.Kind, cents: int, key: str) -> None:
    if cents:
        ledger.post(
            kind=Entry.Kind.TAX,
            debit=ledger.house(debit),
            credit=ledger.house(credit),
            amount=Micros(cents * MICROS_PER_CENT),
            key=key,
        )
