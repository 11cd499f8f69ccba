"""`dev.py test`: what fell by the clock is tried once more, alone, and named; nothing else is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from local import testing
from tests import plugin

ROOT = Path(__file__).resolve().parents[2]
INI = """[pytest]
addopts = -p tests.plugin -p no:django -p no:schemathesis -q
markers =
    slow: as here
    system: as here
    browser: as here
"""
ONCE = """
import pathlib
import pytest

@pytest.mark.{mark}
def test_it():
    tried = pathlib.Path("tried")
    again = tried.exists()
    tried.touch()
    assert again or {never}
    assert not {never}
"""


def run(folder, file="test_waits.py", *, mark="system", never=False):
    (folder / "pytest.ini").write_text(INI)
    (folder / file).write_text(ONCE.format(mark=mark, never=never))
    return subprocess.run(
        [sys.executable, "-m", "local.testing"],
        cwd=folder,
        env={
            **os.environ,
            "DATABASE_URL": "postgresql://nobody@127.0.0.1:9/none",
            "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'platform'}",
        },
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.system
def test_what_waits_by_a_clock_is_tried_again_alone_and_named(tmp_path):
    done = run(tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 failed" in done.stdout
    assert "Fell beside others" in done.stdout
    assert "    test_waits.py::test_it\n" in done.stdout
    assert "1 passed" in done.stdout


@pytest.mark.system
def test_what_fails_again_has_failed(tmp_path):
    assert run(tmp_path, never=True).returncode == 1


@pytest.mark.system
def test_what_proves_money_has_one_try(tmp_path):
    done = run(tmp_path, "test_race.py")

    assert done.returncode == 1
    assert "Fell beside others" not in done.stdout


@pytest.mark.parametrize(
    ("file", "marks", "may"),
    [
        ("tests/runs/test_runs_deaths.py", (), True),
        ("tests/system/test_stopping.py", ("system",), True),
        ("tests/dashboard/test_pages_in_a_browser.py", ("browser",), True),
        ("tests/dashboard/test_pages.py", (), False),
        ("tests/runs/test_runs_races.py", (), False),
        ("tests/system/test_crash.py", ("system",), False),
        ("tests/system/test_money_processes.py", ("system",), False),
        ("tests/system/test_limits_race.py", ("system",), False),
        ("tests/credits/test_money_crashes.py", ("slow",), False),
        ("tests/proxy/test_wire_doors.py", ("slow",), False),
    ],
)
def test_who_may_be_tried_again(file, marks, may):
    assert plugin.waits_by_a_clock(file, dict.fromkeys(marks, 1)) is may


@pytest.mark.parametrize(
    ("said", "again"),
    [
        ('{"a": true, "b": true}', ["a", "b"]),
        ('{"a": true, "b": false}', []),
        (json.dumps(dict.fromkeys("abcdef", True)), []),
        ("{}", []),
        ("not JSON", []),
        (None, []),
    ],
)
def test_only_few_are_tried_again_and_none_beside_a_failure_of_another_sort(
    tmp_path, monkeypatch, said, again
):
    monkeypatch.setattr(testing, "FELL", tmp_path / "fell")
    if said is not None:
        testing.FELL.write_text(said)

    assert testing.fell_by_the_clock() == again
