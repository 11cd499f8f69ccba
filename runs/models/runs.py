"""A run, from what was asked to what it cost.

    queued --> staging --> running --> collecting --> succeeded
       |          |           |  |          |-------> failed
       |          |           |  '--> canceling ----> canceled
       |          '--- lost --'   (once more, if it made nothing: back to queued)
       |--> canceled     at once, while it waits
       '--> expired      it waited too long

A run that waits is nobody's. From staging on it is its worker's, and whoever leads that worker
moves it. It has ended only when its files and its charge are durable (ending.py).
"""

from __future__ import annotations

from typing import Final

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from runs.models.workers import Worker
from runs.models.workflows import WorkflowVersion


class State(models.TextChoices):
    """Where a run is."""

    QUEUED = "queued"
    STAGING = "staging"
    RUNNING = "running"
    CANCELING = "canceling"
    COLLECTING = "collecting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    EXPIRED = "expired"


ENDED: Final = (State.SUCCEEDED, State.FAILED, State.CANCELED, State.EXPIRED)
ON_A_WORKER: Final = (State.STAGING, State.RUNNING, State.CANCELING, State.COLLECTING)
_ENDED = ["succeeded", "failed", "canceled", "expired"]
_ON_A_WORKER = ["staging", "running", "canceling", "collecting"]


class Run(models.Model):
    """One workflow handed over. Ids of people and keys are plain values: a run outlives them."""

    id = models.UUIDField(primary_key=True)
    """The worker knows it by another, `prompt_id`."""
    asked_id = models.UUIDField(null=True, blank=True)
    """What its client calls it, where that was another workspace's: there it is not heard of."""
    workspace_id = models.UUIDField()
    user_id = models.UUIDField()
    key_id = models.UUIDField(null=True)
    """With which it was asked for; null: by somebody signed in."""
    address_id = models.UUIDField(null=True, blank=True)
    """By which address of that key, if by one."""
    project = models.CharField(max_length=64, default="", blank=True)
    face = models.CharField(max_length=16, default="", blank=True)
    idempotency_key = models.CharField(max_length=255, default="", blank=True)
    fingerprint = models.CharField(max_length=64)
    """Of what was asked: whether the same id, or key, asks for the same."""
    workflow_version = models.ForeignKey(
        WorkflowVersion, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    graph = models.JSONField(null=True)
    """As it was sent, with its inputs in their places; null once it is forgotten."""
    classes = models.JSONField(default=list)
    """The names of its nodes' classes: what its worker must have."""
    output_nodes = models.IntegerField(default=0)
    uses_api_nodes = models.BooleanField(default=False)
    files = models.JSONField(default=dict)
    """Path -> where its bytes are from: `{"asset": id}` or `{"url": address}`."""
    accelerator = models.CharField(max_length=32, default="", blank=True)
    webhook_url = models.CharField(max_length=2000, default="", blank=True)
    metadata = models.JSONField(default=dict)
    extra = models.JSONField(default=dict)
    """What a face wants to find again, like `client_id` or `track_id`."""

    hold_id = models.UUIDField(unique=True)
    """Of the books; its entry and its call have this id, too."""
    budget_id = models.BigIntegerField(null=True)
    """What all of it together may cost, where its nodes can spend, too (spending.py)."""
    run_key_id = models.UUIDField(null=True)
    max_micros = models.BigIntegerField()
    """The most that it may cost: its own seconds and outputs, and the calls made inside."""
    held_micros = models.BigIntegerField()
    """What its hold is now, or was when it ended."""
    micros_per_second = models.BigIntegerField()
    minimum_micros = models.BigIntegerField(default=0)
    micros_per_output = models.BigIntegerField(default=0)
    """At most, while it waits; its worker's own price from then on."""

    state = models.CharField(max_length=16, choices=State, default=State.QUEUED)
    worker = models.ForeignKey(Worker, null=True, on_delete=models.PROTECT, related_name="runs")
    attempts = models.SmallIntegerField(default=0)
    prompt_id = models.UUIDField(null=True)
    """By which its worker knows this attempt."""
    sent_at = models.DateTimeField(null=True)
    """From then on the worker may have it."""
    cancel_reason = models.CharField(max_length=32, default="", blank=True)
    """Why it is to end early: `canceled` (a member's wish), `max_credits_reached`,
    `insufficient_credits`, `key_revoked` or `run_timeout`; empty: it is not."""
    canceled_by = models.UUIDField(null=True)
    progress = models.JSONField(null=True)

    error_code = models.CharField(max_length=32, default="", blank=True)
    error_message = models.CharField(max_length=2000, default="", blank=True)
    error_node = models.CharField(max_length=100, default="", blank=True)
    error_class = models.CharField(max_length=200, default="", blank=True)
    messages = models.JSONField(default=list)
    """The five of its worker's `/history`, with our ids."""
    gpu_ms = models.BigIntegerField(null=True)
    """By the worker's own clock; null until it ended."""
    paid_outputs = models.IntegerField(default=0)
    charged_micros = models.BigIntegerField(default=0)
    """For its seconds and outputs. What was called inside are calls of their own."""
    forgiven_ms = models.BigIntegerField(default=0)
    """Of a failed run: seconds that nobody pays for."""
    outputs_reused = models.BooleanField(default=False)

    created_at = models.DateTimeField(db_default=Now())
    queued_at = models.DateTimeField(db_default=Now())
    """Since when it waits: again, after a worker lost it."""
    claimed_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)
    """When its files and its graph are deleted."""
    forgotten_at = models.DateTimeField(null=True, blank=True)
    """When, at that time, all that was said in it was deleted."""
    hidden_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="run_intention_once",
                fields=["workspace_id", "idempotency_key"],
                condition=~Q(idempotency_key=""),
            ),
            models.UniqueConstraint(
                name="run_asked_id_once",
                fields=["workspace_id", "asked_id"],
                condition=Q(asked_id__isnull=False),
            ),
            models.UniqueConstraint(
                name="run_prompt_once", fields=["prompt_id"], condition=Q(prompt_id__isnull=False)
            ),
            models.CheckConstraint(
                name="run_state_known",
                condition=Q(state__in=["queued", *_ON_A_WORKER, *_ENDED]),
            ),
            models.CheckConstraint(
                name="run_on_a_worker_has_one",
                condition=~Q(state__in=_ON_A_WORKER)
                | Q(worker__isnull=False, prompt_id__isnull=False, claimed_at__isnull=False),
            ),
            models.CheckConstraint(
                name="run_queued_is_nobodys",
                condition=~Q(state="queued") | Q(worker__isnull=True, prompt_id__isnull=True),
            ),
            models.CheckConstraint(
                name="run_ended_has_a_time",
                condition=Q(state__in=_ENDED, ended_at__isnull=False, gpu_ms__isnull=False)
                | Q(~Q(state__in=_ENDED), ended_at__isnull=True),
            ),
            models.CheckConstraint(
                name="run_failed_says_why",
                condition=~Q(state__in=["failed", "canceled", "expired"]) | ~Q(error_code=""),
            ),
            models.CheckConstraint(name="run_tried_twice_at_most", condition=Q(attempts__lte=2)),
            models.CheckConstraint(
                name="run_charged_within_its_hold",
                condition=Q(charged_micros__gte=0, charged_micros__lte=F("held_micros")),
            ),
            models.CheckConstraint(
                name="run_held_within_its_maximum",
                condition=Q(held_micros__gte=0, held_micros__lte=F("max_micros")),
            ),
            models.CheckConstraint(
                name="run_charged_when_ended",
                condition=Q(charged_micros=0) | Q(state__in=_ENDED),
            ),
            models.CheckConstraint(
                name="run_measures_not_negative",
                condition=(Q(gpu_ms__isnull=True) | Q(gpu_ms__gte=0))
                & Q(paid_outputs__gte=0, forgiven_ms__gte=0),
            ),
        ]
        indexes = [
            models.Index(
                name="run_waiting", fields=["queued_at", "id"], condition=Q(state="queued")
            ),
            models.Index(
                name="run_on_worker", fields=["worker"], condition=Q(state__in=_ON_A_WORKER)
            ),
            models.Index(name="run_of_workspace", fields=["workspace_id", "-created_at", "-id"]),
            models.Index(
                name="run_kept",
                fields=["expires_at"],
                condition=Q(expires_at__isnull=False, forgotten_at__isnull=True),
            ),
            models.Index(
                name="run_ended_lately",
                fields=["ended_at"],
                condition=Q(ended_at__isnull=False),
            ),
        ]

    @property
    def name(self) -> str:
        """Its id as members know it, the same on every face."""
        return str(self.asked_id or self.pk)

    @property
    def has_ended(self) -> bool:
        """Whether nothing of it changes any more."""
        return self.state in ENDED


class RunEvent(models.Model):
    """Something that happened to a run, in order; only added (a trigger refuses changes)."""

    id = models.BigAutoField(primary_key=True)
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="events", db_index=False)
    kind = models.CharField(max_length=16)
    """`status`, `progress`, `output` or `message`: the worker's own, with our ids."""
    data = models.JSONField(default=dict)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="run_event_kind_known",
                condition=Q(kind__in=["status", "progress", "output", "message"]),
            ),
        ]
        indexes = [models.Index(name="run_event_of_run", fields=["run", "id"])]


class Preview(models.Model):
    """The newest picture of a run that works: one row, written over; gone with its end."""

    run = models.OneToOneField(
        Run, primary_key=True, on_delete=models.CASCADE, related_name="preview"
    )
    node_id = models.CharField(max_length=100)
    content_type = models.CharField(max_length=50)
    data = models.BinaryField()
    at = models.DateTimeField(db_default=Now())
