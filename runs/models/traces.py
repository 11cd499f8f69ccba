"""What runs leave on workers, until it is wiped there (scrubbing.py)."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from runs.models.workers import Worker


class Trace(models.Model):
    """One try of a run on a worker: written before any of it is there, gone once none is."""

    prompt_id = models.UUIDField(primary_key=True)
    """By which the worker knows the try."""
    worker = models.ForeignKey(
        Worker, on_delete=models.CASCADE, related_name="traces", db_index=False
    )
    run_id = models.UUIDField()
    workspace_id = models.UUIDField()
    inputs = ArrayField(models.CharField(max_length=1000), default=list, blank=True)
    """Where its files lie, below the worker's input folder."""
    made = ArrayField(
        ArrayField(models.CharField(max_length=1000), size=3), default=list, blank=True
    )
    """What it made there: `output` or `temp`, below it where, and what it is called."""
    misses = models.SmallIntegerField(default=0)
    """How often wiping it did not come off."""
    again_at = models.DateTimeField(db_default=Now())
    """Not before then it is tried."""
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(name="trace_of_worker", fields=["worker", "again_at"])]
