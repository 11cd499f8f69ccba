"""Of many beats one begins, and the next goes on when it ends."""

import time

import psycopg
import pytest
from celery.beat import PersistentScheduler
from config import beat
from config.celery import app
from django.db import connection
from kombu.exceptions import OperationalError

from proxy import tasks


@pytest.fixture
def two(db):
    pair = beat.Alone(), beat.Alone()
    yield pair
    for each in pair:
        each.let_go()


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_one_has_it_and_the_other_when_that_one_ends(two):
    first, second = two

    until(first.held)
    assert first.held()
    assert not second.held()

    first.let_go()
    until(second.held)
    assert not first.held()


def test_a_beat_whose_connection_was_ended_has_it_no_more(two):
    first, second = two
    until(first.held)

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [first._db.info.backend_pid])
    until(second.held)

    assert not first.held()
    assert not first.held()


def test_without_a_database_nobody_begins(two, monkeypatch):
    def away():
        raise psycopg.OperationalError("away")

    monkeypatch.setattr(beat.preflight, "connect", away)

    assert not two[0].held()


def test_who_has_it_not_begins_nothing(two, tmp_path, monkeypatch):
    begun = []
    monkeypatch.setattr(PersistentScheduler, "tick", lambda *_: begun.append(1) or 60)
    scheduler = beat.Scheduler(app, schedule_filename=str(tmp_path / "schedule"))
    until(two[0].held)

    assert scheduler.tick() == beat.LOOK_SECONDS
    assert not begun

    two[0].let_go()
    until(lambda: scheduler.tick() and begun)
    scheduler.close()
    until(two[1].held)


@pytest.mark.parametrize(("error", "is_traced"), [(OperationalError, False), (KeyError, True)])
def test_a_broker_that_is_away_is_one_line_and_no_trace(
    tmp_path, monkeypatch, caplog, error, is_traced
):
    def away(*_, **__):
        raise error("Connection refused.")

    scheduler = beat.Scheduler(app, schedule_filename=str(tmp_path / "schedule"))
    entry = scheduler.schedule["heartbeat"]
    monkeypatch.setattr(app.tasks[tasks.heartbeat.name], "apply_async", away)

    scheduler.apply_entry(entry)

    (line,) = caplog.records
    assert "beat cannot send heartbeat" in line.getMessage()
    assert bool(line.exc_info) is is_traced
    scheduler.close()


def test_celery_is_told_of_it():
    assert app.conf.beat_scheduler == "config.beat:Scheduler"
