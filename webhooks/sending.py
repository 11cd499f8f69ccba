"""Send what waits: claimed, posted, noted.

    claim (one statement, SKIP LOCKED; due again after LEASE) --> POST --> note, if it is still ours
      ^----------- whoever answered makes room for the next, at once --------------'

A process that dies between its request and its note leaves a row that is due again after the lease:
the receiver gets the same `webhook-id` twice, which tells it so. Two senders never hold one row at
once. Any 2xx is success; a redirect is not followed; 410 switches an endpoint off, as does failing
for DAYS_UNTIL_OFF without anything taken. No transaction is open while somebody else is asked.
"""

from __future__ import annotations

import asyncio
import email.utils
import logging
import random
import threading
import time
from concurrent.futures import FIRST_COMPLETED, wait
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import aiohttp
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from audit import log as audit
from common import failpoints
from common.outside import dialing, guard
from common.rows import rows
from common.told import kept
from webhooks import signing
from webhooks.models import Delivery, Endpoint

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from concurrent.futures import Future
    from uuid import UUID

    from common.outside.guard import LookUp

log = logging.getLogger(__name__)

PAUSES: Final = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Seconds after each try but the last (runs.md 7)."""
MOST_TRIES: Final = len(PAUSES) + 1
JITTER: Final = 0.1
"""A part of each pause, up: what failed together does not come again together."""
LONGEST_ASKED: Final = 86_400
"""Seconds for which a receiver may ask us to wait (Retry-After)."""
WHOLE_SECONDS: Final = 15
LEASE_SECONDS: Final = 60
AT_ONCE: Final = 40
AT_ONCE_FOR_ONE: Final = 4
"""So an endpoint that hangs holds up only itself."""
AT_ONCE_FOR_WORKSPACE: Final = 8
"""And so does whoever has many of them."""
WHILE_SECONDS: Final = 60
"""So long a round goes on with what became due meanwhile."""
MOST_COUNTED: Final = 1000
"""Tries of one message; whoever has it sent again and again is not counted beyond."""
DAYS_UNTIL_OFF: Final = 5
MOST_NOTED: Final = 20
USER_AGENT: Final = "comfy-platform/1 (webhooks)"
GONE: Final = gettext_noop("The receiver said that it is gone (410).")
FAILED_FOR_DAYS: Final = kept("Nothing was taken for %(days)s days.") % {"days": DAYS_UNTIL_OFF}

CLAIM = """
    WITH busy AS MATERIALIZED (
        SELECT endpoint.id, endpoint.workspace_id FROM unnest(%(busy)s::uuid[]) AS given (id)
          JOIN webhooks_endpoint endpoint ON endpoint.id = given.id
    ), due AS MATERIALIZED (
        SELECT id FROM (
            SELECT one.id, one.next_try_at,
                   row_number() OVER (PARTITION BY endpoint.workspace_id ORDER BY one.next_try_at)
                   + (SELECT count(*) FROM busy WHERE busy.workspace_id = endpoint.workspace_id)
                   AS place
              FROM webhooks_endpoint endpoint CROSS JOIN LATERAL (
                       SELECT id, next_try_at FROM webhooks_delivery
                        WHERE endpoint_id = endpoint.id AND next_try_at <= statement_timestamp()
                        ORDER BY next_try_at
                        LIMIT greatest(%(each)s - (SELECT count(*) FROM busy
                                                    WHERE busy.id = endpoint.id), 0)
                          FOR UPDATE SKIP LOCKED
                   ) one
             WHERE endpoint.off_at IS NULL
        ) AS waiting
         WHERE place <= %(of_one)s
         ORDER BY place, next_try_at LIMIT %(most)s
    ), mine AS (
        UPDATE webhooks_delivery delivery
           SET next_try_at = statement_timestamp() + %(lease)s * interval '1 second',
               attempts = least(attempts + 1, %(most_attempts)s),
               last_try_at = statement_timestamp()
         WHERE id = ANY (ARRAY(SELECT id FROM due))
     RETURNING id, endpoint_id, url, body, attempts
    )
    SELECT mine.id, mine.endpoint_id, mine.url, mine.body, mine.attempts, endpoint.url AS usual_url,
           endpoint.secret,
           CASE WHEN endpoint.old_secret_until > statement_timestamp()
                THEN endpoint.old_secret ELSE '' END
           AS old_secret
      FROM mine JOIN webhooks_endpoint endpoint ON endpoint.id = mine.endpoint_id
"""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A message that is ours to send until the lease is over."""

    id: UUID
    endpoint_id: UUID
    url: str
    body: str
    attempts: int
    usual_url: str
    secret: str
    old_secret: str

    @property
    def message_id(self) -> str:
        """The `webhook-id`."""
        return f"msg_{self.id.hex}"

    @property
    def secrets(self) -> list[str]:
        """Those that sign it."""
        return [signing.unseal(each) for each in (self.secret, self.old_secret) if each]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a try went."""

    status: int | None = None
    error: str = ""
    milliseconds: int = 0
    retry_after: int = 0

    @property
    def is_taken(self) -> bool:
        """Whether the receiver has it."""
        return self.status is not None and 200 <= self.status < 300


def send_due(*, look_up: LookUp | None = None) -> int:
    """Send what waits, for about WHILE_SECONDS; return how many were claimed: 0 where none is due.

    Whoever answers makes room for another at once: receivers that hang hold up only their share.
    """
    until, claimed = time.monotonic() + WHILE_SECONDS, 0
    under_way: dict[Future[Outcome], Claimed] = {}
    with _loop() as loop:
        while True:
            some = claim(under_way.values()) if time.monotonic() < until else []
            if some:
                failpoints.reached("webhooks.claimed")
            claimed += len(some)
            for each in some:
                sent = asyncio.run_coroutine_threadsafe(send(each, look_up=look_up), loop)
                under_way[sent] = each
            if not under_way:
                return claimed
            done, _ = wait(under_way, timeout=1, return_when=FIRST_COMPLETED)
            for sent in done:
                failpoints.reached("webhooks.sent")
                note(under_way.pop(sent), _outcome(sent))


def _outcome(sent: Future[Outcome]) -> Outcome:
    """Return how a try went; a fault of ours is one message's, and keeps no other from going."""
    if (fault := sent.exception()) is None:
        return sent.result()
    log.error("a webhook could not be sent", exc_info=fault)
    return Outcome(error="Something went wrong here. It is tried again.")


@contextmanager
def _loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Have a loop run in a thread: what is sent goes on while rows are claimed and noted."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="webhooks", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def claim(under_way: Collection[Claimed] = ()) -> list[Claimed]:
    """Take what is due, beside what this process sends already; what others hold is left to them.

    A few of each endpoint and of each workspace; first of those who have the fewest under way.
    """
    asked = {
        "busy": [each.endpoint_id for each in under_way],
        "each": AT_ONCE_FOR_ONE,
        "of_one": AT_ONCE_FOR_WORKSPACE,
        "most": AT_ONCE - len(under_way),
        "lease": LEASE_SECONDS,
        "most_attempts": MOST_COUNTED,
    }
    return list(rows(Claimed, CLAIM, asked)) if len(under_way) < AT_ONCE else []


async def send(one: Claimed, *, look_up: LookUp | None = None) -> Outcome:
    """Post a message once; return how it went, whatever the other side does."""
    begun = time.monotonic()
    status, error, retry_after = None, "", 0
    try:
        async with asyncio.timeout(WHOLE_SECONDS):
            status, retry_after = await _post(one, look_up)
    except guard.NotAllowed as refusal:
        error = f"The address {refusal}."
    except signing.Unreadable:
        error = gettext_noop("Its secret cannot be read any more. Rotate it.")
    except TimeoutError:
        error = f"There was no answer within {WHOLE_SECONDS} seconds."
    except (aiohttp.ClientError, OSError, ValueError):
        error = gettext_noop("The receiver could not be reached, or did not answer as HTTP has it.")
    if status is not None and 300 <= status < 400:
        error = gettext_noop("The receiver redirects, and redirects are not followed.")
    elif status is not None and not 200 <= status < 300:
        error = f"The receiver answered {status}."
    spent = int((time.monotonic() - begun) * 1000)
    return Outcome(status, error, spent, retry_after)


async def _post(one: Claimed, look_up: LookUp | None) -> tuple[int, int]:
    """Return the status and the wait that was asked for. Of the answer's body nothing is read."""
    target = guard.read(one.url or one.usual_url)
    addresses = await guard.look_up(target, by=look_up)
    body = one.body.encode()
    signed = signing.headers(one.message_id, int(time.time()), body, by=one.secrets)
    headers = {"Content-Type": "application/json", "User-Agent": USER_AGENT, **signed}
    async with dialing.asking(
        "POST", target, addresses, headers=headers, body=body, silence_seconds=WHOLE_SECONDS
    ) as answer:
        return answer.status, _wait_asked_for(answer.headers.get("Retry-After", ""))


def _wait_asked_for(text: str) -> int:
    """Read Retry-After, which is seconds or a date; return seconds, 0 for what is neither."""
    if text.isascii() and text.isdecimal():
        return min(int(text[:9]), LONGEST_ASKED)
    try:
        until = email.utils.parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return 0
    return int(min(max(until - time.time(), 0), LONGEST_ASKED))


# --- What becomes of it -----------------------------------------------------------------------


@transaction.atomic
def note(one: Claimed, outcome: Outcome) -> bool:
    """Write down how a try went; False if it is not ours any more, and then nothing is written.

    The endpoint's row is locked first, as by whoever changes it.
    """
    endpoint = Endpoint.objects.select_for_update().filter(pk=one.endpoint_id).first()
    mine = Delivery.objects.select_for_update().filter(pk=one.id, attempts=one.attempts)
    delivery = mine.exclude(next_try_at=None).first()
    if endpoint is None or delivery is None:
        return False
    now = timezone.now()
    delivery.last_status, delivery.last_error = outcome.status, outcome.error
    delivery.tries = [*delivery.tries, _told(now, outcome)][-MOST_NOTED:]
    if outcome.is_taken:
        delivery.delivered_at, delivery.next_try_at = now, None
    else:
        delivery.next_try_at = _next_try(one, outcome, now)
    delivery.save(
        update_fields=[
            "last_status", "last_error", "tries", "delivered_at", "next_try_at",
        ]
    )  # fmt: skip
    if endpoint.url:  # Those that runs name fail each by itself.
        _follow(endpoint, outcome, now)
    return True


def _told(now: datetime, outcome: Outcome) -> dict[str, object]:
    return {
        "at": now.isoformat(timespec="seconds"),
        "status": outcome.status,
        "error": outcome.error,
        "ms": outcome.milliseconds,
    }


def _next_try(one: Claimed, outcome: Outcome, now: datetime) -> datetime | None:
    if outcome.status == 410 or one.attempts >= MOST_TRIES:
        return None
    pause = PAUSES[one.attempts - 1]
    usual = pause * (1 + random.random() * JITTER)  # noqa: S311 - nobody is to guess it
    return now + timedelta(seconds=max(usual, outcome.retry_after))


def _follow(endpoint: Endpoint, outcome: Outcome, now: datetime) -> None:
    """Have an endpoint's row say how it fares; switch it off where it is of no use."""
    if outcome.is_taken:
        if endpoint.failing_since is not None:
            Endpoint.objects.filter(pk=endpoint.pk).update(failing_since=None)
        return
    since = endpoint.failing_since or now
    if outcome.status == 410:
        switch_off(endpoint, reason=GONE)
    elif now - since >= timedelta(days=DAYS_UNTIL_OFF):
        switch_off(endpoint, reason=FAILED_FOR_DAYS)
    elif endpoint.failing_since is None:
        Endpoint.objects.filter(pk=endpoint.pk).update(failing_since=now)


def switch_off(endpoint: Endpoint, *, reason: str) -> None:
    """Send nothing there any more, and give up what waits; its owner sees it, and is mailed."""
    changed = Endpoint.objects.filter(pk=endpoint.pk, off_at=None).update(
        off_at=timezone.now(), off_reason=reason, told_at=None
    )
    if changed:
        give_up(endpoint.pk, because="The endpoint is off.")
        audit.note(
            "webhook.switched_off",
            workspace=endpoint.workspace_id,
            target=endpoint.pk,
            reason=reason,
        )


def give_up(endpoint_id: UUID, *, because: str) -> int:
    """Send nothing that waits for an endpoint."""
    waiting = Delivery.objects.filter(endpoint_id=endpoint_id, next_try_at__isnull=False)
    return waiting.update(next_try_at=None, last_error=because)
