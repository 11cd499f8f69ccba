"""The demonstration's second half: one workflow handed over, its files fetched, its receipt shown.

It speaks Comfy API v2, as any script does, and believes only what it reads there.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from local.demo import (
    CREDITS_PER_USD,
    PNG_SIGNATURE,
    DemoFailed,
    Member,
    ask,
    balance,
    money,
    object_of,
)

JOBS = "/api/v2/jobs"
CALL = "/proxy/sandbox/v1/image"
MOST_CREDITS = 60
READY_TRIES, POLLS = 120, 480
PAUSE_SECONDS = 0.25
MICROS_PER_USD, MICROS_PER_CENT = 1_000_000, 10_000


@dataclass(frozen=True)
class RunReceipt:
    """What one run came to."""

    id: str
    milliseconds: int
    files: int
    picture_bytes: int
    charged_micros: int
    inner_micros: int
    before_cents: Decimal
    after_cents: Decimal

    def lines(self) -> list[str]:
        """Return it as it is shown in a terminal."""
        rows = [
            ("run", self.id),
            ("machine", f"{self.milliseconds / 1000:.3f} seconds of its own clock"),
            ("files", f"{self.files}; the first a PNG, {self.picture_bytes:,} bytes"),
            ("time and files", exact(self.charged_micros)),
            ("paid nodes", exact(self.inner_micros)),
            ("all of it", exact(self.charged_micros + self.inner_micros)),
            ("balance before", money(self.before_cents)),
            ("balance after", money(self.after_cents)),
        ]
        return [f"  {name:<16}{value}" for name, value in rows]


def exact(micros: int) -> str:
    """Show an amount that is often less than a cent."""
    usd = Decimal(micros) / MICROS_PER_USD
    return f"{usd:.6f} USD  ({(usd * CREDITS_PER_USD).quantize(Decimal('0.01'))} credits)"


def workflow(*, on_demo: bool, calls: bool) -> dict[str, Any]:
    """Return what is run: a picture; on the demo machine one that takes a second, and is paid for.

    `calls`: whether a node of it calls a vendor of the sandbox.
    """
    color = secrets.randbelow(1 << 24)  # Nothing of it comes from the cache.
    empty = {"width": 512, "height": 512, "batch_size": 1, "color": color}
    graph: dict[str, Any] = {"1": {"class_type": "EmptyImage", "inputs": empty}}
    last = "1"
    if on_demo:
        waits = {"image": [last, 0], "seconds": 1.0, "steps": 8}
        graph["2"] = {"class_type": "DemoSleep", "inputs": waits}
        last = "2"
    if calls:
        body = json.dumps({"width": 64, "height": 64})
        paid = {"image": [last, 0], "path": CALL, "body": body}
        graph["3"] = {"class_type": "DemoCall", "inputs": paid}
        last = "3"
    saved = {"images": [last, 0], "filename_prefix": "demo"}
    graph["9"] = {"class_type": "SaveImage", "inputs": saved}
    return graph


def machine_run(
    who: Member, graph: dict[str, Any], *, pause: Callable[[float], None]
) -> RunReceipt:
    """Hand a workflow over, wait for its end, and fetch what it made.

    Raises DemoFailed unless a picture came and exactly what the job says left the wallet.
    """
    before = balance(who)
    job = _submitted(who, graph, pause=pause)
    for _ in range(POLLS):
        job = _job(who, job["id"])
        if job["completed_at"]:
            break
        pause(PAUSE_SECONDS)
    if job["status"] != "succeeded" or not job["outputs"]:
        raise DemoFailed(f"the run ended as {job['status']!r}: {job['error']}")
    _, _, picture = ask("GET", str(job["outputs"][0]["url"]))
    if not picture.startswith(PNG_SIGNATURE):
        raise DemoFailed("what the run made is not a PNG.")
    metrics = job["metrics"]
    receipt = RunReceipt(
        id=str(job["id"]),
        milliseconds=metrics["execution_ms"],
        files=len(job["outputs"]),
        picture_bytes=len(picture),
        charged_micros=metrics["charged_micros"],
        inner_micros=metrics["inner_micros"],
        before_cents=before,
        after_cents=balance(who),
    )
    told = Decimal(receipt.charged_micros + receipt.inner_micros) / MICROS_PER_CENT
    # The wire cuts a balance to whole micros of its own; each side may be off by less than one.
    if abs(receipt.before_cents - receipt.after_cents - told) >= 1:
        raise DemoFailed(
            f"the run says that it cost {money(told)}: {money(before)} before,"
            f" {money(receipt.after_cents)} after."
        )
    return receipt


def curl_run(who: Member) -> str:
    """Return a line that hands a workflow over, ready to paste."""
    graph = json.dumps(workflow(on_demo=False, calls=False), separators=(",", ":"))
    return (
        f"curl -s {who.base_url}{JOBS} -H 'Authorization: Bearer {who.api_key}'"
        f" -H 'Content-Type: application/json' -d '{{\"workflow\":{graph}}}'"
    )


def _submitted(
    who: Member, graph: dict[str, Any], *, pause: Callable[[float], None]
) -> dict[str, Any]:
    """Hand it over, as soon as the runner has seen the machine: until then there is none."""
    asked = {"workflow": graph}
    headers = {"Run-Max-Credits": str(MOST_CREDITS)}
    for _ in range(READY_TRIES):
        status, _, body = ask(
            "POST", who.base_url + JOBS, key=who.api_key, body=asked, headers=headers, fine=(429,)
        )
        if status != 429:
            return object_of(body)
        pause(PAUSE_SECONDS * 2)
    raise DemoFailed("no machine for runs was ready in time: see the logs of the runner.")


def _job(who: Member, job_id: str) -> dict[str, Any]:
    _, _, body = ask("GET", f"{who.base_url}{JOBS}/{job_id}", key=who.api_key)
    return object_of(body)
