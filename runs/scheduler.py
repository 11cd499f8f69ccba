"""Which run goes to a worker next: rows decide, and messages only hurry.

Whoever leads a worker that has room asks for one (`claim`). Of all runs that could go there the one
is taken whose workspace has the fewest at work, then had the least of the workers' time lately, and
of one workspace the one that came first. A workspace has as many at work at once as its wallet
may have calls, counted apart from these.

Claims go one after the other, so that what each counts is true; a run that somebody just cancels is
passed over. A run that its worker lost goes back to the queue once, if it made nothing yet.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from apikeys.models import ApiKey
from credits.books import holds, limits
from runs import ending, events, scrubbing, spending
from runs.models import Run, State

if TYPE_CHECKING:
    from uuid import UUID

LATELY_SECONDS: Final = 600
MOST_ATTEMPTS: Final = 2
BATCH: Final = 50
NOT_ON: Final = "not_on"
"""Under this name a run's `extra` has the machines that lack a model or a file that it names."""

ONE_AFTER_THE_OTHER = "SELECT pg_advisory_xact_lock(hashtext('runs.claim'))"

NEXT = f"""
    WITH machine AS (
        SELECT worker.*, nodes.classes, nodes.barred
          FROM runs_worker worker JOIN runs_workernodes nodes ON nodes.worker_id = worker.id
         WHERE worker.id = %(worker)s AND worker.state = 'active' AND worker.health = 'up'
           AND worker.slots > (SELECT count(*) FROM runs_run
                                WHERE worker_id = worker.id
                                  AND state IN ('staging', 'running', 'canceling', 'collecting'))
    ), at_work AS (
        SELECT workspace_id, count(*) AS n FROM runs_run
         WHERE state IN ('staging', 'running', 'canceling', 'collecting') GROUP BY workspace_id
    ), lately AS (
        SELECT workspace_id, sum(gpu_ms) AS ms FROM runs_run
         WHERE ended_at > now() - %(lately)s * interval '1 second' GROUP BY workspace_id
    )
    SELECT run.id
      FROM runs_run run
      CROSS JOIN machine
      JOIN credits_account wallet ON wallet.id = run.workspace_id
      LEFT JOIN at_work ON at_work.workspace_id = run.workspace_id
      LEFT JOIN lately ON lately.workspace_id = run.workspace_id
     WHERE run.state = 'queued'
       AND run.accelerator IN ('', machine.accelerator)
       AND (machine.reserved_for = '{{}}' OR run.workspace_id = ANY (machine.reserved_for))
       AND machine.micros_per_second <= run.micros_per_second
       AND machine.minimum_micros <= run.minimum_micros
       AND machine.micros_per_output <= run.micros_per_output
       AND NOT EXISTS (SELECT FROM jsonb_array_elements_text(run.classes) AS of_run (class)
                        WHERE of_run.class <> ALL (machine.classes::text[])
                           OR of_run.class = ANY (machine.barred::text[]))
       AND NOT coalesce(run.extra -> '{NOT_ON}' @> to_jsonb(machine.id), false)
       AND (machine.dialect = 'native'  -- Another takes no files of models (inputs.with_models).
            OR NOT EXISTS (SELECT FROM jsonb_object_keys(run.files) AS of_run (path)
                            WHERE of_run.path NOT LIKE 'input/%%'))
       AND coalesce(at_work.n, 0) < coalesce(
               (SELECT {limits.of_wallet(settings.CONCURRENCY_TIERS)}), 1000000)
     ORDER BY coalesce(at_work.n, 0), coalesce(lately.ms, 0), run.created_at, run.id
     LIMIT 1
       FOR UPDATE OF run SKIP LOCKED
"""  # noqa: S608 - constants of our own


@transaction.atomic
def claim(worker_id: int) -> Run | None:
    """Give the worker its next run, under an id of its own; None if there is none, or no room.

    The price is the worker's from now on: never more than the run was taken at.
    """
    with connection.cursor() as cursor:
        cursor.execute(ONE_AFTER_THE_OTHER)
        cursor.execute(NEXT, {"worker": worker_id, "lately": LATELY_SECONDS})
        found = cursor.fetchone()
    if found is None:
        return None
    run = Run.objects.get(pk=found[0])
    run.worker_id = worker_id
    worker = run.worker
    assert worker is not None, "it was just given"
    run.state, run.prompt_id, run.claimed_at = State.STAGING, uuid4(), timezone.now()
    run.attempts, run.sent_at = run.attempts + 1, None
    run.micros_per_second = worker.micros_per_second
    run.minimum_micros = worker.minimum_micros
    run.micros_per_output = worker.micros_per_output
    run.save()
    scrubbing.begin(run)
    events.tell(run)
    return run


def lost(run: Run, message: str, *, code: str = ending.LOST) -> bool:
    """Have a run that its worker lost wait again, if it may; else it has failed. True: it waits.

    It may once, if nothing was made or paid inside yet, nobody called it off, and what was held for
    it still is: for as long as it may wait.
    """
    if _wait_again(run, code):
        return True
    # Perhaps it was called off after whoever lost it had read it.
    reason = Run.objects.filter(pk=run.pk).values_list("cancel_reason", flat=True).first()
    if reason:
        state, code = State.CANCELED, reason
    else:
        state = State.FAILED
    verdict = ending.Verdict(state=state, code=code, message=message, ours=True)
    ending.finish(run.pk, run.prompt_id, verdict)
    return False


@transaction.atomic
def _wait_again(run: Run, code: str) -> bool:
    spending.lock_wallet(run.workspace_id)  # What its nodes call is placed before this, or not.
    now = Run.objects.select_for_update().get(pk=run.pk)
    on_it = (State.STAGING, State.RUNNING, State.COLLECTING)
    if now.prompt_id != run.prompt_id or now.state not in on_it:
        return False
    if now.cancel_reason or now.attempts >= MOST_ATTEMPTS or spending.inside(now):
        return False
    again = settings.RUNS_QUEUE_SECONDS + spending.HOLD_SECONDS
    if not holds.renew(spending.hold_of(now), ttl_seconds=again):
        return False
    ApiKey.objects.filter(run_id=now.pk).delete()
    spending.close_budget(now)
    now.state, now.worker, now.prompt_id = State.QUEUED, None, None
    now.sent_at, now.started_at, now.progress = None, None, None
    now.queued_at = timezone.now()  # Its place in the queue is as before, its time begins anew.
    now.save()
    events.note(now, "status", {"status": State.QUEUED, "code": code})
    return True


def expire_waiting() -> int:
    """End the runs that waited too long; return how many."""
    before = timezone.now() - timedelta(seconds=settings.RUNS_QUEUE_SECONDS)
    due = Run.objects.filter(state=State.QUEUED, queued_at__lt=before).order_by("queued_at")
    return sum(ending.expire_queued(run) for run in due[:BATCH])


def on_worker(worker_id: int) -> list[UUID]:
    """Return the runs that a worker has, as whoever begins to lead it finds them."""
    states = (State.STAGING, State.RUNNING, State.CANCELING, State.COLLECTING)
    found = Run.objects.filter(worker_id=worker_id, state__in=states)
    return list(found.order_by("claimed_at").values_list("pk", flat=True))
