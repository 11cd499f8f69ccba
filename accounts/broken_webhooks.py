"""Owners are told by mail that we switched a webhook of theirs off: found by a sweep, told once."""

from __future__ import annotations

from typing import Final

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext

from accounts import notices
from accounts.models import Membership
from common.told import told
from outbox import mails
from webhooks.models import Endpoint

BATCH: Final = 50
PATH: Final = "/my/webhooks"


def tell_owners() -> int:
    """Tell of each that nobody was told of; return how many these were.

    The mail and the note that it was written are one transaction: a second sweep finds nothing.
    """
    count = 0
    while count < BATCH and _tell_one():
        count += 1
    return count


@transaction.atomic
def _tell_one() -> bool:
    off = Endpoint.objects.filter(told_at=None, off_at__isnull=False).exclude(off_reason="")
    found = off.select_for_update(skip_locked=True).order_by("off_at").first()
    if found is None:
        return False
    owners = Membership.objects.filter(
        workspace_id=found.workspace_id, role=Membership.Role.OWNER, user__is_active=True
    )
    for seat in owners.select_related("user", "workspace"):
        key = f"webhook-off:{found.pk}:{found.off_at:%Y%m%dT%H%M%S%f}:{seat.user_id}"
        with mails.in_language_of(seat.user.email):
            subject = gettext("A webhook of %(name)s is off") % {"name": seat.workspace.name}
            mails.write(
                key,
                to=seat.user.email,
                subject=subject,
                text=_text(found),
                kind=notices.WEBHOOK,
            )
    Endpoint.objects.filter(pk=found.pk).update(told_at=timezone.now())
    return True


def _text(endpoint: Endpoint) -> str:
    where = f"{settings.PUBLIC_URL or ''}{PATH}/{endpoint.pk}"
    told_why = gettext("%(reason)s What waited for it was given up.")
    back_on = gettext(
        "What was sent, what came back, and the button that switches it on again: %(where)s"
    )
    lines = [
        gettext("We send nothing any more to this address of your program:"),
        "",
        f"  {endpoint.url}",
        "",
        told_why % {"reason": told(endpoint.off_reason)},
        "",
        back_on % {"where": where},
        "",
        gettext("Runs, calls and credits go on as before."),
    ]
    return "\n".join(lines) + "\n"
