"""How a run ends: its files and its charge first, in one transaction with the word that it ended.

    succeeded          its seconds, and each file of type output that it made
    canceled           its seconds (a member's wish, its maximum, its time limit)
    failed in a node   its seconds, if a file of type output came of it; else nothing, up to so much
                       failed work of a workspace in a day
    lost, expired, our own fault: nothing

Whoever ends a run locks its wallet first, then its row; who finds it ended came too late and
changes nothing. A hold that ended before (nobody renewed it) is not charged any more.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.db import transaction
from django.db.models import Sum
from django.utils import timezone
from django.utils.translation import gettext_noop

from apikeys.models import ApiKey
from audit import log
from common import failpoints
from common.money import Micros
from common.told import kept
from runs import events, preferences, spending
from runs.models import ENDED, Output, Preview, Run, State

if TYPE_CHECKING:
    from uuid import UUID

CANCELED: Final = "canceled"
SPENT: Final = "max_credits_reached"
UNPAID: Final = "insufficient_credits"
REVOKED: Final = "key_revoked"
TIMED_OUT: Final = "run_timeout"
NODE_FAILED: Final = "node_execution_error"
LOST: Final = "worker_lost"
STOPPED: Final = {
    CANCELED: gettext_noop("Canceled."),
    SPENT: gettext_noop(
        "The most that this run may cost was used up. Give it more, and run it again."
    ),
    UNPAID: gettext_noop("The credits, or a budget, did not suffice for more of this run."),
    REVOKED: gettext_noop(
        "What this run was handed over with has ended: the API key was revoked or disabled, its "
        "address was ended, or its person has left. Nothing was charged."
    ),
    TIMED_OUT: gettext_noop("The run took longer than one may."),
}
NO_MACHINE: Final = kept(
    "No machine was free for it within %(minutes)s minutes. Nothing was charged."
)
MOST_MESSAGE: Final = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a worker made of a run, or did not."""

    state: State
    code: str = ""
    message: str = ""
    node: str = ""
    node_class: str = ""
    gpu_ms: int = 0
    """By the worker's clock, and never more than what passed here."""
    files: list[Output] = field(default_factory=list)
    """Stored already; their rows are written with the end."""
    messages: list[Any] = field(default_factory=list)
    reused: bool = False
    observed: bool = False
    """Whether its time is what was seen from here, as its worker names none."""
    ours: bool = False
    """Whether it was nobody's fault but ours or the worker's: then it costs nothing."""


@transaction.atomic
def finish(run_id: UUID, prompt_id: UUID | None, verdict: Verdict) -> bool:
    """End a run, once, with its files and its charge; False if it had ended, or is another try."""
    place = Run.objects.filter(pk=run_id).values_list("workspace_id", flat=True).first()
    if place is None:
        return False
    spending.lock_wallet(place)
    run = Run.objects.select_for_update().get(pk=run_id)
    if run.state in ENDED or run.prompt_id != prompt_id:
        return False
    charge = _charge(run, verdict)
    spending.extended(run, charge)
    run.error_code, run.error_message = verdict.code, verdict.message[:MOST_MESSAGE]
    run.error_node, run.error_class = verdict.node[:100], verdict.node_class[:200]
    run.messages, run.outputs_reused = verdict.messages, verdict.reused
    if verdict.observed:
        run.extra = {**run.extra, spending.OBSERVED: True}
    _settle(run, charge, verdict)
    run.state, run.ended_at = verdict.state, timezone.now()
    preferred = preferences.of(run.workspace_id)
    run.expires_at = run.ended_at + preferred.kept
    run.progress = None
    if preferred.drops_workflows:
        preferences.forget_workflow(run)
    run.save()
    for each in verdict.files:
        each.expires_at = run.expires_at
    Output.objects.bulk_create(verdict.files)
    failpoints.reached("run.before_the_end_is_committed")
    _leave_nothing_open(run)
    for each in verdict.files:
        events.note(run, "output", {"id": str(each.pk), "name": each.name, "node": each.node_id})
    events.note(run, "status", {"status": run.state, "code": run.error_code})
    return True


def _charge(run: Run, verdict: Verdict) -> Micros:
    """Return what a run costs, and write down by what it is measured."""
    price = spending.Price.of(run)
    run.gpu_ms, run.paid_outputs, run.forgiven_ms = max(verdict.gpu_ms, 0), 0, 0
    if verdict.ours:
        return Micros(0)
    if verdict.state == State.SUCCEEDED:
        run.paid_outputs = sum(each.is_paid for each in verdict.files)
        return price.total(run.gpu_ms, run.paid_outputs)
    for each in verdict.files:
        each.is_paid = False
    if verdict.state == State.CANCELED or verdict.files:
        return price.of_time(run.gpu_ms)
    left = settings.RUNS_FORGIVEN_SECONDS * 1000 - _forgiven(run)
    run.forgiven_ms = min(run.gpu_ms, max(left, 0))  # More is paid, or failing would be free.
    return price.of_time(run.gpu_ms - run.forgiven_ms)


def _forgiven(run: Run) -> int:
    """Return how much failed work of the workspace nobody paid for in the last day."""
    lately = Run.objects.filter(
        workspace_id=run.workspace_id, ended_at__gt=timezone.now() - timedelta(days=1)
    )
    return int(lately.aggregate(sum=Sum("forgiven_ms"))["sum"] or 0)


def _settle(run: Run, charge: Micros, verdict: Verdict) -> None:
    outcome = {State.SUCCEEDED: "delivered", State.EXPIRED: "expired", State.CANCELED: "refused"}
    settled = spending.settle(
        run, charge, outcome=outcome.get(verdict.state, "failed"), reason=verdict.message
    )
    run.charged_micros = settled.charged if settled else 0


def _leave_nothing_open(run: Run) -> None:
    ApiKey.objects.filter(run_id=run.pk).delete()
    Preview.objects.filter(run=run).delete()
    spending.close_budget(run)


def cancel_queued(run: Run, *, by: UUID) -> bool:
    """End a run that waits; False if it waits no more."""
    with transaction.atomic():
        done = _end_waiting(run, State.CANCELED, CANCELED, STOPPED[CANCELED])
        if done:
            _note_wish(run, by)
    return done


def expire_queued(run: Run) -> bool:
    """End a run that waited too long; False if it waits no more."""
    minutes = settings.RUNS_QUEUE_SECONDS // 60
    return _end_waiting(run, State.EXPIRED, "queue_expired", NO_MACHINE % {"minutes": minutes})


def _end_waiting(run: Run, state: State, code: str, message: str) -> bool:
    """End it only while it is nobody's: from then on it has a prompt."""
    return finish(run.pk, None, Verdict(state=state, code=code, message=message, ours=True))


@transaction.atomic
def ask_to_cancel(run_id: UUID, reason: str, *, by: UUID | None = None) -> bool:
    """Have whoever leads its worker end a run; False if it is ending already, or ended."""
    run = Run.objects.select_for_update().filter(pk=run_id, cancel_reason="").first()
    if run is None or run.state not in (State.STAGING, State.RUNNING):
        return False
    run.cancel_reason, run.canceled_by = reason, by
    if run.state == State.RUNNING:
        run.state = State.CANCELING
    run.save(update_fields=["cancel_reason", "canceled_by", "state"])
    events.note(run, "status", {"status": State.CANCELING, "code": reason})
    if by is not None:
        _note_wish(run, by)
    return True


def _note_wish(run: Run, by: UUID) -> None:
    log.note("run.canceled", actor=by, workspace=run.workspace_id, target=run.pk)
