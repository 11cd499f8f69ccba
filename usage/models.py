"""What was called, as its owner sees it. Rows are only added; months are dropped by partition."""

from __future__ import annotations

import uuid
from typing import Final

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

NOBODY: Final = uuid.UUID(int=0)
"""In sums, whose calls are nobody's, or were made without a key."""


class Call(models.Model):
    """One use of an operation by a workspace, written in the commit that ended its hold.

    The table is partitioned by the month of `settled_at`; its database key is (workspace_id,
    number, settled_at), which Django need not know. Rows are found by their id, by what the
    vendor calls them, and by time, too (migrations 0001 and 0090). `number` comes from the
    wallet's row, gapless with the numbered entries, so any page of a history is a range of numbers
    (reports.py). Ids of people and keys are plain values: a call outlives them.
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
    project = models.CharField(max_length=64, default="", db_default="")
    """What its key was for when it was made; or what its run was given afterwards (projects.py)."""
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


class CallSum(models.Model):
    """The calls of a span of time that agree in all else that is asked for (sums.py).

    Each span has rows of its own: a day is not summed up from its hours when it is read.
    """

    class Span(models.TextChoices):
        HOUR = "hour"
        DAY = "day"
        MONTH = "month"

    workspace_id = models.UUIDField()
    span = models.CharField(max_length=5, choices=Span)
    begins_at = models.DateTimeField()
    """By UTC; the calls are those that were settled within."""
    vendor = models.CharField(max_length=32)
    operation = models.CharField(max_length=200)
    user_id = models.UUIDField()
    key_id = models.UUIDField()
    project = models.CharField(max_length=64)
    calls = models.BigIntegerField()
    delivered = models.BigIntegerField()
    uncharged = models.BigIntegerField()
    charged_micros = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="call_sum_once",
                fields=[
                    "workspace_id", "span", "begins_at", "vendor", "operation", "user_id",
                    "key_id", "project",
                ],
            ),
            models.CheckConstraint(
                name="call_sum_of_its_calls",
                condition=models.Q(calls__gt=0, delivered__lte=models.F("calls")),
            ),
        ]  # fmt: skip
        indexes = [
            models.Index(
                name="call_sum_of_days",
                fields=["begins_at", "vendor"],
                condition=models.Q(span="day"),
            ),
        ]


class CallBlock(models.Model):
    """How many calls among so many numbers of a workspace agree in what can be filtered for.

    By these a page of filtered calls is found at any depth, with the exact total (depth.py).
    """

    workspace_id = models.UUIDField()
    block = models.BigIntegerField()
    """(number - 1) // BLOCK"""
    vendor = models.CharField(max_length=32)
    operation = models.CharField(max_length=200)
    user_id = models.UUIDField()
    key_id = models.UUIDField()
    project = models.CharField(max_length=64)
    outcome = models.CharField(max_length=16)
    calls = models.IntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="call_block_once",
                fields=[
                    "workspace_id", "block", "vendor", "operation", "user_id", "key_id",
                    "project", "outcome",
                ],
            ),
        ]  # fmt: skip


class RunSum(models.Model):
    """The calls of one press of Run by one person: the same id by another is another run."""

    workspace_id = models.UUIDField()
    run_id = models.CharField(max_length=64)
    user_id = models.UUIDField()
    key_id = models.UUIDField()
    """Of its last call, as the project is."""
    project = models.CharField(max_length=64)
    is_tagged = models.BooleanField(default=False, db_default=False)
    """Whether it was given its project afterwards: all calls of it are of that one."""
    first_number = models.BigIntegerField()
    last_number = models.BigIntegerField()
    calls = models.IntegerField()
    delivered = models.IntegerField()
    charged_micros = models.BigIntegerField()
    vendors = ArrayField(models.CharField(max_length=32))
    operations = ArrayField(models.CharField(max_length=200))
    nodes = ArrayField(models.CharField(max_length=200))
    """What the client's nodes are called, or the operations; each once."""
    began_at = models.DateTimeField()
    ended_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="run_sum_once", fields=["workspace_id", "run_id", "user_id"]
            ),
        ]
        indexes = [
            models.Index(name="run_sum_newest", fields=["workspace_id", "-last_number"]),
            models.Index(name="run_sum_by_run", fields=["run_id"]),
            models.Index(
                name="run_sum_tagged",
                fields=["workspace_id"],
                condition=models.Q(is_tagged=True),
            ),
        ]


class Summed(models.Model):
    """Up to which number a workspace's calls are in the sums."""

    workspace_id = models.UUIDField(primary_key=True)
    number = models.BigIntegerField(default=0)


class Proved(models.Model):
    """Up to which number a workspace's sums were proved equal to its calls (since.py)."""

    workspace_id = models.UUIDField(primary_key=True)
    number = models.BigIntegerField()


class Refusal(models.Model):
    """Calls that were not made because a limit stood in the way: alike ones of an hour, together.

    Nothing was sent for them, and nothing set aside. There are at most so many rows of a
    workspace in an hour (proxy/refused.py): nobody fills the table by knocking.
    """

    id = models.UUIDField(primary_key=True)
    """By the time of the first of them (common/ids.py)."""
    workspace_id = models.UUIDField()
    hour = models.DateTimeField()
    user_id = models.UUIDField()
    vendor = models.CharField(max_length=32)
    code = models.CharField(max_length=32)
    """Of the error that was told."""
    limit = models.CharField(max_length=32)
    """Which limit decided: balance, concurrency, budget, per_call, requests_per_minute; or what
    else is in the way: vendor, network, scope, paused."""
    whose = models.CharField(max_length=16, default="")
    """Of a budget: workspace, project, member or key."""
    key_id = models.UUIDField()
    operation = models.CharField(max_length=200)
    project = models.CharField(max_length=64, default="")
    run_id = models.CharField(max_length=64, default="")
    needed_micros = models.BigIntegerField()
    """The most that the last of them could have cost."""
    left_micros = models.BigIntegerField(null=True)
    most_micros = models.BigIntegerField(null=True)
    left = models.IntegerField(null=True)
    most = models.IntegerField(null=True)
    """Of what is counted: calls at once, calls in a minute."""
    resets_at = models.DateTimeField(null=True)
    message = models.CharField(max_length=500)
    times = models.IntegerField(default=1)
    first_at = models.DateTimeField()
    last_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="refusal_alike_once_an_hour",
                fields=["workspace_id", "hour", "user_id", "vendor", "code", "limit", "whose"],
            ),
            models.CheckConstraint(name="refusal_happened", condition=models.Q(times__gte=1)),
        ]
        indexes = [
            models.Index(name="refusal_newest", fields=["workspace_id", "-id"]),
            models.Index(name="refusal_oldest", fields=["last_at"]),
        ]
