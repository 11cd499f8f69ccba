"""What people are told by mail about their data. Written in the transaction that it tells of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings

from outbox import mails
from privacy import tokens

if TYPE_CHECKING:
    from privacy.models import Deletion, Export

CONFIRM = """You asked {platform} to delete your account and what is known of you.

Nothing happens before you confirm it, within {days} days:

{link}

Then your keys and programs stop at once, and you are signed out. You may change your mind until
{grace} days later; after that it cannot be undone. An archive of your data is at {archive}.

If you did not ask for this, do nothing.
"""
CONFIRMED = """Your account at {platform} will be deleted. Keys and programs do nothing any more.

It is done from {due:%Y-%m-%d} on. Until then you can stay, and see how it stands:

{link}
"""
CANCELLED = """Your account at {platform} stays. Your keys work as before; sign in again.

If this was not you, change your password, and write to us.
"""
DONE = """Your account at {platform} is deleted, and so is what was known of you.

What went, what stays under a number, why and until when, is on this certificate:

{link}

Reference: {number}

This is the last mail. It is deleted here when it is sent.
"""
READY = """The archive of your data at {platform} is ready, until {until:%Y-%m-%d %H:%M} UTC:

{link}

It is given to who is signed in, and has just shown so again.
"""


def to_confirm(deletion: Deletion, *, to: str, days: int) -> None:
    """Ask somebody whether it was them."""
    _write(
        f"deletion:{deletion.pk}:confirm:{deletion.mails}",
        to,
        "Delete your account?",
        CONFIRM.format(
            platform=settings.PLATFORM_NAME,
            days=days,
            grace=settings.DELETION_GRACE_DAYS,
            link=_link(deletion, tokens.CONFIRM),
            archive=f"{settings.PUBLIC_URL or deletion.base_url}/account/privacy/",
        ),
    )


def confirmed(deletion: Deletion, *, to: str) -> None:
    """Tell until when it can be had back, and where."""
    text = CONFIRMED.format(
        platform=settings.PLATFORM_NAME, due=deletion.due_at, link=_link(deletion, tokens.STATUS)
    )
    _write(f"deletion:{deletion.pk}:confirmed", to, "Your account will be deleted", text)


def cancelled(deletion: Deletion, *, to: str) -> None:
    """Tell that it stays."""
    text = CANCELLED.format(platform=settings.PLATFORM_NAME)
    _write(f"deletion:{deletion.pk}:cancelled", to, "Your account stays", text)


def last_key(deletion: Deletion) -> str:
    """Return by what the last mail is known."""
    return f"deletion:{deletion.pk}:done"


def last(deletion: Deletion, *, to: str) -> None:
    """Tell that it is done."""
    text = DONE.format(
        platform=settings.PLATFORM_NAME,
        link=_link(deletion, tokens.STATUS),
        number=deletion.pk,
    )
    _write(last_key(deletion), to, "Your account is deleted", text)


def archive_ready(export: Export, *, to: str) -> None:
    """Tell that an archive can be taken."""
    text = READY.format(
        platform=settings.PLATFORM_NAME,
        until=export.expires_at,
        link=f"{settings.PUBLIC_URL or export.base_url}/account/privacy/",
    )
    _write(f"export:{export.pk}", to, "Your archive is ready", text)


def _link(deletion: Deletion, purpose: str) -> str:
    return tokens.address(deletion, purpose, base_url=deletion.base_url)


def _write(key: str, to: str, subject: str, text: str) -> None:
    mails.write(key, to=to, subject=f"{settings.PLATFORM_NAME}: {subject}", text=text)
