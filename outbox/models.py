"""Mails that must go out: a row in the transaction that causes it, sent by the worker."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class Mail(models.Model):
    """One letter, by the reason that it exists for: the same reason writes once."""

    key = models.CharField(max_length=200, unique=True)
    to = models.EmailField()
    subject = models.CharField(max_length=200)
    text = models.TextField()
    kind = models.CharField(max_length=32, default="", db_default="", blank=True)
    """Of those that its reader may leave out; empty: it is always told."""
    attempts = models.SmallIntegerField(default=0, db_default=0)
    next_try_at = models.DateTimeField(null=True, db_default=Now())
    """Null once it is sent, or given up."""
    sent_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=300, default="", blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(name="mail_key_not_empty", condition=~Q(key="")),
            models.CheckConstraint(
                name="mail_sent_is_not_tried_again",
                condition=Q(sent_at__isnull=True) | Q(next_try_at__isnull=True),
            ),
        ]
        indexes = [
            models.Index(
                name="mail_to_send",
                fields=["next_try_at"],
                condition=Q(next_try_at__isnull=False),
            ),
        ]
