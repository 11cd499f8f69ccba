"""What webhooks know of people (common/personal.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import Q
from django.utils.translation import gettext_lazy

from common.personal import Fate, Kept, Known, Person, oldest
from webhooks.models import Delivery, Endpoint

if TYPE_CHECKING:
    from datetime import datetime

KNOWN = (
    Known(
        "webhooks.Endpoint",
        Fate.DELETED,
        gettext_lazy(
            "Addresses of your programs to which we told what happened, with what signed it."
        ),
        whose=lambda person: Q(workspace_id__in=person.workspaces),
        shown=("id", "url", "name", "events", "created_at", "off_at", "off_reason"),
    ),
    Known(
        "webhooks.Delivery",
        Fate.DELETED,
        gettext_lazy("What was told them, and how that went."),
        whose=lambda person: Q(endpoint__workspace_id__in=person.workspaces),
        shown=("id", "type", "url", "body", "created_at", "delivered_at", "last_status"),
    ),
)


def is_waiting(person: Person, type_: str) -> bool:
    """Whether somebody's programs are to be told of such a thing, and it was not tried yet."""
    own = Delivery.objects.filter(endpoint__workspace_id__in=person.workspaces, type=type_)
    return own.filter(attempts=0, next_try_at__isnull=False, endpoint__off_at=None).exists()


def erase(person: Person) -> dict[str, int]:
    """Leave no address of somebody's workspaces, and nothing that was sent there."""
    own = Endpoint.objects.filter(workspace_id__in=person.workspaces)
    return {"webhooks": own.delete()[0]}


def _forget(before: datetime, most: int) -> int:
    old = Delivery.objects.filter(created_at__lt=before, next_try_at=None)
    return Delivery.objects.filter(pk__in=oldest(old, most)).delete()[0]


KEPT = (Kept("webhooks", _forget),)
