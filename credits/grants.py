"""Credits that are given, not bought."""

from __future__ import annotations

from typing import TYPE_CHECKING

from credits import ledger
from credits.models import Account, Entry

if TYPE_CHECKING:
    from common.money import Micros


def grant(*, wallet: Account, amount: Micros, key: str, reason: str) -> Entry:
    """Give credits from the house's promotion account, once per key (`grant:<key>`)."""
    return ledger.post(
        kind=Entry.Kind.GRANT,
        debit=ledger.house(Account.Kind.PROMOTION),
        credit=wallet,
        amount=amount,
        key=f"grant:{key}",
        facts={"reason": reason},
    )
