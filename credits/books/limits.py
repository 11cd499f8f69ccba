"""What keeps a hold from being placed: too little money, too many at once, too small a budget.

    short    the wallet has not enough available
    busy     as many holds are open as may be at once
    budget   a budget that it is under has not enough left

They are looked at in that order, and the first that does not fit is told, with its facts: which
limit, how large it is, what is left of it, and when it begins anew. The same words stand in the
statement of `batches.place_many`, which judges under the locks, and here, where the outcome of one
after the other is worked out for a batch, and where each is put into a sentence.

How many may run at once follows from what was paid in the wallet's life (CONCURRENCY_TIERS), unless
the wallet's row says it (`set_concurrency`). Large holds (LARGE_MICROS) have a quarter of that, and
at least one, beside the others. A slot is an open hold: a crash cannot lose one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction
from django.db.models import F, Value
from django.db.models.expressions import RawSQL
from django.db.models.functions import Greatest
from django.utils import translation
from django.utils.translation import gettext_noop

from audit import log
from common.errors import (
    AccessDisabled,
    BudgetExceeded,
    ConcurrencyLimit,
    InsufficientCredits,
    InvalidRequest,
    PlatformError,
)
from common.money import Micros, show
from common.told import kept
from credits.books import reasons
from credits.models import LARGE_MICROS, Account, Budget

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

MOST_SLOTS = 100_000
VERDICTS = ("short", "busy", "budget")
WAITS = "waits"
"""The statement's word for who comes after one that was refused: judged in its turn (turns.py)."""
OVER_BALANCE = kept(
    "This call can cost %(amount)s, and %(left)s of your credits are available. Add credits, or "
    "choose a smaller request."
)
NONE_AT_ONCE = kept("No calls may be made here: the limit of calls at once is 0.")
MANY = kept(
    "%(running)s calls of this workspace are running, and %(most)s may run at once. Wait until one "
    "has ended."
)
MANY_LARGE = kept(
    "%(running)s calls of %(amount)s or more of this workspace are running, and %(most)s may run "
    "at once. Wait until one has ended."
)
OVER_BUDGET = kept(
    "This call can cost %(amount)s, and %(left)s is left of the budget %(whose)s, %(most)s. Who "
    "set it can raise it."
)
OVER_UNTIL = kept(
    "This call can cost %(amount)s, and %(left)s is left of the budget %(whose)s, %(most)s. It "
    "begins anew on %(day)s at %(time)s %(zone)s."
)
OF = {
    "run": gettext_noop("of this run"),
    "key": gettext_noop("of this key"),
    "project": gettext_noop("of this project"),
    "member": gettext_noop("that you have here"),
    "workspace": gettext_noop("of this workspace"),
}


class Room(NamedTuple):
    """What there was for an ask when its statement had locked everything; its batch not counted."""

    available: int
    """Micros in the wallet that nobody holds."""
    open: int = 0
    """Holds of its size, large or not."""
    concurrency: int | None = None
    """How many of them may be open at once."""
    budgets: tuple[dict[str, Any], ...] = ()
    """Those that it is under, by id: `id`, `kind`, `owner`, `limit`, `left`, `resets_at`."""


@dataclass(slots=True)
class Left:
    """What is left as the asks of a batch take one after the other, each of what is its own."""

    _available: dict[str, int] = field(default_factory=dict)
    _open: dict[tuple[str, bool], int] = field(default_factory=dict)
    _budgets: dict[int, int] = field(default_factory=dict)

    def judge(self, wallet: str, room: Room, amount: int) -> tuple[str, dict[str, Any]]:
        """Return `placed`, or the limit that does not fit, with its facts."""
        available = self._available.setdefault(wallet, room.available)
        if amount > available:
            return "short", {"limit": "balance", "left": available}
        is_open = self._open.setdefault((wallet, is_large(amount)), room.open)
        if room.concurrency is not None and is_open >= room.concurrency:
            return "busy", {
                "limit": "concurrency",
                "most": room.concurrency,
                "open": is_open,
                "large": is_large(amount),
            }
        for budget in room.budgets:
            left = self._left_of(budget)
            if budget["limit"] is not None and amount > left:
                return "budget", {**_facts(budget), "left": left}
        return "placed", {}

    def take(self, wallet: str, room: Room, amount: int) -> int:
        """Count what was placed; return how many of its size are open now, itself among them."""
        self.spend(wallet, room, amount)
        size = wallet, is_large(amount)
        self._open[size] = self._open.get(size, room.open) + 1
        return self._open[size]

    def spend(self, wallet: str, room: Room, amount: int) -> None:
        """Count what was placed, and has ended and cost all of it."""
        self._available[wallet] = self._available.get(wallet, room.available) - amount
        for budget in room.budgets:
            self._budgets[budget["id"]] = self._left_of(budget) - amount

    def _left_of(self, budget: dict[str, Any]) -> int:
        return self._budgets.setdefault(budget["id"], budget["left"] or 0)


def is_large(amount: int) -> bool:
    """Whether a hold has slots of its own."""
    return amount >= LARGE_MICROS


def slots(concurrency: int | None, amount: int) -> int | None:
    """Return how many holds of that size may be open at once, where so many may in all."""
    return max(concurrency // 4, 1) if concurrency and is_large(amount) else concurrency


def of_wallet(tiers: Sequence[tuple[int, int]]) -> str:
    """Return how many may be open at once, as SQL over a wallet's row; null is any number.

    A tier is from how many micros paid on it holds, and how many; the first is from 0 on.
    """
    steps = " ".join(
        f"WHEN paid_micros >= {int(paid)} THEN {int(most)}" for paid, most in reversed(tiers[1:])
    )
    lowest = str(int(tiers[0][1])) if tiers else "-1"
    tier = f"CASE {steps} ELSE {lowest} END" if steps else lowest
    return f"nullif(coalesce(concurrency, {tier}), -1)"


@dataclass(frozen=True, slots=True)
class Slots:
    """How many holds of a size may be open at once (None: any number), and are."""

    most: int | None
    open: int

    @property
    def left(self) -> int | None:
        """How many more may be."""
        return None if self.most is None else max(self.most - self.open, 0)


def slots_of(wallet_id: UUID) -> tuple[Slots, Slots]:
    """Return those of a wallet: of its usual holds, and of its large ones."""
    ((most, large, usual),) = Account.objects.filter(pk=wallet_id).values_list(
        RawSQL(of_wallet(settings.CONCURRENCY_TIERS), []),  # noqa: S611  # nosec B611
        "open_large",
        F("open_holds") - F("open_large") - F("open_apart"),
    )
    return Slots(most, usual), Slots(slots(most, LARGE_MICROS), large)


@transaction.atomic
def set_concurrency(wallet_id: UUID, most: int | None, *, by: UUID, reason: str) -> None:
    """Have so many calls of a wallet run at once, whatever was paid: 0 is none, -1 any number.

    None: as many as follow from what was paid.
    """
    if most is not None and not -1 <= most <= MOST_SLOTS:
        raise InvalidRequest(f"Calls at once: from 0 to {MOST_SLOTS}, or -1 for any number.")
    reason = reasons.given(reason, to="This")
    wallet = Account.objects.select_for_update(no_key=True).get(pk=wallet_id, kind="wallet")
    Account.objects.filter(pk=wallet_id).update(concurrency=most)
    log.note(
        "concurrency.set",
        actor=by,
        workspace=wallet_id,
        reason=reason,
        before={"most": wallet.concurrency},
        after={"most": most},
    )


def described(budget: Budget) -> dict[str, Any]:
    """Return a budget as the statement describes it."""
    return {
        "id": budget.pk,
        "kind": budget.owner_kind,
        "owner": budget.owner,
        "limit": budget.limit_micros,
        "left": None if budget.limit_micros is None else budget.limit_micros - budget.taken_micros,
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
        return _too_many(facts["most"], facts["open"], large=facts["large"])
    if facts["limit"] == "budget":
        return _over_budget(facts, amount)
    figures = {"amount": show(amount), "left": show(facts["left"])}
    return InsufficientCredits(translation.gettext(OVER_BALANCE) % figures)


def _too_many(most: int, is_open: int, *, large: bool) -> PlatformError:
    if most <= 0:
        return AccessDisabled(translation.gettext(NONE_AT_ONCE))
    figures = {"running": is_open, "amount": show(Micros(LARGE_MICROS)), "most": most}
    return ConcurrencyLimit(
        translation.gettext(MANY_LARGE if large else MANY) % figures,
        headers={"Retry-After": "5", **headers(most, is_open)},
    )


def headers(most: int, is_open: int) -> dict[str, str]:
    """Return how a call's answer tells of its wallet's slots (contract 2.4)."""
    return {
        "X-Concurrency-Limit": str(most),
        "X-Concurrency-Current": str(is_open),
        "X-Concurrency-Remaining": str(max(most - is_open, 0)),
    }


def _over_budget(facts: dict[str, Any], amount: int) -> PlatformError:
    whose = OF.get(facts["kind"], f"of this {facts['kind']}")
    figures = {
        "amount": show(amount),
        "left": show(max(facts["left"], 0)),
        "whose": translation.gettext(whose),
        "most": show(facts["most"]),
    }
    if not facts["resets_at"]:
        return BudgetExceeded(translation.gettext(OVER_BUDGET) % figures)
    zone = settings.PERIODS_TIME_ZONE
    anew = datetime.fromisoformat(facts["resets_at"]).astimezone(ZoneInfo(zone))
    figures |= {"day": f"{anew:%Y-%m-%d}", "time": f"{anew:%H:%M}", "zone": zone}
    return BudgetExceeded(translation.gettext(OVER_UNTIL) % figures)


@transaction.atomic
def set_limit(budget_id: int, limit: Micros | None) -> None:
    """Have a budget's limit be that from now on; None takes it away.

    What was taken already stays, also if it is more: then nothing more is placed.
    """
    budget = Budget.objects.select_for_update(no_key=True).filter(pk=budget_id)
    if limit is None:
        budget.update(limit_micros=None, over_micros=0)
    else:
        over = F("taken_micros") - Value(limit)
        budget.update(limit_micros=limit, over_micros=Greatest(over, Value(0)))
