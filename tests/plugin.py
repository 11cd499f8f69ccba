"""Gives the tests their PostgreSQL, their environment and their browser, before they are collected.

Loaded by `-p tests.plugin`: pytest-django reads the settings before any conftest.py is imported.
With xdist the controller starts the server and finds the browser; the workers inherit where.

The files that took longest the last time are begun first, so that no worker is left alone with
one at the end; where none was ever run, what they took elsewhere tells (`tests/taken.json`).

`--quick` runs the first case of each test, and of the tests those that are cheap: `taken.json`
names what is dear, `dev.py test --quick --find-dear` writes it anew.

Hypothesis tries the same examples each time, and the tests have one order, so that a landing does
not depend on luck; `dev.py test --hypothesis-profile=default --randomly-seed=7` looks for others.
It shrinks for half a minute at most.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import re
import time
from collections import Counter, defaultdict
from collections.abc import Generator, Iterable
from itertools import compress
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis.internal.conjecture import engine

from local import aside, browser, frontend, scratch

MARKED = re.compile(r"^\s*(@|pytestmark\b).*\bmark\.browser\b", re.MULTILINE)
QUICK = ("browser", "system", "slow")
"""The marks of what `--quick` leaves out."""
ORDER = 2026
"""The seed of the order in which tests are run, where none is given."""
SHRINKING_SECONDS = 30
WAITS = re.compile(r"tests/runs/")
"""Which files wait by a clock, beside those tests that have one of these marks."""
PROVES_MONEY = re.compile(r"tests/(credits|proxy|usage|chaos)/|race|crash|money|limits")
"""Which files never get a second try: where money is, a failure in a thousand is one."""
FELL = "tests/fell"
"""Where pytest's cache has which tests failed, and of each whether it may be tried once more."""
SECONDS = "files/seconds"
"""Where pytest's cache has what each file took."""
TAKEN = Path(__file__).with_name("taken.json")
"""What files took elsewhere, for who never ran them, and which tests are dear."""
DEAR_SECONDS = 0.1
"""Of a processor, in a test without its fixtures: more, and `--quick` leaves it out."""
_scratch: scratch.Scratch | None = None
_seconds: Counter[str] = Counter()
_spent: defaultdict[str, list[float]] = defaultdict(list)
_fell: dict[str, bool] = {}


class Loggers(dict[str, Any]):
    """All loggers, in a list wherever somebody goes through them.

    pytest does so before each test, while a thread of the test before may yet make one: without
    this the next test fails, now and then, of a dictionary that changed.
    """

    def values(self) -> list[Any]:  # type: ignore[override]
        return list(super().values())


logging.root.manager.loggerDict = Loggers(logging.root.manager.loggerDict)
engine.MAX_SHRINKING_SECONDS = SHRINKING_SECONDS  # Made to be replaced, says its comment.
hypothesis.settings.register_profile("landing", derandomize=True)
hypothesis.settings.register_profile("quick", derandomize=True, max_examples=10)
hypothesis.settings.register_profile(
    "mutants", derandomize=True, phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate]
)


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests() -> Generator[None, None, None]:
    """Come before everybody: a wrapper does, whatever the order of registration."""
    global _scratch
    gc.disable()  # Till all is collected: of modules and tests nothing becomes garbage.
    _scratch = scratch.Scratch()
    scratch.set_placeholders(_scratch.folder)
    if not os.environ.get("DATABASE_URL"):
        os.environ["DATABASE_URL"] = _scratch.database_url()
    return (yield)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--no-browser", action="store_true", help="skip the tests that drive a browser"
    )
    parser.addoption(
        "--quick",
        action="store_true",
        help=f"leave out what is marked {', '.join(QUICK)} or dear; one case of each test",
    )
    parser.addoption(
        "--find-dear",
        action="store_true",
        help=f"write to {TAKEN.name} which tests take {DEAR_SECONDS} s of a processor or more",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Choose how many examples; have a browser where one is needed.

    Without a browser no run may look as if it were whole.
    """
    option = config.option
    if not option.hypothesis_profile:
        hypothesis.settings.load_profile("quick" if option.quick else "landing")
    if hasattr(config, "workerinput"):
        return
    if option.randomly_seed == "default":
        option.randomly_seed = ORDER
    option.loadscopereorder = False  # `pytest_collection_modifyitems` has an order of its own.
    if option.no_browser or option.quick or option.collectonly:
        return
    if any_browser_test(config.args):
        try:
            os.environ["BROWSER_EXE"] = browser.find_or_install(say=print)
        except browser.BrowserMissing as why:
            raise pytest.UsageError(str(why)) from None
    if any(frontend.FOLDER.is_relative_to(path) for path in folders_of(config.args)):
        try:
            frontend.ASIDE.find_or_install(say=print)
        except aside.Missing as why:
            os.environ["FRONTEND_MISSING"] = str(why)  # Its tests are skipped, and say this.


def folders_of(arguments: Iterable[str]) -> list[Path]:
    """Return the folders that the command line selects, or has a file selected in."""
    chosen = (Path(each.split("::", 1)[0]).resolve() for each in arguments)
    return [path if path.is_dir() else path.parent for path in chosen]


def examples(whole: int) -> int:
    """Return how many examples of a costly property are tried, of so many in a whole run."""
    quick = hypothesis.settings.get_current_profile_name() == "quick"
    return max(2, whole // 20) if quick else whole


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


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker what the files took: all must come to one order."""
    node.workerinput["seconds"] = taken_before(node.config)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is not to be run, and begin with the file that took longest."""
    if config.option.quick:
        dear = set() if config.option.find_dear else set(taken()["dear"])
        left_out = [
            any(map(item.get_closest_marker, QUICK)) or function_of(item.nodeid) in dear
            for item in items
        ]
        config.hook.pytest_deselected(items=[*compress(items, left_out)])
        items[:] = [item for item, out in zip(items, left_out, strict=True) if not out]
    if config.option.no_browser:
        for item in items:
            if item.get_closest_marker("browser"):
                item.add_marker(pytest.mark.skip(reason="--no-browser"))
    if inherited := getattr(config, "workerinput", None):
        # Where no file was ever run it is known only what it does.
        seconds: Counter[str] = Counter()
        for each in items:
            seconds[file_of(each.nodeid)] += likely_seconds(each)
        if config.option.quick:  # A quick run has other parts of a file, all alike.
            seconds = Counter(file_of(each.nodeid) for each in items)
        else:
            seconds.update(inherited["seconds"])
        items.sort(key=lambda item: -seconds[file_of(item.nodeid)])


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Let the collector of garbage pass over all that is there for as long as the run."""
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> Generator[None, None, None]:
    """Make, for a quick run, the first case of each test; no others cost anything."""
    yield
    cases = metafunc._calls
    if metafunc.config.option.quick and len(cases) > 1:
        chosen = [each for each in cases if not any(mark.name in QUICK for mark in each.marks)]
        cases[:] = (chosen or cases)[:1]  # Where all are left out, this one is, later.


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Note what a test takes of a processor: this, unlike time, is the same beside others."""
    began = time.process_time()
    try:
        return (yield)
    finally:
        item.user_properties.append(("processor", time.process_time() - began))


def likely_seconds(item: pytest.Item) -> int:
    """Return what a test takes about: a machine tries many stories, others start programs."""
    if file_of(item.nodeid).endswith("_machine.py"):
        return 60
    return 5 if any(map(item.get_closest_marker, QUICK)) else 0


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _seconds[file_of(report.nodeid)] += report.duration
    if report.failed:
        _fell[report.nodeid] = waits_by_a_clock(file_of(report.nodeid), report.keywords)
    if report.when == "call":
        _spent[function_of(report.nodeid)].append(dict(report.user_properties).get("processor", 0))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Remember what each file took, where a run of many files was shared among workers."""
    config = session.config
    if hasattr(config, "workerinput"):
        return
    if getattr(config, "cache", None) is not None:
        config.cache.set(FELL, _fell)
    shared = config.getoption("numprocesses", None)
    if shared and not config.option.quick and config.cache is not None:
        config.cache.set(SECONDS, {**taken_before(config), **_seconds})
    if config.option.find_dear:
        write_dear()


def waits_by_a_clock(file: str, marks: Iterable[str]) -> bool:
    """Whether a test that failed may have come too late, and proves nothing of money."""
    waits = WAITS.match(file) or not set(QUICK).isdisjoint(marks)
    return bool(waits) and not PROVES_MONEY.search(file)


def write_dear() -> None:
    """Have `taken.json` say of each test that was run whether it is dear."""
    known = taken()
    dear = set(known["dear"]) - _spent.keys()
    dear |= {test for test, cases in _spent.items() if max(cases) >= DEAR_SECONDS}
    TAKEN.write_text(json.dumps({**known, "dear": sorted(dear)}, indent=1) + "\n")


def taken() -> dict[str, Any]:
    """Return what files took elsewhere, in seconds, and the names of the tests that are dear."""
    known: dict[str, Any] = json.loads(TAKEN.read_text())
    return known


def taken_before(config: pytest.Config) -> dict[str, float]:
    """Return the seconds that each file took when it was last run whole, here or elsewhere."""
    here = config.cache.get(SECONDS, {}) if config.cache is not None else {}
    return {**taken()["files"], **here}


def file_of(nodeid: str) -> str:
    return nodeid.partition("::")[0]


def function_of(nodeid: str) -> str:
    """Return what all cases of a test are called."""
    return nodeid.partition("[")[0]


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    """Stop the server and remove its folder."""
    if _scratch is not None:
        _scratch.close()
