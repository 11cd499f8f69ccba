"""What staff keep for their work: notes on customers, and what all members are told."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class Note(models.Model):
    """What somebody of staff wrote down about a customer, for the next who is asked."""

    workspace_id = models.UUIDField()
    words = models.CharField(max_length=2000)
    by = models.UUIDField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.CheckConstraint(name="note_says_something", condition=~Q(words=""))]
        indexes = [models.Index(name="note_of_workspace", fields=["workspace_id", "-id"])]


class Banner(models.Model):
    """What all members, or staff alone, are told above each page, from an instant until another."""

    class Level(models.TextChoices):
        INFO = "info"
        WARNING = "warning"
        TROUBLE = "trouble"

    words = models.CharField(max_length=300)
    level = models.CharField(max_length=8, choices=Level)
    for_staff = models.BooleanField(default=False, db_default=False)
    """Whether staff alone read it."""
    begins_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True)
    """Null: until somebody takes it down."""
    by = models.UUIDField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(name="banner_says_something", condition=~Q(words="")),
            models.CheckConstraint(
                name="banner_level_known", condition=Q(level__in=["info", "warning", "trouble"])
            ),
            models.CheckConstraint(
                name="banner_begins_before_it_ends",
                condition=Q(ends_at__isnull=True) | Q(ends_at__gt=models.F("begins_at")),
            ),
        ]


class Maintenance(models.Model):
    """While this row is there, no new hold is placed; what runs goes on and is settled."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    sentence = models.CharField(max_length=300)
    until = models.DateTimeField(null=True)
    """When it is thought to be over: what clients are told. It ends when somebody ends it."""
    by = models.UUIDField()
    began_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(name="maintenance_is_one_row", condition=Q(id=1)),
            models.CheckConstraint(name="maintenance_says_why", condition=~Q(sentence="")),
        ]
