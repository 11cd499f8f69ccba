"""When mails go out."""

from __future__ import annotations

import threading

from celery import shared_task

from outbox import mails

_turn = threading.Lock()


@shared_task
def send_mails() -> None:
    """Send what waits. A mail server that hangs holds one thread of a worker, and no second one."""
    if _turn.acquire(blocking=False):
        try:
            mails.send_due()
        finally:
            _turn.release()
