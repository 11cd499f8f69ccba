"""What Stripe told us, how far we have listened, and what staff must look at."""

from __future__ import annotations

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from credits.models.books import Account


class StripeEvent(models.Model):
    """A hint that something changed, stored before it is acted upon (webhooks.py)."""

    id = models.CharField(primary_key=True, max_length=100)
    type = models.CharField(max_length=100)
    object_id = models.CharField(max_length=200)
    payload = models.JSONField(encoder=DjangoJSONEncoder)
    """As it came; once it was acted upon, without what it told of people."""
    happened_at = models.DateTimeField()
    """The processor's time."""
    listed = models.BooleanField(default=False)
    """Whether it was found by asking, its delivery being lost or late."""
    received_at = models.DateTimeField(db_default=Now())
    processed_at = models.DateTimeField(null=True)
    attempts = models.SmallIntegerField(default=0, db_default=0)
    next_try_at = models.DateTimeField(null=True, db_default=Now())
    """Null once it is processed."""
    error = models.CharField(max_length=300, default="", blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="stripe_event_processed_or_to_try",
                condition=Q(processed_at__isnull=False, next_try_at__isnull=True)
                | Q(processed_at__isnull=True, next_try_at__isnull=False),
            ),
        ]
        indexes = [
            models.Index(
                name="stripe_event_to_try",
                fields=["next_try_at"],
                condition=Q(next_try_at__isnull=False),
            ),
        ]


class Watermark(models.Model):
    """Up to when a listing of the processor's has been read."""

    name = models.CharField(primary_key=True, max_length=50)
    at = models.DateTimeField()


class Finding(models.Model):
    """Something that staff must look at: a difference, a warning. One row for each, by its key."""

    class Kind(models.TextChoices):
        PROCESSOR = "processor"  # Our purchases differ from the processor's payments.
        FRAUD = "fraud"  # An early warning, or a review of the processor's.
        PAYMENT = "payment"  # A payment or a refund that cannot go on as it stands.
        VENDOR = "vendor"  # A vendor delivered or named what cannot be measured or believed.
        PRIVACY = "privacy"  # Somebody who asked to be deleted waits for too long.

    key = models.CharField(primary_key=True, max_length=200)
    kind = models.CharField(max_length=16, choices=Kind)
    wallet = models.ForeignKey(
        Account, on_delete=models.PROTECT, null=True, related_name="findings"
    )
    sentence = models.CharField(max_length=500)
    created_at = models.DateTimeField(db_default=Now())
    resolved_at = models.DateTimeField(null=True)
    resolved_by = models.UUIDField(null=True)
    """Who of staff; null: it was found no more."""
    resolution = models.CharField(max_length=300, default="", db_default="")

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="finding_kind_known",
                condition=Q(kind__in=["processor", "fraud", "payment", "vendor", "privacy"]),
            ),
            models.CheckConstraint(
                name="finding_resolved_by_somebody_with_a_reason",
                condition=Q(resolved_by__isnull=True) | ~Q(resolution=""),
            ),
        ]
        indexes = [
            models.Index(
                name="finding_open", fields=["created_at"], condition=Q(resolved_at__isnull=True)
            ),
        ]
