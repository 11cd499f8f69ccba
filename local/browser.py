"""The browser that tests drive: one that is here already, or else one that is brought here once.

    BROWSER_EXE -> PATH -> Playwright's own -> apt-get, as root -> playwright install

Whoever names one in BROWSER_EXE gets that one or a refusal, never another.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from local import processes

SHELL = "chromium-headless-shell"
"""Chromium without windows: it starts in a third of the time, and draws with a quarter less."""
NAMES = (
    SHELL,
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "microsoft-edge",
    "msedge",
)
INSTALL_SECONDS = 600
OWN = (
    "from playwright.sync_api import sync_playwright\n"
    "with sync_playwright() as playwright: print(playwright.chromium.executable_path)"
)


class BrowserMissing(Exception):
    """There is no browser, and none could be brought; the message is one line on what to do."""


class _Failed(Exception):
    """One way to bring a browser did not lead there."""


def find() -> str | None:
    """Return the program of a browser that is on this machine, or None."""
    if named := os.environ.get("BROWSER_EXE"):
        if not runs(named):
            raise BrowserMissing(f"BROWSER_EXE names no browser that runs: {named}")
        return named
    for name in NAMES:
        program = shutil.which(name)
        if program and runs(program):
            return program
    return _playwrights_own()


def find_or_install(say: Callable[[str], None]) -> str:
    """Return the program of a browser, having installed one if there was none."""
    if found := find():
        return found
    problems = []
    for name, install in (("apt-get", _by_apt), ("playwright install", _by_playwright)):
        try:
            install(say)
        except _Failed as why:
            problems.append(f"{name}: {why}")
            continue
        if found := find():
            return found
        problems.append(f"{name}: what it installed does not run")
    raise BrowserMissing(
        f"the browser tests need Chromium, and none could be installed ({'; '.join(problems)}): "
        "install one, name it in BROWSER_EXE, or give --no-browser."
    )


def runs(program: str) -> bool:
    """Whether a program is a browser that starts; some distributions put a mere hint in its place.

    On Windows, asking for the version would open a window, so there it need only exist.
    """
    if os.name == "nt":
        return Path(program).is_file()
    return processes.succeeds([program, "--version"])


def _playwrights_own() -> str | None:
    """Return the browser that an earlier `playwright install` brought.

    Another process asks: in this one, Playwright would leave an event loop behind for a moment.
    """
    asked = subprocess.run([sys.executable, "-c", OWN], capture_output=True, text=True, check=False)
    program = asked.stdout.strip()
    return program if program and Path(program).is_file() and runs(program) else None


def _by_apt(say: Callable[[str], None]) -> None:
    """Install Debian's package; where its lists are absent or old, bring them first.

    An older Debian has no shell apart: there it is the whole Chromium.
    """
    if os.name == "nt" or os.geteuid() != 0 or not shutil.which("apt-get"):
        raise _Failed("needs Debian, and root")
    say("Installing Chromium for the browser tests (apt-get) ...")
    apt = ["apt-get", "-o", "DPkg::Lock::Timeout=120", "-q", "-y"]
    install = [*apt, "install", "--no-install-recommends"]
    try:
        return _run([*install, SHELL])
    except _Failed:
        _run([*apt, "update"])
    try:
        _run([*install, SHELL])
    except _Failed:
        _run([*install, "chromium"])


def _by_playwright(say: Callable[[str], None]) -> None:
    say("Installing Chromium for the browser tests (playwright install) ...")
    _run([sys.executable, "-m", "playwright", "install", "chromium"])


def _run(command: list[str]) -> None:
    """Run one step quietly; raise the line that says why it failed."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=INSTALL_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise _Failed(f"not done after {INSTALL_SECONDS} seconds") from None
    except OSError as error:
        raise _Failed(str(error.strerror)) from None
    if done.returncode:
        said = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        errors = [line for line in said if line.startswith(("E:", "Error"))]
        raise _Failed((errors or said or [f"exit status {done.returncode}"])[-1])
