"""What a wallet has to spend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.money import Micros
from credits.models import Account

if TYPE_CHECKING:
    from uuid import UUID


@dataclass(frozen=True, slots=True)
class Balance:
    """A wallet: posted so far, set aside, and what can be spent."""

    balance: Micros
    held: Micros

    @property
    def available(self) -> Micros:
        """The balance less what is held; never negative."""
        return Micros(self.balance - self.held)


def balance(workspace_id: UUID) -> Balance:
    """Return the wallet of a workspace as it is now."""
    wallet = Account.objects.only("balance_micros", "held_micros").get(pk=workspace_id)
    return Balance(Micros(wallet.balance_micros), Micros(wallet.held_micros))
