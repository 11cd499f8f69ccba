"""That somebody asked to be deleted, or for all that is known of them."""

from __future__ import annotations

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class Deletion(models.Model):
    """Somebody's wish to go, from the question to the certificate (deletion.py draws its life).

    After its end nothing in it is personal but two kinds of numbers, `user_id` and `workspaces`,
    which stay for as long as the books do: by them that is ended, too.
    """

    class State(models.TextChoices):
        ASKED = "asked"
        WAITING = "waiting"
        RUNNING = "running"
        DONE = "done"
        CANCELLED = "cancelled"
        LAPSED = "lapsed"

    OPEN = (State.ASKED, State.WAITING, State.RUNNING)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user_id = models.UUIDField(null=True)
    state = models.CharField(max_length=16, choices=State, default=State.ASKED)
    asked_by = models.UUIDField(null=True)
    """Who of staff entered it, from a mail; null: the person themselves."""
    reason = models.CharField(max_length=300, default="", db_default="")
    """Why staff entered it."""
    gives_up = models.BooleanField(default=False, db_default=False)
    """Whether the person gives up credits that they paid for and did not spend."""
    base_url = models.CharField(max_length=300)
    """Where its links lead, as whoever asked reached us."""
    mails = models.SmallIntegerField(default=0, db_default=0)
    """How often they were asked to confirm."""
    asked_at = models.DateTimeField(db_default=Now())
    confirmed_at = models.DateTimeField(null=True)
    due_at = models.DateTimeField(null=True)
    """From when on it is done."""
    deadline_at = models.DateTimeField()
    """Until when it must be done."""
    ended_at = models.DateTimeField(null=True)
    blocked = models.JSONField(default=dict, db_default=models.Value({}, models.JSONField()))
    """Why it is not done yet: sentences by their codes, as last looked at."""
    sealed = models.TextField(default="", db_default="")
    """Who it is, in a box, while the steps run: they find nobody any more."""
    done = ArrayField(models.CharField(max_length=32), default=list)
    """The steps that were done, in their order."""
    report = models.JSONField(default=dict, db_default=models.Value({}, models.JSONField()))
    """What went with each step, in numbers."""
    workspaces = ArrayField(models.UUIDField(), default=list)
    books_until = models.DateField(null=True)
    """Until when the books are kept under their pseudonym; null again once that is over."""
    attempts = models.IntegerField(default=0, db_default=0)
    next_try_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=300, default="", db_default="")

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="deletion_state_known",
                condition=Q(
                    state__in=["asked", "waiting", "running", "done", "cancelled", "lapsed"]
                ),
            ),
            models.UniqueConstraint(
                name="deletion_open_once",
                fields=["user_id"],
                condition=Q(state__in=["asked", "waiting", "running"]),
            ),
            models.CheckConstraint(
                name="deletion_confirmed_has_its_day",
                condition=~Q(state__in=["waiting", "running", "done"])
                | Q(confirmed_at__isnull=False, due_at__isnull=False),
            ),
            models.CheckConstraint(
                name="deletion_knows_who_while_it_runs",
                condition=Q(state="running") & ~Q(sealed="") | ~Q(state="running") & Q(sealed=""),
            ),
            models.CheckConstraint(
                name="deletion_of_staff_has_a_reason",
                condition=Q(asked_by__isnull=True) | ~Q(reason=""),
            ),
        ]
        indexes = [
            models.Index(
                name="deletion_to_try",
                fields=["next_try_at"],
                condition=Q(next_try_at__isnull=False),
            ),
        ]


class Export(models.Model):
    """An archive of all that is known of somebody, made by the worker (exports.py)."""

    class State(models.TextChoices):
        ASKED = "asked"
        READY = "ready"
        GONE = "gone"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user_id = models.UUIDField()
    base_url = models.CharField(max_length=300)
    state = models.CharField(max_length=16, choices=State, default=State.ASKED)
    size_bytes = models.BigIntegerField(default=0, db_default=0)
    asked_at = models.DateTimeField(db_default=Now())
    ready_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)
    attempts = models.SmallIntegerField(default=0, db_default=0)
    next_try_at = models.DateTimeField(null=True, db_default=Now())
    error = models.CharField(max_length=300, default="", db_default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="export_asked_once", fields=["user_id"], condition=Q(state="asked")
            ),
            models.CheckConstraint(
                name="export_state_known",
                condition=Q(state__in=["asked", "ready", "gone", "failed"]),
            ),
            models.CheckConstraint(
                name="export_ready_until_its_end",
                condition=~Q(state="ready")
                | Q(ready_at__isnull=False, expires_at__isnull=False, size_bytes__gt=0),
            ),
            models.CheckConstraint(
                name="export_asked_is_tried",
                condition=Q(state="asked", next_try_at__isnull=False)
                | Q(~Q(state="asked"), next_try_at__isnull=True),
            ),
        ]
        indexes = [
            models.Index(name="export_of_person", fields=["user_id"]),
            models.Index(
                name="export_to_make",
                fields=["next_try_at"],
                condition=Q(next_try_at__isnull=False),
            ),
        ]

    @property
    def key(self) -> str:
        """Return what its file is called where files lie."""
        return f"export-{self.pk}/archive.zip"
