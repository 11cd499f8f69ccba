"""The browser that tests drive: found wherever it may be, else brought, else one clear line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from local import browser
from local.browser import BrowserMissing
from tests import plugin

pytestmark = pytest.mark.system
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All programs of a machine that has no browser, and where Playwright can download nothing."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path / "playwright"))
    monkeypatch.setenv("PLAYWRIGHT_DOWNLOAD_HOST", NOWHERE)
    monkeypatch.delenv("BROWSER_EXE", raising=False)
    return folder


@pytest.fixture
def place(programs: Path) -> Callable[..., str]:
    """Put a program there that does as it is told, and return its path."""

    def put(name: str, script: str = "exit 0") -> str:
        return write(programs / name, script)

    return put


@pytest.fixture
def apt(
    programs: Path, place: Callable[..., str], request: pytest.FixtureRequest
) -> Callable[[], list[str]]:
    """An apt-get that has one package once its lists were brought; returns what it was asked."""
    package = getattr(request, "param", "chromium-headless-shell")
    asked = programs / "asked"
    grep, chmod = (shutil.which(name, path=os.defpath) for name in ("grep", "chmod"))
    place(
        "apt-get",
        f"""echo "$@" >> {asked}
case "$*" in *install*)
  {grep} -q update {asked} && case "$*" in *" {package}") ;; *) false;; esac ||
    {{ echo "E: Unable to locate package" >&2; exit 100; }}
  echo '#!/bin/sh' > {programs}/{package}; {chmod} +x {programs}/{package};;
esac""",
    )
    return lambda: asked.read_text().splitlines() if asked.exists() else []


def write(program: Path, script: str) -> str:
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return str(program)


def become(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: number)


@pytest.mark.parametrize("name", browser.NAMES)
def test_a_browser_on_the_path_is_found(place, name):
    program = place(name)

    assert browser.find() == program


def test_the_one_that_is_named_comes_first(place, monkeypatch):
    place("chromium")
    mine = place("mine")
    monkeypatch.setenv("BROWSER_EXE", mine)

    assert browser.find() == mine


def test_a_named_one_that_does_not_run_is_refused_and_not_replaced(place, monkeypatch):
    place("chromium")
    monkeypatch.setenv("BROWSER_EXE", place("mine", "exit 1"))

    with pytest.raises(BrowserMissing, match="BROWSER_EXE"):
        browser.find_or_install(say=print)


def test_a_hint_in_a_browsers_place_is_passed_by(place):
    place("chromium-browser", "echo 'install the snap'; exit 1")
    chrome = place("google-chrome")

    assert browser.find() == chrome


@pytest.mark.skipif(sys.platform != "linux", reason="the folder has another name elsewhere")
def test_playwrights_own_is_found(programs, tmp_path):
    assert browser.find() is None
    command = [sys.executable, "-c", browser.OWN]
    own = Path(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())
    assert own.is_relative_to(tmp_path)

    write(own, "exit 0")

    assert browser.find() == str(own)


def test_what_is_here_is_not_installed_again(place, apt, monkeypatch):
    become(monkeypatch, 0)
    program = place("google-chrome")

    assert browser.find_or_install(say=print) == program
    assert apt() == []


@pytest.mark.parametrize(
    ("apt", "tried"),
    [
        ("chromium-headless-shell", ["chromium-headless-shell"]),
        ("chromium", ["chromium-headless-shell", "chromium"]),
    ],
    indirect=["apt"],
)
def test_root_installs_debians_own_and_brings_its_lists_if_need_be(
    programs, apt, monkeypatch, capsys, tried
):
    become(monkeypatch, 0)

    assert browser.find_or_install(say=print) == str(programs / tried[-1])

    wanted = "-o DPkg::Lock::Timeout=120 -q -y"
    install = f"{wanted} install --no-install-recommends"
    after = [f"{install} {package}" for package in tried]
    assert apt() == [f"{install} chromium-headless-shell", f"{wanted} update", *after]
    assert capsys.readouterr().out.count("Installing Chromium") == 1


def test_where_nothing_can_be_had_one_line_says_so(programs, apt, monkeypatch):
    become(monkeypatch, 1000)

    with pytest.raises(BrowserMissing) as missing:
        browser.find_or_install(say=print)

    said = str(missing.value)
    assert "\n" not in said
    assert "apt-get: needs Debian, and root" in said
    assert "playwright install: Error" in said
    assert "--no-browser" in said
    assert apt() == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("@pytest.mark.browser\ndef test_it(page): ...", True),
        ("class TestIt:\n    @pytest.mark.browser()\n    def test_it(page): ...", True),
        ("pytestmark = [pytest.mark.browser, pytest.mark.slow]", True),
        ("# One day this will be marked pytest.mark.browser.", False),
        ("def test_it(browser): ...", False),
    ],
)
def test_only_a_selection_with_browser_tests_needs_one(tmp_path, text, found):
    file = tmp_path / "deep" / "test_it.py"
    file.parent.mkdir()
    file.write_text(text)

    assert plugin.any_browser_test([str(tmp_path)]) is found
    assert plugin.any_browser_test([f"{file}::TestIt::test_it"]) is found
    assert not plugin.any_browser_test([str(tmp_path / "elsewhere")])
