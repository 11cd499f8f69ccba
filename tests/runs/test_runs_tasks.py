"""What beat does for runs."""

import os
import time
from datetime import timedelta

import pytest
from django.utils import timezone
from runs_by_hand import begun, calling, end, submitted, worker

from credits.models import Budget
from runs import tasks
from runs.models import Run


@pytest.mark.parametrize(("age", "is_left"), [(10, True), (7200, False)])
def test_files_that_were_left_half_fetched_are_taken_away(tmp_path, settings, age, is_left):
    settings.DATA_DIR = tmp_path
    left = tmp_path / "fetched" / "incoming" / "half"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    os.utime(left, (time.time() - age,) * 2)

    tasks.tidy_cache()

    assert left.exists() is is_left


def test_budgets_of_runs_that_are_over_are_deleted(db, make_member):
    member = make_member("1.00")
    machine = worker(member)
    submitted(member, calling())
    run, _ = begun(machine)
    assert end(run)
    Run.objects.filter(pk=run.pk).update(ended_at=timezone.now() - timedelta(hours=2))

    tasks.forget_budgets()

    assert not Budget.objects.filter(pk=run.budget_id).exists()
