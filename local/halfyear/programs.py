"""The programs that take part in the half year, as `up` starts them, but by the played clock.

They listen where those of `up` will: every address that is written down stays right.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from local import processes
from local.supervisor import Child, Supervisor, answers

ROOT = Path(__file__).resolve().parents[2]
READY_SECONDS = 240
PATIENT = {
    "SANDBOX_JOB_SECONDS": "0",
    # A token lives by two clocks: the vendor's, which is played, and ours, which is monotonic.
    "SANDBOX_TOKEN_SECONDS": "100000000",
    "SANDBOX_LINK_SECONDS": "100000000",
}
"""What the sandbox's vendors are told, for a time that jumps."""


class Programs:
    """Everything that is started for the half year, by its settings."""

    def __init__(
        self, supervisor: Supervisor, clock: Path, environment: Mapping[str, str], port: int
    ) -> None:
        self.base_url = f"http://127.0.0.1:{port}"
        self.stripe = environment["STRIPE_API_BASE"]
        self.machine = processes.free_port()
        self._supervisor = supervisor
        self._clock = clock
        self._logs = clock.parent / "logs"
        self._environment = {**environment, **PATIENT}
        # Its counts are of another time than those of the programs that come after.
        self._environment.pop("PROMETHEUS_MULTIPROC_DIR", None)
        self._port = port

    def start(self) -> None:
        """Have them all, ready; none of them is the database. They begin side by side."""
        self._logs.mkdir(parents=True, exist_ok=True)
        sandbox = urlsplit(self._environment["VENDOR_BASE_URL"]).port
        stripe = urlsplit(self.stripe).port
        self._start("config.web", "--port", str(self._port))
        self._start("sandbox", "--port", str(sandbox))
        self._start("sandbox.stripe", "--port", str(stripe))
        words = ("--port", str(self.machine), "--api-base", self.base_url)
        self._start("sandbox.comfy_worker", *words)
        for at in (f"http://127.0.0.1:{sandbox}", self.stripe, self.base_url):
            late = f"{at} was not ready in time: see {self._logs}"
            self._supervisor.wait_for(answers(f"{at}/health"), late, limit=READY_SECONDS)
        self._supervisor.wait_for(
            lambda: not processes.port_is_free(self.machine), "the machine did not begin"
        )

    def start_runner(self) -> None:
        """Have what carries runs to the machine, once that is registered."""
        self._start("config.runs")

    def _start(self, module: str, *words: str) -> None:
        child = Child(
            module,
            [sys.executable, "-m", "local.halfyear.shifted", str(self._clock), module, *words],
            logs=self._logs,
            environment=self._environment,
            cwd=ROOT,
        )
        self._supervisor.start(child, limit=READY_SECONDS)

    def at_stripe(self, path: str, **asked: Any) -> Any:
        """Do at Stripe's look-alike what a payer, a bank or a clock does there."""
        request = urllib.request.Request(  # noqa: S310  The look-alike's own address.
            f"{self.stripe}/control/{path}",
            data=json.dumps(asked).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return json.load(answer)


def settle_in(environment: Mapping[str, str]) -> None:
    """Have this process be one of the product's, by those settings."""
    os.environ.update(environment)
    for each in (ROOT, ROOT / "platform"):
        if str(each) not in sys.path:
            sys.path.insert(0, str(each))
    import django

    django.setup()
