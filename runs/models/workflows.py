"""Workflows by name: what a face with an id in its path runs."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class Workflow(models.Model):
    """A workflow of a workspace. Its newest version is what runs."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workspace_id = models.UUIDField()
    made_by = models.UUIDField()
    name = models.CharField(max_length=100)
    accelerator = models.CharField(max_length=32, default="", blank=True)
    """Where it runs unless a run says; empty: anywhere."""
    max_micros = models.BigIntegerField(null=True, blank=True)
    """The most that a run may cost unless it says; null: as the platform does."""
    created_at = models.DateTimeField(db_default=Now())
    removed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(name="workflow_has_a_name", condition=~Q(name="")),
            models.UniqueConstraint(
                name="workflow_name_once",
                fields=["workspace_id", "name"],
                condition=Q(removed_at__isnull=True),
            ),
            models.CheckConstraint(
                name="workflow_maximum_positive",
                condition=Q(max_micros__isnull=True) | Q(max_micros__gt=0),
            ),
        ]


class WorkflowVersion(models.Model):
    """A graph in API format, pinned: what runs under a number never changes."""

    workflow = models.ForeignKey(Workflow, on_delete=models.CASCADE, related_name="versions")
    number = models.IntegerField()
    graph = models.JSONField()
    form = models.JSONField(default=list)
    """The inputs that a person is asked for, as `[{node, input, label}]`."""
    made_by = models.UUIDField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="workflow_version_numbered_once", fields=["workflow", "number"]
            ),
            models.CheckConstraint(
                name="workflow_version_number_positive", condition=Q(number__gte=1)
            ),
        ]
