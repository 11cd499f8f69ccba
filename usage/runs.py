"""Runs: what one press of Run called and cost, by ComfyUI's own id for it (`Comfy-Job-Id`)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from django.db.models import F

from common.errors import InvalidRequest
from common.money import Micros
from usage import sums
from usage.models import NOBODY, RunSum

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from django.db.models import QuerySet

    from usage.history import Receipt

MOST_BY_PAGE = 10_000
"""So many are found by the number of their page; beyond them one goes on from the last (cursor)."""


class State(StrEnum):
    """How a run went, by its calls that have ended."""

    DELIVERED = "delivered"
    PARTLY = "partly"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which runs; all if every field is empty. Times are inclusive, exclusive, of their end."""

    user_id: UUID | None = None
    key_id: UUID | None = None
    vendor: str = ""
    operation: str = ""
    project: str = ""
    state: State | None = None
    since: datetime | None = None
    until: datetime | None = None

    def rows(self, workspace_id: UUID) -> QuerySet[RunSum]:
        """Return them."""
        named = {
            "user_id": self.user_id,
            "key_id": self.key_id,
            "project": self.project,
            "vendors__contains": [self.vendor] if self.vendor else None,
            "operations__contains": [self.operation] if self.operation else None,
            "ended_at__gte": self.since,
            "ended_at__lt": self.until,
        }
        given = {name: value for name, value in named.items() if value}
        found = RunSum.objects.filter(workspace_id=workspace_id, **given)
        match self.state:
            case State.DELIVERED:
                return found.filter(delivered=F("calls"))
            case State.FAILED:
                return found.filter(delivered=0)
            case State.PARTLY:
                return found.filter(delivered__gt=0, delivered__lt=F("calls"))
        return found


@dataclass(frozen=True, slots=True)
class Run:
    """One press of Run by one person, as far as its calls have ended."""

    number: int
    """Of its last call: what ended last is the newest."""
    id: str
    user_id: UUID | None
    key_id: UUID | None
    project: str
    state: State
    calls: int
    failures: int
    """Calls that delivered nothing."""
    charged: Micros
    vendors: list[str]
    nodes: list[str]
    began_at: datetime
    ended_at: datetime

    @classmethod
    def of(cls, row: RunSum) -> Run:
        """Read it."""
        failures = row.calls - row.delivered
        state = State.PARTLY if row.delivered and failures else State.DELIVERED
        return cls(
            number=row.last_number,
            id=row.run_id,
            user_id=None if row.user_id == NOBODY else row.user_id,
            key_id=None if row.key_id == NOBODY else row.key_id,
            project=row.project,
            state=state if row.delivered else State.FAILED,
            calls=row.calls,
            failures=failures,
            charged=Micros(row.charged_micros),
            vendors=row.vendors,
            nodes=row.nodes,
            began_at=row.began_at,
            ended_at=row.ended_at,
        )


@dataclass(frozen=True, slots=True)
class Page:
    """Some runs, the newest first, and how many there are on all pages."""

    total: int
    runs: list[Run]


def page(workspace_id: UUID, wanted: Wanted, *, page: int, limit: int) -> Page:
    """Return one page (1-based); raise InvalidRequest beyond the first MOST_BY_PAGE."""
    if page * limit > MOST_BY_PAGE:
        raise InvalidRequest(f"Beyond {MOST_BY_PAGE} runs please go on by cursor.")
    sums.catch_up(workspace_id)
    found = wanted.rows(workspace_id)
    rows = found.order_by("-last_number")[(page - 1) * limit : page * limit]
    return Page(found.count(), list(map(Run.of, rows)))


def of_call(workspace_id: UUID, call: Receipt) -> Run | None:
    """Return the press of Run that a call belongs to; None if its client named none."""
    if not call.run:
        return None
    sums.catch_up(workspace_id)
    mine = RunSum.objects.filter(workspace_id=workspace_id, run_id=call.run)
    row = mine.filter(user_id=call.user_id or NOBODY).first()
    return Run.of(row) if row else None


def older(
    workspace_id: UUID, wanted: Wanted, *, than: int | None, limit: int
) -> tuple[list[Run], int | None]:
    """Return the newest runs whose last call has a lower number, and where the next ones begin."""
    sums.catch_up(workspace_id)
    found = wanted.rows(workspace_id)
    if than is not None:
        found = found.filter(last_number__lt=than)
    rows = [Run.of(row) for row in found.order_by("-last_number")[: limit + 1]]
    return rows[:limit], rows[limit - 1].number if len(rows) > limit else None
