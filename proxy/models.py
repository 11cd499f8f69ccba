"""What the proxy remembers between two requests: jobs, answers to repeat, and that workers live."""

from __future__ import annotations

from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models.functions import Now


class Job(models.Model):
    """A vendor's long-running task, accepted under a hold that stays open until it ends.

    It is settled by whoever sees the end first; `ended_at` is written in that same commit.
    """

    id = models.UUIDField(primary_key=True)
    """The id of its call, and of its hold."""
    workspace_id = models.UUIDField()
    vendor = models.CharField(max_length=32)
    operation = models.CharField(max_length=200)
    vendor_job_id = models.CharField(max_length=200)
    vendor_request_id = models.CharField(max_length=200, default="", db_default="")
    poll_url = models.CharField(max_length=1000)
    price_micros = models.BigIntegerField(null=True)
    """What it costs if it is delivered, null if only the delivered file tells; once it has ended,
    what it did cost."""
    inputs = models.JSONField(default=dict)
    """The inputs of the price, for the case that it is worked out at the end."""
    created_at = models.DateTimeField(db_default=Now())
    deadline_at = models.DateTimeField()
    next_poll_at = models.DateTimeField()
    polls = models.IntegerField(default=0, db_default=0)
    ended_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=16, default="", db_default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="job_once_per_vendor_id", fields=["vendor", "vendor_job_id"]
            ),
            models.CheckConstraint(
                name="job_price_not_negative",
                condition=models.Q(price_micros__isnull=True) | models.Q(price_micros__gte=0),
            ),
            models.CheckConstraint(
                name="job_ends_with_an_outcome",
                condition=models.Q(ended_at__isnull=True, outcome="")
                | (models.Q(ended_at__isnull=False) & ~models.Q(outcome="")),
            ),
        ]
        indexes = [
            models.Index(
                name="job_due",
                fields=["next_poll_at"],
                condition=models.Q(ended_at__isnull=True),
            ),
        ]


class Answer(models.Model):
    """An answer that is kept for a repeat of its request, and for nothing else."""

    intent = models.UUIDField(primary_key=True)
    """Digest of key and Idempotency-Key, or of key and request where none was sent."""
    call_id = models.UUIDField()
    fingerprint = models.CharField(max_length=64)
    """Digest of method, path and body: the same intent with another one is a mismatch."""
    status = models.SmallIntegerField()
    """0: the answer can no longer be given."""
    headers = models.JSONField(default=dict)
    body = models.BinaryField(null=True)
    spool = models.CharField(max_length=64, default="")
    """If not empty, the name of the file that holds the body."""
    once = models.BooleanField()
    """Whether it is given to one repeat only: so it is for clients that send no key."""
    created_at = models.DateTimeField(db_default=Now())
    kept_until = models.DateTimeField()

    class Meta:
        # Rows come nearly in the order of their end: a block range index costs a call nothing.
        indexes = [BrinIndex(name="answer_by_end", fields=["kept_until"], autosummarize=True)]


class Heartbeat(models.Model):
    """The last sign of life of a background program."""

    name = models.CharField(max_length=32, primary_key=True)
    seen_at = models.DateTimeField()
