"""Files that a node puts here for a vendor to fetch, for a day.

    a place --> claimed --> stored      deleted when its time is over, whatever it came to

A place is offered before there is a file. Its first whole content claims it, and room in the
workspace's quota, in one statement; from then on its content is that one for good, so what was
measured of it stays true until the vendor fetches it.
"""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now


class Storage(models.Model):
    """What a workspace has here: a row that every claim and every deletion changes with it."""

    workspace_id = models.UUIDField(primary_key=True)
    used_bytes = models.BigIntegerField(default=0, db_default=0)
    places = models.IntegerField(default=0, db_default=0)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="storage_used_not_negative",
                condition=Q(used_bytes__gte=0) & Q(places__gte=0),
            ),
        ]


class Upload(models.Model):
    """A place for a file, and the file."""

    id = models.UUIDField(primary_key=True)
    workspace_id = models.UUIDField()
    name = models.CharField(max_length=100)
    """As in its addresses: of few characters, with the ending that vendors look at."""
    content_type = models.CharField(max_length=100)
    address_digest = models.CharField(max_length=64)
    """SHA-256 of the address for fetching that was handed out: whose file a request names."""
    digest = models.CharField(max_length=64, default="", db_default="")
    """SHA-256 of the content that claimed it; empty before."""
    size_bytes = models.BigIntegerField(default=0, db_default=0)
    measured = models.JSONField(null=True)
    """What was measured of the content, once."""
    created_at = models.DateTimeField(db_default=Now())
    stored_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="upload_claimed_has_a_size",
                condition=Q(digest="", size_bytes=0) | (~Q(digest="") & Q(size_bytes__gt=0)),
            ),
            models.CheckConstraint(
                name="upload_stored_was_claimed",
                condition=Q(stored_at__isnull=True) | ~Q(digest=""),
            ),
            models.CheckConstraint(
                name="upload_expires_after_it_began",
                condition=Q(expires_at__gt=F("created_at")),
            ),
        ]
        indexes = [
            models.Index(name="upload_expires", fields=["expires_at"]),
            models.Index(name="upload_workspace", fields=["workspace_id"]),
        ]

    @property
    def key(self) -> str:
        """Return what it is called where files lie."""
        return f"{self.pk}/{self.name}"
