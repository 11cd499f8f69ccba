"""What may be spent beside what there is: the rule, and a budget for each of its periods."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

PERIODS = ("day", "week", "month", "total")


class Allowance(models.Model):
    """The rule: how much an owner may spend in each day, week or month, or in total.

    From it a budget of the current period is made when a call first needs one (allowances.py).
    """

    owner_kind = models.CharField(max_length=16)
    """Whose it is, as a budget has it; or `each_member`, where a member has none of their own."""
    owner = models.CharField(max_length=128)
    period = models.CharField(max_length=8)
    limit_micros = models.BigIntegerField()
    set_by = models.UUIDField()
    """Who set it last."""
    set_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="allowance_once_per_period", fields=["owner_kind", "owner", "period"]
            ),
            models.CheckConstraint(name="allowance_period_known", condition=Q(period__in=PERIODS)),
            models.CheckConstraint(
                name="allowance_limit_not_negative", condition=Q(limit_micros__gte=0)
            ),
        ]


class Budget(models.Model):
    """How much somebody may spend in a period, and what of it is taken.

    A call takes its hold from every budget that it is under, and what it cost stays (holds.py): one
    sum, so that an end at the full amount writes nothing. What of it is held, open holds say.
    """

    owner_kind = models.CharField(max_length=16)
    """Whose it is: a workspace's, project's, member's or key's. The books do not read it."""
    owner = models.CharField(max_length=128)
    period = models.CharField(max_length=8, default="total", db_default="total")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True)
    """When another row begins; null: never."""
    limit_micros = models.BigIntegerField(null=True)
    """Null: there is none any more, and what is taken is still counted."""
    taken_micros = models.BigIntegerField(default=0, db_default=0)
    over_micros = models.BigIntegerField(default=0, db_default=0)
    """How much more than the limit was taken when somebody lowered it (limits.py)."""

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="budget_once_per_period",
                fields=["owner_kind", "owner", "period", "starts_at"],
            ),
            models.CheckConstraint(name="budget_period_known", condition=Q(period__in=PERIODS)),
            models.CheckConstraint(
                name="budget_ends_after_its_start",
                condition=Q(ends_at=None) | Q(ends_at__gt=F("starts_at")),
            ),
            models.CheckConstraint(
                name="budget_limit_not_negative",
                condition=Q(limit_micros=None) | Q(limit_micros__gte=0),
            ),
            models.CheckConstraint(
                name="budget_taken_not_negative",
                condition=Q(taken_micros__gte=0, over_micros__gte=0),
            ),
            models.CheckConstraint(
                name="budget_never_exceeded",
                condition=Q(limit_micros=None)
                | Q(limit_micros__gte=F("taken_micros") - F("over_micros")),
            ),
        ]
