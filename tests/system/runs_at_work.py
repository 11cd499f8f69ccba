"""Runs with real processes: web, runner, machines, and what nodes call; each may be killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from system_stack import BY, Stack

from local.processes import free_port

ENDED = ("succeeded", "failed", "canceled", "expired")
JOBS = "/api/v2/jobs"


class RunStack(Stack):
    """The platform with a runner and machines."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.runner: subprocess.Popen[bytes] | None = None
        self.machines: dict[str, subprocess.Popen[bytes]] = {}
        self._ports: dict[str, int] = {}
        self._bases: dict[str, str] = {}

    def stop(self) -> None:
        for process in (self.runner, *self.machines.values()):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait(10)
        super().stop()

    def start_machines(self, *machines: tuple[str, str, str], api_base: str = "") -> None:
        """Have machines: each its name, the label by which runs ask for it, dollars a second."""
        added = []
        for name, label, per_second in machines:
            self._ports[name], self._bases[name] = free_port(), api_base or self.url
            self.begin_machine(name)
            url = f"http://127.0.0.1:{self._ports[name]}"
            words = ["--accelerator", label, "--per-second", per_second, *BY]
            added.append(["worker", "add", name, url, *words])
        script = (
            "from django.core.management import call_command\n"
            f"for words in {added}:\n"
            "    call_command(*words)\n"
        )
        self.manage("shell", "-v0", "-c", script)

    def begin_machine(self, name: str) -> None:
        words = ["-m", "sandbox.comfy_worker", "--port", str(self._ports[name])]
        words += ["--api-base", self._bases[name], "--home", str(self.folder / f"home-{name}")]
        self.machines[name] = self._spawn(name, words)
        self.await_port(name, self._ports[name])

    def kill_machine(self, name: str) -> None:
        self.machines[name].kill()
        self.machines[name].wait(10)

    def start_runner(self, *, dies_at: str = "") -> None:
        """Have a runner; one that `dies_at` a named place ends itself there, as a machine would."""
        assert self.runner is None
        self.environment["FAIL_POINT"] = dies_at
        self.runner = self._spawn("runner", ["-m", "config.runs"])
        self.environment["FAIL_POINT"] = ""

    def kill_runner(self) -> None:
        """Have it be gone in the middle of whatever it does."""
        assert self.runner is not None
        os.killpg(self.runner.pid, signal.SIGKILL)
        self.runner.wait(10)
        self.runner = None

    def await_death(self) -> None:
        """Return once the runner has ended itself."""
        assert self.runner is not None
        assert self.runner.wait(120) == -signal.SIGKILL
        self.runner = None

    def await_machines(self) -> None:
        down = "SELECT name FROM runs_worker WHERE state = 'active' AND health <> 'up'"
        self.until(lambda: not self.rows(down))

    def until(self, what: Callable[[], Any], *, seconds: float = 120) -> Any:
        end = time.monotonic() + seconds
        while not (found := what()):
            if time.monotonic() > end:
                log = (self.folder / "runner.log").read_text(errors="replace")
                raise AssertionError(f"it did not come about: {log[-3000:]}")
            time.sleep(0.2)
        return found

    def ask(self, key: str, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as refused:
            return refused.code, json.load(refused)

    def submit(self, member: dict[str, str], graph: Any, **more: Any) -> str:
        status, job = self.ask(member["api_key"], "POST", JOBS, {"workflow": graph, **more})
        assert status == 201, job
        return str(job["id"])

    def run(self, run_id: str) -> dict[str, Any]:
        (row,) = self.rows("SELECT * FROM runs_run WHERE id = %s", run_id)
        return row

    def ended(self, run_id: str, *, seconds: float = 120) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            row = self.run(run_id)
            return row if row["state"] in ENDED else None

        found: dict[str, Any] = self.until(look, seconds=seconds)
        return found

    def entries(self, member: dict[str, str]) -> int:
        """Return what was taken from a member for calls and runs."""
        return sum(self.charged(member).values())


class Wiretap:
    """Stands between a machine's nodes and the platform, and keeps the keys that they show."""

    def __init__(self, beyond: str) -> None:
        self.keys: list[str] = []
        tap = self

        class Door(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                tap.keys.append(self.headers["X-API-KEY"])
                request = urllib.request.Request(beyond + self.path, data=body, method="POST")
                for name, value in self.headers.items():
                    if name.lower() not in ("host", "content-length"):
                        request.add_header(name, value)
                try:
                    with urllib.request.urlopen(request, timeout=60) as answer:
                        status, said = answer.status, answer.read()
                except urllib.error.HTTPError as refused:
                    status, said = refused.code, refused.read()
                self.send_response(status)
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def in_micros(credits_: int) -> int:
    """Return what so many credits are."""
    return credits_ * 1_000_000 // 211


def slow(seconds: float, *, color: int = 1, steps: int = 10, calls: int = 0) -> dict[str, Any]:
    """Return a graph that takes so long, after so many calls of a paid node."""
    graph: dict[str, Any] = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "color": color}}
    }
    last = "1"
    for n in range(calls):
        body = json.dumps({"prompt": f"{color} {n}", "width": 8, "height": 8})
        inputs = {"image": [last, 0], "path": "/proxy/sandbox/v1/image", "body": body}
        last = f"call-{n}"
        graph[last] = {"class_type": "DemoCall", "inputs": inputs}
    sleep = {"image": [last, 0], "seconds": seconds, "steps": steps}
    graph["2"] = {"class_type": "DemoSleep", "inputs": sleep}
    save = {"images": ["2", 0], "filename_prefix": "made"}
    graph["9"] = {"class_type": "SaveImage", "inputs": save}
    return graph
