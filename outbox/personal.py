"""What mails know of people (common/personal.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import Q
from django.utils.translation import gettext_lazy

from common.personal import Fate, Kept, Known, Person, oldest, without
from outbox.models import Mail

if TYPE_CHECKING:
    from datetime import datetime

KNOWN = (
    Known(
        "outbox.Mail",
        Fate.DELETED,
        gettext_lazy(
            "Mails to you, sent or waiting; those to others name you no more. The last one tells "
            "you that it is done, and goes when it was sent."
        ),
        whose=lambda person: Q(to__in=person.emails),
        shown=("subject", "created_at", "sent_at"),  # Codes and links stand in the texts.
    ),
)


def erase(person: Person) -> dict[str, int]:
    """Leave no mail to somebody, and have those to others name them no more.

    That looks at each mail there is: old ones are not kept.
    """
    to_others = Mail.objects.exclude(to__in=person.emails)
    named = without(to_others, "text", person) + without(to_others, "subject", person)
    return {"mails": Mail.objects.filter(to__in=person.emails).delete()[0], "named": named}


def is_over(key: str) -> bool:
    """Whether a mail was sent, given up, or is not there."""
    return not Mail.objects.filter(key=key, next_try_at__isnull=False).exists()


def _forget(before: datetime, most: int) -> int:
    old = Mail.objects.filter(next_try_at=None, created_at__lt=before)
    return Mail.objects.filter(pk__in=oldest(old, most)).delete()[0]


KEPT = (Kept("mails", _forget),)
