"""What happens to a run, written down in the transaction in which it happens, and told at once.

That it began and how it ended is told to the workspace's webhooks, too, and to the address that the
run itself names, there in the dialect in which the run was handed over.

Whoever listens hears `runs` with the workspace and the run (LISTEN), and reads the rows: a
notification that is lost costs time, and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.db import connection

from runs import dialects
from runs.models import RunEvent, State
from webhooks import events as webhooks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runs.models import Run

CHANNEL: Final = "runs"
TOLD: Final = {
    State.RUNNING: "run.started",
    State.SUCCEEDED: "run.succeeded",
    State.FAILED: "run.failed",
    State.CANCELED: "run.canceled",
    State.EXPIRED: "run.expired",
}
"""By which name programs are told."""


def note(run: Run, kind: str, data: Mapping[str, Any]) -> RunEvent:
    """Write down one thing, and tell who listens once it is committed."""
    event = RunEvent.objects.create(run=run, kind=kind, data=dict(data))
    tell(run)
    if kind == "status" and (name := TOLD.get(data["status"])):
        _tell_programs(run, name)
    return event


def _tell_programs(run: Run, name: str) -> None:
    """Have each be told once, also where a second worker began it anew."""
    data = {
        "id": run.name,
        "status": run.state,
        "error": {"code": run.error_code, "message": run.error_message} if run.error_code else None,
        "charged_micro_usd": run.charged_micros,
        "outputs": dialects.job_outputs(run),
        "metadata": run.metadata,
        "created_at": run.created_at.isoformat(),
        "started_at": run.started_at.isoformat() if run.started_at else None,
        "ended_at": run.ended_at.isoformat() if run.ended_at else None,
        "expires_at": run.expires_at.isoformat() if run.expires_at else None,
    }
    key = f"run:{run.pk}:{name}"
    webhooks.emit(run.workspace_id, name, data, key=key)
    if run.webhook_url and (body := dialects.message(run, name, data)):
        webhooks.emit_to(run.workspace_id, run.webhook_url, name, body, key=key)


def tell(run: Run) -> None:
    """Have who listens look at a run, once what was written of it is committed."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, f"{run.workspace_id}/{run.pk}"])
