"""What is bought, given back, contested and owed. Each row is an intention or a Stripe object.

States only go forward (each concept's module draws them), and the keys of the entries carry the
row's id, so that a row moves its money once.
"""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from common.money import MICROS_PER_CENT
from credits.models.books import Account, Entry, Lot

LEAST_MICROS, MOST_MICROS = 5_000_000, 10_000_000_000
WAITING = ("open", "processing", "paid")


class Billing(models.Model):
    """How a wallet's owner is reached: by mail, and as a customer of the processor."""

    wallet = models.OneToOneField(
        Account, primary_key=True, on_delete=models.PROTECT, related_name="billing"
    )
    email = models.EmailField(blank=True, default="")
    customer_id = models.CharField(max_length=100, null=True, unique=True)  # noqa: DJ001 - unique
    customers_deleted = models.SmallIntegerField(default=0, db_default=0)
    """How many customers of ours were deleted at the processor: the next one is another."""
    low_balance_micros = models.BigIntegerField(default=1_000_000, db_default=1_000_000)
    """A mail goes out when the available balance falls below; 0 is never."""
    is_low = models.BooleanField(default=True, db_default=True)
    """Below since the last mail: the next comes only after it was above again."""
    released_at = models.DateTimeField(null=True)
    """When staff last took back a pause of theirs; the pause itself is gone then."""
    released_by = models.UUIDField(null=True)
    release_reason = models.CharField(max_length=300, default="", db_default="")

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="billing_threshold_not_negative", condition=Q(low_balance_micros__gte=0)
            ),
            models.CheckConstraint(
                name="billing_release_has_a_name_and_a_reason",
                condition=Q(released_at__isnull=True)
                | Q(Q(released_by__isnull=False), ~Q(release_reason="")),
            ),
        ]


class TopUp(models.Model):
    """A purchase of credits, from the wish to the entry (topups.py)."""

    class Source(models.TextChoices):
        CHECKOUT = "checkout"
        AUTOMATIC = "automatic"

    class State(models.TextChoices):
        OPEN = "open"
        PROCESSING = "processing"
        FAILED = "failed"
        EXPIRED = "expired"
        PAID = "paid"
        CREDITED = "credited"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    wallet = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="top_ups")
    user_id = models.UUIDField(null=True)
    source = models.CharField(max_length=16, choices=Source)
    state = models.CharField(max_length=16, choices=State, default=State.OPEN)
    amount_micros = models.BigIntegerField()
    """The credits, without tax."""
    tax_cents = models.BigIntegerField(default=0, db_default=0)
    payment_method_id = models.CharField(max_length=100, default="", blank=True)
    """The saved method that an automatic one charges."""
    session_id = models.CharField(max_length=200, null=True, unique=True)  # noqa: DJ001 - unique
    payment_intent_id = models.CharField(max_length=100, null=True, unique=True)  # noqa: DJ001
    checkout_url = models.TextField(default="", blank=True)
    receipt_url = models.TextField(default="", blank=True)
    invoice_url = models.TextField(default="", blank=True)
    failure = models.CharField(max_length=300, default="", blank=True)
    entry = models.OneToOneField(Entry, on_delete=models.PROTECT, null=True, related_name="top_up")
    checks = models.SmallIntegerField(default=0, db_default=0)
    checked_at = models.DateTimeField(null=True)
    next_check_at = models.DateTimeField(null=True, db_default=Now())
    """When we ask the processor ourselves; null once there is nothing left to learn."""
    created_at = models.DateTimeField(db_default=Now())
    credited_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="topup_amount_within_limits",
                condition=Q(amount_micros__gte=LEAST_MICROS, amount_micros__lte=MOST_MICROS),
            ),
            models.CheckConstraint(
                name="topup_whole_cents",
                condition=Q(amount_micros=F("amount_micros") / MICROS_PER_CENT * MICROS_PER_CENT),
            ),
            models.CheckConstraint(name="topup_tax_not_negative", condition=Q(tax_cents__gte=0)),
            models.CheckConstraint(
                name="topup_state_known",
                condition=Q(
                    state__in=["open", "processing", "failed", "expired", "paid", "credited"]
                ),
            ),
            models.CheckConstraint(
                name="topup_credited_by_its_entry",
                condition=Q(state="credited", entry__isnull=False, credited_at__isnull=False)
                | Q(~Q(state="credited"), entry__isnull=True, credited_at__isnull=True),
            ),
            models.CheckConstraint(
                name="topup_paid_by_a_payment",
                condition=~Q(state__in=["paid", "credited"]) | Q(payment_intent_id__isnull=False),
            ),
            models.CheckConstraint(
                name="topup_source_known", condition=Q(source__in=["checkout", "automatic"])
            ),
            models.UniqueConstraint(
                name="topup_one_automatic_at_a_time",
                fields=["wallet"],
                condition=Q(source="automatic", state__in=WAITING),
            ),
        ]
        indexes = [
            models.Index(
                name="topup_to_check",
                fields=["next_check_at"],
                condition=Q(next_check_at__isnull=False),
            ),
        ]

    @property
    def lot(self) -> Lot:
        """What is left of it, as last worked out; only a credited purchase has one."""
        assert self.entry is not None, "it was credited"
        return Lot.objects.get(entry=self.entry)

    @property
    def amount_cents(self) -> int:
        """The credits in cents."""
        return self.amount_micros // MICROS_PER_CENT

    @property
    def total_cents(self) -> int:
        """What the member pays: credits and tax."""
        return self.amount_cents + self.tax_cents


class Refund(models.Model):
    """Money of a purchase that goes back to the member (refunds.py)."""

    class Source(models.TextChoices):
        STAFF = "staff"
        STRIPE = "stripe"

    class State(models.TextChoices):
        REQUESTED = "requested"
        PENDING = "pending"
        SUCCEEDED = "succeeded"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    top_up = models.ForeignKey(TopUp, on_delete=models.PROTECT, related_name="refunds")
    source = models.CharField(max_length=16, choices=Source)
    state = models.CharField(max_length=16, choices=State, default=State.REQUESTED)
    cents = models.BigIntegerField()
    """What goes back to the member's card: credits and their share of the tax."""
    tax_cents = models.BigIntegerField(default=0)
    taken_micros = models.BigIntegerField()
    """Credits that were unspent, and are gone from the wallet."""
    owed_micros = models.BigIntegerField(default=0)
    """The rest was spent: a receivable."""
    stripe_id = models.CharField(max_length=100, null=True, unique=True)  # noqa: DJ001 - unique
    reason = models.CharField(max_length=300, default="", blank=True)
    requested_by = models.UUIDField(null=True)
    failure = models.CharField(max_length=300, default="", blank=True)
    next_try_at = models.DateTimeField(null=True, db_default=Now())
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(name="refund_positive", condition=Q(cents__gt=0)),
            models.CheckConstraint(
                name="refund_adds_up",
                condition=Q(
                    taken_micros__gte=0,
                    owed_micros__gte=0,
                    tax_cents__gte=0,
                    taken_micros=(F("cents") - F("tax_cents")) * MICROS_PER_CENT - F("owed_micros"),
                ),
            ),
            models.CheckConstraint(
                name="refund_state_known",
                condition=Q(state__in=["requested", "pending", "succeeded", "failed"]),
            ),
            models.CheckConstraint(
                name="refund_made_by_stripe",
                condition=Q(state__in=["requested", "failed"]) | Q(stripe_id__isnull=False),
            ),
            models.CheckConstraint(
                name="refund_of_staff_has_reason_and_name",
                condition=Q(source="stripe")
                | Q(~Q(reason=""), source="staff", requested_by__isnull=False),
            ),
            models.CheckConstraint(
                name="refund_of_staff_takes_only_what_is_there",
                condition=~Q(source="staff") | Q(owed_micros=0),
            ),
        ]
        indexes = [
            models.Index(
                name="refund_to_try",
                fields=["next_try_at"],
                condition=Q(next_try_at__isnull=False),
            ),
        ]


class Dispute(models.Model):
    """A payment that the member's bank contests (disputes.py)."""

    class Phase(models.TextChoices):
        OPEN = "open"
        WITHDRAWN = "withdrawn"
        LOST = "lost"
        RETURNED = "returned"

    id = models.CharField(primary_key=True, max_length=100)
    """The processor's id."""
    top_up = models.ForeignKey(TopUp, on_delete=models.PROTECT, related_name="disputes")
    phase = models.CharField(max_length=16, choices=Phase, default=Phase.OPEN)
    status = models.CharField(max_length=50)
    """The processor's word, for people."""
    reason = models.CharField(max_length=100, default="", blank=True)
    cents = models.BigIntegerField()
    tax_cents = models.BigIntegerField(default=0)
    taken_micros = models.BigIntegerField(default=0)
    """Credits that were unspent: set aside in the house's account `disputed`, then gone."""
    owed_micros = models.BigIntegerField(default=0)
    """The spent part, once the funds were withdrawn: a receivable."""
    returned_cents = models.BigIntegerField(default=0, db_default=0)
    """What came back of one that was partly won: it is in neither of the two any more."""
    returned_tax_cents = models.BigIntegerField(default=0, db_default=0)
    created_at = models.DateTimeField(db_default=Now())
    closed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(name="dispute_positive", condition=Q(cents__gt=0)),
            models.CheckConstraint(
                name="dispute_within_its_amount",
                condition=Q(
                    taken_micros__gte=0,
                    owed_micros__gte=0,
                    tax_cents__gte=0,
                    taken_micros__lte=(F("cents") - F("tax_cents")) * MICROS_PER_CENT
                    - F("owed_micros"),
                ),
            ),
            models.CheckConstraint(
                name="dispute_within_what_it_took",
                condition=Q(
                    returned_cents__gte=F("returned_tax_cents"),
                    returned_cents__lte=F("cents"),
                    returned_tax_cents__gte=0,
                    returned_tax_cents__lte=F("tax_cents"),
                ),
            ),
            models.CheckConstraint(
                name="dispute_phase_known",
                condition=Q(phase__in=["open", "withdrawn", "lost", "returned"]),
            ),
        ]


class Receivable(models.Model):
    """Credits that were spent and then paid back to the member: due from the workspace."""

    wallet = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="receivables")
    top_up = models.ForeignKey(TopUp, on_delete=models.PROTECT, related_name="receivables")
    cause = models.CharField(max_length=200, unique=True)
    """`refund:<id>` or `dispute:<id>`."""
    amount_micros = models.BigIntegerField()
    paid_micros = models.BigIntegerField(default=0, db_default=0)
    waived_micros = models.BigIntegerField(default=0, db_default=0)
    """Not due any more: the money came back by another way."""
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="receivable_amount_positive", condition=Q(amount_micros__gt=0)
            ),
            models.CheckConstraint(
                name="receivable_never_overpaid",
                condition=Q(
                    paid_micros__gte=0,
                    waived_micros__gte=0,
                    amount_micros__gte=F("paid_micros") + F("waived_micros"),
                ),
            ),
        ]
        indexes = [
            models.Index(
                name="receivable_due",
                fields=["wallet"],
                condition=Q(amount_micros__gt=F("paid_micros") + F("waived_micros")),
            ),
        ]

    @property
    def due_micros(self) -> int:
        """What is still to be paid."""
        return self.amount_micros - self.paid_micros - self.waived_micros


class AutoTopUp(models.Model):
    """A standing wish to buy credits with a saved method when they run low (automatic.py)."""

    wallet = models.OneToOneField(
        Account, primary_key=True, on_delete=models.PROTECT, related_name="auto_top_up"
    )
    user_id = models.UUIDField(null=True)
    enabled = models.BooleanField(default=False, db_default=False)
    threshold_micros = models.BigIntegerField(default=5_000_000)
    amount_micros = models.BigIntegerField(default=20_000_000)
    monthly_cap_micros = models.BigIntegerField(default=100_000_000)
    setup_session_id = models.CharField(max_length=200, default="", blank=True, db_index=True)
    """The newest page that was opened to save a card; `pages` are all of them."""
    payment_method_id = models.CharField(max_length=100, default="", blank=True)
    method_label = models.CharField(max_length=100, default="", blank=True)
    """What the member knows it by: "visa ending in 4242"."""
    method_saved_at = models.DateTimeField(null=True)
    """The processor's time. Kept when the card goes: none that was saved before comes back."""
    failures = models.SmallIntegerField(default=0, db_default=0)
    """In a row."""
    next_try_at = models.DateTimeField(null=True)
    last_failure = models.CharField(max_length=300, default="", blank=True)
    last_failure_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="auto_topup_amounts_make_sense",
                condition=Q(
                    threshold_micros__gt=0,
                    amount_micros__gte=LEAST_MICROS,
                    amount_micros__lte=MOST_MICROS,
                    amount_micros=F("amount_micros") / MICROS_PER_CENT * MICROS_PER_CENT,
                    monthly_cap_micros__gte=F("amount_micros"),
                ),
            ),
            models.CheckConstraint(
                name="auto_topup_needs_a_method",
                condition=Q(enabled=False) | ~Q(payment_method_id=""),
            ),
        ]
        indexes = [
            models.Index(name="auto_topup_enabled", fields=["wallet"], condition=Q(enabled=True)),
        ]


class SetupPage(models.Model):
    """A hosted page that was opened to save a card: its address is known only to who opened it."""

    session_id = models.CharField(primary_key=True, max_length=200)
    wish = models.ForeignKey(AutoTopUp, on_delete=models.PROTECT, related_name="pages")
    created_at = models.DateTimeField(db_default=Now())
