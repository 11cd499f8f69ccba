"""What happens to a run, written down in the transaction in which it happens, and told at once.

Whoever listens hears `runs` with the workspace and the run (LISTEN), and reads the rows: a
notification that is lost costs time, and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.db import connection

from runs.models import RunEvent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runs.models import Run

CHANNEL: Final = "runs"


def note(run: Run, kind: str, data: Mapping[str, Any]) -> RunEvent:
    """Write down one thing, and tell who listens once it is committed."""
    event = RunEvent.objects.create(run=run, kind=kind, data=dict(data))
    tell(run)
    return event


def tell(run: Run) -> None:
    """Have who listens look at a run, once what was written of it is committed."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, f"{run.workspace_id}/{run.pk}"])
