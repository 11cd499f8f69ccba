"""The worker knows what beat asks of it, wherever in the tree it stands."""

import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

pytestmark = pytest.mark.system
ROOT = Path(__file__).parents[2]
FOLDERS = (
    "accounts", "apikeys", "credits", "outbox", "privacy", "proxy", "runs", "staff", "uploads",
    "usage", "webhooks",
)  # fmt: skip


@pytest.fixture(scope="module")
def known() -> set[str]:
    """What a worker has found once it is up: in a process of its own, where no test imported it."""
    code = (
        "from config.celery import app\n"
        "app.loader.import_default_modules()\n"
        "print('\\n'.join(name for name in app.tasks if not name.startswith('celery.')))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(found.stdout.split())


def test_every_task_that_beat_sends_is_known(known):
    asked = {each["task"] for each in settings.CELERY_BEAT_SCHEDULE.values()}

    assert asked - known == set()


def test_every_file_of_tasks_is_found(known):
    files = [file for folder in FOLDERS for file in (ROOT / folder).rglob("tasks.py")]
    modules = {".".join(file.relative_to(ROOT).with_suffix("").parts) for file in files}

    assert {name.rpartition(".")[0] for name in known} == modules
