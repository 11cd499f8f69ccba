"""What staff keep for their work: notes on customers, and what all members are told."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class Note(models.Model):
    """What somebody of staff wrote down about a customer, for the next who is asked."""

    workspace_id = models.UUIDField()
    text = models.CharField(max_length=2000)
    by = models.UUIDField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.CheckConstraint(name="note_says_something", condition=~Q(text=""))]
        indexes = [models.Index(name="note_of_workspace", fields=["workspace_id", "-id"])]
