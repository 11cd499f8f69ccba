"""Reads of the books for their owner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from credits.models import Account

if TYPE_CHECKING:
    from uuid import UUID


@dataclass(frozen=True, slots=True)
class Balance:
    """A wallet in micros: posted so far, set aside, and what can be spent."""

    balance: int
    held: int

    @property
    def available(self) -> int:
        """The balance less what is held; never negative."""
        return self.balance - self.held


def balance(workspace_id: UUID) -> Balance:
    """Return the wallet of a workspace as it is now."""
    wallet = Account.objects.get(pk=workspace_id)
    return Balance(wallet.balance_micros, wallet.held_micros)
