"""Files of runs: what goes in, and what came out. Where they lie, the uploads' shelf knows."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from runs.models.runs import Run


class Asset(models.Model):
    """A file that a workspace keeps here for its runs."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workspace_id = models.UUIDField()
    user_id = models.UUIDField()
    file_path = models.CharField(max_length=300)
    """As graphs name it, like `image.png` or `sub/dir/image.png`."""
    content_type = models.CharField(max_length=100)
    size_bytes = models.BigIntegerField()
    sha256 = models.CharField(max_length=64)
    blake3 = models.CharField(max_length=64, default="", db_default="", blank=True)
    """Empty: kept before this was, and not read since (assets.name_some)."""
    tags = models.JSONField(default=list)
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(name="asset_has_a_path", condition=~Q(file_path="")),
            models.CheckConstraint(name="asset_size_not_negative", condition=Q(size_bytes__gte=0)),
        ]
        indexes = [
            models.Index(name="asset_of_workspace", fields=["workspace_id", "file_path"]),
            models.Index(name="asset_expires", fields=["expires_at"]),
        ]

    @property
    def key(self) -> str:
        """What it is called where files lie."""
        return f"asset-{self.pk}/content"


class Output(models.Model):
    """A file that a run made, stored here before the run was said to have ended."""

    class Kind(models.TextChoices):
        OUTPUT = "output"
        TEMP = "temp"
        TEXT = "text"

    id = models.UUIDField(primary_key=True)
    """Follows from run, node and place: collecting again finds the same."""
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="outputs", db_index=False)
    workspace_id = models.UUIDField()
    position = models.IntegerField()
    node_id = models.CharField(max_length=100)
    section = models.CharField(max_length=50)
    """Under which word the node reported it, like `images`."""
    name = models.CharField(max_length=300)
    subfolder = models.CharField(max_length=300, default="", blank=True)
    """As members see it: without the folder that is the workspace's own on a worker."""
    kind = models.CharField(max_length=16, choices=Kind)
    origin = models.CharField(max_length=64, default="", db_default="", blank=True)
    """A digest of the node and all before it: from the same, a worker's cache names this file."""
    is_paid = models.BooleanField(default=False)
    content_type = models.CharField(max_length=100)
    size_bytes = models.BigIntegerField()
    sha256 = models.CharField(max_length=64)
    blake3 = models.CharField(max_length=64, default="", db_default="", blank=True)
    """Empty: kept before this was, and not read since (assets.name_some)."""
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(name="output_placed_once", fields=["run", "position"]),
            models.CheckConstraint(
                name="output_kind_known", condition=Q(kind__in=["output", "temp", "text"])
            ),
            models.CheckConstraint(name="output_size_not_negative", condition=Q(size_bytes__gte=0)),
            models.CheckConstraint(
                name="output_paid_is_of_type_output", condition=Q(is_paid=False) | Q(kind="output")
            ),
        ]
        indexes = [
            models.Index(name="output_of_workspace", fields=["workspace_id", "name"]),
            models.Index(name="output_expires", fields=["expires_at"]),
        ]

    @property
    def key(self) -> str:
        """What it is called where files lie."""
        return output_key(self.pk)


def output_key(output_id: uuid.UUID) -> str:
    """Return what an output is called where files lie, also while no row names it."""
    return f"output-{output_id}/content"


class Brought(models.Model):
    """Files of one try of a run that are being stored: here before the first of them is.

    Gone with the end that names them in rows; else whoever tidies deletes what no row names.
    """

    prompt_id = models.UUIDField(primary_key=True)
    """By which the worker knew the try."""
    run_id = models.UUIDField()
    files = models.IntegerField()
    """How many places there are for them: their ids follow from run, try and place."""
    created_at = models.DateTimeField(db_default=Now())
