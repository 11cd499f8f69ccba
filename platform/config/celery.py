"""The worker's app. Messages only hurry: whatever must be done is a row, and beat finds it."""

import logging
import os
import sys
from pathlib import Path
from typing import Any

from celery import Celery, Task
from celery.signals import beat_init, celeryd_init, setup_logging, worker_ready
from django.conf import settings
from django.db import connection

from common import db
from common.errors import Unavailable
from common.lanes import away

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")


class Round(Task):  # type: ignore[type-arg]  # Of any arguments.
    """What every task of ours is: where its books are away it ends in one line, without a trace.

    Whatever it had to do is a row still, and the next round finds it.
    """

    throws = (Unavailable,)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Do it; raise Unavailable where the same may succeed in a moment."""
        try:
            return super().__call__(*args, **kwargs)
        except Exception as exc:
            if db.is_passing(exc) or db.is_cache_away(exc):
                raise away() from exc
            raise


app = Celery("platform", task_cls=Round)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.autodiscover_tasks(
    [f"credits.{wing}" for wing in ("books", "statements", "payments", "proofs")]
)


def _is_celerys_own_program() -> bool:
    """Whether this process is `celery -A config.celery ...`, which shows a trace for a mistake."""
    started = Path(sys.argv[0] or "python")
    return started.stem == "celery" or started.parent.name == "celery"


if _is_celerys_own_program():
    from config import preflight

    preflight.require_settings("celery")


@celeryd_init.connect
@beat_init.connect
def _look_first(**_: Any) -> None:
    """End with one line where there is nothing to work on; warnings are lines of JSON, too."""
    from config import counted, preflight, tracing

    logging.captureWarnings(True)
    counted.together(processes=1)
    preflight.require_database("celery")
    tracing.begin("worker")
    connection.close_pool()  # type: ignore[attr-defined]  # A beat of -B is forked from here.


@setup_logging.connect
def _log_as_everybody_does(**_: Any) -> None:
    """Keep what Django set up: JSON lines on stderr. Celery would put its own form in its place."""


@worker_ready.connect
def _live_at_once(sender: Any, **_: Any) -> None:
    """Say that the worker lives before beat's first round, so that a start is soon ready."""
    from proxy.tasks import heartbeat  # The apps are loaded by now.

    for queue in sender.task_consumer.queues:
        heartbeat(settings.HEARTBEATS[queue.name])
