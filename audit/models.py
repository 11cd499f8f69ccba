"""What members and staff did: who, what, from where, and what it was before and after."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class Event(models.Model):
    """One thing that somebody did. The database refuses to change or delete it.

    Three exceptions, so that people can be forgotten: where it came from may be blanked, a reason
    may become "(erased)", and what is older than the migrations' KEPT may be deleted. So nothing
    else here is personal: people are ids, and `before` and `after` hold no address, name or secret.
    """

    at = models.DateTimeField(db_default=Now())
    action = models.CharField(max_length=64)
    """What was done, like `key.revoked`: the thing, and what became of it."""
    actor_id = models.UUIDField(null=True)
    """The person; null: nobody who is signed in."""
    subject_id = models.UUIDField(null=True)
    """The person to whom it was done, who may read it."""
    workspace_id = models.UUIDField(null=True)
    target = models.CharField(max_length=200, default="", db_default="")
    """The thing: its id, or its public name."""
    before = models.JSONField(default=dict, db_default=models.Value({}, models.JSONField()))
    after = models.JSONField(default=dict, db_default=models.Value({}, models.JSONField()))
    reason = models.CharField(max_length=300, default="", db_default="")
    source = models.CharField(max_length=16)
    """`web`, or `command`, or `program` where nobody asked."""
    address = models.CharField(max_length=45, default="", db_default="")
    agent = models.CharField(max_length=200, default="", db_default="")

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="event_says_what_and_from_where",
                condition=~Q(action="") & Q(source__in=["web", "command", "program"]),
            ),
        ]
        indexes = [
            models.Index(name="event_of_subject", fields=["subject_id", "-id"]),
            models.Index(name="event_of_workspace", fields=["workspace_id", "-id"]),
            models.Index(name="event_by_actor", fields=["actor_id", "-id"]),
        ]
