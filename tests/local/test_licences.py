"""A licence that asks for something is thought about before it is used."""

import pytest

from local import licences
from local.licences import Package


def test_the_file_is_what_the_lock_pins():
    assert licences.check() == (True, "")


@pytest.mark.parametrize(
    ("name", "licence", "is_fine"),
    [
        ("nice", "MIT", True),
        ("nice", "Apache-2.0 OR BSD-3-Clause", True),
        ("mean", "AGPL-3.0-only", False),
        ("mean", "GNU Lesser General Public License v3", False),
        ("mean", "MIT AND MPL-2.0", False),
        ("mean", "SSPL-1.0", False),
        ("mute", "", False),
        ("psycopg", "LGPL-3.0-only", True),
    ],
)
def test_copyleft_that_nobody_thought_about_is_refused(name, licence, is_fine):
    problem = Package(name, "1.0", licence, is_shipped=True).problem

    assert (problem == "") is is_fine
    assert is_fine or name in problem


def test_what_was_not_written_down_is_stale(monkeypatch, tmp_path):
    lock = licences.ROOT / "requirements.lock"
    (tmp_path / "requirements.lock").write_text(lock.read_text() + "nobodys-package==7.0\n")
    (tmp_path / "pyproject.toml").write_text((licences.ROOT / "pyproject.toml").read_text())
    monkeypatch.setattr(licences, "ROOT", tmp_path)

    good, said = licences.check()

    assert not good
    assert "nobodys-package states no licence." in said
    assert "is stale" in said


def test_what_is_not_used_any_more_is_not_excused_for_ever(monkeypatch):
    monkeypatch.setitem(licences.THOUGHT_OF, "gone", "GPL: it was a tool")

    assert licences.check() == (False, "local/licences.py: gone is not used any more.")


def test_a_licence_is_what_the_package_says_of_itself():
    assert licences.licence("django") == "BSD-3-Clause"
    assert licences.licence("stripe") == "MIT"
    assert licences.licence("psycopg") == "LGPL-3.0-only"
    assert licences.licence("there-is-no-such-package") == ""
