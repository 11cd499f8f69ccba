"""A run as Comfy API v2 tells it: a job, with all of its keys always there."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings

from common.drf import base_url
from runs import core, dialects, preferences
from runs.models import ENDED, State

if TYPE_CHECKING:
    from datetime import datetime

    from rest_framework.request import Request

    from runs.models import Output, Run

WORDS: Final = {State.STAGING: "queued", State.COLLECTING: "running"}
"""What a client is told of steps that are ours alone."""
PROGRESS: Final = (
    "value", "nodes_done", "nodes_total", "current_node", "current_node_class", "step", "steps",
    "message",
)  # fmt: skip


def status(run: Run) -> str:
    """Return the word for where a run is; one that was called off goes back to no other."""
    if run.cancel_reason and run.state in WORDS:
        return str(State.CANCELING)
    return WORDS.get(State(run.state), str(run.state))


def job(request: Request, run: Run) -> dict[str, Any]:
    """Return a run with everything."""
    here = f"{base_url(request)}/api/v2/jobs/{run.name}"
    return {
        "id": run.name,
        "status": status(run),
        "created_at": run.created_at.isoformat(),
        "started_at": _instant(run.started_at),
        "completed_at": _instant(run.ended_at),
        "expires_at": (run.expires_at or _at_latest(run)).isoformat(),
        "queue_position": core.queue_position(run),
        "progress": progress(run.progress),
        "outputs": outputs(request, run),
        "error": _error(run),
        "urls": {"self": here, "events": f"{here}/events", "cancel": f"{here}/cancel"},
        "metrics": _metrics(run),
        "metadata": run.metadata,
        "outputs_reused": run.outputs_reused,
    }


def short(run: Run) -> dict[str, Any]:
    """Return a run as a list has it."""
    changed = run.ended_at or run.started_at or run.claimed_at or run.created_at
    return {
        "id": run.name,
        "status": status(run),
        "create_time": run.created_at.isoformat(),
        "update_time": changed.isoformat(),
        "metadata": run.metadata,
    }


def progress(known: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return how far a run is, if it works."""
    return {name: known.get(name) for name in PROGRESS} if known else None


def outputs(request: Request, run: Run) -> list[dict[str, Any]]:
    """Return the files of a run that are still here, in order."""
    found = core.outputs(run.workspace_id, run.pk) if run.state in ENDED else []
    return [output(request, each, run) for each in found]


def output(request: Request, made: Output, run: Run) -> dict[str, Any]:
    """Return one file, with an address for an hour."""
    return dialects.job_output(made, run, base_url(request))


def _instant(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def _at_latest(run: Run) -> datetime:
    """Return when what it makes is deleted, if it ends as late as it may."""
    longest = settings.RUNS_QUEUE_SECONDS + settings.RUNS_SECONDS
    kept = preferences.of(run.workspace_id).kept
    return run.created_at + timedelta(seconds=longest) + kept


def _error(run: Run) -> dict[str, Any] | None:
    if not run.error_code:
        return None
    return {
        "code": run.error_code,
        "message": run.error_message,
        "node_id": run.error_node or None,
        "class_type": run.error_class or None,
        "traceback": None,
    }


def _metrics(run: Run) -> dict[str, int | None]:
    began = run.claimed_at or run.ended_at
    waited = began - run.queued_at if began else None
    inside = core.receipt(run).inside_total if run.run_key_id else 0
    return {
        "queue_ms": max(int(waited.total_seconds() * 1000), 0) if waited is not None else None,
        "execution_ms": run.gpu_ms,
        "charged_micros": run.charged_micros if run.state in ENDED else None,
        "held_micros": run.held_micros,
        "inner_micros": int(inside),
    }
