"""Write a mail in one's own transaction; the worker sends it, and tries again if it cannot.

A process that dies between sending and noting so sends twice: better than not at all.
"""

from __future__ import annotations

import logging
import smtplib
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import F
from django.utils import timezone, translation
from django.utils.module_loading import import_string
from django.utils.translation import gettext

from outbox.models import Mail

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger(__name__)

MOST_ATTEMPTS = 12
LEASE_SECONDS = 120


def write(key: str, *, to: str, subject: str, text: str, kind: str = "") -> None:
    """Have the mail go out once this transaction is committed; again under the key: nothing.

    Of a kind that its reader leaves out, none is written; the others of such a kind say where that
    is done. Without an address there is nobody to tell, and nothing is written. What no database
    holds (NUL, half of a surrogate) is told as a question mark: a letter stops nothing of what it
    tells.
    """
    if not to or (kind and not import_string(settings.MAILS_WANTED)(to, kind)):
        return
    if kind and (where := _leaving(to, kind)):
        text += "\n" + gettext("No more of these mails: %(where)s") % {"where": where} + "\n"
    one_line = " ".join(_kept(subject).split())[:200]
    with transaction.atomic():
        Mail.objects.get_or_create(
            key=key[:200],
            defaults={"to": to, "subject": one_line, "text": _kept(text), "kind": kind},
        )


def _leaving(address: str, kind: str) -> str:
    """Return where mails of a kind are left out by who reads at that address; or nothing."""
    found: str = import_string(settings.MAILS_LEAVING)(address, kind)
    return found


@contextmanager
def in_language_of(address: str) -> Iterator[None]:
    """Have what is written inside be in the language that its reader chose.

    Who chose none, or is not known here, reads what whoever causes the mail reads: on a page the
    language of the page, in a worker English.
    """
    chosen = import_string(settings.MAILS_LANGUAGE)(address) if address else ""
    with translation.override(chosen or translation.get_language()):
        yield


def _kept(text: str) -> str:
    return text.replace("\0", "?").encode("utf-8", "replace").decode()


def send_due(*, limit: int = 100) -> int:
    """Send what waits; return how many went out."""
    now, sent = timezone.now(), 0
    for mail in Mail.objects.filter(next_try_at__lte=now).order_by("next_try_at")[:limit]:
        mine = Mail.objects.filter(pk=mail.pk, next_try_at=mail.next_try_at)
        lease = timezone.now() + timedelta(seconds=LEASE_SECONDS)
        if mine.update(next_try_at=lease, attempts=F("attempts") + 1):
            sent += _send(mail)
    return sent


def _send(mail: Mail) -> bool:
    known = Mail.objects.filter(pk=mail.pk)
    message = EmailMessage(mail.subject, mail.text, to=[mail.to])
    message.extra_headers["Message-ID"] = f"<{mail.pk}.{mail.created_at.timestamp():.0f}@outbox>"
    if mail.kind and (where := _leaving(mail.to, mail.kind)):
        message.extra_headers["List-Unsubscribe"] = f"<{where}>"
        if where.startswith("https:"):  # RFC 8058: no other.
            message.extra_headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    try:
        message.send()
    except (smtplib.SMTPException, OSError, ValueError) as exc:  # ValueError: not a mail at all.
        attempts = mail.attempts + 1
        wait = timedelta(seconds=min(6 * 3600, 30 * 2**attempts))
        known.update(
            error=f"{type(exc).__name__}: {exc}"[:300],
            next_try_at=None if attempts >= MOST_ATTEMPTS else timezone.now() + wait,
        )
        log.warning("mail %s was not sent, try %s: %s", mail.pk, attempts, type(exc).__name__)
        return False
    known.update(sent_at=timezone.now(), next_try_at=None, error="")
    return True
