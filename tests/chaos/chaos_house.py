"""All programs of an installation on this machine, each of which may die, stand still or come back.

Who looks after them does what systemd does: what ended and should run is started again.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row
from runs_at_work import RunStack

from local.postgres import Cluster
from local.processes import free_port
from local.up import embedded_broker
from sandbox.stripe.remote import Remote
from tests.chaos import programs
from tests.chaos.programs import FAKETIME, Program
from tests.chaos.small_disk import SmallDisk

SECRET = "whsec_of_chaos"
UP_SECONDS = 900
"""Only for what hangs: others work on this machine, too."""


class House(RunStack):
    """Two web processes, two workers, beat, a runner, a machine, and what is around them."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.books_disk, self.files_disk = (SmallDisk(folder / n) for n in ("books", "files"))
        self.cluster = Cluster(folder / "books" / "pg", log=folder / "postgres.log")
        self.other_port, self.stripe_port, self.redis_port = (free_port() for _ in range(3))
        self.urls = [self.url, f"http://127.0.0.1:{self.other_port}"]
        self.stripe = Remote(f"http://127.0.0.1:{self.stripe_port}")
        self.programs: dict[str, Program] = {}
        self.clock = folder / "clock"
        self.machine_port = free_port()
        self._lock = threading.RLock()
        self._postgres_wanted = True
        self._is_over = False

    # --- all of it ----------------------------------------------------------------------------

    def start(self) -> None:
        """Have everything run, each program at work."""
        self.books_disk.mount()
        self.files_disk.mount()
        super().start()
        assert self.sandbox is not None
        self.environment |= {
            "DATA_DIR": str(self.files_disk.folder),
            "SANDBOX_JOB_SECONDS": "0.5",
            "STRIPE_API_KEY": "sk_test_of_chaos",
            "STRIPE_API_BASE": self.stripe.url,
            "STRIPE_WEBHOOK_SECRETS": SECRET,
            "FAKE_STRIPE_WEBHOOK_SECRET": SECRET,
            "FAKE_STRIPE_STATE": str(self.folder / "stripe.json"),
            **self._broker(),
        }
        self.sandbox.terminate()  # That one made jobs at once.
        self.sandbox.wait(15)
        self.step_clock(0)
        self.programs = {each.name: each for each in programs.all_of(self)}
        for program in self.programs.values():
            program.wanted = True
            self._launch(program)
        self.tend()
        self.scramble(duplicate=0, reorder=False, drop_next=0)

    def stop(self) -> None:
        self._is_over = True  # Whoever waits for the database waits in vain.
        for program in reversed(self.programs.values()):
            program.wanted = False
            self._signal(program, signal.SIGCONT)
            self._signal(program, signal.SIGKILL)
            if program.process is not None:
                program.process.wait(20)
        self.sandbox = None
        self.signal_postgres(signal.SIGCONT)
        super().stop()
        self.books_disk.unmount()
        self.files_disk.unmount()

    def left_out(self) -> list[str]:
        """Return what cannot be done on this machine, a line each."""
        found = []
        if not (self.books_disk.is_real and self.files_disk.is_real):
            found.append("full disks: mounting a file system needs root")
        if not FAKETIME.exists():
            found.append("clock steps: libfaketime is not installed (apt install libfaketime)")
        if "redis" not in self.programs:
            found.append(
                "kills of Redis: redis-server is not installed; the broker is the database"
            )
        return found

    def _broker(self) -> dict[str, str]:
        if shutil.which("redis-server") is None:
            return embedded_broker(self.cluster.url("comfy"))
        address = f"redis://127.0.0.1:{self.redis_port}"
        return {"CELERY_BROKER_URL": f"{address}/0", "CACHE_URL": f"{address}/1"}

    # --- one program --------------------------------------------------------------------------

    def begin(self, name: str) -> None:
        """Have it run, and listen."""
        if name == "postgres":
            self._postgres_wanted = True
            with self._lock:
                self.cluster.start()
            return
        program = self.programs[name]
        program.wanted = True
        with self._lock:
            if program.process is None or program.process.poll() is not None:
                self._launch(program)
        if program.port:
            self.await_port(name, program.port)

    def kill(self, name: str) -> None:
        """Have it be gone at once, in the middle of whatever it does, and stay away."""
        if name == "postgres":
            self._postgres_wanted = False
            with self._lock:
                server = self.cluster._server
                if server is not None:
                    server.kill()
                    server.wait(30)
            return
        program = self.programs[name]
        program.wanted = False
        self._signal(program, signal.SIGKILL)
        if program.process is not None:
            program.process.wait(30)

    def terminate(self, name: str) -> None:
        """End it as an operator does who brings the next version."""
        program = self.programs[name]
        program.wanted = False
        if program.process is None:
            return
        program.process.terminate()
        try:
            program.process.wait(60)
        except subprocess.TimeoutExpired:  # It has its own time limit; systemd has one, too.
            self._signal(program, signal.SIGKILL)
            program.process.wait(30)

    def freeze(self, name: str, *, thawed: bool = False) -> None:
        """Have all its processes stand still; or go on."""
        number = signal.SIGCONT if thawed else signal.SIGSTOP
        if name == "postgres":
            self.signal_postgres(number)
        else:
            self._signal(self.programs[name], number)

    def tend(self) -> None:
        """Start what should run and does not, and wait for all that listens."""
        end = time.monotonic() + UP_SECONDS
        while True:
            if self._postgres_wanted:
                with self._lock:
                    self.cluster.start()
            for program in self.programs.values():
                if program.wanted:
                    self.begin(program.name)
            if self.cluster.ready() and all(map(self._lives, self.programs.values())):
                return
            assert time.monotonic() < end, "something does not come back"
            time.sleep(0.2)

    def await_port(self, name: str, port: int) -> None:
        self.until(lambda: _listens(port))

    def until(self, what: Callable[[], Any], *, seconds: float = UP_SECONDS) -> Any:
        return super().until(what, seconds=seconds)

    def signal_postgres(self, number: signal.Signals) -> None:
        """Signal the server and all that it forked."""
        server = self.cluster._server
        if server is None:
            return
        for pid in (server.pid, *programs.children(server.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    @staticmethod
    def _lives(program: Program) -> bool:
        return not program.wanted or (
            program.process is not None and program.process.poll() is None
        )

    @staticmethod
    def _signal(program: Program, number: signal.Signals) -> None:
        if program.process is not None and program.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(program.process.pid, number)

    def _launch(self, program: Program) -> None:
        program.starts += 1
        if program.name == "redis":
            words = ["redis-server", "--port", str(program.port), "--save", "", "--dir",
                     str(self.folder), "--bind", "127.0.0.1"]  # fmt: skip
            with (self.folder / "redis.log").open("ab") as log:
                program.process = subprocess.Popen(
                    words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
                )
            return
        before = self.environment
        self.environment = {**before, **program.more}
        try:
            program.process = self._spawn(program.name, program.words)
        finally:
            self.environment = before

    def query(self, sql: str, given: Any = ()) -> list[dict[str, Any]]:
        """Return rows, once the server takes questions again."""
        end = time.monotonic() + UP_SECONDS
        while True:
            try:
                with psycopg.connect(
                    self.cluster.dsn("comfy"), autocommit=True, row_factory=dict_row
                ) as db:
                    return db.execute(sql, given).fetchall()
            except psycopg.OperationalError:
                if self._is_over or time.monotonic() > end:
                    raise
                time.sleep(0.2)

    # --- what is around them ------------------------------------------------------------------

    def step_clock(self, seconds: int) -> None:
        """Have the clock of the stepped program be wrong by so much."""
        new = self.clock.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n")
        new.replace(self.clock)

    def scramble(self, *, duplicate: int, reorder: bool, drop_next: int) -> None:
        """Have Stripe tell its events so, to the first web process."""
        self.stripe.post(
            "webhook", url=f"{self.url}/webhooks/stripe", secrets=[SECRET], duplicate=duplicate,
            reorder=reorder, drop_next=drop_next, drop_all=False, delay_seconds=0.2 * duplicate,
        )  # fmt: skip

    def await_serving(self) -> None:
        """Return once both web processes say that they serve."""
        for url in self.urls:
            self.until(lambda url=url: self._says_well(url), seconds=UP_SECONDS)

    @staticmethod
    def _says_well(url: str) -> bool:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/serving", timeout=5):
            return True
        return False


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
