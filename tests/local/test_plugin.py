"""The loop of work: what `--quick` leaves out, what is begun first, how long shrinking takes."""

import json
import logging
import os
import subprocess
import sys
import time
import uuid
from types import SimpleNamespace

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.internal.conjecture import engine

from local.scratch import NOT_A_DATABASE
from tests import plugin

THREE = """
import pytest

def test_plain(): pass

@pytest.mark.parametrize("n", range(5))
def test_of_cases(n): assert n == 0

@pytest.mark.slow
def test_slow(): raise AssertionError

@pytest.mark.system
def test_with_programs(): raise AssertionError

@pytest.mark.browser
def test_with_a_browser(): raise AssertionError
"""


@pytest.mark.system
def test_quick_leaves_out_what_is_slow_or_starts_programs_and_most_cases(tmp_path):
    (tmp_path / "test_three.py").write_text(THREE)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n slow:\n system:\n browser:\n")
    plugins = ["-p", "tests.plugin", "-p", "no:django", "-p", "no:cacheprovider"]
    settings = ["--rootdir", tmp_path, "-c", tmp_path / "pytest.ini"]

    done = subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, *settings, "--quick", tmp_path],
        env={**os.environ, "DATABASE_URL": NOT_A_DATABASE},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed, 3 deselected" in done.stdout


def test_quick_leaves_out_what_is_dear_and_finding_it_tries_it_again(monkeypatch, tmp_path):
    names = ("test_a.py::cheap", "test_a.py::dear[1]", "test_a.py::not_run")
    known = {"files": {"test_a.py": 3}, "dear": ["test_a.py::dear", "test_a.py::not_run"]}
    monkeypatch.setattr(plugin, "TAKEN", tmp_path / "taken.json")
    plugin.TAKEN.write_text(json.dumps(known))

    def kept(find_dear):
        items = [SimpleNamespace(nodeid=name, get_closest_marker=lambda _: None) for name in names]
        option = SimpleNamespace(quick=True, no_browser=False, find_dear=find_dear)
        hook = SimpleNamespace(pytest_deselected=lambda items: None)
        plugin.pytest_collection_modifyitems(SimpleNamespace(option=option, hook=hook), items)
        return [item.nodeid for item in items]

    assert kept(find_dear=False) == ["test_a.py::cheap"]
    assert kept(find_dear=True) == [*names]

    with monkeypatch.context() as patch:  # Not for longer: this test's own is noted there, too.
        patch.setattr(
            plugin, "_spent", {"test_a.py::cheap": [0.05, 0.3], "test_a.py::dear": [0.05]}
        )
        plugin.write_dear()

    assert plugin.taken() == {**known, "dear": ["test_a.py::cheap", "test_a.py::not_run"]}


def test_the_file_that_took_longest_is_begun_first():
    items = [
        SimpleNamespace(nodeid=f"tests/{name}", get_closest_marker=lambda _: None)
        for name in ("test_new.py::a", "test_short.py::b", "test_long.py::c", "test_long.py::d")
    ]
    config = SimpleNamespace(
        option=SimpleNamespace(quick=False, no_browser=False),
        workerinput={"seconds": {"tests/test_short.py": 2.0, "tests/test_long.py": 30.0}},
    )

    plugin.pytest_collection_modifyitems(config, items)

    assert [item.nodeid[-1] for item in items] == ["c", "d", "b", "a"]


def test_a_thread_may_make_loggers_while_pytest_goes_through_them():
    some = str(uuid.uuid4())

    for number, _ in enumerate(logging.root.manager.loggerDict.values()):
        logging.getLogger(f"{some}.{number}")

    assert f"{some}.1" in logging.root.manager.loggerDict


@pytest.mark.slow
def test_a_property_that_fails_is_shrunk_for_a_bounded_time(monkeypatch):
    """Each example takes a while, as those of the machines of money do."""
    assert engine.MAX_SHRINKING_SECONDS == plugin.SHRINKING_SECONDS <= 30
    monkeypatch.setattr(engine, "MAX_SHRINKING_SECONDS", 0.5)

    @hypothesis.settings(deadline=None, database=None)
    @hypothesis.given(st.lists(st.integers(), min_size=60, max_size=60))
    def fails(numbers):
        time.sleep(0.1)
        assert sum(numbers) < 1_000_000

    began = time.monotonic()
    with pytest.raises(AssertionError):
        fails()

    assert time.monotonic() - began < 10  # Else it takes seventeen.
