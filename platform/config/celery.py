"""The worker's app. Messages only hurry: whatever must be done is a row, and beat finds it."""

import os
from typing import Any

from celery import Celery
from celery.signals import worker_ready

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("platform")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.autodiscover_tasks(["credits.payments"])


@worker_ready.connect
def _live_at_once(**_: Any) -> None:
    """Say that the worker lives before beat's first round, so that a start is soon ready."""
    from proxy.tasks import heartbeat  # The apps are loaded by now.

    heartbeat()
