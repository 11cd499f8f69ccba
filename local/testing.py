"""`python3 dev.py test`: all tests; what fell by the clock is tried once more, alone.

Programs, browsers and machines are waited for by a clock, and where many of them share two cores
one may come too late. A whole run that ends with few failures, all of them of this sort, tries
these once more with the machine to themselves, and names them: one that passes then may still be
a race of the product. What proves money is never tried twice (decision 87).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

BESIDE = ("-n", "3", "--dist", "loadfile")
"""On two cores: many only wait."""
OUR_OWN = {"--no-browser", "--quick", "--cov"}
"""What changes which tests are run, and leaves it a run of all that are chosen so."""
MOST_AGAIN = 5
FELL = Path(".pytest_cache/v/tests/fell")
"""Where `tests/plugin.py` says which tests failed, and of each whether it waits by a clock."""


def main(arguments: Sequence[str]) -> int:
    """Run the tests; return pytest's status."""
    if not set(arguments) <= OUR_OWN:
        return int(pytest.main([*arguments]))
    # --cov before a file of tests would take it for what is to be covered.
    ended = pytest.main([*sorted(arguments, key="--cov".__eq__), *BESIDE])
    again = fell_by_the_clock() if set(arguments) <= {"--no-browser"} else []
    if ended != pytest.ExitCode.TESTS_FAILED or not again:
        return int(ended)
    print("\nFell beside others, and tried once more, alone; look whether it is a race:")
    print("".join(f"    {each}\n" for each in again), flush=True)
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *again])  # noqa: S606  No shell.
    raise AssertionError  # What became another program does not come back.


def fell_by_the_clock() -> list[str]:
    """Return the tests that failed in the run before, if all are few and wait by a clock."""
    try:
        fell: dict[str, bool] = json.loads(FELL.read_text())
    except (OSError, ValueError):
        return []
    return list(fell) if all(fell.values()) and len(fell) <= MOST_AGAIN else []


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
