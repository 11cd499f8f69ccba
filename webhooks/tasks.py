"""When webhooks go out."""

from __future__ import annotations

import threading

from celery import shared_task

from webhooks import sending

_turn = threading.Lock()


@shared_task
def send_webhooks() -> None:
    """Send what waits. Receivers that hang hold one thread of a worker, and no second one."""
    if _turn.acquire(blocking=False):
        try:
            sending.send_due()
        finally:
            _turn.release()
