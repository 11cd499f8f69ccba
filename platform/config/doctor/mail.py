"""Mails: whether anybody gets them."""

from __future__ import annotations

from datetime import timedelta
from email.utils import parseaddr
from smtplib import SMTPException
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.mail import get_connection
from django.utils import timezone

from config import preflight
from config.doctor.verdicts import Verdict, failed, ok, warning
from outbox.models import Mail

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = 10
LATE = timedelta(hours=1)


def look() -> Iterator[Verdict]:
    """Sign in at the mail server, without sending anything."""
    if settings.EMAIL_BACKEND.endswith("console.EmailBackend"):
        sentence = "EMAIL_URL is console: receipts and warnings are printed, and nobody gets them."
        yield warning("mail", sentence, "Set EMAIL_URL=smtp://user:password@host:587.")
        return
    domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2]
    if domain in ("", "localhost") or domain.endswith((".example", "example.org")):
        sentence = f"MAIL_FROM is at {domain or 'no domain'}: many servers refuse such mails."
        yield warning("mail", sentence, "Set MAIL_FROM to an address of a domain of yours.")
    server = get_connection(timeout=SECONDS)
    try:
        try:
            server.open()
        finally:
            server.close()
    except (OSError, SMTPException) as exc:
        sentence = f"{settings.EMAIL_HOST} does not take mails of ours: {preflight.first_line(exc)}"
        yield failed("mail", sentence, "Start it, or mend EMAIL_URL.")
    else:
        yield ok("mail", f"{settings.EMAIL_HOST} takes mails of ours.")


def look_at_mails() -> Iterator[Verdict]:
    """Look for mails that should have gone out long ago, or were given up."""
    now = timezone.now()
    waiting = Mail.objects.filter(next_try_at__isnull=False, created_at__lt=now - LATE).count()
    lost = Mail.objects.filter(
        next_try_at=None, sent_at=None, created_at__gt=now - timedelta(days=7)
    ).count()
    if waiting or lost:
        sentence = f"{waiting} mails wait for more than an hour; {lost} of this week were given up."
        do = "Read the `error` of outbox_mail; see whether the queue `default` is taken from."
        yield warning("mails", sentence, do)
    else:
        yield ok("mails", "None waits for long.")
