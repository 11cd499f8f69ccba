"""To whom a workspace's happenings are told, and what was told."""

from __future__ import annotations

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

TYPES = (
    "run.started",
    "run.succeeded",
    "run.failed",
    "run.canceled",
    "run.expired",
    "credits.low",
    "credits.added",
    "key.limit_reached",
    "budget.reached",
    "deletion.completed",
)
"""What can be subscribed to."""
TEST = "webhook.test"
"""What is sent by a button, to whoever has an endpoint."""


class Endpoint(models.Model):
    """An address of a workspace's, and the secret that signs what is sent there.

    One without an address stands for all addresses that runs of the workspace name: these share its
    secret, and what is sent to them is in its list. It is made when it is first needed.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workspace_id = models.UUIDField()
    url = models.CharField(max_length=2000, default="", db_default="", blank=True)
    name = models.CharField(max_length=100, default="", db_default="", blank=True)
    events = ArrayField(models.CharField(max_length=32), default=list)
    secret = models.TextField()
    """Sealed (signing.py)."""
    old_secret = models.TextField(default="", db_default="", blank=True)
    """Sealed; signs beside the new one for a while."""
    old_secret_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())
    failing_since = models.DateTimeField(null=True)
    """When it first failed after it last took something."""
    off_at = models.DateTimeField(null=True)
    """Since when nothing is sent; null: it is on."""
    off_reason = models.CharField(max_length=200, default="", db_default="", blank=True)
    """Why we switched it off; empty where its owner did."""
    told_at = models.DateTimeField(null=True)
    """When its owner was told by mail that we did; null: not yet, and nothing here does."""

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="webhook_one_for_runs", fields=["workspace_id"], condition=Q(url="")
            ),
            models.CheckConstraint(
                name="webhook_events_known", condition=Q(events__contained_by=list(TYPES))
            ),
            models.CheckConstraint(name="webhook_has_a_secret", condition=~Q(secret="")),
            models.CheckConstraint(
                name="webhook_old_secret_has_an_end",
                condition=Q(old_secret="", old_secret_until=None)
                | Q(~Q(old_secret=""), old_secret_until__isnull=False),
            ),
            models.CheckConstraint(
                name="webhook_reason_of_what_is_off", condition=Q(off_reason="") | ~Q(off_at=None)
            ),
        ]
        indexes = [
            models.Index(name="webhook_of_workspace", fields=["workspace_id"]),
            models.Index(
                name="webhook_to_tell_off",
                fields=["off_at"],
                condition=~Q(off_reason="") & Q(told_at=None),
            ),
        ]


class Delivery(models.Model):
    """One message to one address: what is sent, and how that went.

    waiting --> claimed (its next try is the end of the lease) --> delivered | waiting | given up
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    """The `webhook-id`: the same for each try, so that a receiver knows a repeat."""
    endpoint = models.ForeignKey(Endpoint, on_delete=models.CASCADE, related_name="deliveries")
    key = models.CharField(max_length=200)
    """What it tells of: the same thing is told once."""
    type = models.CharField(max_length=32)
    url = models.CharField(max_length=2000, default="", db_default="", blank=True)
    """Of a run's own address; empty: the endpoint's, as it is when it is sent."""
    body = models.TextField()
    """JSON, as it is signed and sent."""
    created_at = models.DateTimeField(db_default=Now())
    attempts = models.SmallIntegerField(default=0, db_default=0)
    next_try_at = models.DateTimeField(null=True, db_default=Now())
    """Null once it is delivered, or given up."""
    delivered_at = models.DateTimeField(null=True)
    last_status = models.SmallIntegerField(null=True)
    """What the receiver answered last; null: nothing."""
    last_error = models.CharField(max_length=200, default="", db_default="", blank=True)
    """Why the last try was none, in a sentence; empty if it was one."""
    last_try_at = models.DateTimeField(null=True)
    tries = models.JSONField(default=list, db_default=models.Value([], models.JSONField()))
    """The last of them: `at`, `status`, `error`, `ms`."""

    class Meta:
        constraints = [
            models.UniqueConstraint(name="delivery_once_for_a_reason", fields=["endpoint", "key"]),
            models.CheckConstraint(name="delivery_key_not_empty", condition=~Q(key="")),
            models.CheckConstraint(
                name="delivery_done_is_not_tried_again",
                condition=Q(delivered_at=None) | Q(next_try_at=None),
            ),
        ]
        indexes = [
            models.Index(
                name="delivery_due",
                fields=["endpoint", "next_try_at"],
                condition=Q(next_try_at__isnull=False),
            ),
            models.Index(name="delivery_newest", fields=["endpoint", "-created_at"]),
            models.Index(name="delivery_by_age", fields=["created_at"]),
        ]

    @property
    def state(self) -> str:
        """What became of it: `delivered`, `waiting` or `failed`."""
        if self.delivered_at is not None:
            return "delivered"
        return "failed" if self.next_try_at is None else "waiting"
