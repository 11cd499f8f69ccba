"""When mails go out."""

from __future__ import annotations

from celery import shared_task

from outbox import mails


@shared_task
def send_mails() -> None:
    """Send what waits."""
    mails.send_due()
