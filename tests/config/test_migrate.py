"""A migration waits for a lock as long as calls can wait, and is tried again."""

import pytest
from config.management.commands import migrate
from django.core.management import CommandError
from django.core.management.commands.migrate import Command as Djangos
from django.db import OperationalError, connection, migrations
from psycopg import errors


def limit():
    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        return cursor.fetchone()[0]


def busy():
    wanted = OperationalError("canceling statement due to lock timeout")
    wanted.__cause__ = errors.LockNotAvailable()
    return wanted


@pytest.fixture
def no_rest(monkeypatch):
    monkeypatch.setattr(migrate, "REST_SECONDS", 0)


@pytest.mark.parametrize(("is_atomic", "shown"), [(True, "2s"), (False, "0")])
def test_a_migration_has_its_limit(db, is_atomic, shown):
    one = migrations.Migration("of_nothing", "usage")
    one.atomic = is_atomic
    command = migrate.Command()
    command.verbosity = 0

    command.migration_progress_callback("apply_start", one)

    assert limit() == shown


def test_a_lock_that_is_not_to_be_had_is_tried_again(db, monkeypatch, no_rest, capsys):
    outcomes = [busy(), busy(), None]

    def handle(self, *args, **options):
        if outcome := outcomes.pop(0):
            raise outcome

    monkeypatch.setattr(Djangos, "handle", handle)

    migrate.Command().handle(database="default")

    assert outcomes == []
    assert capsys.readouterr().out.count("trying again") == 2
    assert limit() == "0"


def test_after_so_many_tries_it_says_why(db, monkeypatch, no_rest):
    def handle(self, *args, **options):
        raise busy()

    monkeypatch.setattr(Djangos, "handle", handle)

    with pytest.raises(CommandError, match="in use each time"):
        migrate.Command().handle(database="default")


def test_another_fault_is_no_reason_to_try_again(db, monkeypatch, no_rest):
    tries = []

    def handle(self, *args, **options):
        tries.append(1)
        raise OperationalError("the disk is full")

    monkeypatch.setattr(Djangos, "handle", handle)

    with pytest.raises(OperationalError, match="disk"):
        migrate.Command().handle(database="default")
    assert tries == [1]
