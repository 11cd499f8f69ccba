"""Credits that are given, not bought."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from django.conf import settings

from common.errors import ConflictingPosting
from credits.books import ledger
from credits.models import Account, Entry

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from common.money import Micros


def grant(
    *,
    wallet: Account,
    amount: Micros,
    key: str,
    reason: str,
    expires_at: datetime | None = None,
) -> Entry:
    """Give credits from the house's promotion account, once per key (`grant:<key>`).

    They are a lot of their own, used before what was paid for; by default they do not expire.
    """
    return ledger.post(
        kind=Entry.Kind.GRANT,
        debit=ledger.house(Account.Kind.PROMOTION),
        credit=wallet,
        amount=amount,
        key=f"grant:{key}",
        facts={"reason": reason},
        expires_at=expires_at,
    )


def was_welcomed(wallet_id: UUID) -> bool:
    """Whether a wallet was given welcome credits, for whatever mailbox."""
    return Entry.objects.filter(credit=wallet_id, key__startswith="grant:welcome:").exists()


def welcome(*, wallet: Account, email: str) -> Entry | None:
    """Give the welcome credits of this installation, once for each mailbox, ever.

    `a+b@example.org` is the mailbox `a@example.org`. Call it when the address was verified; None
    if nothing is given here, or this mailbox had it, in whatever workspace.
    """
    if not settings.WELCOME_GRANT_MICROS:
        return None
    name, _, host = email.strip().lower().rpartition("@")
    mailbox = f"{name.partition('+')[0]}@{host}"
    # The address itself does not belong into the books, which outlive it.
    key = f"welcome:{hashlib.sha256(mailbox.encode()).hexdigest()}"
    if Entry.objects.filter(key=f"grant:{key}").exists():
        return None
    try:
        return grant(wallet=wallet, amount=settings.WELCOME_GRANT_MICROS, key=key, reason="Welcome")
    except ConflictingPosting:
        return None  # Another workspace of this mailbox was first, a moment ago.
