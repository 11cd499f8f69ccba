"""A task that meets its books away is one line of log; one that is wrong is a trace."""

import pytest
from config.celery import app
from django.db import OperationalError
from redis.exceptions import ConnectionError as CacheAway

from common.errors import Unavailable
from common.lanes import away
from proxy import tasks

PASSING = [OperationalError("the server closed the connection"), CacheAway("refused"), away()]


@pytest.fixture
def failing(monkeypatch, caplog):
    """Have a task raise that error; return what is logged of it, as a worker does."""
    caplog.set_level("INFO", logger="celery.app.trace")

    def fail(error):
        def run(**_):
            raise error

        task = app.tasks[tasks.heartbeat.name]
        monkeypatch.setattr(task, "run", run)
        ended = task.apply()
        (line,) = [each for each in caplog.records if each.name == "celery.app.trace"]
        return ended.result, line

    return fail


@pytest.mark.parametrize("error", PASSING, ids=lambda error: type(error).__name__)
def test_books_that_are_away_are_a_line_without_a_trace(failing, error):
    result, line = failing(error)

    assert isinstance(result, Unavailable)
    assert line.levelname == "INFO"
    assert not line.exc_info


def test_a_mistake_is_an_error_with_its_trace(failing):
    result, line = failing(KeyError("ours"))

    assert isinstance(result, KeyError)
    assert line.levelname == "ERROR"
    assert line.exc_info
