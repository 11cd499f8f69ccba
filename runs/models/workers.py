"""Workers: the operator's ComfyUI machines.

active --> draining   nothing new goes there; what runs there ends there
   |  '--> removed    for good: its row stays for the runs that went there
   '<----- draining   it may be taken back
"""

from __future__ import annotations

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q, Value
from django.db.models.functions import Now


class Worker(models.Model):
    """A machine, what it costs, and how it was when it was last looked at."""

    class State(models.TextChoices):
        ACTIVE = "active"
        DRAINING = "draining"
        REMOVED = "removed"

    class Dialect(models.TextChoices):
        NATIVE = "native"
        V2 = "v2"
        """Comfy API v2, as a proxy before a ComfyUI speaks it."""

    class Health(models.TextChoices):
        UNKNOWN = "unknown"
        UP = "up"
        DOWN = "down"

    name = models.CharField(max_length=60)
    base_url = models.CharField(max_length=300)
    sealed = models.CharField(max_length=500, default="", db_default="", blank=True)
    """Its token, or `user:password`, in a box (common/sealing.py); empty: it asks for none."""
    is_basic = models.BooleanField(default=False, db_default=False)
    """Whether that is shown as Basic, and not as a bearer's token."""
    dialect = models.CharField(max_length=16, choices=Dialect, default=Dialect.NATIVE)
    accelerator = models.CharField(max_length=32)
    """A free label, like `A100_80GB`: runs ask for one by it."""
    slots = models.SmallIntegerField(default=1)
    """How many prompts may be on it at once. A ComfyUI works on one, and lets the others wait."""
    micros_per_second = models.BigIntegerField()
    minimum_micros = models.BigIntegerField(default=0)
    """The least that a run costs that used any time at all."""
    micros_per_output = models.BigIntegerField(default=0)
    """For each file of type output that this run made, beside the seconds."""
    reserved_for = ArrayField(models.UUIDField(), default=list, blank=True)
    """Whose alone it is, by workspace; empty: everybody's."""
    allowed_classes = ArrayField(
        models.CharField(max_length=200), default=list, db_default=Value([]), blank=True
    )
    """Patterns of the node classes that run there; empty: all that are not denied."""
    denied_classes = ArrayField(models.CharField(max_length=200), default=list, blank=True)
    shared_inputs = ArrayField(models.CharField(max_length=200), default=list, blank=True)
    """Files of its own input folder that every run may load."""
    scrubs = models.BooleanField(default=True, db_default=True)
    """Whether what a run left there is wiped once it is stored here."""
    state = models.CharField(max_length=16, choices=State, default=State.ACTIVE)
    health = models.CharField(max_length=16, choices=Health, default=Health.UNKNOWN)
    misses = models.SmallIntegerField(default=0)
    """How often in a row it did not answer."""
    error = models.CharField(max_length=300, default="", blank=True)
    """What was wrong when it was last looked at."""
    client_id = models.UUIDField(default=uuid.uuid4)
    """By which its messages come to us, and to nobody else."""
    version = models.CharField(max_length=50, default="", blank=True)
    seen_at = models.DateTimeField(null=True)
    down_since = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="worker_name_once", fields=["name"], condition=~Q(state="removed")
            ),
            models.UniqueConstraint(
                name="worker_address_once", fields=["base_url"], condition=~Q(state="removed")
            ),
            models.CheckConstraint(name="worker_has_a_name", condition=~Q(name="")),
            models.CheckConstraint(name="worker_has_a_slot", condition=Q(slots__gte=1)),
            models.CheckConstraint(
                name="worker_price_not_negative",
                condition=Q(
                    micros_per_second__gte=0, minimum_micros__gte=0, micros_per_output__gte=0
                ),
            ),
            models.CheckConstraint(
                name="worker_state_known",
                condition=Q(state__in=["active", "draining", "removed"]),
            ),
            models.CheckConstraint(
                name="worker_health_known", condition=Q(health__in=["unknown", "up", "down"])
            ),
            models.CheckConstraint(
                name="worker_dialect_known", condition=Q(dialect__in=["native", "v2"])
            ),
        ]


class WorkerNodes(models.Model):
    """What a worker said of its nodes (`/object_info`), and their names to look for."""

    worker = models.OneToOneField(
        Worker, primary_key=True, on_delete=models.CASCADE, related_name="nodes"
    )
    classes = ArrayField(models.CharField(max_length=200))
    object_info = models.JSONField()
    barred = ArrayField(
        models.CharField(max_length=200), default=list, db_default=Value([]), blank=True
    )
    """Those of its classes that do not run there, by what its operator allows and denies."""
    folders = models.JSONField(default=dict, db_default=Value({}, models.JSONField()))
    """Folder of models -> names of the files in it."""
    digest = models.CharField(max_length=64)
    read_at = models.DateTimeField(db_default=Now())
