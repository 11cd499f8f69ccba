"""What people are told by mail about their data. Written in the transaction that it tells of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext, gettext_noop

from outbox import mails
from privacy import tokens

if TYPE_CHECKING:
    from privacy.models import Deletion, Export

CONFIRM = gettext_noop("""\
You asked %(platform)s to delete your account and what is known of you.

Nothing happens before you confirm it, within %(days)s days:

%(link)s

Then your keys and programs stop at once, and you are signed out. You may change your mind until
%(grace)s days later; after that it cannot be undone. An archive of your data is at %(archive)s.

If you did not ask for this, do nothing.
""")
CONFIRMED = gettext_noop("""\
Your account at %(platform)s will be deleted. Keys and programs do nothing any more.

It is done from %(due)s on. Until then you can stay, and see how it stands:

%(link)s
""")
CANCELLED = gettext_noop("""\
Your account at %(platform)s stays. Your keys work as before; sign in again.

If this was not you, change your password, and write to us.
""")
DONE = gettext_noop("""\
Your account at %(platform)s is deleted, and so is what was known of you.

What went, what stays under a number, why and until when, is on this certificate:

%(link)s

Reference: %(number)s

This is the last mail. It is deleted here when it is sent.
""")
READY = gettext_noop("""\
The archive of your data at %(platform)s is ready, until %(until)s UTC:

%(link)s

It is given to who is signed in, and has just shown so again.
""")


def to_confirm(deletion: Deletion, *, to: str, days: int) -> None:
    """Ask somebody whether it was them."""
    with mails.in_language_of(to):
        facts = {
            "days": days,
            "grace": settings.DELETION_GRACE_DAYS,
            "link": _link(deletion, tokens.CONFIRM),
            "archive": f"{settings.PUBLIC_URL or deletion.base_url}/account/privacy/",
        }
        key = f"deletion:{deletion.pk}:confirm:{deletion.mails}"
        _write(key, to, gettext("Delete your account?"), CONFIRM, **facts)


def confirmed(deletion: Deletion, *, to: str) -> None:
    """Tell until when it can be had back, and where."""
    with mails.in_language_of(to):
        facts = {"due": f"{deletion.due_at:%Y-%m-%d}", "link": _link(deletion, tokens.STATUS)}
        key = f"deletion:{deletion.pk}:confirmed"
        _write(key, to, gettext("Your account will be deleted"), CONFIRMED, **facts)


def cancelled(deletion: Deletion, *, to: str) -> None:
    """Tell that it stays."""
    with mails.in_language_of(to):
        _write(f"deletion:{deletion.pk}:cancelled", to, gettext("Your account stays"), CANCELLED)


def last_key(deletion: Deletion) -> str:
    """Return by what the last mail is known."""
    return f"deletion:{deletion.pk}:done"


def last(deletion: Deletion, *, to: str, language: str) -> None:
    """Tell that it is done, in the language that its reader chose: nobody knows it any more."""
    with translation.override(language or settings.LANGUAGE_CODE):
        facts = {"link": _link(deletion, tokens.STATUS), "number": deletion.pk}
        _write(last_key(deletion), to, gettext("Your account is deleted"), DONE, **facts)


def archive_ready(export: Export, *, to: str) -> None:
    """Tell that an archive can be taken."""
    with mails.in_language_of(to):
        facts = {
            "until": f"{export.expires_at:%Y-%m-%d %H:%M}",
            "link": f"{settings.PUBLIC_URL or export.base_url}/account/privacy/",
        }
        _write(f"export:{export.pk}", to, gettext("Your archive is ready"), READY, **facts)


def _link(deletion: Deletion, purpose: str) -> str:
    return tokens.address(deletion, purpose, base_url=deletion.base_url)


def _write(key: str, to: str, subject: str, letter: str, **facts: Any) -> None:
    platform = settings.PLATFORM_NAME
    text = translation.gettext(letter) % {**facts, "platform": platform}
    mails.write(key, to=to, subject=f"{platform}: {subject}", text=text)
