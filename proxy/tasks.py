"""What runs without anyone asking. Each finds its work in the database; messages only hurry it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson
from celery import shared_task
from django.db import connection

from apikeys import keys
from common import logs
from common.errors import PlatformError
from proxy import jobs, process, replay, sql
from proxy.books import FoundJob, Settle
from proxy.models import Heartbeat
from proxy.vendors import catalogue

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable

BATCH = 100

CLAIM_JOBS = """
    UPDATE proxy_job job
       SET polls = polls + 1,
           next_poll_at = now() + least(greatest((now() - created_at) / 4, interval '2 seconds'),
                                        interval '1 minute')
     WHERE id IN (SELECT id FROM proxy_job
                   WHERE ended_at IS NULL AND next_poll_at <= now()
                   ORDER BY next_poll_at LIMIT %s
                     FOR UPDATE SKIP LOCKED)
 RETURNING id::text, workspace_id::text, vendor, operation, vendor_job_id, vendor_request_id,
           poll_url, price_micros, inputs, deadline_at <= now()
"""


@shared_task
def heartbeat(name: str = "worker") -> None:
    """Say that beat and a worker live; `/ready` tells. Also writes when keys were used."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {Heartbeat._meta.db_table} (name, seen_at) VALUES (%s, now())"  # noqa: S608, SLF001
            " ON CONFLICT (name) DO UPDATE SET seen_at = excluded.seen_at",
            [name],
        )
    keys.used.write()


@shared_task
def follow_jobs() -> int:
    """Ask for the jobs that are due, and settle those that ended. Returns how many were asked."""
    with connection.cursor() as cursor:
        cursor.execute(CLAIM_JOBS, [BATCH])
        rows = cursor.fetchall()
    if rows:
        _with_platform(lambda platform: _each(_follow(platform, row) for row in rows))
    return len(rows)


async def _follow(platform: process.Platform, row: tuple[Any, ...]) -> None:
    """Ask once; after the deadline the job has expired, whatever the vendor may do later."""
    inputs = row[8] if isinstance(row[8], dict) else orjson.loads(row[8])
    hold, workspace, name, operation, vendor_job_id, request_id, poll_url, price, _, over = row
    job = FoundJob(
        id=hold,
        workspace=workspace,
        vendor=name,
        operation=operation,
        vendor_job_id=vendor_job_id,
        vendor_request_id=request_id,
        poll_url=poll_url,
        price=price,
        inputs=inputs,
        ended=False,
        outcome="",
    )
    vendor = catalogue().vendors.get(job.vendor)
    try:
        said = await jobs.ask(platform, vendor, job) if vendor else None
        answer = said[0] if said else None
        outcome = vendor.job.outcome(answer) if vendor and vendor.job and answer else None
        if outcome is not None or over:
            await jobs.end(platform, job, outcome or "expired", answer or {})
    except PlatformError as exc:
        logs.line(event="follow", call=job.id, error=exc.code)


@shared_task
def sweep_holds() -> int:
    """End the holds whose time is over; nothing is charged. Returns how many were found."""
    with connection.cursor() as cursor:
        cursor.execute(sql.EXPIRED, [BATCH])
        rows = cursor.fetchall()
    if rows:
        _with_platform(lambda platform: _each(_expire(platform, row) for row in rows))
    return len(rows)


async def _expire(platform: process.Platform, row: tuple[Any, ...]) -> None:
    hold, wallet, intent, memo, is_job = row
    memo = memo if isinstance(memo, dict) else orjson.loads(memo)
    consumed = {
        "intent": intent,
        "fingerprint": memo.get("fingerprint", ""),
        "status": 0,
        "headers": {},
        "body": None,
        "once": False,
        "seconds": replay.KEYED_SECONDS,
    }
    await platform.books.settle(
        Settle(
            hold=hold,
            wallet=wallet,
            outcome="expired",
            only_expired=True,
            reason="Nobody came to know how it ended, in time.",
            is_job=is_job,
            # An intention that its client named is used up; one of ours is free again.
            answer=consumed if intent and memo.get("keyed") else None,
        )
    )
    logs.line(event="expired", call=hold)


@shared_task
def forget() -> None:
    """Delete answers that are no longer kept, and jobs that ended three days ago."""
    with connection.cursor() as cursor:
        # An answer that a call is just about to write anew is left to it: nobody waits here.
        cursor.execute(
            "DELETE FROM proxy_answer WHERE intent IN ("
            " SELECT intent FROM proxy_answer WHERE kept_until < now() FOR UPDATE SKIP LOCKED)"
        )
        cursor.execute("DELETE FROM proxy_job WHERE ended_at < now() - interval '3 days'")
    replay.sweep_spool()


async def _each(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Do all of them to their end; then raise what the first that failed did."""
    for done in await asyncio.gather(*works, return_exceptions=True):
        if isinstance(done, BaseException):
            raise done


def _with_platform(work: Callable[[process.Platform], Awaitable[Any]]) -> None:
    """Run async work with lanes and connections of its own."""

    async def run() -> None:
        platform = await process.start()
        try:
            await work(platform)
        finally:
            await process.stop(platform)

    asyncio.run(run())
