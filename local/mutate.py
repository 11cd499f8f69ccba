"""Breaks each money rule in a copy of the tree, and sees that a test notices: `dev.py mutate`.

The mutants are listed in `tests/mutants.toml`. One that no test kills has survived: it is a rule
that nothing holds. Also wrong, and told: a mutant whose text is not in the code (any more), and
tests that fail where nothing is broken.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import queue
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from local import scratch

Item = TypeVar("Item")

ROOT = Path(__file__).resolve().parent.parent
LIST = ROOT / "tests" / "mutants.toml"
LIMIT_SECONDS = 900
"""So long a file of tests may take. Who then has said nothing has noticed nothing."""
NOT_COPIED = (".git", ".venv", ".boot", ".sdks", ".data", "__pycache__", ".*_cache", ".hypothesis")
TESTS_FAILED = 1
"""The exit status of pytest when it could run the tests, and one failed."""


class Misplaced(Exception):
    """A mutant cannot be tried: its text or its tests are not there, or more than once."""


@dataclass(frozen=True)
class Mutant:
    """One text of the code, what stands there instead, and the tests of which one must fail."""

    name: str
    where: str
    """A file, or a folder: in its Python the text stands once."""
    old: str
    new: str
    tests: tuple[str, ...]
    """Names of files anywhere below `tests`: pytest has none twice."""


@dataclass(frozen=True)
class Ended:
    """How a run of tests ended: pytest's status (None: not in time), and what it said."""

    status: int | None
    said: str
    seconds: float

    @property
    def failed(self) -> list[str]:
        """The tests that failed, the first one first."""
        lines = (line.split() for line in self.said.splitlines())
        return [words[1] for words in lines if words and words[0] in ("FAILED", "ERROR")]


class Copy:
    """A copy of the tree with a database of its own, in which things may be broken."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self.root = folder / "tree"
        shutil.copytree(ROOT, self.root, ignore=shutil.ignore_patterns(*NOT_COPIED), symlinks=True)
        scratch.set_placeholders(folder)
        paths = (str(self.root), str(self.root / "platform"))
        self._environment = {
            **os.environ,
            "DATABASE_URL": database_url,
            "DATA_DIR": str(folder),
            "PYTHONPATH": os.pathsep.join(paths),
            # A file that is changed twice in a second would else be taken for what it was before.
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def test(self, tests: Iterable[str]) -> Ended:
        """Run some files of tests until a test fails."""
        files = [str(find(test, self.root)) for test in tests]
        quiet = ("-q", "-x", "--tb=no", "--no-browser", "--hypothesis-profile=mutants")
        same = ("-p", "no:cacheprovider", "-p", "no:randomly")
        command = [sys.executable, "-m", "pytest", *quiet, *same, *files]
        began = time.monotonic()
        try:
            done = subprocess.run(
                command,
                cwd=self.root,
                env=self._environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=LIMIT_SECONDS * len(files),
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Ended(None, "", time.monotonic() - began)
        return Ended(done.returncode, done.stdout, time.monotonic() - began)

    @contextlib.contextmanager
    def broken(self, mutant: Mutant) -> Iterator[None]:
        """Have the mutant in the copy, for a while."""
        file = place(mutant, self.root)
        whole = file.read_text(encoding="utf-8")
        file.write_text(whole.replace(mutant.old, mutant.new), encoding="utf-8")
        try:
            yield
        finally:
            file.write_text(whole, encoding="utf-8")


class Copies:
    """As many copies as there are things to be tried at a time."""

    def __init__(self, number: int, stack: contextlib.ExitStack) -> None:
        self._number = number
        self._free: queue.Queue[Copy] = queue.Queue()
        for _ in range(number):
            base = scratch.Scratch()
            stack.callback(base.close)
            self._free.put(Copy(base.folder, base.database_url()))

    def each(self, work: Callable[[Item, Copy], bool], items: Iterable[Item]) -> list[bool]:
        """Do the work for each, in a copy that is free."""

        def one(item: Item) -> bool:
            copy = self._free.get()
            try:
                return work(item, copy)
            finally:
                self._free.put(copy)

        with ThreadPoolExecutor(self._number) as pool:
            return list(pool.map(one, items))


def listed() -> dict[str, Mutant]:
    """Return all mutants by their names."""
    found = tomllib.loads(LIST.read_text(encoding="utf-8"))
    return {
        name: Mutant(
            name,
            each["where"],
            each["old"],
            each["new"],
            tuple(each["tests"]),
        )
        for name, each in found.items()
    }


def place(mutant: Mutant, root: Path = ROOT) -> Path:
    """Return the file that holds the mutant's text, once; raise Misplaced."""
    where = root / mutant.where
    files = sorted(where.rglob("*.py")) if where.is_dir() else [where]
    found = {file: file.read_text(encoding="utf-8").count(mutant.old) for file in files}
    times = sum(found.values())
    if times != 1:
        raise Misplaced(f"its text stands {times} times in {mutant.where}: {mutant.old!r}")
    return next(file for file, count in found.items() if count)


def find(test: str, root: Path = ROOT) -> Path:
    """Return the file of tests with that name; raise Misplaced."""
    found = list((root / "tests").rglob(test))
    if len(found) != 1:
        raise Misplaced(f"there are {len(found)} files of tests named {test!r}")
    return found[0]


def verdict(mutant: Mutant, copy: Copy) -> tuple[bool, str]:
    """Return whether a test kills the mutant, and a line that says so."""
    with copy.broken(mutant):
        ended = copy.test(mutant.tests)
    if ended.status == TESTS_FAILED:
        return True, f"killed    {mutant.name} ({ended.seconds:.0f} s, {ended.failed[0]})"
    if ended.status == 0:
        return False, (
            f"SURVIVED  {mutant.name}, in {mutant.where}: {mutant.new!r} instead of "
            f"{mutant.old!r}; nothing fails in {', '.join(mutant.tests)}"
        )
    how = f"status {ended.status}" if ended.status is not None else "not in time"
    return False, f"NO ANSWER {mutant.name} ({how}): {ended.said.strip()[-2000:]}"


def main(arguments: list[str] | None = None) -> int:
    """Try the mutants that are named, or all; return 1 if one is not killed."""
    asked = options(arguments)
    mutants = listed()
    names = asked.names or list(mutants)
    if unknown := set(names) - set(mutants):
        print(f"mutate: there is no mutant {', '.join(sorted(unknown))}.", file=sys.stderr)
        return 2
    chosen = [mutants[name] for name in names]
    if not all_placed(chosen):
        return 1
    with contextlib.ExitStack() as stack:
        copies = Copies(min(asked.workers, len(chosen)), stack)
        fit = chosen if asked.no_baseline else fit_to_be_tried(chosen, copies)
        return 0 if all_killed(fit, copies) and fit == chosen else 1


def all_placed(chosen: Iterable[Mutant]) -> bool:
    """Whether the text and the tests of each are there; tell those of which they are not."""
    placed = True
    for mutant in chosen:
        try:
            place(mutant)
            for test in mutant.tests:
                find(test)
        except Misplaced as why:
            print(f"mutate: {mutant.name} cannot be tried: {why}", file=sys.stderr)
            placed = False
    return placed


def fit_to_be_tried(chosen: list[Mutant], copies: Copies) -> list[Mutant]:
    """Return those whose tests pass where nothing is broken; tell whose do not."""

    def passes(test: str, copy: Copy) -> bool:
        ended = copy.test([test])
        if ended.status != 0:
            say(f"UNFIT     {test}: {' '.join(ended.failed) or ended.said.strip()[-2000:]}")
        return ended.status == 0

    tests = sorted({test for mutant in chosen for test in mutant.tests})
    fit = {test for test, yes in zip(tests, copies.each(passes, tests), strict=True) if yes}
    say(f"{len(fit)} of {len(tests)} files of tests pass where nothing is broken.")
    return [mutant for mutant in chosen if fit >= set(mutant.tests)]


def all_killed(chosen: list[Mutant], copies: Copies) -> bool:
    """Try each; whether all were killed."""

    def is_killed(mutant: Mutant, copy: Copy) -> bool:
        killed, line = verdict(mutant, copy)
        say(line)
        return killed

    killed = copies.each(is_killed, chosen)
    say(f"{sum(killed)} of {len(killed)} mutants were killed.")
    return all(killed)


def say(line: str) -> None:
    """Print a line at once: this takes long."""
    print(line, flush=True)


def options(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="dev.py mutate", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these; all, if none is")
    parser.add_argument("--workers", type=int, default=2, help="how many at a time (2)")
    parser.add_argument(
        "--no-baseline",
        action="store_true",
        help="do not first see that the tests pass where nothing is broken",
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
