"""The price book: drafts that staff compare with what was called, and versions that hold."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class Draft(models.Model):
    """Terms that somebody wants; nothing is priced by it until it is published."""

    terms = models.JSONField()
    """All of them, as the version will say them (terms.py)."""
    based_on = models.IntegerField()
    """The newest version when it was made: published only as long as that is the newest."""
    by = models.UUIDField()
    reason = models.CharField(max_length=300)
    created_at = models.DateTimeField(db_default=Now())
    compared_at = models.DateTimeField(null=True)
    """When it was last compared with the calls of a week."""

    class Meta:
        constraints = [
            models.CheckConstraint(name="draft_has_a_reason", condition=~Q(reason="")),
        ]


class Version(models.Model):
    """What holds from an instant on, until the next version's. The database refuses to change it.

    Versions are numbered without gaps, and each takes effect after the one before; none takes
    effect in the past. So which version a moment had never changes.
    """

    number = models.IntegerField(primary_key=True)
    effective_at = models.DateTimeField()
    terms = models.JSONField()
    draft = models.OneToOneField(Draft, on_delete=models.PROTECT)
    by = models.UUIDField()
    reason = models.CharField(max_length=300)
    published_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(name="version_counts_from_one", condition=Q(number__gte=1)),
            models.CheckConstraint(
                name="version_has_a_reason",
                condition=~Q(reason=""),
            ),
        ]
