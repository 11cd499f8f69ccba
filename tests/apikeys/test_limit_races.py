"""Who rotates a key while its limits are set waits: neither ends the other's transaction."""

import threading
import time
from datetime import timedelta

from django.db import connection, connections, transaction

from accounts.sessions import Session
from apikeys import allowances, life
from apikeys.authentication import giver
from apikeys.models import ApiKey
from common.money import usd

WAITING = """
    SELECT count(*) FROM pg_stat_activity
     WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


def one_waits():
    """Return once another connection waits for what this one has locked."""
    for _ in range(200):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(WAITING)
            if cursor.fetchone()[0]:
                return
        time.sleep(0.05)
    raise AssertionError("nobody waits")


def test_a_key_is_rotated_while_its_limits_are_set(alice, committed, monkeypatch):
    key, made = alice.api_key_record, []

    def rotate():
        try:
            mine = giver(Session(alice.user, alice.workspace_id, "owner"))
            made.append(life.rotate(mine, key.pk, overlap=timedelta(days=1))[1])
        finally:
            connections.close_all()

    other = threading.Thread(target=rotate)
    outdate = allowances.budgets.outdate

    def after_the_other_has_begun(workspace_id):
        other.start()
        one_waits()
        outdate(workspace_id)

    monkeypatch.setattr(allowances.budgets, "outdate", after_the_other_has_begun)
    with transaction.atomic():
        allowances.set_rule(
            alice.workspace_id, "key", str(key.pk), "day", usd("3"), by=alice.user.pk
        )
    other.join(20)

    assert [each.replaces_id for each in made] == [key.pk]
    assert ApiKey.objects.filter(family=key.pk).count() == 2
