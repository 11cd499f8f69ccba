"""Addresses that stand for a key (addresses.py): one row each, so that one can be ended alone."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class Address(models.Model):
    """What is in it is this row's id, signed: whoever has it may hand over runs by its key."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workspace_id = models.UUIDField()
    user_id = models.UUIDField()
    key_id = models.UUIDField()
    max_micros = models.BigIntegerField(null=True, blank=True)
    """What a run by it may cost at most; null: as its key has it."""
    expires_at = models.DateTimeField(null=True, blank=True)
    """Null: with its key."""
    created_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.UUIDField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="address_plain_once",
                fields=["key_id"],
                condition=Q(
                    max_micros__isnull=True, expires_at__isnull=True, ended_at__isnull=True
                ),
            ),
            models.CheckConstraint(
                name="address_maximum_positive",
                condition=Q(max_micros__isnull=True) | Q(max_micros__gt=0),
            ),
        ]
        indexes = [models.Index(name="address_of_key", fields=["key_id", "-created_at"])]
