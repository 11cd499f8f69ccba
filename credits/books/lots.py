"""Which credits are left: lots are used granted-first, then earliest expiry, then oldest.

A call takes from the wallet's balance and knows no lots. What calls have taken since lots were
last worked out is the sum of the open lots less the balance; `work_out` takes it from them in
their order. That is done before anything else about lots changes (ledger.py), so "what was spent
before this came in" never falls upon what came later.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from django.db.models import F

from common.money import Micros
from common.rows import rows
from credits.models import Account, Lot

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

IN_ORDER = ("kind", F("expires_at").asc(nulls_last=True), "entry_id")  # "granted" < "paid".

# One query, so that balance and lots are of one moment.
OPEN_LOTS = """
    SELECT account.balance_micros AS balance, account.held_micros AS held,
           account.frozen_reason AS paused_because, lot.entry_id AS entry, lot.kind,
           lot.left_micros AS left, lot.expires_at
      FROM credits_account account
      LEFT JOIN credits_lot lot ON lot.wallet_id = account.id AND lot.left_micros > 0
     WHERE account.id = %s
     ORDER BY lot.kind, lot.expires_at NULLS LAST, lot.entry_id
"""


@dataclass(frozen=True, slots=True)
class Left:
    """A lot as it is now: what was bought or given together, and how much of it remains."""

    entry: int
    kind: str
    left: Micros
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Contents:
    """A wallet at one moment, and the lots that it consists of, in the order of their use."""

    balance: Micros
    held: Micros
    paused_because: str
    """If not empty, why no calls are taken."""
    lots: list[Left]

    @property
    def available(self) -> Micros:
        """The balance less what is held; never negative."""
        return Micros(self.balance - self.held)

    def left(self, kind: Lot.Kind) -> Micros:
        """Return what is left of the lots of that kind."""
        return Micros(sum(lot.left for lot in self.lots if lot.kind == kind))


class _OpenLot(NamedTuple):
    """A row of `OPEN_LOTS`; of a wallet without open lots there is one, without a lot."""

    balance: Micros
    held: Micros
    paused_because: str
    entry: int | None
    kind: str
    left: int
    expires_at: datetime | None


def contents(wallet_id: UUID) -> Contents:
    """Return what is in a wallet now; changes nothing."""
    found = list(rows(_OpenLot, OPEN_LOTS, [wallet_id]))
    if not found:
        raise Account.DoesNotExist(wallet_id)
    wallet = found[0]
    lots = [
        Left(row.entry, row.kind, Micros(row.left), row.expires_at)
        for row in found
        if row.entry is not None
    ]
    taken = _spent({lot.entry: lot.left for lot in lots}, balance=wallet.balance)
    now = [replace(lot, left=Micros(lot.left - taken.get(lot.entry, 0))) for lot in lots]
    return Contents(
        wallet.balance, wallet.held, wallet.paused_because, [lot for lot in now if lot.left]
    )


def work_out(wallet: Account) -> None:
    """Take from the open lots what was spent of them: afterwards they add up to the balance.

    The wallet's row is locked by the caller, and as it was read under that lock.
    """
    lots = Lot.objects.filter(wallet=wallet, left_micros__gt=0).order_by(*IN_ORDER)
    left = dict(lots.values_list("entry_id", "left_micros"))
    for entry_id, used in _spent(left, balance=wallet.balance_micros).items():
        Lot.objects.filter(entry_id=entry_id).update(left_micros=F("left_micros") - used)


def _spent(lots: Mapping[int, int], *, balance: int) -> dict[int, int]:
    """Return how much of each lot is used up, given the lots in order and what is left of all."""
    spent = sum(lots.values()) - balance
    assert spent >= 0, "every amount that comes into a wallet makes a lot"
    used = {}
    for entry_id, left in lots.items():
        if not spent:
            break
        used[entry_id] = min(left, spent)
        spent -= used[entry_id]
    return used
