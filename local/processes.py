"""Small truths about processes, the same for everything that starts one."""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
import signal
import socket
import subprocess
from pathlib import Path

UNLESS_ORPHANED = 'test "$PPID" = "$0" && exec "$@"'


def tied(death_signal: str) -> list[str]:
    """Return the command prefix that has a child signalled when we die, however we die.

    The kernel watches the thread that starts the child, so start it from one that stays. A child
    whose parent died before the kernel was told does not start. Where there is no such thing (not
    Linux, or no setpriv) the prefix is empty: a child may outlive us.
    """
    if not can_tie():
        return []
    return ["setpriv", "--pdeathsig", death_signal, "sh", "-c", UNLESS_ORPHANED, str(os.getpid())]


@functools.cache
def can_tie() -> bool:
    """Whether this machine can end a child together with us."""
    return succeeds(["setpriv", "--pdeathsig", "TERM", "true"])


def succeeds(command: list[str]) -> bool:
    """Whether the command can be run and exits with 0."""
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def command_line(pid: int) -> list[str]:
    """Return what a process was started as; empty when there is no such process."""
    if Path("/proc/self/cmdline").exists():
        try:
            return os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes()).split("\0")[:-1]
        except OSError:
            return []
    told = subprocess.run(
        ["ps", "-p", str(pid), "-o", "command="], capture_output=True, text=True, check=False
    )
    return told.stdout.split()


def kill_group(leader: int) -> None:
    """Leave nothing of the process group of a child that had a session of its own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def free_port() -> int:
    """Return a port of this machine that nobody listens at just now.

    It is none of those that systems take for connections that go out (from 32768 on Linux): one
    of these may be taken between this and the moment when a program listens at it.
    """
    while not port_is_free(port := 10_000 + secrets.randbelow(22_768)):
        pass
    return port


def port_is_free(port: int) -> bool:
    """Whether we could listen at `port`."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
