"""The worker's app, which also writes down how each task ended: `celery -A worker_probe worker`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from celery.signals import task_postrun
from config.celery import app as app

ENDED = Path(os.environ["PROBE_FILE"])


@task_postrun.connect
def _note(task_id: str, task: Any, state: str, **_: Any) -> None:
    with ENDED.open("a") as out:
        out.write(json.dumps({"id": task_id, "task": task.name, "state": state}) + "\n")
