"""Credits whose time is over. None expire unless a grant or a voucher said so."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import timezone

from common import failpoints
from common.money import Micros
from credits.books import elsewhere, ledger
from credits.models import Account, Entry, Lot

if TYPE_CHECKING:
    from uuid import UUID


def expire_due(*, now: datetime | None = None, limit: int = 500) -> int:
    """End lots whose time is over: what is left goes to the house's account `expired`.

    What open holds may still need stays until they ended: the next round takes it. Returns how
    many lots it looked at.
    """
    due = Lot.objects.filter(left_micros__gt=0, expires_at__lte=now or timezone.now())
    due = due.exclude(wallet__frozen_reason=elsewhere.MOVING)  # They expire where it goes.
    some = list(due.order_by("expires_at").only("entry_id", "wallet_id")[:limit])
    for lot in some:
        _expire(lot.entry_id, lot.wallet_id)
    return len(some)


@transaction.atomic
def _expire(entry_id: int, wallet_id: UUID) -> None:
    wallet = ledger.lock(wallet_id)
    lot = Lot.objects.get(entry_id=entry_id)
    take = Micros(min(lot.left_micros, wallet.available_micros))
    if take <= 0:
        return
    # More than one round may be needed, and a lot may get back what one took: its place among the
    # wallet's events, which nothing else can have while it is locked, names the round.
    ledger.post(
        kind=Entry.Kind.EXPIRY,
        debit=wallet,
        credit=ledger.house(Account.Kind.EXPIRED),
        amount=take,
        key=f"expiry:{entry_id}:at:{wallet.events + 1}",
        facts={"expired_at": lot.expires_at.astimezone(UTC).isoformat()} if lot.expires_at else {},
        lot=lot,
    )
    failpoints.reached("expiry.before_commit")
