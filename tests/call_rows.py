"""Calls of a workspace's history, written as the books number them."""

import uuid
from datetime import timedelta

from django.utils import timezone

from common.rows import values
from usage.models import Call


def call_of(member, **fields):
    """Write a call of theirs into the history of their workspace."""
    (number,) = values(
        "UPDATE credits_account SET events = events + 1 WHERE id = %s RETURNING events",
        [member.workspace_id],
    )
    now = timezone.now()
    about = {
        "user_id": member.user.pk, "vendor": "bfl", "operation": "flux-pro", "run_id": "run-1",
        "outcome": "delivered", "status": 200, "quoted_micros": 60_000, "held_micros": 60_000,
        "charged_micros": 40_000, "price_version": "1", "attempts": 1,
        "facts": {"title": "Flux <b>Pro</b>", "inputs": {"images": 1}},
        "started_at": now - timedelta(seconds=2), "settled_at": now,
    }  # fmt: skip
    return Call.objects.create(
        id=uuid.uuid4(), workspace_id=member.workspace_id, number=number, **(about | fields)
    )
