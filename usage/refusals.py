"""Why calls were refused: which limit was in the way, what was left of it, and what helps.

Written by the proxy (proxy/refused.py), read by the calls' owner. Alike refusals of an hour are
one row, counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from common.money import Micros
from usage.models import NOBODY, Refusal

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from django.db.models import QuerySet


class Remedy(StrEnum):
    """What helps against a limit."""

    ADD_CREDITS = "add_credits"
    WAIT = "wait"
    RAISE_BUDGET = "raise_budget"
    CHANGE_KEY = "change_key"
    ALLOW_VENDOR = "allow_vendor"
    ASK_STAFF = "ask_staff"


REMEDIES = {
    "balance": Remedy.ADD_CREDITS,
    "concurrency": Remedy.WAIT,
    "requests_per_minute": Remedy.WAIT,
    "budget": Remedy.RAISE_BUDGET,
    "per_call": Remedy.CHANGE_KEY,
    "vendor": Remedy.CHANGE_KEY,
    "network": Remedy.CHANGE_KEY,
    "scope": Remedy.CHANGE_KEY,
    "vendor_here": Remedy.ALLOW_VENDOR,
    "paused": Remedy.ASK_STAFF,
    "maintenance": Remedy.WAIT,
}


def used_up(
    budget: int,
    *,
    whose: str,
    key_id: str | None,
    most: int | None,
    left: int | None,
    needed: int,
    resets_at: str | None,
) -> tuple[str, dict[str, Any], str]:
    """Return what programs are told of a budget that refused: type, data, and a name for it.

    The name is the same for as long as that budget runs with that limit: it is told once.
    """
    data = {
        "of": whose,
        "key_id": key_id if whose == "key" else None,
        "limit_micro_usd": most,
        "left_micro_usd": left,
        "needed_micro_usd": needed,
        "resets_at": resets_at,
    }
    type_ = "key.limit_reached" if whose == "key" else "budget.reached"
    return type_, data, f"budget:{budget}:{most}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which refusals; all if every field is empty. Times are inclusive, exclusive, of the last."""

    user_id: UUID | None = None
    key_id: UUID | None = None
    vendor: str = ""
    operation: str = ""
    project: str = ""
    code: str = ""
    limit: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def rows(self, workspace_id: UUID) -> QuerySet[Refusal]:
        """Return them."""
        named = {
            "user_id": self.user_id,
            "key_id": self.key_id,
            "vendor": self.vendor,
            "operation": self.operation,
            "project": self.project,
            "code": self.code,
            "limit": self.limit,
            "last_at__gte": self.since,
            "last_at__lt": self.until,
        }
        given = {name: value for name, value in named.items() if value}
        return Refusal.objects.filter(workspace_id=workspace_id, **given)


@dataclass(frozen=True, slots=True)
class Refused:
    """Alike refusals of an hour; the figures are those of the last."""

    id: UUID
    code: str
    limit: str
    whose: str
    """Of a budget: workspace, project, member or key."""
    remedy: Remedy
    vendor: str
    operation: str
    project: str
    run: str
    user_id: UUID | None
    key_id: UUID | None
    needed: Micros
    """The most that the call could have cost."""
    left: Micros | None
    most: Micros | None
    left_calls: int | None
    most_calls: int | None
    resets_at: datetime | None
    message: str
    times: int
    first_at: datetime
    last_at: datetime

    @classmethod
    def of(cls, row: Refusal) -> Refused:
        """Read it."""
        return cls(
            id=row.pk,
            code=row.code,
            limit=row.limit,
            whose=row.whose,
            remedy=REMEDIES[row.limit],
            vendor=row.vendor,
            operation=row.operation,
            project=row.project,
            run=row.run_id,
            user_id=None if row.user_id == NOBODY else row.user_id,
            key_id=None if row.key_id == NOBODY else row.key_id,
            needed=Micros(row.needed_micros),
            left=None if row.left_micros is None else Micros(row.left_micros),
            most=None if row.most_micros is None else Micros(row.most_micros),
            left_calls=row.left,
            most_calls=row.most,
            resets_at=row.resets_at,
            message=row.message,
            times=row.times,
            first_at=row.first_at,
            last_at=row.last_at,
        )


@dataclass(frozen=True, slots=True)
class Page:
    """Some refusals, the newest first, and how many rows there are on all pages."""

    total: int
    refusals: list[Refused]


def page(workspace_id: UUID, wanted: Wanted, *, page: int, limit: int) -> Page:
    """Return one page (1-based)."""
    found = wanted.rows(workspace_id)
    rows = found.order_by("-id")[(page - 1) * limit : page * limit]
    return Page(found.count(), list(map(Refused.of, rows)))


def older(
    workspace_id: UUID, wanted: Wanted, *, than: UUID | None, limit: int
) -> tuple[list[Refused], UUID | None]:
    """Return the newest refusals that began before one, and where the next ones begin."""
    found = wanted.rows(workspace_id)
    if than is not None:
        found = found.filter(id__lt=than)
    rows = [Refused.of(row) for row in found.order_by("-id")[: limit + 1]]
    return rows[:limit], rows[limit - 1].id if len(rows) > limit else None
