"""What was called, as its owner sees it. Rows are only added; months are dropped by partition."""

from __future__ import annotations

from django.db import models


class Call(models.Model):
    """One use of an operation by a workspace, written in the commit that ended its hold.

    The table is partitioned by the month of `settled_at`; its database key is (workspace_id,
    number, settled_at), which Django need not know. `number` comes from the wallet's row, gapless
    with the numbered entries, so any page of a history is a range of numbers (reports.py). Ids
    of people and keys are plain values: a call outlives them.
    """

    class Outcome(models.TextChoices):
        DELIVERED = "delivered"
        REFUSED = "refused"  # The vendor certainly did not do it.
        FAILED = "failed"  # The vendor's job ended without a result.
        MODERATED = "moderated"
        EXPIRED = "expired"  # Nobody came to know how it ended, in time.

    id = models.UUIDField(primary_key=True)
    workspace_id = models.UUIDField()
    number = models.BigIntegerField()
    user_id = models.UUIDField(null=True)
    key_id = models.UUIDField(null=True)
    vendor = models.CharField(max_length=32)
    operation = models.CharField(max_length=200)
    run_id = models.CharField(max_length=64, default="")
    """`Comfy-Job-Id`: one press of Run."""
    outcome = models.CharField(max_length=16, choices=Outcome)
    reason = models.CharField(max_length=300, default="")
    """If nothing was charged, why."""
    status = models.SmallIntegerField()
    """The vendor's HTTP status that decided the outcome; 0 if none came."""
    quoted_micros = models.BigIntegerField()
    held_micros = models.BigIntegerField()
    charged_micros = models.BigIntegerField()
    price_version = models.CharField(max_length=32)
    attempts = models.SmallIntegerField()
    vendor_job_id = models.CharField(max_length=200, default="")
    vendor_request_id = models.CharField(max_length=200, default="")
    facts = models.JSONField(default=dict)
    """Price inputs, the client's words for itself, sizes in bytes. Never a prompt or media."""
    started_at = models.DateTimeField()
    settled_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="call_charged_within_its_hold",
                condition=models.Q(
                    charged_micros__gte=0, charged_micros__lte=models.F("held_micros")
                ),
            ),
            models.CheckConstraint(
                name="call_only_delivered_is_charged",
                condition=models.Q(charged_micros=0) | models.Q(outcome="delivered"),
            ),
            models.CheckConstraint(
                name="call_outcome_known",
                condition=models.Q(
                    outcome__in=["delivered", "refused", "failed", "moderated", "expired"]
                ),
            ),
            models.CheckConstraint(name="call_number_positive", condition=models.Q(number__gt=0)),
        ]
