"""Credits that are given: vouchers, and what staff give or take by hand."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from credits.models.books import Account, Entry


class Voucher(models.Model):
    """A code that gives credits to whoever redeems it, once for each workspace (vouchers.py)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    digest = models.BinaryField(max_length=32, unique=True)
    """Of the code, which is shown once."""
    hint = models.CharField(max_length=8)
    """Its last characters, to tell it from others."""
    name = models.CharField(max_length=100)
    amount_micros = models.BigIntegerField()
    uses = models.IntegerField()
    used = models.IntegerField(default=0, db_default=0)
    redeem_until = models.DateTimeField(null=True)
    credits_last_days = models.IntegerField(null=True)
    """From redemption; null: they do not expire."""
    made_by = models.UUIDField(null=True)
    reason = models.CharField(max_length=300, default="", db_default="")
    needs_second = models.BooleanField(default=False, db_default=False)
    """All its uses together give more than one of staff may give alone."""
    approved_by = models.UUIDField(null=True)
    disabled_at = models.DateTimeField(null=True)
    disabled_by = models.UUIDField(null=True)
    disabled_reason = models.CharField(max_length=300, default="", db_default="")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="voucher_amount_positive", condition=Q(amount_micros__gt=0)
            ),
            models.CheckConstraint(
                name="voucher_not_used_up_twice",
                condition=Q(uses__gt=0, used__gte=0, used__lte=F("uses")),
            ),
            models.CheckConstraint(
                name="voucher_days_positive",
                condition=Q(credits_last_days__isnull=True) | Q(credits_last_days__gt=0),
            ),
            models.CheckConstraint(
                name="voucher_second_person",
                condition=Q(used=0)
                | Q(needs_second=False)
                | Q(~Q(approved_by=F("made_by")), approved_by__isnull=False),
            ),
            models.CheckConstraint(
                name="voucher_stopped_by_somebody_with_a_reason",
                condition=Q(disabled_by__isnull=True) | ~Q(disabled_reason=""),
            ),
        ]


class VoucherUse(models.Model):
    """One redemption."""

    voucher = models.ForeignKey(Voucher, on_delete=models.PROTECT, related_name="redemptions")
    wallet = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="voucher_uses")
    entry = models.OneToOneField(Entry, on_delete=models.PROTECT, related_name="voucher_use")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="voucher_once_per_workspace", fields=["voucher", "wallet"]
            ),
        ]


class VoucherTry(models.Model):
    """A code that did not fit: codes are not to be guessed."""

    wallet = models.ForeignKey(
        Account, on_delete=models.CASCADE, related_name="voucher_tries", db_index=False
    )
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(name="voucher_try_recent", fields=["wallet", "created_at"])]


class Adjustment(models.Model):
    """Credits that staff give (positive) or take (negative), with a reason (adjustments.py)."""

    class State(models.TextChoices):
        WAITING = "waiting"
        POSTED = "posted"
        REFUSED = "refused"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    wallet = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="adjustments")
    amount_micros = models.BigIntegerField()
    is_gift = models.BooleanField(default=False)
    """From the house's promotion account; else it corrects a mistake."""
    expires_at = models.DateTimeField(null=True)
    """Of the credits that are given."""
    reason = models.CharField(max_length=300)
    state = models.CharField(max_length=16, choices=State, default=State.WAITING)
    requested_by = models.UUIDField()
    decided_by = models.UUIDField(null=True)
    decision = models.CharField(max_length=300, default="", db_default="")
    """Why it was refused, if it was."""
    needs_second = models.BooleanField()
    entry = models.OneToOneField(
        Entry, on_delete=models.PROTECT, null=True, related_name="adjustment"
    )
    created_at = models.DateTimeField(db_default=Now())
    decided_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="adjustment_moves_something", condition=~Q(amount_micros=0)
            ),
            models.CheckConstraint(name="adjustment_has_a_reason", condition=~Q(reason="")),
            models.CheckConstraint(
                name="adjustment_gift_is_given", condition=Q(is_gift=False) | Q(amount_micros__gt=0)
            ),
            models.CheckConstraint(
                name="adjustment_posted_by_its_entry",
                condition=Q(state="posted", entry__isnull=False)
                | Q(state__in=["waiting", "refused"], entry__isnull=True),
            ),
            models.CheckConstraint(
                name="adjustment_second_person",
                condition=~Q(state="posted")
                | Q(needs_second=False)
                | Q(~Q(decided_by=F("requested_by")), decided_by__isnull=False),
            ),
        ]
