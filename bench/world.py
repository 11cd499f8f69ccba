"""All that the bench runs on: its own durable PostgreSQL, members, nginx, the web process."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.postgres import TcpCluster
from local import processes
from local.postgres import programs
from local.supervisor import Child, answers, died

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
DATABASE = "bench"
TPCB = "tpcb"
TPCB_SCALE = 20
ECHO = "/sandbox/v1/echo"
INSTALL = {"nginx": "nginx", "pgbench": "postgresql"}
ANSWER_BYTES = 645


class BenchFailed(Exception):
    """The bench cannot tell anything; the message is one line that says why."""


class World:
    """Everything started, from `with` to its end; nothing of it stays."""

    def __init__(self, accounts: int) -> None:
        self.nginx = program("nginx", Path("/usr/sbin"), Path("/usr/local/sbin"))
        self.pgbench = program(
            "pgbench",
            *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True),
            programs(),
        )
        self.accounts = accounts
        self.folder = Path(tempfile.mkdtemp(prefix="comfy-bench-"))
        self.folder.chmod(0o755)  # nginx's workers are nobody.
        self.cluster = TcpCluster(self.folder / "pg")
        self.children: dict[str, Child] = {}
        self.ports: dict[str, int] = {}

    def __enter__(self) -> Self:
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        try:
            self._set_up()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def _set_up(self) -> None:
        self.cluster.start()
        self.cluster.create_database(DATABASE)
        self.cluster.create_database(TPCB)
        self.run([sys.executable, "manage.py", "migrate", "-v", "0"])
        self.run([sys.executable, "-m", "bench.accounts", str(self.accounts)])
        self.run([self.pgbench, "-i", "-q", "-s", str(TPCB_SCALE), self.cluster.dsn(TPCB)])
        self._start_nginx("stub")
        self._start_nginx("relay")

    def close(self) -> None:
        """End everything, and remove the folder."""
        for name in reversed(list(self.children)):
            self.stop(name)
        self.cluster.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def environment(self, vendor_port: int) -> dict[str, str]:
        """Return the settings of a platform whose vendors are all at that port."""
        return {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "platform")]),
            "DATABASE_URL": self.cluster.url(DATABASE),
            "SECRET_KEY": "bench-only-" + "0123456789" * 5,
            "KEY_PEPPERS": '{"1":"' + "b5" * 32 + '"}',
            "VENDOR_BASE_URL": f"http://127.0.0.1:{vendor_port}/{{vendor}}",
            "VENDOR_SANDBOX_KEY": "bench",
            "SANDBOX_OPERATIONS": "1",
            "ALLOWED_HOSTS": "*",
            "CONNECTIONS_PER_ADDRESS": "8192",  # All of its clients are on this machine.
            "CONCURRENCY_TIERS": "0:100000",  # A limit that is judged, and that nobody meets.
            "DEBUG": "0",
            "DATA_DIR": str(self.folder),
        }

    def run(self, command: list[str], **more: str) -> str:
        """Run a step; return what it printed, or raise its last line."""
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**self.environment(1), **more},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip()).splitlines() or ["?"]
            raise BenchFailed(f"{' '.join(command[:4])}: {said[-1]}")
        return done.stdout

    def start_web(self, vendor: str = "stub", *, profile: Path | None = None) -> None:
        """Start our web process, one worker, with its vendors at that service."""
        port = self.ports["web"] = processes.free_port()
        words = ["config.web"] if profile is None else ["bench.profiled", str(profile)]
        self._start(
            "web",
            [sys.executable, "-m", *words, "--port", str(port)],
            self.environment(self.ports[vendor]),
            answers(f"http://127.0.0.1:{port}/health"),
        )

    def start_slow_vendor(self, seconds: float) -> None:
        """Start the vendor that keeps everybody waiting."""
        port = self.ports["slow"] = processes.free_port()
        command = [sys.executable, "-m", "bench.slow_vendor", str(port), str(seconds)]
        self._start("slow", command, self.environment(1), lambda: listens(port))

    def stop(self, name: str, *, number: signal.Signals = signal.SIGTERM) -> None:
        """End a service."""
        child = self.children.pop(name)
        if number is not signal.SIGTERM and child.pid is not None:
            os.kill(child.pid, number)
            end = time.monotonic() + 30
            while child.poll() is None and time.monotonic() < end:
                time.sleep(0.05)
        child.stop(35)

    def pid(self, name: str) -> int:
        """Return the process of a service, by which its whole tree is found."""
        if name == "postgres":
            return int((self.cluster.data / "postmaster.pid").read_text().split("\n", 1)[0])
        pid = self.children[name].pid
        assert pid is not None, "a child that was started has a number"
        return pid

    def url(self, name: str, path: str) -> str:
        """Return where a service answers."""
        return f"http://127.0.0.1:{self.ports[name]}{path}"

    def reconcile(self) -> None:
        """Raise unless the books are exact."""
        self.run([sys.executable, "manage.py", "reconcile"])

    def _start_nginx(self, name: str) -> None:
        self.ports[name] = processes.free_port()
        text = (HERE / "nginx" / f"{name}.conf").read_text()
        text = text.replace("@ANSWER@", answer())
        for service, port in self.ports.items():
            text = text.replace(f"@{service.upper()}@", str(port))
        file = self.folder / f"{name}.conf"
        file.write_text(text)
        self._start(
            name,
            [self.nginx, "-p", str(self.folder), "-c", str(file), "-e", "stderr"],
            dict(os.environ),
            lambda: listens(self.ports[name]),
        )

    def _start(
        self, name: str, command: list[str], environment: dict[str, str], ready: Callable[[], bool]
    ) -> None:
        child = self.children[name] = Child(
            name, command, logs=self.folder, environment=environment, ready=ready, cwd=ROOT
        )
        child.start()
        end = time.monotonic() + 60
        while not child.ready():
            if child.poll() is not None or time.monotonic() > end:
                raise BenchFailed(f"{name} did not start: {died(child)}")
            time.sleep(0.05)


def program(name: str, *places: Path) -> str:
    """Return a program of the machine's, on PATH or in its usual places."""
    found = shutil.which(name) or next(
        (path for place in places if (path := shutil.which(name, path=str(place)))), None
    )
    if found is None:
        raise BenchFailed(f"{name} is missing: apt-get install {INSTALL[name]}")
    return found


def listens(port: int) -> bool:
    """Whether somebody takes connections there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def answer() -> str:
    """Return what the stub vendor always says: as long as a short answer of a language model."""
    said: dict[str, Any] = {"ok": True, "bytes": 0, "usage": {"units": 1}, "text": ""}
    said["text"] = "x" * (ANSWER_BYTES - len(json.dumps(said)))
    return json.dumps(said)
