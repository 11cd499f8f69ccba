"""Follow the jobs that nobody polls to their end: asked with back-off until their deadline.

A round claims what is due, a few of each vendor, and asks each in bounded time. A claim is a
lease that outlasts the question, so that no two rounds ask for the same; a vendor that is silent
costs each round at most `looking.ASK_SECONDS`, and only its own jobs come later for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import connection

from common import logs
from common.errors import PlatformError
from proxy import jobs, looking, remembered, sql
from proxy.dialect import Verdict
from proxy.vendors import catalogue

if TYPE_CHECKING:
    from proxy.catalogue import Job, Vendor
    from proxy.process import Platform
    from proxy.remembered import FoundJob

BATCH = 100
OF_A_VENDOR = 20
LEASE_SECONDS = 3 * looking.ASK_SECONDS

CLAIM = f"""
    WITH due AS (
        SELECT id FROM (
            SELECT id, next_poll_at,
                   row_number() OVER (PARTITION BY vendor ORDER BY next_poll_at) AS place
              FROM proxy_job WHERE ended_at IS NULL AND next_poll_at <= now()
        ) AS waiting
         WHERE place <= {OF_A_VENDOR} ORDER BY next_poll_at LIMIT %s
    ), mine AS (
        SELECT id FROM proxy_job
         WHERE id IN (SELECT id FROM due) AND next_poll_at <= now() AND ended_at IS NULL
           FOR UPDATE SKIP LOCKED
    )
    UPDATE proxy_job job
       SET polls = polls + 1, asked_at = now(),
           next_poll_at = now() + {LEASE_SECONDS} * interval '1 second'
     WHERE id IN (SELECT id FROM mine)
 RETURNING job.deadline_at <= now(), {sql.JOB_COLUMNS}
"""  # noqa: S608 - constants of our own

AGAIN = """
    UPDATE proxy_job
       SET next_poll_at = now() + least(greatest((now() - created_at) / 4, interval '2 seconds'),
                                        interval '1 minute')
     WHERE id = %s AND ended_at IS NULL
"""


def claim() -> list[tuple[bool, FoundJob]]:
    """Take what is due for this round; return whether its time is over, and the job."""
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, [BATCH])
        return [(over, remembered.found(row)) for over, *row in cursor.fetchall()]


async def follow(platform: Platform, found: FoundJob, *, over: bool) -> None:
    """Ask once, and settle what ended; after the deadline it has expired, whatever comes later."""
    submit = catalogue().submit(found.vendor, found.operation)
    try:
        if submit is not None and submit.operation.job is not None:
            await _ask(platform, submit.vendor, submit.operation.job, found)
        if over and not found.outcome:
            await jobs.end(platform, found, "expired", None)
    except PlatformError as exc:
        logs.line(event="follow", call=found.id, error=exc.code)


async def _ask(platform: Platform, vendor: Vendor, shape: Job, found: FoundJob) -> None:
    """Settle what ended; ask again later for what runs, and for what is silent after its lease."""
    said = await looking.ask(platform, vendor, found, shape)
    judged = shape.judge(said) if said is not None else None
    if said is None or judged is None:
        return
    await looking.note(platform, found, said, judged)
    early = judged.verdict is Verdict.MISSING and found.age_seconds < looking.NOT_YET_SECONDS
    if judged.verdict in jobs.ENDS and not early:
        await jobs.end(platform, found, jobs.ENDS[judged.verdict], said)
    else:
        await platform.books.query(AGAIN, found.id)
