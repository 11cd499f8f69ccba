"""What a run costs: held before it waits, extended while it works, taken once when it ended.

    place (60 s and its outputs) --> extend, a minute at a time, up to its maximum --> settle, once

A run's hold takes no slot of its wallet: how many run at once is the scheduler's to say. Its charge
is one entry and one call of the history, both by the id of the hold, written in the transaction
that ends the run. Where its nodes can spend, too, the run has a budget of its own: the hold and
the calls inside take from it, so together they never take more than the maximum, in whatever order.
"""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson
from django.db import connection, transaction
from django.utils import timezone

from apikeys import budgets
from common.errors import BudgetExceeded, PlatformError
from common.money import Micros, round_up
from credits.books import allowances, batches, holds
from credits.models import Account, Allowance, Budget
from runs.models import Run
from usage import record, refusals
from webhooks import events

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from credits.books.holds import Hold

VENDOR: Final = "runs"
"""What the history calls who did it."""
STEP_SECONDS: Final = 60
"""So much is held at first, and added at a time."""
AHEAD_SECONDS: Final = 30
"""With less than this left of what is held, it is extended."""
MARGIN_SECONDS: Final = 10
"""So long before its maximum is used up a run is told to end."""
HOLD_SECONDS: Final = 15 * 60
"""For how long a hold stands that nobody renews."""
CLOSED_SECONDS: Final = 3600
"""For so long the budget of a run that ended refuses what comes too late."""
OBSERVED: Final = "observed"
"""Under this name a run says, and its call, that its machine named no times (proxied.py)."""
DEFAULT_SECONDS: Final = 600
DEFAULT_OUTPUTS: Final = 20

SETTLE = batches.settle_many(columns=record.COLUMNS, record=record.RECORD)


class Price(NamedTuple):
    """What a worker's time and files cost, in micros."""

    per_second: int
    minimum: int
    per_output: int

    @classmethod
    def of(cls, priced: Any) -> Price:
        """Return that of a worker, or of a run."""
        return cls(priced.micros_per_second, priced.minimum_micros, priced.micros_per_output)

    def of_time(self, gpu_ms: int) -> Micros:
        """Return what so much time costs: nothing for none, and at least the minimum for some."""
        if gpu_ms <= 0:
            return Micros(0)
        return Micros(max(round_up(Fraction(gpu_ms * self.per_second, 1000)), self.minimum))

    def total(self, gpu_ms: int, outputs: int) -> Micros:
        """Return what a run costs that took so long and made so many files."""
        return Micros(self.of_time(gpu_ms) + outputs * self.per_output)

    def usual_maximum(self) -> Micros:
        """Return the most that a run may cost where nobody says."""
        return self.total(DEFAULT_SECONDS * 1000, DEFAULT_OUTPUTS)

    def first(self, outputs: int, most: int) -> Micros:
        """Return what is held before a run waits."""
        return Micros(min(self.total(STEP_SECONDS * 1000, outputs), most))

    def covered_ms(self, held: int, outputs: int) -> int | None:
        """Return how much time what is held pays for, beside so many files; None: any."""
        if not self.per_second:
            return None
        return max(held - outputs * self.per_output, 0) * 1000 // self.per_second


def margin_ms(run: Run, files: int = 0) -> int:
    """Return how long before its maximum is used up a run is told to end.

    Of a small maximum that is a tenth of it, or it would end before it began; none of one that no
    time can use up.
    """
    whole = Price.of(run).covered_ms(run.max_micros, files)
    return 0 if whole is None else min(MARGIN_SECONDS * 1000, whole // 10)


def dearest(prices: Sequence[Price]) -> Price:
    """Return the most that any of them asks, part by part."""
    return Price(*(max(part) for part in zip(*prices, strict=True)))


def give_budget(run_id: UUID, most: Micros, *, by: UUID) -> int:
    """Have a run that can spend inside have a budget of its maximum; return its id."""
    owner = budgets.of_run(run_id)
    allowances.set_rule(owner, "total", most, by=by, under=[owner])
    with connection.cursor() as cursor:
        cursor.execute(allowances.MAKE, allowances.asked([owner]))
    found: int = Budget.objects.get(owner_kind=owner.kind, owner=owner.id).pk
    return found


def close_budget(run: Run) -> None:
    """Have nothing more be taken from a run's budget, also by a call that is being placed.

    Such a call found its key alive when its statement began, and waits for the wallet: it judges
    the budget as it is then. So the row stays for a while (`forget_budgets`): from one that is gone
    nothing is taken, and nothing is refused.
    """
    _limit(run, Micros(0))


def open_budget(run: Run) -> None:
    """Have a run's budget be its maximum again, for its second try."""
    _limit(run, Micros(run.max_micros))


def _limit(run: Run, most: Micros) -> None:
    if run.budget_id is not None:
        owner = budgets.of_run(run.pk)
        allowances.set_rule(owner, "total", most, by=run.user_id, under=[owner])


def forget_budgets(*, batch: int = 500) -> int:
    """Delete the budgets of runs that ended a while ago, and their rules; return how many.

    One from which a call inside took that is open still stays until that has ended.
    """
    before = timezone.now() - timedelta(seconds=CLOSED_SECONDS)
    over = Run.objects.filter(budget_id__isnull=False, ended_at__lt=before).order_by("ended_at")
    gone = 0
    for run in over.only("id", "budget_id")[:batch]:
        gone += forget_budget(run)
    return gone


@transaction.atomic
def forget_budget(run: Run) -> bool:
    """Delete the budget of a run that ended; False while a call inside is open still."""
    assert run.budget_id is not None, "it has one"
    if not allowances.forget([run.budget_id]):
        return False
    Allowance.objects.filter(owner_kind="run", owner=str(run.pk)).delete()
    Run.objects.filter(pk=run.pk).update(budget_id=None)
    return True


def inside(run: Run) -> Micros:
    """Return what calls made inside hold or have cost, by the run's budget."""
    if run.budget_id is None:
        return Micros(0)
    taken = Budget.objects.filter(pk=run.budget_id).values_list("taken_micros", flat=True).first()
    return Micros(max((taken or 0) - run.held_micros, 0))


def lock_wallet(workspace_id: UUID) -> None:
    """Lock a wallet until the transaction ends: whoever locks a run's row, too, does this first."""
    Account.objects.select_for_update(no_key=True).only("id").get(pk=workspace_id, kind="wallet")


def hold_of(run: Run) -> Hold:
    """Return a run's hold, by its name; whether it is open is the books' to say."""
    return holds.Hold(str(run.hold_id), run.workspace_id, Micros(run.held_micros))


def extended(run: Run, wanted: Micros) -> PlatformError | None:
    """Have a run's hold cover `wanted`, or as much of it as its maximum is; return what refused.

    Then the hold stays as it is; NotFound: it had ended. The run's row is not written.
    """
    more = Micros(min(wanted, run.max_micros) - run.held_micros)
    if more <= 0:
        return None
    try:
        run.held_micros = holds.extend(hold_of(run), more, ttl_seconds=HOLD_SECONDS)
    except PlatformError as refused:
        return refused
    return None


def tell_used_up(run: Run, refused: PlatformError) -> None:
    """Have programs be told of a budget that refused a run, or more of it: once while it runs.

    A run's own maximum is no such budget: the run says itself that it ended by that.
    """
    facts: Any = refused.told
    if not isinstance(refused, BudgetExceeded) or facts["kind"] == "run":
        return
    type_, data, key = refusals.used_up(
        facts["budget"],
        whose=facts["kind"],
        key_id=str(run.key_id) if run.key_id else None,
        most=facts["most"],
        left=max(facts["left"], 0),
        needed=facts["needed"],
        resets_at=facts["resets_at"],
    )
    events.emit(run.workspace_id, type_, data, key=key)


class Settled(NamedTuple):
    """What ended a hold: micros charged, and those that the house bears."""

    charged: Micros
    shortfall: Micros


def settle(run: Run, charge: Micros, *, outcome: str, reason: str) -> Settled | None:
    """End a run's hold and write its entry and its call; None if the hold had ended before.

    Part of the transaction that ends the run.
    """
    ask = {
        "hold": str(run.hold_id),
        "wallet": str(run.workspace_id),
        "charged": charge,
        "only_expired": False,
        "silent": False,
        "outcome": "delivered" if charge else outcome,
        "reason": reason[:300],
        "status": 0,
        "attempts": max(run.attempts, 1),
        "vendor_job_id": str(run.prompt_id or ""),
        "vendor_request_id": "",
        "details": {"inputs": _measured(run)},
    }
    with connection.cursor() as cursor:
        cursor.execute(SETTLE, [orjson.dumps([ask]).decode()])
        found = cursor.fetchone()
    return None if found is None else Settled(Micros(found[1]), Micros(found[2]))


def _measured(run: Run) -> dict[str, Any]:
    """Return by what a run was charged."""
    seen = {OBSERVED: True} if run.extra.get(OBSERVED) else {}
    return {"gpu_ms": run.gpu_ms, "outputs": run.paid_outputs, **seen}


def memo(run: Run, *, title: str) -> dict[str, Any]:
    """Return what a run's hold says it is for, so that whoever ends it can say so."""
    return {
        "vendor": VENDOR,
        "operation": f"runs/{run.accelerator or 'any'}",
        "run": str(run.pk),
        "quoted": run.max_micros,
        "price": f"{run.micros_per_second}/s",
        "project": run.project,
        "user": str(run.user_id),
        **({"key": str(run.key_id)} if run.key_id else {}),
        "facts": {"title": title},
    }
