"""Which workspace is of which cell: the directory, as each cell keeps its own part of it.

A cell is a database of the whole platform. A wallet is of the cell that has its row here, unless a
move says that it left: then what is here of it is an archive.
"""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class Cell(models.Model):
    """What this cell is called, and what another must have in common with it. One row, or none."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    number = models.SmallIntegerField()
    """Its ids of entries begin at this many times 2^44: no two cells ever give the same one."""
    address = models.CharField(max_length=300)
    """Where its members reach it; what a cell that a wallet left tells them."""
    secrets = models.CharField(max_length=64)
    """A fingerprint of the peppers and the secret key: keys and boxes that move need the same."""
    named_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(name="cell_is_one", condition=Q(id=1)),
            models.CheckConstraint(
                name="cell_number_leaves_ids_that_json_can_hold",
                condition=Q(number__gte=0, number__lte=510),
            ),
            models.CheckConstraint(
                name="cell_has_a_secure_address",
                condition=Q(address__regex=r"^(https://|http://(localhost|127\.0\.0\.1)(:|/|$))"),
            ),
        ]


class Move(models.Model):
    """A wallet on its way between two cells; each of them has a row with the same id.

        out:  freezing --> closed --> gone            in:  arrived
                  |           |                             refused
                  '-----------'--> aborted

    `arrived` and `refused` are two ways to have one row, so that of whoever brings a wallet and
    whoever calls it back exactly one succeeds.
    """

    class Direction(models.TextChoices):
        OUT = "out"
        IN = "in"

    class State(models.TextChoices):
        FREEZING = "freezing"  # No new holds, no postings; what is open ends.
        CLOSED = "closed"  # The balance left the wallet, and is in the account `moved`.
        GONE = "gone"  # It is the other cell's; what is here is an archive.
        ABORTED = "aborted"
        ARRIVED = "arrived"
        REFUSED = "refused"  # It was called back before it came.

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    wallet_id = models.UUIDField()
    """Of no foreign key: where it was refused there is no such wallet."""
    direction = models.CharField(max_length=3, choices=Direction)
    state = models.CharField(max_length=16, choices=State)
    other_cell = models.SmallIntegerField()
    other_address = models.CharField(max_length=300)
    by = models.UUIDField()
    """Who of staff."""
    reason = models.CharField(max_length=300)
    balance_micros = models.BigIntegerField(null=True)
    """What went, or came, with it."""
    lots = models.JSONField(default=list, db_default=[])
    """What was left of each open lot when the wallet was closed: entry, kind, left, expires_at."""
    created_at = models.DateTimeField(db_default=Now())
    closed_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="move_one_at_a_time",
                fields=["wallet_id"],
                condition=Q(state__in=["freezing", "closed", "gone"]),
            ),
            models.CheckConstraint(
                name="move_state_of_its_direction",
                condition=Q(direction="out", state__in=["freezing", "closed", "gone", "aborted"])
                | Q(direction="in", state__in=["arrived", "refused"]),
            ),
            models.CheckConstraint(
                name="move_knows_what_it_took",
                condition=Q(state__in=["freezing", "aborted", "refused"])
                | Q(balance_micros__gte=0),
            ),
            models.CheckConstraint(name="move_has_a_reason", condition=~Q(reason="")),
        ]
