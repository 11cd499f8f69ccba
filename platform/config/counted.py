"""What the processes of one machine count is told by whichever of them is scraped, all together.

Each process counts in a file of its own in PROMETHEUS_MULTIPROC_DIR, and a scrape adds them up.
What a process has counted stays after it, or sums would fall; its file is joined with those of
others that ended, so that a thousand restarts leave a few files.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
LOCK: Final = "lock"
OF_THE_DEAD: Final = "ended"
KINDS: Final = ("counter", "histogram")
"""What can be added up; we have no others (common/metrics.py)."""


def together(*, processes: int) -> None:
    """Have this process and those that it starts count together, from before they count anything.

    Where no folder is set, several processes have one of their own; one alone needs none.
    """
    if os.environ.get(FOLDER):
        join_the_dead(Path(os.environ[FOLDER]))
    elif processes > 1:
        os.environ[FOLDER] = folder = tempfile.mkdtemp(prefix="metrics-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)


def join_the_dead(folder: Path) -> int:
    """Put what processes counted that run no more into one file of each kind; return how many."""
    joined = 0
    with locked(folder, fcntl.LOCK_EX):
        for kind in KINDS:
            for file in sorted(folder.glob(f"{kind}_[0-9]*.db")):
                number = int(file.stem.partition("_")[2])
                if not _lives(number):
                    _add(file, folder / f"{kind}_{OF_THE_DEAD}.db")
                    file.unlink()
                    joined += 1
    return joined


@contextmanager
def locked(folder: Path, how: int = fcntl.LOCK_SH) -> Iterator[None]:
    """Have nothing be joined meanwhile: who adds up at that moment would count it twice."""
    with (folder / LOCK).open("a") as file:
        fcntl.flock(file, how)
        yield


def _lives(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # It is somebody else's.
    return True


def _add(file: Path, to: Path) -> None:
    from prometheus_client import mmap_dict  # It asks for the folder when it is loaded.

    kept: Any = mmap_dict.MmapedDict
    there = kept(str(to))
    try:
        for key, value, at, _ in kept.read_all_values_from_file(str(file)):
            before, before_at = there.read_value(key)
            there.write_value(key, before + value, max(at, before_at))
    finally:
        there.close()
