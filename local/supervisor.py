"""Starts what `up` needs, in order, keeps it running, and stops it in the reverse order.

    start -> ready -> start the next ...   a child that dies is started again, a little later
                                           each time; one that keeps dying ends everything

The rule it keeps: no process outlives it. Each child is tied to us by the kernel where that can
be done; where it cannot, the children are written down, and the next start ends what was left.
Signals only set a mark, which every wait looks at: nothing is interrupted half-way.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Protocol, Self

from local import processes

DEATHS = 5
DEATHS_WITHIN_SECONDS = 30.0
LEFTOVER_SECONDS = 15.0


class Failed(Exception):
    """We cannot go on; the message is one line for a person."""


class Stopped(Exception):
    """Somebody asked us to stop."""


class Service(Protocol):
    """What can be supervised."""

    @property
    def name(self) -> str:
        """What it is called on screen and in the logs."""

    @property
    def log(self) -> Path:
        """Where it writes."""

    def start(self) -> None:
        """Have it running; it need not be ready yet."""

    def ready(self) -> bool:
        """Whether it does its work."""

    def poll(self) -> int | None:
        """Its exit status, or None while it runs."""

    def stop(self, limit: float) -> None:
        """End it, gently for that many seconds."""


def answers(url: str, *, field: str = "") -> Callable[[], bool]:
    """Make a readiness: `url` answers with 200; if a field is named, it is true in the JSON."""

    def ready() -> bool:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310
                return bool(answer.status == 200 and (not field or json.load(answer)[field]))
        except (OSError, ValueError, KeyError):  # OSError is HTTPError, too.
            return False

    return ready


class Child:
    """A service that is a command."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        logs: Path,
        environment: Mapping[str, str],
        ready: Callable[[], bool] = lambda: True,
        cwd: Path | None = None,
        prefix: Sequence[str] = (),
    ) -> None:
        """`prefix` makes it somebody else's, before the kernel is told to end it with us."""
        self.name = name
        self.command = list(command)
        self.log = logs / f"{name}.log"
        self.ready = ready
        self.pid: int | None = None
        self._environment = dict(environment)
        self._cwd = cwd
        self._prefix = list(prefix)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, after ending whatever its last run left behind."""
        if self.pid is not None:
            processes.kill_group(self.pid)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._prefix, *processes.tied("TERM"), *self.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._cwd,
                env=self._environment,
                start_new_session=True,
            )
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """Its exit status, or None while it runs."""
        return None if self._process is None else self._process.poll()

    def stop(self, limit: float) -> None:
        """Ask it to end; after `limit` seconds, end it and all that it started."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(limit)
        processes.kill_group(self._process.pid)
        self._process.wait()
        self._process = None
        self.pid = None


class DataLock:
    """The right to use a data folder, held by one process at a time.

    The kernel gives it back however we end; the file tells the next holder which children we had
    if we were killed.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / "lock").open("a+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise Failed(
                f"another `up` or `cluster` is running on {folder}: stop it, or give --data."
            ) from None
        self._file.seek(0)
        self.left_behind = self._read()

    def note(self, children: Mapping[int, Sequence[str]]) -> None:
        """Write down who would be left if we were killed now."""
        self._file.seek(0)
        self._file.truncate()
        json.dump(
            {"children": {str(pid): list(words) for pid, words in children.items()}}, self._file
        )
        self._file.flush()

    def release(self) -> None:
        """Give the folder back, in order; doing so again does nothing."""
        if not self._file.closed:
            self._file.truncate(0)
            self._file.close()

    def _read(self) -> dict[int, list[str]]:
        """Return the children of a holder that was killed; none if the last one ended in order."""
        text = self._file.read()
        try:
            noted = json.loads(text)["children"]
            return {int(pid): list(words) for pid, words in noted.items()}
        except (ValueError, KeyError):
            return {}


class Supervisor:
    """Holds a data folder and the services on it, from `with` to its end."""

    def __init__(self, data: Path, *, say: Callable[[str], None] = print) -> None:
        self._say = say
        self._services: list[Service] = []
        self._deaths: dict[str, list[float]] = {}
        self._due: dict[str, float] = {}
        self._asked_to_stop = False
        self._lock = DataLock(data)
        self._end_leftovers()

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._asked)
        if hasattr(signal, "SIGHUP"):  # The terminal was closed.
            signal.signal(signal.SIGHUP, self._asked)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, service: Service, *, limit: float = 180) -> None:
        """Return when the service is ready; raise Failed if it dies first, or takes too long.

        A machine that has much else to do takes minutes for what is done in seconds.
        """
        self.check()
        self._services.append(service)
        service.start()
        self._note()
        self.wait_for(
            service.ready, f"{service.name} was not ready in time: see {service.log}", limit=limit
        )

    def wait_for(self, ready: Callable[[], bool], otherwise: str, *, limit: float = 60) -> None:
        """Return when `ready`; raise Failed after `limit` seconds, or when a child has died."""
        end = time.monotonic() + limit
        patience = 0.05
        while not ready():
            for service in self._services:
                if service.poll() is not None:
                    raise Failed(died(service))
            if time.monotonic() > end:
                raise Failed(otherwise)
            self.pause(patience)
            patience = min(patience * 1.2, 0.5)

    def run(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        cwd: Path,
        given: str = "",
    ) -> str:
        """Run one command to its end, and return what it printed; raise Failed if it fails.

        `given` is what it reads, at most what a pipe holds.
        """
        self.check()
        with subprocess.Popen(
            [*processes.tied("TERM"), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=dict(environment),
            cwd=cwd,
            start_new_session=True,
        ) as process:
            assert process.stdin is not None, "it is a pipe"
            with contextlib.suppress(BrokenPipeError), process.stdin as its_input:
                its_input.write(given)
            process.stdin = None  # Closed: nobody else writes there.
            while True:
                try:
                    printed, complained = process.communicate(timeout=0.1)
                    break
                except subprocess.TimeoutExpired:
                    if self._asked_to_stop:
                        process.terminate()
        self.check()
        if process.returncode:
            said = (complained or printed).strip() or f"exit status {process.returncode}"
            raise Failed(f"`{' '.join(command[1:])}` failed:\n{said}")
        return printed

    def watch(self) -> None:
        """Keep everything running until somebody asks to stop, which raises Stopped."""
        while True:
            self.tend(0.1)

    def tend(self, seconds: float) -> None:
        """Keep everything running for so long; raise Stopped as soon as somebody asks to stop."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.pause(min(left, 0.1))
            for service in self._services:
                self._look_after(service)

    def pause(self, seconds: float) -> None:
        """Sleep; raise Stopped as soon as somebody asks to stop."""
        end = time.monotonic() + seconds
        self.check()
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 0.05))
            self.check()

    def check(self) -> None:
        """Raise Stopped if somebody asked to stop."""
        if self._asked_to_stop:
            raise Stopped

    def stop(self, limit: float = 15) -> None:
        """End every service, the last started first, each within `limit` seconds; then let go."""
        while self._services:
            service = self._services.pop()
            service.stop(limit)
            self._say(f"stopped {service.name}")
        self._lock.release()

    def _asked(self, _number: int, _frame: FrameType | None) -> None:
        self._asked_to_stop = True

    def _look_after(self, service: Service) -> None:
        """Start a service again that has died, unless it keeps doing so."""
        now = time.monotonic()
        if service.poll() is None:
            return
        if service.name not in self._due:
            deaths = [
                at for at in self._deaths.get(service.name, []) if now - at < DEATHS_WITHIN_SECONDS
            ]
            self._deaths[service.name] = [*deaths, now]
            if len(deaths) + 1 >= DEATHS:
                raise Failed(f"{died(service)}\n{service.name} keeps dying: giving up.")
            self._due[service.name] = now + 0.1 * 3 ** len(deaths)
            self._say(f"{died(service)}; starting it again")
        elif now >= self._due[service.name]:
            del self._due[service.name]
            service.start()
            self._note()

    def _note(self) -> None:
        children = [service for service in self._services if isinstance(service, Child)]
        self._lock.note({child.pid: child.command for child in children if child.pid})

    def _end_leftovers(self) -> None:
        """End the children of a supervisor that was killed; those tied to it are ending already.

        A number may since be somebody else's, so it must still be the command that we started.
        """

        def left() -> list[int]:
            noted = self._lock.left_behind.items()
            return [pid for pid, words in noted if same(processes.command_line(pid), words)]

        end = time.monotonic() + LEFTOVER_SECONDS
        for pid in left():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        while left() and time.monotonic() < end:
            time.sleep(0.05)
        for pid in left():
            processes.kill_group(pid)


def same(running: Sequence[str], started: Sequence[str]) -> bool:
    """Whether a running command is the one that was started; a program may change its own name."""
    return bool(running) and " ".join(running[1:]) == " ".join(started[1:])


def died(service: Service) -> str:
    """One line on how a service ended, with the end of its log."""
    try:
        lines = service.log.read_text(errors="replace")[-2000:].strip().splitlines()
    except OSError:
        lines = []
    last = f": {lines[-1].strip()}" if lines else ""
    return f"{service.name} died with status {service.poll()} (see {service.log}){last}"
