"""The price book: drafts and versions that hold; and what vendors asked of us, by their exports."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class Draft(models.Model):
    """Terms that somebody wants; nothing is priced by it until it is published."""

    terms = models.JSONField()
    """All of them, as the version will say them (terms.py)."""
    based_on = models.IntegerField()
    """The newest version when it was made: published only as long as that is the newest."""
    by = models.UUIDField()
    reason = models.CharField(max_length=300)
    created_at = models.DateTimeField(db_default=Now())
    compared_at = models.DateTimeField(null=True)
    """When it was last compared with the calls of a week."""

    class Meta:
        constraints = [
            models.CheckConstraint(name="draft_has_a_reason", condition=~Q(reason="")),
        ]


class Version(models.Model):
    """What holds from an instant on, until the next version's. The database refuses to change it.

    Versions are numbered without gaps, and each takes effect after the one before; none takes
    effect in the past. So which version a moment had never changes.
    """

    number = models.IntegerField(primary_key=True)
    effective_at = models.DateTimeField()
    terms = models.JSONField()
    draft = models.OneToOneField(Draft, on_delete=models.PROTECT)
    by = models.UUIDField()
    reason = models.CharField(max_length=300)
    published_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(name="version_counts_from_one", condition=Q(number__gte=1)),
            models.CheckConstraint(
                name="version_has_a_reason",
                condition=~Q(reason=""),
            ),
        ]


class Bill(models.Model):
    """A vendor's usage export, as it was brought in: what it asked for, request by request."""

    vendor = models.CharField(max_length=32)
    filename = models.CharField(max_length=200)
    digest = models.CharField(max_length=64)
    """SHA-256 of the file: the same one is brought in once."""
    by = models.UUIDField()
    reason = models.CharField(max_length=300)
    created_at = models.DateTimeField(db_default=Now())
    lines = models.IntegerField(default=0)
    unnamed_lines = models.IntegerField(default=0)
    """Lines without a request id: fees, sums."""
    unnamed_micros = models.BigIntegerField(default=0)
    first_at = models.DateTimeField(null=True)
    last_at = models.DateTimeField(null=True)
    """The time of our calls that it names: what is between and not named is `unbilled`."""
    unbilled = models.IntegerField(default=0)
    """All of them; of more than bills.MOST_UNBILLED only so many have rows."""

    class Meta:
        constraints = [
            models.UniqueConstraint(name="bill_brought_in_once", fields=["vendor", "digest"]),
            models.CheckConstraint(name="bill_has_a_reason", condition=~Q(reason="")),
        ]
        indexes = [models.Index(name="bill_newest", fields=["vendor", "-id"])]


class BilledCall(models.Model):
    """A request that a vendor's export names, beside our call of it (bills.py)."""

    class Verdict(models.TextChoices):
        MATCHED = "matched"
        MISSING = "missing"  # The vendor asks for a call that is not here.
        DOUBLE = "double"  # It asks for one request more than once.
        DIFFERENT = "different"  # More than was due, not delivered, or not as told before.
        UNBILLED = "unbilled"  # We had it delivered, and no export names it.
        AGAIN = "again"  # An earlier export said the same.

    bill = models.ForeignKey(Bill, on_delete=models.CASCADE, related_name="calls")
    vendor = models.CharField(max_length=32)
    request = models.CharField(max_length=200)
    """The vendor's id of the request, or of the job."""
    lines = models.IntegerField()
    charges = models.IntegerField()
    """Of the lines, those that ask for something; others give back."""
    micros = models.BigIntegerField()
    """What the vendor asks for it, over all its lines."""
    counted_micros = models.BigIntegerField(default=0)
    """How much of that no earlier export said: what margins are summed of."""
    at = models.DateTimeField(null=True)
    """As the export says."""
    day = models.DateField(null=True)
    """Of our call, else of the export; UTC."""
    call_id = models.UUIDField(null=True)
    due_micros = models.BigIntegerField(null=True)
    """The published price that was due for our call."""
    charged_micros = models.BigIntegerField(null=True)
    verdict = models.CharField(max_length=12, choices=Verdict, default="missing")

    class Meta:
        constraints = [
            models.UniqueConstraint(name="billed_call_once", fields=["bill", "request"]),
            models.CheckConstraint(
                name="billed_call_of_ours_unless_missing",
                condition=Q(call_id__isnull=False) | ~Q(verdict__in=["matched", "unbilled"]),
            ),
        ]
        indexes = [
            models.Index(name="billed_call_by_request", fields=["vendor", "request"]),
            models.Index(name="billed_call_by_verdict", fields=["bill", "verdict", "id"]),
        ]


class BilledDay(models.Model):
    """What an export comes to on one day: margins are read from these alone."""

    bill = models.ForeignKey(Bill, on_delete=models.CASCADE, related_name="days")
    vendor = models.CharField(max_length=32)
    day = models.DateField()
    calls = models.IntegerField()
    """Our calls whose cost it says, and no earlier export did."""
    charged_micros = models.BigIntegerField()
    """What these were charged."""
    cost_micros = models.BigIntegerField()
    """What the vendor asks for them, and for what is missing here."""

    class Meta:
        constraints = [models.UniqueConstraint(name="billed_day_once", fields=["bill", "day"])]
        indexes = [models.Index(name="billed_day_by_vendor", fields=["day", "vendor"])]
