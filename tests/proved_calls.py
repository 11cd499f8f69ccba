"""Calls as the books and the history know them, and what workers make of them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from credits.books import holds
from credits.models import Account
from credits.proofs import accounting
from credits.statements import sealing
from tests.call_rows import call_of
from usage import sums
from usage.models import Call

HOUR = timedelta(hours=1)


@transaction.atomic
def call(member: Any, micros: int = 10_000, **fields: Any) -> Call:
    """Make a call as the books and the history know it; return it."""
    hold = holds.place(member.workspace_id, amount=micros, ttl_seconds=60)
    holds.capture(hold, micros)
    # Its number was taken by `capture`, as the statement of calls does.
    Account.objects.filter(pk=member.workspace_id).update(events=F("events") - 1)
    made = call_of(member, charged_micros=micros, held_micros=micros, **fields)
    Call.objects.filter(pk=made.pk).update(id=hold.id)
    return Call.objects.get(pk=hold.id)


def tend() -> None:
    """Do what workers do: sums, day sums, seals."""
    sums.catch_up_all()
    accounting.tally()
    sealing.seal_all(now=timezone.now() + HOUR)
