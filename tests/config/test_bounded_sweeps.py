"""What runs by itself takes away so much at a time and no more, however much there is."""

import re
from importlib import import_module

import pytest
from django.conf import settings
from django.db import connection

TASKS = sorted({each["task"] for each in settings.CELERY_BEAT_SCHEDULE.values()})
BOUNDED = re.compile(
    r"\bLIMIT\b|= ?ANY ?\(|\bIN \((%s|'|\d)|\b(id|key|name|pk)\"? = ", re.IGNORECASE
)
"""A limit, or keys that were read before, under one."""


def the(name):
    module, _, function = name.rpartition(".")
    return getattr(import_module(module), function)


@pytest.mark.django_db
@pytest.mark.parametrize("name", TASKS)
def test_no_task_deletes_without_a_bound(name):
    deleted = []

    def see(execute, sql, params, many, context):
        if isinstance(sql, str) and re.match(r"\s*DELETE\b", sql):
            deleted.append(" ".join(sql.split()))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(see):
        the(name)()

    assert [sql for sql in deleted if not BOUNDED.search(sql)] == []


def test_a_delete_without_a_bound_is_seen():
    assert not BOUNDED.search("DELETE FROM proxy_repeat WHERE kept_until < now()")
    assert BOUNDED.search("DELETE FROM proxy_repeat WHERE intent IN (SELECT intent LIMIT %s)")


@pytest.mark.django_db
def test_old_rows_go_a_batch_at_a_time(monkeypatch):
    from datetime import timedelta

    from django.contrib.sessions.models import Session
    from django.utils import timezone

    from accounts import forgotten
    from common import personal

    monkeypatch.setattr(personal, "ROWS_AT_ONCE", 2)
    monkeypatch.setattr(personal, "MOST_STEPS", 2)
    before = timezone.now() - timedelta(days=1)
    Session.objects.all().delete()
    Session.objects.bulk_create(
        Session(session_key=f"s{n}", session_data="", expire_date=before) for n in range(9)
    )

    left = []
    for _ in range(3):
        forgotten.sweep()
        left.append(Session.objects.count())

    assert left == [5, 1, 0]
