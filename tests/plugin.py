"""Gives the tests their PostgreSQL, their environment and their browser, before they are collected.

Loaded by `-p tests.plugin`: pytest-django reads the settings before any conftest.py is imported.
With xdist the controller starts the server and finds the browser; the workers inherit where.
"""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Iterable
from pathlib import Path

import pytest

from local import browser, scratch

MARKED = re.compile(r"^\s*(@|pytestmark\b).*\bmark\.browser\b", re.MULTILINE)
_scratch: scratch.Scratch | None = None


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests() -> Generator[None, None, None]:
    """Come before everybody: a wrapper does, whatever the order of registration."""
    global _scratch
    _scratch = scratch.Scratch()
    scratch.set_placeholders(_scratch.folder)
    if not os.environ.get("DATABASE_URL"):
        os.environ["DATABASE_URL"] = _scratch.database_url()
    return (yield)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--no-browser", action="store_true", help="skip the tests that drive a browser"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Have a browser where one is needed; without one, no run may look as if it were whole."""
    option = config.option
    if option.no_browser or option.collectonly or hasattr(config, "workerinput"):
        return
    if any_browser_test(config.args):
        try:
            os.environ["BROWSER_EXE"] = browser.find_or_install(say=print)
        except browser.BrowserMissing as why:
            raise pytest.UsageError(str(why)) from None


def any_browser_test(arguments: Iterable[str]) -> bool:
    """Whether a file that the command line selects holds a browser test.

    Read, not collected: this is asked before there are workers, and only they collect.
    """
    chosen = [Path(each.split("::", 1)[0]) for each in arguments]
    files = [path.rglob("test_*.py") if path.is_dir() else [path] for path in chosen]
    return any(
        MARKED.search(file.read_text(encoding="utf-8"))
        for some in files
        for file in some
        if file.is_file()
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.option.no_browser:
        for item in items:
            if item.get_closest_marker("browser"):
                item.add_marker(pytest.mark.skip(reason="--no-browser"))


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    """Stop the server and remove its folder."""
    if _scratch is not None:
        _scratch.close()
