"""What the proxy remembers between two requests.

Jobs, ids that vendors gave, answers to repeat, accounts with vendors, and that workers live.
"""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class Job(models.Model):
    """A vendor's long-running task, accepted under a hold that stays open until it ends.

    It is settled by whoever sees the end first; `ended_at` is written in that same commit.
    """

    id = models.UUIDField(primary_key=True)
    """The id of its call, and of its hold."""
    workspace_id = models.UUIDField()
    vendor = models.CharField(max_length=32)
    account = models.CharField(max_length=32, default="default", db_default="default")
    """Under which account it was taken: it is asked for under that alone."""
    operation = models.CharField(max_length=200)
    scope = models.CharField(max_length=32, default="task", db_default="task")
    """What the vendor's id is of: its ids are unique within that."""
    vendor_job_id = models.CharField(max_length=1000)
    vendor_request_id = models.CharField(max_length=200, default="", db_default="")
    poll_url = models.CharField(max_length=2000)
    poll_method = models.CharField(max_length=8, default="GET", db_default="GET")
    poll_body = models.JSONField(null=True)
    """How the vendor is asked for it, by anybody at any time."""
    price_micros = models.BigIntegerField(null=True)
    """What it costs if it is delivered (null if only the end tells), and what it did cost then."""
    most_micros = models.BigIntegerField(default=0, db_default=0)
    """Its upper bound: a vendor's figure far above is not believed."""
    inputs = models.JSONField(default=dict)
    """The inputs of the price, for the case that it is worked out at the end."""
    created_at = models.DateTimeField(db_default=Now())
    deadline_at = models.DateTimeField()
    next_poll_at = models.DateTimeField()
    polls = models.IntegerField(default=0, db_default=0)
    asked_at = models.DateTimeField(null=True)
    """When somebody last began to ask the vendor: nobody else does within an interval."""
    said = models.BinaryField(null=True)
    """What the vendor said last, for whoever asks meanwhile; after the end, its result."""
    said_status = models.SmallIntegerField(null=True)
    said_type = models.CharField(max_length=100, default="", db_default="")
    late_at = models.DateTimeField(null=True)
    """When somebody last began to charge a result that came after the end."""
    kept_seconds = models.IntegerField(default=259200, db_default=259200)
    """How long after its end it is remembered: as long as the vendor keeps the result."""
    ended_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=16, default="", db_default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="job_once_per_vendor_id", fields=["vendor", "scope", "vendor_job_id"]
            ),
            models.CheckConstraint(
                name="job_price_not_negative",
                condition=models.Q(price_micros__isnull=True) | models.Q(price_micros__gte=0),
            ),
            models.CheckConstraint(
                name="job_ends_with_an_outcome",
                condition=models.Q(ended_at__isnull=True, outcome="")
                | (models.Q(ended_at__isnull=False) & ~models.Q(outcome="")),
            ),
        ]
        indexes = [
            models.Index(
                name="job_due",
                fields=["next_poll_at"],
                condition=models.Q(ended_at__isnull=True),
            ),
        ]


class Asset(models.Model):
    """A vendor's id of something that a workspace made: a task, a file, a voice.

    The vendor sees an account, and no workspace; so this says whose an id is. Who uses one in a
    call must be its owner, which the statement that places the hold looks at; and the call goes
    under the account that made it, for no other knows it.
    """

    vendor = models.CharField(max_length=32)
    scope = models.CharField(max_length=32)
    asset = models.CharField(max_length=1000)
    workspace_id = models.UUIDField()
    account = models.CharField(max_length=32, default="default", db_default="default")
    call_id = models.UUIDField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(name="asset_of_one", fields=["vendor", "scope", "asset"]),
            models.CheckConstraint(name="asset_is_named", condition=~models.Q(asset="")),
        ]


class Answer(models.Model):
    """An answer that is kept for a repeat of its request, and for nothing else (days.py).

    The table has a partition for each weekday, and an intention one row in each.
    """

    pk = models.CompositePrimaryKey("intent", "day")
    intent = models.UUIDField()
    """Digest of key and Idempotency-Key, or of key and request where none was sent."""
    day = models.SmallIntegerField(default=0, db_default=0)
    """Monday is 1; 0: kept as by the version before."""
    call_id = models.UUIDField()
    fingerprint = models.CharField(max_length=64)
    """Digest of method, path and body: the same intent with another one is a mismatch."""
    status = models.SmallIntegerField()
    """0: the answer can no longer be given."""
    headers = models.JSONField(default=dict)
    body = models.BinaryField(null=True)
    spool = models.CharField(max_length=64, default="")
    """If not empty, where the body lies in the storage of files (answers.py)."""
    once = models.BooleanField()
    """Whether it is given to one repeat only: so it is for clients that send no key."""
    created_at = models.DateTimeField(db_default=Now())
    """When it was kept last."""
    kept_until = models.DateTimeField()

    class Meta:
        db_table = "proxy_kept"


class Repeat(models.Model):
    """A refused call whose client is expected to try again: its next refusals are counted there."""

    intent = models.UUIDField(primary_key=True)
    call_id = models.UUIDField()
    kept_until = models.DateTimeField()


class Heartbeat(models.Model):
    """The last sign of life of a background program."""

    name = models.CharField(max_length=32, primary_key=True)
    seen_at = models.DateTimeField()


class VendorAccount(models.Model):
    """An account with a vendor, beside the one of the environment: the operator's or a workspace's.

    Its settings are sealed (common/sealing.py), and no reader but the signer opens them. A row that
    was removed stays without them: what was made under it names it.
    """

    DEFAULT, OWN = "default", "own"

    vendor = models.CharField(max_length=32)
    workspace_id = models.UUIDField(null=True)
    """Whose own it is; null: the operator's."""
    name = models.CharField(max_length=32)
    """`own` of a workspace's; `default` says of the environment's how it is used, and no more."""
    weight = models.SmallIntegerField(default=100, db_default=100)
    """Its share of the calls, among those that are on."""
    sealed = models.TextField(default="", db_default="")
    off_reason = models.CharField(max_length=300, default="", db_default="")
    """If not empty: it gets no new calls, and why."""
    changed_by = models.UUIDField()
    changed_at = models.DateTimeField(db_default=Now())
    removed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="vendor_account_once",
                fields=["vendor", "name"],
                condition=Q(workspace_id__isnull=True),
            ),
            models.UniqueConstraint(
                name="vendor_account_own_once",
                fields=["vendor", "workspace_id"],
                condition=Q(workspace_id__isnull=False),
            ),
            models.CheckConstraint(
                name="vendor_account_own_is_a_workspaces",
                condition=Q(name="own", workspace_id__isnull=False)
                | (~Q(name="own") & ~Q(name="") & Q(workspace_id__isnull=True)),
            ),
            models.CheckConstraint(
                name="vendor_account_has_settings_unless_removed",
                condition=Q(sealed="", name="default")
                | Q(sealed="", removed_at__isnull=False)
                | (~Q(sealed="") & ~Q(name="default") & Q(removed_at__isnull=True)),
            ),
            models.CheckConstraint(
                name="vendor_account_weight", condition=Q(weight__gte=1, weight__lte=1000)
            ),
        ]


class VendorSwitch(models.Model):
    """That staff switched a vendor off, or one of its operations, and what members read of it."""

    vendor = models.CharField(max_length=32)
    operation = models.CharField(max_length=200, default="", db_default="")
    """Its path; empty: all of the vendor."""
    sentence = models.CharField(max_length=300)
    changed_by = models.UUIDField()
    changed_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(name="vendor_switch_once", fields=["vendor", "operation"]),
            models.CheckConstraint(name="vendor_switch_says_why", condition=~Q(sentence="")),
        ]


class VendorRevision(models.Model):
    """How often accounts and switches were changed: who keeps them in memory reads this alone."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    number = models.BigIntegerField()

    class Meta:
        constraints = [
            models.CheckConstraint(name="vendor_revision_is_one_row", condition=Q(id=1)),
        ]


class VendorHealth(models.Model):
    """What became of calls under an account in some minutes, of all processes together."""

    vendor = models.CharField(max_length=32)
    account = models.CharField(max_length=32)
    """Its name; the workspaces' own are `own`, all together."""
    since = models.DateTimeField()
    counts = ArrayField(models.BigIntegerField())
    """By seconds of an answer, then by outcome (health.py)."""
    last_error = models.CharField(max_length=100, default="", db_default="")
    last_error_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="vendor_health_once", fields=["vendor", "account", "since"]
            ),
        ]
