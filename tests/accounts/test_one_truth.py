"""The migration that has allauth's row alone say whether an address is verified."""

import uuid

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from accounts.models import Membership

BEFORE = [("accounts", "0010_shared_cache")]
AFTER = [("accounts", "0011_one_truth_for_verified")]


ADDRESSES = ("account", "0009_emailaddress_unique_primary_email")


def migrate(target):
    """Go there, with whatever hangs on it; return the models as they are then."""
    MigrationExecutor(connection).migrate(target)
    return MigrationExecutor(connection).loader.project_state([*target, ADDRESSES]).apps


@pytest.mark.slow
def test_what_was_known_moves_there_and_back(committed):
    everything = MigrationExecutor(connection).loader.graph.leaf_nodes()
    known, unknown = (f"{uuid.uuid4().hex}@example.org" for _ in range(2))
    # Whom other tests left in teams: there were none then, and only owners.
    Membership.objects.exclude(role=Membership.Role.OWNER).delete()
    try:
        old = migrate(BEFORE).get_model("accounts", "User")
        old.objects.create(email=known, email_verified_at="2026-11-01T00:00Z")
        old.objects.create(email=unknown)

        addresses = migrate(AFTER).get_model("account", "EmailAddress").objects
        row = addresses.get(email=known)
        assert (row.verified, row.primary, row.user.email) == (True, True, known)
        assert not addresses.filter(email=unknown).exists()

        back = migrate(BEFORE).get_model("accounts", "User").objects
        assert back.get(email=known).email_verified_at is not None
        assert back.get(email=unknown).email_verified_at is None
    finally:
        MigrationExecutor(connection).migrate(everything)
