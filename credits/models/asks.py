"""Refunds that wait for a second person of staff (payments/refund_asks.py, wanted_back.py)."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from common.money import MICROS_PER_CENT
from credits.models.purchases import Refund, TopUp


class RefundAsk(models.Model):
    """That more is to go back than somebody of staff may give back alone, or a member wants it.

    Of a member's, the credits that are taken are at most these: what is unspent by then.
    """

    class State(models.TextChoices):
        WAITING = "waiting"
        DONE = "done"
        REFUSED = "refused"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    top_up = models.ForeignKey(TopUp, on_delete=models.PROTECT, related_name="refund_asks")
    amount_micros = models.BigIntegerField()
    """The credits that are taken, without the tax that goes back with them."""
    reason = models.CharField(max_length=300)
    state = models.CharField(max_length=16, choices=State, default=State.WAITING)
    requested_by = models.UUIDField()
    by_member = models.BooleanField(default=False, db_default=False)
    """Whether it is who bought it: then it may be done at once, by nobody of staff."""
    decided_by = models.UUIDField(null=True)
    decision = models.CharField(max_length=300, default="", db_default="")
    """Why it was refused, if it was."""
    refund = models.OneToOneField(
        Refund, on_delete=models.PROTECT, null=True, related_name="asked_by"
    )
    created_at = models.DateTimeField(db_default=Now())
    decided_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="refund_ask_whole_cents_above_nothing",
                condition=Q(
                    amount_micros__gt=0,
                    amount_micros=F("amount_micros") / MICROS_PER_CENT * MICROS_PER_CENT,
                ),
            ),
            models.CheckConstraint(name="refund_ask_has_a_reason", condition=~Q(reason="")),
            models.CheckConstraint(
                name="refund_ask_done_by_its_refund",
                condition=Q(state="done", refund__isnull=False)
                | Q(state__in=["waiting", "refused"], refund__isnull=True),
            ),
            models.CheckConstraint(
                name="refund_ask_second_person",
                condition=Q(state="waiting")
                | Q(state="done", by_member=True, decided_by__isnull=True)
                | Q(state="refused", decided_by__isnull=False)
                | Q(~Q(decided_by=F("requested_by")), decided_by__isnull=False),
            ),
            models.UniqueConstraint(
                name="refund_ask_waits_once_per_purchase",
                fields=["top_up"],
                condition=Q(state="waiting"),
            ),
        ]
