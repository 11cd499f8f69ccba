"""What runs now: the open holds of a workspace, as the calls that they are for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common.money import Micros
from credits.models import Hold

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

MOST = 50


@dataclass(frozen=True, slots=True)
class Running:
    """A call that has not ended."""

    id: UUID
    vendor: str
    operation: str
    title: str
    held: Micros
    since: datetime


def now(workspace_id: UUID, *, user_id: UUID | None = None) -> list[Running]:
    """Return the calls that run, the newest first; of one member if one is named."""
    found = Hold.objects.filter(account_id=workspace_id).order_by("-placed_at")
    if user_id is not None:
        found = found.filter(memo__user=str(user_id))
    return [
        _running(hold.pk, hold.amount_micros, hold.placed_at, hold.memo) for hold in found[:MOST]
    ]


def _running(pk: UUID, amount: int, since: datetime, memo: dict[str, Any]) -> Running:
    facts = memo.get("facts") or {}
    return Running(
        id=pk,
        vendor=memo.get("vendor") or "",
        operation=memo.get("operation") or "",
        title=facts.get("title") or "",
        held=Micros(amount),
        since=since,
    )
