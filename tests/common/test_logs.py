"""A line of log arrives whoever writes it, and never breaks what it tells of."""

import asyncio
import io
import json
import logging
import sys
import threading
from types import SimpleNamespace

import pytest

from common import logs


@pytest.fixture
def said(capfd):
    """What was written to stderr since the last look."""
    return lambda: [json.loads(line) for line in capfd.readouterr().err.splitlines()]


def events(lines):
    return [each["event"] for each in lines]


def test_without_a_loop_it_is_written_at_once(said):
    logs.line(event="shortfall", micros=5)

    (line,) = said()
    assert (line["event"], line["micros"]) == ("shortfall", 5)
    assert line["at"] > 0


def test_in_a_loop_that_gathers_it_is_written_a_little_later(said):
    async def call():
        logs.gather()
        logs.line(event="one")
        logs.line(event="two")
        before = events(said())
        await asyncio.sleep(0.1)
        after = events(said())
        logs.line(event="three")
        logs.stop_gathering()
        return before, after

    assert asyncio.run(call()) == ([], ["one", "two"])
    assert events(said()) == ["three"]


def test_another_thread_does_not_wait_for_the_loop_that_gathers(said):
    async def call():
        logs.gather()
        logs.line(event="gathered")
        thread = threading.Thread(target=lambda: logs.line(event="mine"))
        thread.start()
        thread.join()
        by_now = events(said())
        logs.stop_gathering()
        return by_now

    assert asyncio.run(call()) == ["mine"]
    assert events(said()) == ["gathered"]


def test_a_loop_that_ended_without_a_word_keeps_no_later_line(said):
    async def call():
        logs.gather()
        logs.line(event="gathered")

    asyncio.run(call())
    logs.line(event="later")

    assert events(said()) == ["gathered", "later"]


def test_a_stand_in_that_takes_only_text_is_passed_by(said, monkeypatch):
    """Celery puts such a thing in the place of stderr."""
    monkeypatch.setattr(sys, "__stderr__", sys.stderr)
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(write=lambda text: None))

    logs.line(event="shortfall")

    assert events(said()) == ["shortfall"]


@pytest.mark.parametrize("is_open", [True, False])
def test_a_stderr_that_is_full_or_closed_breaks_nothing(is_open, monkeypatch):
    with io.FileIO("/dev/full", "w") as full:
        if not is_open:
            full.close()
        monkeypatch.setattr(sys, "stderr", SimpleNamespace(buffer=full))

        logs.line(event="job")


@pytest.mark.parametrize("odd", ["\ud800", 2**70, {1: 2}, object()])
def test_what_json_has_no_form_for_is_told_all_the_same(said, odd):
    logs.line(event="refused", path=odd)
    record = logging.LogRecord("x", logging.ERROR, "", 0, "%s", (odd,), None)
    logs.line(**json.loads(logs.JsonFormatter().format(record)))

    assert len(said()) == 2


def refuse(detail):
    why = ValueError(f"violates a_rule\nDETAIL:  {detail}")
    raise RuntimeError("outer") from why


def test_of_a_row_that_the_database_refuses_nothing_is_told(said):
    """PostgreSQL repeats the row: whose address it has, and the digests of what is secret."""
    row = "ann@example.org,\nargon2$x\n\nmore"
    for detail in (f"Failing row contains ({row}).", f"Key (email)=({row}) already exists."):
        try:
            refuse(detail)
        except RuntimeError:
            record = logging.LogRecord("x", 40, "", 1, "broke", (), sys.exc_info())

        told = json.loads(logs.JsonFormatter().format(record))

        assert "ann@" not in told["trace"]
        assert "argon2" not in told["trace"]
        assert "more" not in told["trace"]
        assert "violates a_rule" in told["trace"]
        assert "RuntimeError: outer" in told["trace"]


def test_a_future_that_nobody_waits_for_any_more_is_told_of_only_if_it_failed():
    """A client left, and what was done for it ended: asyncio tells of that as of a mistake."""
    heard = logs.NothingOfWhoLeft()

    def told_of(name, error):
        trace = (type(error), error, None)
        record = logging.LogRecord(name, logging.ERROR, "", 0, "Future exception", (), trace)
        return heard.filter(record)

    assert not told_of("asyncio", asyncio.CancelledError())
    assert told_of("asyncio", ValueError())
    assert told_of("django.request", asyncio.CancelledError())
    assert heard.filter(logging.LogRecord("asyncio", logging.ERROR, "", 0, "slow", (), None))


@pytest.mark.parametrize(
    ("path", "named"),
    [
        (f"/run/rt_{'0a' * 32}/prompt", "/run/rt_.../prompt"),
        ("/invitations/aB-c_9.x:y", "/invitations/..."),
        ("/privacy/confirm/s3cret", "/privacy/confirm/..."),
        ("/privacy/s3cret/certificate.json", "/privacy/.../certificate.json"),
        ("/receipts/c0a1-6b.s1gned-_", "/receipts/..."),
        ("/my/usage", "/my/usage"),
    ],
)
def test_an_address_that_lets_in_whoever_has_it_stands_in_no_line(path, named):
    told = "%s cannot be answered: the connection is lost"
    record = logging.LogRecord("config", logging.WARNING, "x", 1, told, (path,), None)

    line = json.loads(logs.JsonFormatter().format(record))

    assert line["event"] == f"{named} cannot be answered: the connection is lost"
