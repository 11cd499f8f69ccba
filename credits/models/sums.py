"""The entries summed by day, so that no report reads them all again (accounting.py).

And what each proof carried forward, so that no proof does (marks.py). All of it can be made again
from the entries, and `manage.py reconcile` proves it equal to them.
"""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from credits.models.books import Account


class Tally(models.Model):
    """A range of entries that were summed: from behind one id up to another."""

    after_entry = models.BigIntegerField()
    last_entry = models.BigIntegerField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(name="tally_begins_once", fields=["after_entry"]),
            models.UniqueConstraint(name="tally_ends_once", fields=["last_entry"]),
            models.CheckConstraint(
                name="tally_not_empty",
                condition=Q(after_entry__gte=0, last_entry__gt=F("after_entry")),
            ),
        ]


class DaySum(models.Model):
    """What a tally's entries of one day and sort moved, all wallets taken together."""

    tally = models.ForeignKey(
        Tally, on_delete=models.CASCADE, related_name="day_sums", db_index=False
    )
    day = models.DateField()
    """UTC's."""
    kind = models.CharField(max_length=16)
    debit_kind = models.CharField(max_length=16)
    credit_kind = models.CharField(max_length=16)
    entries = models.BigIntegerField()
    micros = models.BigIntegerField()
    granted_micros = models.BigIntegerField()
    """By how much the credits that were given, not bought, became more or less."""

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="day_sum_once", fields=["tally", "day", "kind", "debit_kind", "credit_kind"]
            ),
            models.CheckConstraint(
                name="day_sum_not_empty", condition=Q(entries__gt=0, micros__gt=0)
            ),
        ]


class GrantedLeft(models.Model):
    """How much of a wallet was given, not bought, after the last entry that was summed."""

    wallet = models.OneToOneField(
        Account, primary_key=True, on_delete=models.PROTECT, related_name="granted_left"
    )
    micros = models.BigIntegerField()

    class Meta:
        constraints = [
            models.CheckConstraint(name="granted_left_not_negative", condition=Q(micros__gte=0)),
        ]


class Proof(models.Model):
    """One run of `reconcile`: when it was, what differed, and up to where it moved the mark."""

    deep = models.BooleanField()
    """Whether it read everything, and believed nothing that was proved before."""
    began_at = models.DateTimeField()
    ended_at = models.DateTimeField(db_default=Now())
    upto_entry = models.BigIntegerField(null=True)
    """All entries up to this one are proved; null: the mark stayed where it was."""
    upto_tally = models.BigIntegerField(null=True)
    """The last entry of the sums by day that are proved."""
    differences = models.IntegerField()
    differing = ArrayField(models.CharField(max_length=200))
    """The checks that found them."""

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="proof_moves_the_whole_mark",
                condition=Q(upto_entry__isnull=True, upto_tally__isnull=True)
                | Q(upto_entry__gte=0, upto_tally__gte=0),
            ),
        ]
        indexes = [
            models.Index(name="proof_deep", fields=["-id"], condition=Q(deep=True)),
            models.Index(name="proof_mark", fields=["-id"], condition=Q(upto_entry__isnull=False)),
        ]


class Carried(models.Model):
    """What an account's part came to at the last proof that found nothing."""

    account = models.OneToOneField(
        Account, primary_key=True, on_delete=models.PROTECT, related_name="carried",
        db_constraint=False,
    )  # fmt: skip
    balance_micros = models.BigIntegerField()
    """Of its entries up to the mark; of a house account, too."""
    paid_micros = models.BigIntegerField()
    events = models.BigIntegerField()
    """Up to this number its history is proved."""
    sealed = models.BigIntegerField()
    """Up to this position its lines are."""
