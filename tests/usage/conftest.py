from __future__ import annotations

import uuid
from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.utils import timezone

from common.money import Micros
from credits.gifts import grants
from usage.models import Call


@pytest.fixture
def month():
    """The instant from which the history below counts its minutes: this month has a partition."""
    return timezone.now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)


@pytest.fixture
def history(month):
    """Give a member calls (c), grants (g) and refunds (r), a minute apart, in that order."""

    def make(member, kinds: str) -> None:
        for kind in kinds:
            at = month + timedelta(minutes=member.now().events)
            if kind == "c":
                _call(member, at)
            else:
                _entry(member, at, kind)

    return make


def _call(member, at: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE credits_account SET events = events + 1 WHERE id = %s RETURNING events",
            [member.workspace_id],
        )
        (number,) = cursor.fetchone()
    Call.objects.create(
        id=uuid.uuid4(),
        workspace_id=member.workspace_id,
        number=number,
        vendor="bfl",
        operation="flux-pro-1.1-ultra",
        run_id="run-1",
        outcome="moderated",
        reason="The vendor's moderation refused it.",
        status=200,
        quoted_micros=60_000,
        held_micros=60_000,
        charged_micros=0,
        price_version="1",
        attempts=1,
        facts={"title": "BFL Flux 1.1 [pro] Ultra"},
        started_at=at,
        settled_at=at,
    )


def _entry(member, at: datetime, kind: str) -> None:
    entry = grants.grant(
        wallet=member.wallet, amount=Micros(15_000), key=uuid.uuid4().hex, reason="test"
    )
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE credits_entry DISABLE TRIGGER entry_insert_only")
        cursor.execute("UPDATE credits_entry SET created_at = %s WHERE id = %s", [at, entry.pk])
        if kind == "r":
            cursor.execute(
                "UPDATE credits_entry SET kind = 'refund', debit_id = credit_id,"
                " credit_id = debit_id WHERE id = %s",
                [entry.pk],
            )
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE credits_entry ENABLE ALWAYS TRIGGER entry_insert_only")
