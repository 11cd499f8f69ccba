"""What keeps a hold from being placed: too little money, too many at once, too small a budget.

    short    the wallet has not enough available
    busy     as many holds are open as may be at once
    budget   a budget that it is under has not enough left

They are looked at in that order, and the first that does not fit is told, with its facts: which
limit, how large it is, what is left of it, and when it begins anew. The same words stand in the
statement of `batches.place_many`, which judges under the locks, and here, where the outcome of one
after the other is worked out for a batch, and where each is put into a sentence.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction
from django.db.models import F, Value
from django.db.models.functions import Greatest

from common.errors import (
    AccessDisabled,
    BudgetExceeded,
    ConcurrencyLimit,
    InsufficientCredits,
    PlatformError,
)
from common.money import show
from credits.models import Budget

if TYPE_CHECKING:
    from common.money import Micros

VERDICTS = ("short", "busy", "budget")
OF = {"key": "of this key", "member": "that you have here", "workspace": "of this workspace"}


class Room(NamedTuple):
    """What there was for an ask when its statement had locked everything; its batch not counted."""

    available: int
    """Micros in the wallet that nobody holds."""
    open: int = 0
    concurrency: int | None = None
    """How many holds may be open at once."""
    budgets: tuple[dict[str, Any], ...] = ()
    """Those that it is under, by id: `id`, `kind`, `owner`, `limit`, `left`, `resets_at`."""


@dataclass(slots=True)
class Left:
    """What is left as the asks of a batch take one after the other, each of what is its own."""

    _available: dict[str, int] = field(default_factory=dict)
    _open: dict[str, int] = field(default_factory=dict)
    _budgets: dict[int, int] = field(default_factory=dict)

    def judge(self, wallet: str, room: Room, amount: int) -> tuple[str, dict[str, Any]]:
        """Return `placed`, or the limit that does not fit, with its facts."""
        available = self._available.setdefault(wallet, room.available)
        if amount > available:
            return "short", {"limit": "balance", "left": available}
        is_open = self._open.setdefault(wallet, room.open)
        if room.concurrency is not None and is_open >= room.concurrency:
            return "busy", {"limit": "concurrency", "most": room.concurrency, "open": is_open}
        for budget in room.budgets:
            left = self._left_of(budget)
            if budget["limit"] is not None and amount > left:
                return "budget", {**_facts(budget), "left": left}
        return "placed", {}

    def take(self, wallet: str, room: Room, amount: int) -> None:
        """Count what was placed."""
        self._available[wallet] = self._available.get(wallet, room.available) - amount
        self._open[wallet] = self._open.get(wallet, room.open) + 1
        for budget in room.budgets:
            self._budgets[budget["id"]] = self._left_of(budget) - amount

    def _left_of(self, budget: dict[str, Any]) -> int:
        return self._budgets.setdefault(budget["id"], budget["left"] or 0)


def described(budget: Budget) -> dict[str, Any]:
    """Return a budget as the statement describes it."""
    taken = budget.held_micros + budget.spent_micros
    return {
        "id": budget.pk,
        "kind": budget.owner_kind,
        "owner": budget.owner,
        "limit": budget.limit_micros,
        "left": None if budget.limit_micros is None else budget.limit_micros - taken,
        "resets_at": budget.ends_at.isoformat() if budget.ends_at else None,
    }


def _facts(budget: dict[str, Any]) -> dict[str, Any]:
    return {
        "limit": "budget",
        "budget": budget["id"],
        "kind": budget["kind"],
        "owner": budget["owner"],
        "most": budget["limit"],
        "resets_at": budget["resets_at"],
    }


def refusal(facts: dict[str, Any], *, amount: int) -> PlatformError:
    """Return why a hold of `amount` was not placed, in a sentence with the figures."""
    if facts["limit"] == "concurrency":
        return _too_many(facts["most"], facts["open"])
    if facts["limit"] == "budget":
        return _over_budget(facts, amount)
    return InsufficientCredits(
        f"This call can cost {show(amount)}, and {show(facts['left'])} of your credits are "
        "available. Add credits, or choose a smaller request."
    )


def _too_many(most: int, is_open: int) -> PlatformError:
    if most <= 0:
        return AccessDisabled("No calls may be made here: the limit of calls at once is 0.")
    return ConcurrencyLimit(
        f"{is_open} calls of this workspace are running, and {most} may run at once. Wait until "
        "one has ended.",
        headers={
            "Retry-After": "5",
            "X-Concurrency-Limit": str(most),
            "X-Concurrency-Current": str(is_open),
            "X-Concurrency-Remaining": "0",
        },
    )


def _over_budget(facts: dict[str, Any], amount: int) -> PlatformError:
    whose = OF.get(facts["kind"], f"of this {facts['kind']}")
    sentence = (
        f"This call can cost {show(amount)}, and {show(max(facts['left'], 0))} is left of the "
        f"budget {whose}, {show(facts['most'])}."
    )
    if facts["resets_at"]:
        zone = settings.PERIODS_TIME_ZONE
        anew = datetime.fromisoformat(facts["resets_at"]).astimezone(ZoneInfo(zone))
        return BudgetExceeded(f"{sentence} It begins anew on {anew:%Y-%m-%d at %H:%M} {zone}.")
    return BudgetExceeded(f"{sentence} Who set it can raise it.")


@transaction.atomic
def set_limit(budget_id: int, limit: Micros | None) -> None:
    """Have a budget's limit be that from now on; None takes it away.

    What was taken already stays, also if it is more: then nothing more is placed.
    """
    budget = Budget.objects.select_for_update(no_key=True).filter(pk=budget_id)
    if limit is None:
        budget.update(limit_micros=None, over_micros=0)
    else:
        over = F("held_micros") + F("spent_micros") - Value(limit)
        budget.update(limit_micros=limit, over_micros=Greatest(over, Value(0)))
