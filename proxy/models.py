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
    scope = models.CharField(max_length=32, default="task", db_default="task")
    """What the vendor's id is of: its ids are unique within that."""
    vendor_job_id = models.CharField(max_length=1000)
    vendor_request_id = models.CharField(max_length=200, default="", db_default="")
    poll_url = models.CharField(max_length=2000)
    poll_method = models.CharField(max_length=8, default="GET", db_default="GET")
    poll_body = models.JSONField(null=True)
    """How the vendor is asked for it, by anybody at any time."""
    price_micros = models.BigIntegerField(null=True)
    """What it costs if it is delivered (null if only the end tells), and what it did cost then."""
    most_micros = models.BigIntegerField(default=0, db_default=0)
    """Its upper bound: a vendor's figure far above is not believed."""
    inputs = models.JSONField(default=dict)
    """The inputs of the price, for the case that it is worked out at the end."""
    created_at = models.DateTimeField(db_default=Now())
    deadline_at = models.DateTimeField()
    next_poll_at = models.DateTimeField()
    polls = models.IntegerField(default=0, db_default=0)
    asked_at = models.DateTimeField(null=True)
    """When somebody last began to ask the vendor: nobody else does within an interval."""
    said = models.BinaryField(null=True)
    """What the vendor said last, for whoever asks meanwhile; after the end, its result."""
    said_status = models.SmallIntegerField(null=True)
    said_type = models.CharField(max_length=100, default="", db_default="")
    late_at = models.DateTimeField(null=True)
    """When somebody last began to charge a result that came after the end."""
    kept_seconds = models.IntegerField(default=259200, db_default=259200)
    """How long after its end it is remembered: as long as the vendor keeps the result."""
    ended_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=16, default="", db_default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="job_once_per_vendor_id", fields=["vendor", "scope", "vendor_job_id"]
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


class Asset(models.Model):
    """A vendor's id of something that a workspace made: a task, a file, a voice.

    The vendor sees one account, ours; so this says whose an id is. Who uses one in a call must be
    its owner, which the statement that places the hold looks at.
    """

    vendor = models.CharField(max_length=32)
    scope = models.CharField(max_length=32)
    asset = models.CharField(max_length=1000)
    workspace_id = models.UUIDField()
    call_id = models.UUIDField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(name="asset_of_one", fields=["vendor", "scope", "asset"]),
            models.CheckConstraint(name="asset_is_named", condition=~models.Q(asset="")),
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


class Repeat(models.Model):
    """A refused call whose client is expected to try again: its next refusals are counted there."""

    intent = models.UUIDField(primary_key=True)
    call_id = models.UUIDField()
    kept_until = models.DateTimeField()


class Heartbeat(models.Model):
    """The last sign of life of a background program."""

    name = models.CharField(max_length=32, primary_key=True)
    seen_at = models.DateTimeField()
