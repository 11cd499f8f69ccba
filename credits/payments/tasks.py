"""When things about money run: a message hurries, and beat finds whatever is left."""

from __future__ import annotations

import logging
import queue
import threading
from contextvars import Context, copy_context
from functools import lru_cache, wraps
from typing import TYPE_CHECKING, Any

from celery import shared_task

from common import db
from common.errors import Unavailable
from credits.payments import (
    automatic,
    following,
    mails,
    processor,
    receivables,
    refunds,
    stripe_api,
    webhooks,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from celery import Task

log = logging.getLogger(__name__)

MOST_MESSAGES = 1000
TURNS = 2
AGAIN_SECONDS = 60
_turns = threading.BoundedSemaphore(TURNS)
_messages: queue.SimpleQueue[tuple[Context, Any, tuple[str, ...]]] = queue.SimpleQueue()


def hurry(task: Task[..., Any], *arguments: str) -> None:
    """Have a message sent, some time soon and not by us: a broker that is away delays nobody.

    It may be lost; then the sweep comes in a moment.
    """
    if _messages.qsize() < MOST_MESSAGES:
        _messages.put((copy_context(), task, arguments))  # It belongs to whatever goes on here.
        _sender()


@lru_cache(maxsize=1)
def _sender() -> threading.Thread:
    thread = threading.Thread(target=_send_all, name="hurry", daemon=True)
    thread.start()
    return thread


def _send_all() -> None:
    while True:
        context, task, arguments = _messages.get()
        try:
            context.run(task.apply_async, arguments, retry=False, expires=60)
        except Exception as exc:
            log.warning("broker away, %s waits for the sweep: %s", task.name, exc)


def in_turn(task: Callable[..., object]) -> Callable[..., bool]:
    """Let only some of a worker's threads wait for Stripe: the others follow jobs and sweep holds.

    Who gets no turn does nothing, and says so: the rows stay, and the sweep comes again in two
    seconds. What beat starts rarely must have itself called again.
    """

    @wraps(task)
    def run(*arguments: str) -> bool:
        if not _turns.acquire(blocking=False):
            return False
        try:
            task(*arguments)
        finally:
            _turns.release()
        return True

    return run


def each(work: Callable[[Any], object], things: Iterable[Any]) -> None:
    """Do it for each; what fails for one is logged, is tried again, and stops no other.

    Whoever is away, Stripe or the books, is a line; only a mistake of ours is a trace.
    """
    for thing in things:
        name = getattr(work, "__qualname__", work)
        try:
            work(thing)
        except Exception as exc:
            if isinstance(exc, Unavailable) or db.is_passing(exc):
                log.warning("%s waits for %s: %s", name, thing, exc)
            else:
                log.exception("%s failed for %s", name, thing)


@shared_task
@in_turn
def process_event(event_id: str) -> None:
    """Act on an event that came just now."""
    webhooks.process(event_id)


@shared_task
@in_turn
def check_purchases() -> None:
    """Ask about the purchases that are due for it."""
    each(following.check, following.claim_due())


@shared_task
@in_turn
def follow_money() -> None:
    """Take up what waits: events, purchases nobody told us of, wallets that run low, refunds."""
    if not stripe_api.is_configured():
        return
    each(webhooks.process, webhooks.due())
    each(following.check, following.claim_due())
    each(automatic.buy, automatic.due_wallets())
    each(refunds.send, refunds.claim_due())


@shared_task
def tend_wallets() -> None:
    """Collect what is due, tell whose balance is low, and show staff which refunds wait."""
    receivables.collect_due()
    mails.tell_low_balances()
    refunds.report_waiting()


@shared_task
def listen_again() -> None:
    """Find the events whose delivery was lost; without a turn, in a minute."""
    if stripe_api.is_configured() and not in_turn(webhooks.catch_up)():
        listen_again.apply_async(countdown=AGAIN_SECONDS)


@shared_task
def compare_with_processor() -> None:
    """Compare our purchases with what really moved at Stripe; without a turn, in a minute."""
    if stripe_api.is_configured() and not in_turn(processor.compare)():
        compare_with_processor.apply_async(countdown=AGAIN_SECONDS)
