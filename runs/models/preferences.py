"""What a workspace says of all of its runs (preferences.py)."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class Preferences(models.Model):
    """A row is there once anything was said; what is empty is as the platform has it."""

    workspace_id = models.UUIDField(primary_key=True)
    keep_days = models.SmallIntegerField(null=True, blank=True)
    """For how long files and workflows of its runs are kept once these ended."""
    max_micros = models.BigIntegerField(null=True, blank=True)
    """The most that a run may cost, unless it or its workflow says."""
    accelerator = models.CharField(max_length=32, default="", blank=True)
    """Where a run goes, unless it or its workflow says."""
    drops_workflows = models.BooleanField(default=False)
    """Whether a run's workflow is forgotten the moment it ends."""
    leaves_in_files = models.BooleanField(default=False, db_default=False)
    """Where it is: whether the files that it made keep the workflow that is written in them."""

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="preferences_keep_a_day_at_least",
                condition=Q(keep_days__isnull=True) | Q(keep_days__gte=1),
            ),
            models.CheckConstraint(
                name="preferences_maximum_positive",
                condition=Q(max_micros__isnull=True) | Q(max_micros__gt=0),
            ),
        ]
