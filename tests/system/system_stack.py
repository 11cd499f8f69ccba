"""Starts, breaks and looks at real processes. Only what it started is ended, by its own id."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import psycopg
from psycopg.rows import dict_row

from local import prepared
from local.postgres import Cluster
from local.processes import free_port

ROOT = Path(__file__).resolve().parents[2]
STAFF = "grace@example.org"
BY = ["--by", STAFF, "--reason", "a test"]
IMAGE = "/proxy/sandbox/v1/image"
CENT = 10_000


def modules(code: Path) -> str:
    """Return where the modules of some code lie."""
    return f"{code}{os.pathsep}{code / 'platform'}"


@dataclass
class Load:
    """What came of many calls: how often each status, and the call ids of the successes."""

    statuses: Counter[int] = field(default_factory=Counter)
    delivered: list[str] = field(default_factory=list)

    def note(self, status: int, call: str = "") -> None:
        self.statuses[status] += 1
        if status == 200:
            self.delivered.append(call)


class Stack:
    def __init__(self, folder: Path, *, results_at: str = "") -> None:
        """`results_at` is a name of this machine that others know, where vendors' results lie."""
        self.folder = folder
        self.results_at = results_at
        self.code = ROOT
        """From where the programs are started."""
        self.cluster = Cluster(folder / "pg")
        self.port, self.sandbox_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.web: subprocess.Popen[bytes] | None = None
        self.sandbox: subprocess.Popen[bytes] | None = None
        self.environment: dict[str, str] = {}
        self._manages: subprocess.Popen[str] | None = None
        self._manages_in: dict[str, str] = {}

    # --- processes ----------------------------------------------------------------------------

    def start(self) -> None:
        migrated = prepared.copy_to(self.cluster.data)
        self.cluster.start()
        if migrated:
            with psycopg.connect(self.cluster.dsn("postgres"), autocommit=True) as connection:
                connection.execute(f"ALTER DATABASE {prepared.DATABASE} RENAME TO comfy")
        else:
            self.cluster.create_database("comfy")
        own = ("PYTEST", "COV_", "DATABASE_URL", "CELERY", "VENDOR_", "DJANGO")
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(own)}
        self.environment = {
            **inherited,
            "PYTHONPATH": modules(ROOT),
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "DATABASE_URL": self.cluster.url("comfy"),
            "SECRET_KEY": "system-test-" + "0123456789" * 4,
            "KEY_PEPPERS": '{"1":"' + "6b" * 32 + '"}',
            "VENDOR_BASE_URL": f"http://127.0.0.1:{self.sandbox_port}/{{vendor}}",
            "VENDOR_BFL_KEY": "secret",
            "VENDOR_SANDBOX_KEY": "secret",
            "SANDBOX_OPERATIONS": "1",
            "SANDBOX_KEY": "secret",
            "SANDBOX_JOB_SECONDS": "0",
            "DATA_DIR": str(self.folder / "data"),
            "ADJUSTMENT_LIMIT_USD": "1000000",
            "CONCURRENCY_TIERS": "",
        }
        if not migrated:
            self.manage("migrate", "-v0")
        self.manage("member", "add", STAFF, "--staff")
        words = ["-m", "sandbox", "--port", str(self.sandbox_port)]
        if self.results_at:
            words += ["--host", "0.0.0.0"]
            where = f"http://{self.results_at}:{self.sandbox_port}"
            self.environment["SANDBOX_PUBLIC_URL"] = where
        self.sandbox = self._spawn("sandbox", words)
        self.await_port("sandbox", self.sandbox_port)

    def start_web(
        self, *, workers: int = 1, grace: int = 20, drain: int = 0, files: int = 0
    ) -> None:
        if self.web is not None:  # A test before failed.
            self.kill_web()
        options = ["--port", str(self.port), "--workers", str(workers), "--grace", str(grace)]
        options += ["--drain", str(drain)]
        self.web = self._spawn("web", ["-m", "config.web", *options], files=files)
        self.await_port("web", self.port)
        self._await_health()

    def stop_web(self) -> int:
        """End the web process as an operator does; return its exit status."""
        assert self.web is not None
        self.web.send_signal(signal.SIGTERM)
        status = self.web.wait(40)
        self.web = None
        return status

    def kill_web(self) -> None:
        """Let all its processes be gone at once, as when the machine goes."""
        assert self.web is not None
        os.killpg(self.web.pid, signal.SIGKILL)
        self.web.wait(10)
        self.web = None

    def stop(self) -> None:
        self._end_manager()
        for process in (self.web, self.sandbox):
            if process is not None and process.poll() is None:
                process.terminate()
                try:
                    process.wait(15)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait(10)
        self.cluster.stop()

    def _spawn(self, name: str, words: list[str], *, files: int = 0) -> subprocess.Popen[bytes]:
        """Start one of our programs, which may open so many files; 0: as many as we may."""

        def limit() -> None:
            if files:
                resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))

        environment = self.environment
        if self.code != ROOT:  # Programs of the version before; commands are ours.
            environment = {**environment, "PYTHONPATH": modules(self.code)}
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, *words],
                cwd=self.code,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=limit,
            )

    def listens(self) -> bool:
        """Whether anybody takes a connection where the web process is reached."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def await_port(self, name: str, port: int) -> None:
        end = time.monotonic() + 180  # Only what hangs: others work here, too.
        while True:
            with contextlib.suppress(OSError):
                return socket.create_connection(("127.0.0.1", port), 1).close()
            if time.monotonic() > end:
                log = (self.folder / f"{name}.log").read_text(errors="replace")
                raise AssertionError(f"{name} does not listen at {port}: {log[-3000:]}")
            time.sleep(0.05)

    def _await_health(self) -> None:
        end = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError):
                return urllib.request.urlopen(f"{self.url}/health", timeout=2).close()
            assert time.monotonic() < end, "it is not healthy"
            time.sleep(0.05)

    def manage(self, *words: str) -> str:
        """Carry out a command of `manage.py`; return what it says."""
        files = [str(self.folder / f"manage.{name}") for name in ("out", "err")]
        manager = self._manager()
        assert manager.stdin is not None
        assert manager.stdout is not None
        asked = {"words": words, "out": files[0], "err": files[1]}
        manager.stdin.write(f"{json.dumps(asked)}\n")
        manager.stdin.flush()
        # Only what hangs: all migrations take a minute where others work, too.
        assert select.select([manager.stdout], [], [], 240)[0], f"{words} hangs"
        status = manager.stdout.readline()
        said, complained = (Path(file).read_text() for file in files)
        assert status == "0\n", said + complained
        return said

    def _manager(self) -> subprocess.Popen[str]:
        """Return who carries commands out, in the environment of now."""
        wanted = {k: v for k, v in self.environment.items() if k != "FAIL_POINT"}  # Of programs.
        if self._manages is not None and self._manages_in == wanted:
            return self._manages
        self._end_manager()
        self._manages_in = wanted
        with (self.folder / "manage.log").open("ab") as log:
            self._manages = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("manage_process.py"))],
                cwd=ROOT,
                env=wanted,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        return self._manages

    def _end_manager(self) -> None:
        if self._manages is not None:
            self._manages.communicate(timeout=15)
            self._manages = None

    # --- people and books ---------------------------------------------------------------------

    def members(self, count: int, usd: str) -> list[dict[str, str]]:
        script = (
            "from django.core.management import call_command\n"
            "for email in {emails}:\n"
            "    words = ['--credits', '{usd}', *{by}, '--key=k', '--json']\n"
            "    call_command('member', 'add', email, *words)\n"
        )
        emails = [f"{uuid.uuid4().hex}@example.org" for _ in range(count)]
        said = self.manage("shell", "-v0", "-c", script.format(emails=emails, usd=usd, by=BY))
        return [json.loads(line) for line in said.splitlines() if line]

    def member(self, usd: str) -> dict[str, str]:
        email = f"{uuid.uuid4().hex}@example.org"
        said = self.manage("member", "add", email, "--credits", usd, *BY, "--key", "k", "--json")
        made: dict[str, str] = json.loads(said)
        return made

    def rows(self, sql: str, *parameters: Any) -> list[dict[str, Any]]:
        with psycopg.connect(
            self.cluster.dsn("comfy"), autocommit=True, row_factory=dict_row
        ) as connection:
            cursor = connection.execute(sql, parameters)
            return cursor.fetchall() if cursor.description else []

    def calls(self, member: dict[str, str]) -> list[dict[str, Any]]:
        return self.rows(
            "SELECT id::text, number, outcome, charged_micros FROM usage_call"
            " WHERE workspace_id = %s ORDER BY number",
            member["workspace_id"],
        )

    def charged(self, member: dict[str, str]) -> dict[str, int]:
        """Return the id of each call that was charged, and its entry's amount."""
        found = self.rows(
            "SELECT substr(key, 6) AS id, amount_micros FROM credits_entry"
            " WHERE debit_id = %s AND kind = 'call'",
            member["workspace_id"],
        )
        return {row["id"]: row["amount_micros"] for row in found}

    def wallet(self, member: dict[str, str]) -> tuple[int, int]:
        (row,) = self.rows(
            "SELECT balance_micros, held_micros FROM credits_account WHERE id = %s",
            member["workspace_id"],
        )
        return row["balance_micros"], row["held_micros"]

    def holds(self) -> int:
        (row,) = self.rows("SELECT count(*) AS n FROM credits_hold")
        return int(row["n"])

    def sweep(self) -> None:
        """Let the time of all holds be over, and sweep as beat would."""
        self.rows(
            "UPDATE credits_hold SET placed_at = now() - interval '2 days',"
            " expires_at = now() - interval '1 minute'"
        )
        self.manage(
            "shell",
            "-v0",
            "-c",
            "from proxy import tasks\nwhile tasks.sweep_holds(): pass",
        )

    def reconcile(self) -> str:
        return self.manage("reconcile")

    def accepted(self) -> int:
        url = f"http://127.0.0.1:{self.sandbox_port}/control/counts"
        with urllib.request.urlopen(url, timeout=60) as answer:
            return int(json.load(answer)["sandbox"]["accepted"])

    # --- load ---------------------------------------------------------------------------------

    async def fire(self, key: str, count: int, *, connections: int = 64) -> Load:
        """Make so many calls over so many connections, each as soon as the one before is back."""
        load, left = Load(), iter(range(count))

        async def one(session: aiohttp.ClientSession) -> None:
            for n in left:
                body = {"prompt": f"call {n}", "width": 8, "height": 8}
                await call(session, self.url, key, body, load)

        await self._over(connections, one)
        return load

    async def press(self, key: str, over: asyncio.Event, into: Load | None = None) -> Load:
        """Call without a pause until `over`; a broken connection is status 0."""
        load = into or Load()

        async def one(session: aiohttp.ClientSession) -> None:
            n = 0
            while not over.is_set():
                n += 1
                body = {"prompt": f"{uuid.uuid4()}", "width": 8, "height": 8}
                good = load.statuses[200]
                await call(session, self.url, key, body, load)
                if load.statuses[200] == good:
                    await asyncio.sleep(0.02)

        await self._over(32, one)
        return load

    @staticmethod
    async def _over(connections: int, one: Any) -> None:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            await asyncio.gather(*(one(session) for _ in range(connections)))


async def call(
    session: aiohttp.ClientSession, url: str, key: str, body: dict[str, Any], load: Load
) -> None:
    try:
        async with session.post(url + IMAGE, json=body, headers={"X-API-KEY": key}) as answer:
            await answer.read()
            load.note(answer.status, answer.headers.get("Call-Id", ""))
    except (aiohttp.ClientError, OSError, TimeoutError):
        load.note(0)


def prove(stack: Stack, member: dict[str, str], load: Load) -> None:
    """What was given was charged once; what was not is at most charged for a finished call."""
    calls = {call["id"]: call for call in stack.calls(member)}
    charged = stack.charged(member)
    assert len(load.delivered) == len(set(load.delivered))
    for call in load.delivered:
        assert calls[call]["outcome"] == "delivered"
        assert charged[call] == CENT
    assert charged.keys() == {id_ for id_, call in calls.items() if call["outcome"] == "delivered"}
    assert set(charged.values()) <= {CENT}
    numbers = sorted(call["number"] for call in calls.values())
    assert numbers == list(range(2, len(calls) + 2)), "gapless"

    stack.sweep()
    assert stack.holds() == 0
    assert stack.wallet(member)[1] == 0
    assert stack.charged(member) == charged, "the sweep charges nothing"
    assert "DIFFERS" not in stack.reconcile()
