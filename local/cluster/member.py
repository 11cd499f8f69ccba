"""One program of the cluster: it can be killed, kept down as a machine that is gone, or held still.

A program that is kept down is not started again until it is let up. Who is held still is let go by
a program of its own, after its time, so that nothing stands still for ever if we are killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from local import processes
from local.supervisor import Child

if TYPE_CHECKING:
    from collections.abc import Iterable


class Member(Child):
    """A child of ours that is started again when it dies, unless it is kept down."""

    _is_down = False

    def poll(self) -> int | None:
        """Its exit status, or None while it runs; none of one that is to be down."""
        return None if self._is_down else super().poll()

    def kill(self) -> None:
        """Let all its processes be gone at once; whoever looks after it starts it again."""
        if self.pid is not None:
            processes.kill_group(self.pid)

    def down(self) -> None:
        """Kill it, and keep it down."""
        self._is_down = True
        self.kill()
        if self._process is not None:
            self._process.wait()

    def up(self) -> None:
        """Start it again, if it was kept down."""
        if self._is_down:
            self._is_down = False
            self.start()

    def processes(self) -> list[int]:
        """Return it and all that it started."""
        return family(self.pid) if self.pid is not None else []


class Database(Member):
    """A Patroni with its PostgreSQL, which outlives it."""

    data: Path

    def stop(self, limit: float) -> None:
        """End both, PostgreSQL by Patroni if that is alive to do so."""
        super().stop(limit)
        self.kill_postgres()

    def kill(self) -> None:
        """Let both be gone at once, as when the machine goes: first who would act upon it."""
        super().kill()
        self.kill_postgres()

    def kill_postgres(self) -> None:
        """Kill PostgreSQL alone, with all its backends."""
        kill(family(postmaster(self.data)))

    def processes(self) -> list[int]:
        """Return both."""
        return [*super().processes(), *family(postmaster(self.data))]


def postmaster(data: Path) -> int | None:
    """Return the process of the PostgreSQL that runs on a data folder, if one does."""
    try:
        pid = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return None
    words = processes.command_line(pid)
    return pid if str(data) in words or any(str(data) in word for word in words) else None


def family(pid: int | None) -> list[int]:
    """Return a process and all below it, itself first; none if there is none."""
    if pid is None:
        return []
    below: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            # The name stands in brackets, and may have spaces and brackets of its own.
            parent = int(status.read_text().rpartition(")")[2].split()[1])
            below.setdefault(parent, []).append(int(status.parent.name))
    found, look = [], [pid]
    while look:
        found.append(each := look.pop())
        look += below.get(each, [])
    return found


def kill(pids: Iterable[int]) -> None:
    """End these at once; one that is gone already is fine. They are gone when this returns."""
    left = list(pids)
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + 5
    while any(processes.command_line(pid) for pid in left) and time.monotonic() < end:
        time.sleep(0.01)


def hold_still(pids: Iterable[int], seconds: int) -> None:
    """Have these processes stand still for so long, whatever becomes of us meanwhile."""
    named = " ".join(map(str, pids))
    script = f"kill -STOP {named}; sleep {seconds}; kill -CONT {named}"
    background = f"({script}) </dev/null >/dev/null 2>&1 &"
    subprocess.run(["sh", "-c", background], start_new_session=True, check=True)
