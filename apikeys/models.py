"""Keys: who may spend a workspace's credits from a program."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from accounts.models import LONG_AGO
from credits.models import PERIODS

SCOPES = ("proxy", "usage:read", "keys:manage", "billing:manage", "runs")
"""What a key may: call nodes; read its workspace's balance and history, and begin a purchase that
somebody then pays; make and end keys; change how the workspace pays (saved method, automatic
top-up, warnings); hand over workflows, and get what they made."""


def default_scopes() -> list[str]:
    """Return what a new key may: call nodes, run workflows, and read balance and history."""
    return ["proxy", "usage:read", "runs"]


class NetworkField(models.Field):  # type: ignore[type-arg]
    """A network of addresses, as PostgreSQL knows them; written like 192.0.2.0/24."""

    def db_type(self, connection: object) -> str:
        """Return the column's type."""
        return "cidr"


class ApiKey(models.Model):
    """A key, of which we have only a keyed digest (keys.py)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workspace = models.ForeignKey(
        "accounts.Workspace", on_delete=models.PROTECT, related_name="api_keys"
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="api_keys"
    )
    name = models.CharField(max_length=100)
    description = models.CharField(max_length=500, blank=True, default="")
    prefix = models.CharField(max_length=32)
    """How it begins, up to 8 digits of chance, for display only."""
    digest = models.BinaryField(unique=True)
    pepper_version = models.PositiveSmallIntegerField()
    scopes = ArrayField(models.CharField(max_length=32), default=default_scopes)
    allowed_vendors = ArrayField(models.CharField(max_length=32), null=True, blank=True)
    """Empty means none, null means all."""
    allowed_networks = ArrayField(NetworkField(), null=True, blank=True)
    """From where it may be used; null means from everywhere."""
    call_limit_micros = models.BigIntegerField(null=True, blank=True)
    """The most that one call may cost; null means no limit."""
    project = models.CharField(max_length=64, default="", db_default="", blank=True)
    """What it is for, by name: keys of one project share its budgets."""
    requests_per_minute = models.IntegerField(null=True, blank=True)
    """How many calls it may begin in a minute; null: as many as the operator says of all keys."""
    budgets = ArrayField(models.BigIntegerField(), null=True, blank=True)
    """The budgets of its project and of itself that run, for who places a hold."""
    budgets_until = models.DateTimeField(db_default=LONG_AGO)
    """Until when they do; then, and where a rule changed, they are looked up anew."""
    family = models.UUIDField()
    """What counts as one key over all its rotations: the id of the first of them."""
    replaces = models.OneToOneField(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="successor"
    )
    made_by = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="made"
    )
    """The key with which it was made, if it was one: what leaks with that, leaks this."""
    run_id = models.UUIDField(null=True, blank=True, editable=False)
    """The one run for which it is, while that runs; nobody sees such a key, nor makes one."""
    created_at = models.DateTimeField(db_default=Now())
    last_used_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    disabled_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    status_changed_at = models.DateTimeField(null=True, blank=True)
    """When it was last disabled, enabled or revoked, who did (a user), and why."""
    status_changed_by = models.UUIDField(null=True, blank=True)
    status_reason = models.CharField(max_length=300, default="", db_default="", blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(name="api_key_has_a_name", condition=~Q(name="")),
            models.UniqueConstraint(
                name="api_key_of_a_run_living_once",
                fields=["run_id"],
                condition=Q(run_id__isnull=False, revoked_at__isnull=True),
            ),
            models.CheckConstraint(
                name="api_key_of_a_run_only_calls_and_ends",
                condition=Q(run_id__isnull=True) | Q(scopes=["proxy"], expires_at__isnull=False),
            ),
            models.CheckConstraint(
                name="api_key_limit_positive",
                condition=Q(call_limit_micros__isnull=True) | Q(call_limit_micros__gt=0),
            ),
            models.CheckConstraint(
                name="api_key_pace_positive",
                condition=Q(requests_per_minute__isnull=True) | Q(requests_per_minute__gt=0),
            ),
            models.CheckConstraint(
                name="api_key_expires_after_creation",
                condition=Q(expires_at__isnull=True) | Q(expires_at__gt=F("created_at")),
            ),
            models.CheckConstraint(
                name="api_key_scopes_known",
                condition=Q(scopes__contained_by=list(SCOPES)),
            ),
            models.CheckConstraint(
                name="api_key_first_of_its_family_or_a_successor",
                condition=Q(family=F("id")) | Q(replaces__isnull=False),
            ),
            models.CheckConstraint(
                name="api_key_status_changed_by_somebody_with_a_reason",
                condition=Q(status_changed_at__isnull=True)
                | Q(Q(status_changed_by__isnull=False), ~Q(status_reason="")),
            ),
        ]


class Pairing(models.Model):
    """A machine that asks for a key, from the code that it shows to the key that it takes.

    pairing.py draws its life. It is forgotten soon after its end.
    """

    class State(models.TextChoices):
        WAITING = "waiting"
        FOUND = "found"
        APPROVED = "approved"
        TAKEN = "taken"
        REFUSED = "refused"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    state = models.CharField(max_length=16, choices=State, default=State.WAITING)
    machine = models.CharField(max_length=60)
    """What it calls itself: nobody has proved that."""
    address = models.CharField(max_length=45, default="", blank=True)
    public_key = models.BinaryField()
    """Its own, fresh: only whoever has the other half opens what is sealed for it."""
    words = models.CharField(max_length=23)
    secret_digest = models.BinaryField()
    """Of what it shows when it asks how things stand: the id alone is no secret."""
    code_digest = models.BinaryField(null=True, unique=True)
    """Of the code that it shows; gone once somebody typed that."""
    found_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE)
    key = models.OneToOneField(
        ApiKey, null=True, on_delete=models.CASCADE, related_name="paired_with"
    )
    box = models.BinaryField(null=True)
    """The key, sealed; gone once the machine took it."""
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="pairing_has_a_code_until_it_is_typed",
                condition=Q(state="waiting", code_digest__isnull=False)
                | Q(~Q(state="waiting"), code_digest__isnull=True),
            ),
            models.CheckConstraint(
                name="pairing_is_found_by_somebody",
                condition=Q(state__in=["waiting", "refused"]) | Q(found_by__isnull=False),
            ),
            models.CheckConstraint(
                name="pairing_box_is_there_until_it_is_taken",
                condition=Q(state="approved", box__isnull=False, key__isnull=False)
                | Q(~Q(state="approved"), box__isnull=True),
            ),
        ]


class Pace(models.Model):
    """How many calls of a key were taken in its last minute (paces.py); the table is UNLOGGED."""

    family = models.UUIDField(primary_key=True)
    minute = models.DateTimeField()
    taken = models.IntegerField()
    given = models.IntegerField()
    """Of these the last ones, taken together by one process."""


class Ask(models.Model):
    """That a member asks the owner of a workspace to allow them more (asks.py)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workspace = models.ForeignKey(
        "accounts.Workspace", on_delete=models.PROTECT, related_name="asks"
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="asks"
    )
    period = models.CharField(max_length=8)
    limit_micros = models.BigIntegerField()
    """What they would have in a period."""
    note = models.CharField(max_length=300, default="", db_default="", blank=True)
    created_at = models.DateTimeField(db_default=Now())
    answered_at = models.DateTimeField(null=True)
    answered_by = models.UUIDField(null=True)
    granted = models.BooleanField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="ask_open_once_per_period",
                fields=["workspace", "user", "period"],
                condition=Q(answered_at__isnull=True),
            ),
            models.CheckConstraint(name="ask_period_known", condition=Q(period__in=PERIODS)),
            models.CheckConstraint(name="ask_for_something", condition=Q(limit_micros__gt=0)),
            models.CheckConstraint(
                name="ask_answered_whole",
                condition=Q(answered_at=None, answered_by=None, granted=None)
                | Q(answered_at__isnull=False, answered_by__isnull=False, granted__isnull=False),
            ),
        ]
