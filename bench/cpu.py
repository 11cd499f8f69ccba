"""CPU time and memory of process trees, from /proc (Linux)."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PROC = Path("/proc")


def tree(root: int) -> list[int]:
    """Return a process and all its living descendants."""
    children: dict[int, list[int]] = {}
    for folder in PROC.iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                children.setdefault(int(_stat(int(folder.name))[1]), []).append(int(folder.name))
    found = [root]
    for pid in found:  # It grows while we walk.
        found += children.get(pid, [])
    return found


def seconds(root: int) -> float:
    """Return the CPU seconds of a tree so far, with those of the children that it has reaped."""
    ticks = 0
    for pid in tree(root):
        with contextlib.suppress(OSError):
            ticks += sum(int(field) for field in _stat(pid)[11:15])
    return ticks / TICKS


def machine_seconds() -> float:
    """Return the CPU seconds that the whole machine has worked since it started."""
    user, nice, system, _idle, _wait, irq, softirq = (
        int(field) for field in (PROC / "stat").read_text().split(None, 8)[1:8]
    )
    return (user + nice + system + irq + softirq) / TICKS


def resident_kib(root: int) -> int:
    """Return the resident memory of a tree."""
    total = 0
    for pid in tree(root):
        with contextlib.suppress(OSError):
            for line in (PROC / str(pid) / "status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    total += int(line.split()[1])
    return total


def _stat(pid: int) -> list[str]:
    """Return the fields after the command's name: state, parent, ... user, system, reaped."""
    return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
