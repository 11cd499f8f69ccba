"""The books: accounts, entries between them, and holds on wallets.

    account (wallet or house) <- entry (debit, credit, amount) -> account        hold -> wallet

An entry moves an amount from one account to another, so the books balance by construction; it is
never changed or deleted (a trigger refuses). A wallet has its balance on its row, so that one
guarded UPDATE can check and take it; house accounts are summed when somebody asks, because
every call would queue for their row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Func, Q
from django.db.models.functions import Now
from django.db.models.lookups import Exact

if TYPE_CHECKING:
    from common.money import Micros


LAST_HOUSE: Final = UUID(int=255)
"""Ids up to this one are for the house's accounts: no wallet has one."""

LARGE_MICROS: Final = 5_000_000
"""From this on a hold is a large one: what it may cost decides, and stays as it was placed."""


class Account(models.Model):
    """A ledger account: a workspace's wallet, or one of the house's own.

    A wallet has the id of its workspace; a house account has a fixed one (`HOUSE`).
    """

    class Kind(models.TextChoices):
        WALLET = "wallet"
        SALES = "sales"
        STRIPE = "stripe"
        PROMOTION = "promotion"
        SHORTFALL = "shortfall"
        ADJUSTMENT = "adjustment"
        DISPUTED = "disputed"
        RECEIVABLE = "receivable"
        TAX = "tax"
        EXPIRED = "expired"
        MOVED = "moved"

    id = models.UUIDField(primary_key=True)
    kind = models.CharField(max_length=16, choices=Kind)
    balance_micros = models.BigIntegerField(default=0, db_default=0)
    held_micros = models.BigIntegerField(default=0, db_default=0)
    open_holds = models.IntegerField(default=0, db_default=0)
    open_large = models.IntegerField(default=0, db_default=0)
    """Those of `LARGE_MICROS` and more: they have slots of their own (limits.py)."""
    open_apart = models.IntegerField(default=0, db_default=0)
    """Those that take no slot, as what they are for is limited elsewhere; none of them is large."""
    paid_micros = models.BigIntegerField(default=0, db_default=0)
    """What was paid for in its whole life, less what was paid back: from it follow its slots."""
    concurrency = models.IntegerField(null=True, blank=True)
    """How many holds may be open at once, whatever was paid; 0: none, -1: any number."""
    events = models.BigIntegerField(default=0, db_default=0)
    """How many rows its history has: each numbered posting and each ended hold takes the next."""
    frozen_reason = models.CharField(max_length=300, default="", db_default="", blank=True)
    """If not empty, no new hold is placed, and this sentence says why."""
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="account_never_overdrawn", condition=Q(held_micros__lte=F("balance_micros"))
            ),
            models.CheckConstraint(
                name="account_held_not_negative", condition=Q(held_micros__gte=0)
            ),
            models.CheckConstraint(
                name="account_house_is_summed",
                condition=Q(kind="wallet")
                | Q(balance_micros=0, held_micros=0, open_holds=0, paid_micros=0, events=0),
            ),
            models.CheckConstraint(
                name="account_open_large_among_the_open",
                condition=Q(open_large__gte=0, open_large__lte=F("open_holds")),
            ),
            models.CheckConstraint(
                name="account_open_apart_not_negative", condition=Q(open_apart__gte=0)
            ),
            models.CheckConstraint(
                name="account_concurrency_known",
                condition=Q(concurrency=None) | Q(concurrency__gte=-1),
            ),
            models.CheckConstraint(
                name="account_open_holds_counted",
                condition=Q(held_micros=0, open_holds=0) | Q(held_micros__gte=0, open_holds__gt=0),
            ),
            models.CheckConstraint(
                name="account_kind_known",
                condition=Q(
                    kind__in=[
                        "wallet",
                        "sales",
                        "stripe",
                        "promotion",
                        "shortfall",
                        "adjustment",
                        "disputed",
                        "receivable",
                        "tax",
                        "expired",
                        "moved",
                    ]
                ),
            ),
            models.CheckConstraint(
                name="account_wallet_id_not_of_the_house",
                condition=~Q(kind="wallet") | Q(id__gt=LAST_HOUSE),
            ),
            models.UniqueConstraint(
                name="account_one_of_each_house_kind", fields=["kind"], condition=~Q(kind="wallet")
            ),
        ]

    @property
    def available_micros(self) -> Micros:
        """What can be held: the balance less what is held already."""
        available: Micros = self.balance_micros - self.held_micros  # type: ignore[assignment]
        return available


HOUSE: Final[dict[str, UUID]] = {
    Account.Kind.SALES: UUID(int=1),
    Account.Kind.STRIPE: UUID(int=2),
    Account.Kind.PROMOTION: UUID(int=3),
    Account.Kind.SHORTFALL: UUID(int=4),
    Account.Kind.ADJUSTMENT: UUID(int=5),
    Account.Kind.DISPUTED: UUID(int=6),
    Account.Kind.RECEIVABLE: UUID(int=7),
    Account.Kind.TAX: UUID(int=8),
    Account.Kind.EXPIRED: UUID(int=9),
    Account.Kind.MOVED: UUID(int=10),
}


class Entry(models.Model):
    """One movement of money, final once written: debit gives, credit receives."""

    class Kind(models.TextChoices):
        TOP_UP = "top_up"
        GRANT = "grant"
        CALL = "call"
        SHORTFALL = "shortfall"
        REFUND = "refund"
        ADJUSTMENT = "adjustment"
        REVERSAL = "reversal"
        DISPUTE = "dispute"
        RECEIVABLE = "receivable"
        TAX = "tax"
        EXPIRY = "expiry"

    kind = models.CharField(max_length=16, choices=Kind)
    # That its accounts exist is checked once for each INSERT, not row by row (migration 0008).
    debit = models.ForeignKey(
        Account, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    credit = models.ForeignKey(
        Account, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    amount_micros = models.BigIntegerField()
    key = models.CharField(max_length=200)
    """Why it exists, like `call:<id>` or `topup:<payment intent>`: the same reason moves once."""
    event_wallet = models.ForeignKey(
        Account,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    event_number = models.BigIntegerField(null=True)
    """Its number in the history of `event_wallet`. A call's entry has none: its Call has."""
    facts = models.JSONField(default=dict, db_default={})
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(name="entry_amount_positive", condition=Q(amount_micros__gt=0)),
            models.CheckConstraint(name="entry_two_accounts", condition=~Q(debit=F("credit"))),
            models.CheckConstraint(name="entry_key_not_empty", condition=~Q(key="")),
            models.UniqueConstraint(name="entry_key_once", fields=["key"]),
            models.CheckConstraint(
                name="entry_kind_known",
                condition=Q(
                    kind__in=[
                        "top_up",
                        "grant",
                        "call",
                        "shortfall",
                        "refund",
                        "adjustment",
                        "reversal",
                        "dispute",
                        "receivable",
                        "tax",
                        "expiry",
                    ]
                ),
            ),
            models.CheckConstraint(
                name="entry_numbered_in_a_wallet",
                condition=Q(event_wallet__isnull=True, event_number__isnull=True)
                | Q(event_wallet__isnull=False, event_number__isnull=False, event_number__gt=0),
            ),
            models.UniqueConstraint(
                name="entry_number_once_per_wallet",
                fields=["event_wallet", "event_number"],
                condition=Q(event_wallet__isnull=False),
            ),
        ]
        indexes = [  # A wallet's entries, in their order; the house's would be most of all.
            models.Index(
                name="entry_of_paying_wallet",
                fields=["debit", "id"],
                condition=Q(debit__gt=LAST_HOUSE),
            ),
            models.Index(
                name="entry_of_receiving_wallet",
                fields=["credit", "id"],
                condition=Q(credit__gt=LAST_HOUSE),
            ),
        ]


class Seal(models.Model):
    """An entry's position in the chain of a wallet, final once written (sealing.py).

    An entry between two wallets is sealed in each.
    """

    pk = models.CompositePrimaryKey("wallet_id", "position")
    wallet = models.ForeignKey(
        Account, on_delete=models.PROTECT, related_name="seals", db_index=False
    )
    position = models.BigIntegerField()
    """1, 2, 3 ... without a gap."""
    entry = models.ForeignKey(Entry, on_delete=models.PROTECT, related_name="+", db_index=False)
    at = models.DateTimeField()
    """The entry's time, or the time of the line before if that is later."""
    balance_micros = models.BigIntegerField()
    """Of the wallet, after this line."""
    hash = models.BinaryField(max_length=32)

    class Meta:
        constraints = [
            models.UniqueConstraint(name="seal_once_per_wallet", fields=["entry", "wallet"]),
            models.CheckConstraint(name="seal_position_positive", condition=Q(position__gt=0)),
            models.CheckConstraint(
                name="seal_balance_not_negative", condition=Q(balance_micros__gte=0)
            ),
            models.CheckConstraint(
                name="seal_hash_of_32_bytes",
                condition=Exact(
                    Func("hash", function="octet_length", output_field=models.IntegerField()), 32
                ),
            ),
        ]


class Hold(models.Model):
    """An open claim on a wallet. A row exists exactly as long as the hold is open (holds.py)."""

    id = models.UUIDField(primary_key=True)
    account = models.ForeignKey(
        Account,
        on_delete=models.PROTECT,
        related_name="holds",
        db_index=False,
        db_constraint=False,  # As an entry's.
    )
    amount_micros = models.BigIntegerField()
    intent = models.UUIDField(null=True)
    """The caller's name for its intention: while it is open, the same one never holds twice."""
    memo = models.JSONField(default=dict, db_default={})
    """What it is for, so that whoever ends it can say so; the books do not read it."""
    budgets = ArrayField(models.BigIntegerField(), null=True)
    """The budgets from which its amount is taken, too, by id; null: none."""
    process_id = models.UUIDField(null=True)
    """The program that alone can end it well; null where any other can, or none (processes.py)."""
    apart = models.BooleanField(default=False, db_default=False)
    """Whether it takes no slot (`Account.open_apart`); only such a one can be extended."""
    placed_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="hold_amount_not_negative", condition=Q(amount_micros__gte=0)
            ),
            models.CheckConstraint(
                name="hold_expires_after_placing", condition=Q(expires_at__gt=F("placed_at"))
            ),
            models.UniqueConstraint(
                name="hold_intent_once", fields=["intent"], condition=Q(intent__isnull=False)
            ),
        ]


class Process(models.Model):
    """A program that sets money aside, or sweeps, and the last that was heard of it."""

    id = models.UUIDField(primary_key=True)
    since_at = models.DateTimeField()
    """Since when it is heard without a gap."""
    seen_at = models.DateTimeField()
    knows_days = models.BooleanField(db_default=False)
    """Whether it finds answers that are kept by day; one of the version before does not."""

    class Meta:
        indexes = [
            models.Index(
                name="process_of_before", fields=["seen_at"], condition=Q(knows_days=False)
            ),
        ]


class Lot(models.Model):
    """Credits that came in together, by one entry, and what was left when last worked out.

    Calls take from the wallet's balance alone; which lots they used up is worked out when somebody
    needs to know (lots.py), so the open lots of a wallet add up to its balance or more.
    """

    class Kind(models.TextChoices):
        GRANTED = "granted"
        PAID = "paid"

    entry = models.OneToOneField(
        Entry, primary_key=True, on_delete=models.PROTECT, related_name="lot"
    )
    wallet = models.ForeignKey(
        Account, on_delete=models.PROTECT, related_name="lots", db_index=False
    )
    kind = models.CharField(max_length=16, choices=Kind)
    amount_micros = models.BigIntegerField()
    left_micros = models.BigIntegerField()
    expires_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(name="lot_amount_positive", condition=Q(amount_micros__gt=0)),
            models.CheckConstraint(
                name="lot_left_within_its_amount",
                condition=Q(left_micros__gte=0, left_micros__lte=F("amount_micros")),
            ),
            models.CheckConstraint(
                name="lot_kind_known", condition=Q(kind__in=["granted", "paid"])
            ),
        ]
        indexes = [
            models.Index(name="lot_open", fields=["wallet"], condition=Q(left_micros__gt=0)),
            models.Index(
                name="lot_expiring",
                fields=["expires_at"],
                condition=Q(left_micros__gt=0, expires_at__isnull=False),
            ),
        ]


class Freeze(models.Model):
    """A reason for which a wallet places no new holds, until it is lifted (freezes.py).

    `Account.frozen_reason` is the sentence of the newest that is in force.
    """

    class Cause(models.TextChoices):
        RECEIVABLE = "receivable"
        STAFF = "staff"
        MOVED = "moved"  # It leaves, or has left, for another cell.

    wallet = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="freezes")
    cause = models.CharField(max_length=16, choices=Cause)
    sentence = models.CharField(max_length=300)
    set_by = models.UUIDField(null=True)
    """Who of staff; null: nobody, it came about by itself."""
    created_at = models.DateTimeField(db_default=Now())
    lifted_at = models.DateTimeField(null=True)
    lifted_by = models.UUIDField(null=True)
    lift_reason = models.CharField(max_length=300, default="", db_default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="freeze_once_per_cause",
                fields=["wallet", "cause"],
                condition=Q(lifted_at__isnull=True),
            ),
            models.CheckConstraint(
                name="freeze_lifted_by_somebody_with_a_reason",
                condition=Q(lifted_by__isnull=True)
                | Q(~Q(lift_reason=""), lifted_at__isnull=False),
            ),
            models.CheckConstraint(name="freeze_says_why", condition=~Q(sentence="")),
            models.CheckConstraint(
                name="freeze_cause_known", condition=Q(cause__in=["receivable", "staff", "moved"])
            ),
        ]
