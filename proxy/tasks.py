"""What runs without anyone asking. Each finds its work in the database; messages only hurry it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson
from celery import shared_task
from django.db import connection
from django.utils.translation import gettext_noop

from apikeys import keys, paces
from common import logs
from common.errors import Unavailable
from common.rows import in_steps
from credits.books import processes
from proxy import answers, days, following, health, process, replay, sql, vendor_accounts
from proxy.models import Heartbeat
from proxy.phases import Settle

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable

BATCH = 100
FORGET_REPEATS = """
    DELETE FROM proxy_repeat WHERE intent IN (
        SELECT intent FROM proxy_repeat WHERE kept_until < now()
         LIMIT %(batch)s FOR UPDATE SKIP LOCKED)
"""
FORGET_JOBS = """
    DELETE FROM proxy_job WHERE id IN (
        SELECT id FROM proxy_job WHERE ended_at < now() - kept_seconds * interval '1 second'
         LIMIT %(batch)s FOR UPDATE SKIP LOCKED)
"""
DIED = gettext_noop("The program that made this call ended in the middle of it.")
LATE = gettext_noop("Nobody came to know how it ended, in time.")


@shared_task
def heartbeat(name: str = "worker") -> None:
    """Say that beat and a worker live; `/ready` tells. Also writes when keys were used."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {Heartbeat._meta.db_table} (name, seen_at) VALUES (%s, now())"  # noqa: S608, SLF001  # nosec B608
            " ON CONFLICT (name) DO UPDATE SET seen_at = excluded.seen_at",
            [name],
        )
    keys.used.write()


@shared_task
def follow_jobs() -> int:
    """Ask for the jobs that are due, and settle those that ended. Returns how many were asked."""
    claimed = following.claim()
    if claimed:
        _with_platform(
            lambda platform: _each(
                following.follow(platform, found, over=over) for over, found in claimed
            )
        )
    return len(claimed)


@shared_task
def sweep_holds() -> int:
    """End the holds that are over; nothing is charged. Returns how many were found.

    Their time is over, or the program died that alone could end them.
    """
    with connection.cursor() as cursor:
        cursor.execute(processes.BEAT, [processes.WATCH])
        cursor.execute(sql.EXPIRED, [BATCH])
        rows = cursor.fetchall()
    if rows:
        _with_platform(lambda platform: _each(_expire(platform, row) for row in rows))
    return len(rows)


async def _expire(platform: process.Platform, row: tuple[Any, ...]) -> None:
    hold, wallet, intent, memo, is_late, is_job = row
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
            reason=LATE if is_late else DIED,
            is_job=is_job,
            # An intention that its client named is used up; one of ours is free again, and so is
            # one whose program died.
            answer=consumed if is_late and intent and memo.get("keyed") else None,
        )
    )
    logs.line(event="expired" if is_late else "orphaned", call=hold)


@shared_task
def forget() -> None:
    """Forget answers that are no longer kept, and jobs whose result no vendor keeps any more.

    And what was counted long ago; secrets of an older pepper are sealed by the newest. Each goes in
    bounded steps, or a whole day at once: what is left is for the next time.
    """
    days.forget()
    for statement in (FORGET_REPEATS, FORGET_JOBS, processes.FORGET, paces.FORGET):
        in_steps(statement)
    answers.forget()
    health.forget()
    vendor_accounts.reseal()


async def _each(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Do all of them to their end; then raise what the first that failed did.

    What the books could not take just now is left as it was: the next round finds it again.
    """
    left = 0
    for done in await asyncio.gather(*works, return_exceptions=True):
        if isinstance(done, Unavailable):
            left += 1
        elif isinstance(done, BaseException):
            raise done
    if left:
        logs.line(event="left", count=left)


def _with_platform(work: Callable[[process.Platform], Awaitable[Any]]) -> None:
    """Run async work with lanes and connections of its own."""

    async def run() -> None:
        platform = await process.start()
        try:
            await work(platform)
        finally:
            await process.stop(platform)

    asyncio.run(run())
