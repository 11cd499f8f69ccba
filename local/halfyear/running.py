"""Members' workflows on the house's machine, as scripts hand them over.

A graph goes by Comfy API v2, a workflow that is kept here by its id.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from uuid import UUID

from local import demo
from local.halfyear.clock import Clock

JOBS = "/api/v2/jobs"
OF_WORKFLOW = "/api/v1/workflows/{}/runs"
PAID = "/proxy/sandbox/v1/image"
PAUSE_SECONDS = 0.1
MOST_SECONDS = 180.0
Graph = dict[str, Any]


def workflow(dice: random.Random, *, paid: bool = False, fails: bool = False, of: int = 1) -> Graph:
    """Return a workflow: pictures, worked on for a while, perhaps by a paid node, and kept."""
    size = dice.choice((512, 768, 1024))
    graph: Graph = {
        "1": _node(
            "EmptyImage", width=size, height=size, batch_size=of, color=dice.randrange(1 << 24)
        ),
        "2": _node("DemoSleep", image=["1", 0], seconds=0.3, steps=3),
    }
    last = "2"
    if paid:
        body = json.dumps({"width": 64, "height": 64})
        graph["3"] = _node("DemoCall", image=[last, 0], path=PAID, body=body)
        last = "3"
    if fails:
        words = "CUDA out of memory. Tried to allocate 2.50 GiB"
        graph["4"] = _node("DemoFail", image=[last, 0], words=words)
        last = "4"
    graph["9"] = _node("SaveImage", images=[last, 0], filename_prefix="shot")
    return graph


def _node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


def run(
    base_url: str,
    clock: Clock,
    given: Sequence[tuple[str, Graph | UUID]],
    *,
    dice: random.Random,
    credits: int = 400,  # noqa: A002 - what the header says
    cancels: bool = False,
) -> list[dict[str, Any]]:
    """Hand workflows over, let some time pass while they run, and return them when they ended.

    Each is a graph, or the id of a workflow that is kept.
    """
    jobs = []
    for key, what in given:
        is_kept = isinstance(what, UUID)
        _, _, body = demo.ask(
            "POST",
            base_url + (OF_WORKFLOW.format(what) if is_kept else JOBS),
            key=key,
            body={} if is_kept else {"workflow": what},
            headers={"Run-Max-Credits": str(credits)},
        )
        jobs.append((key, demo.object_of(body)["id"]))
    if cancels:
        demo.ask("POST", f"{base_url}{JOBS}/{jobs[0][1]}/cancel", key=jobs[0][0], body={})
    return [_ended(base_url, clock, key, job, dice) for key, job in jobs]


def _ended(base_url: str, clock: Clock, key: str, job: str, dice: random.Random) -> dict[str, Any]:
    until, has_passed = time.monotonic() + MOST_SECONDS, False
    while True:
        try:
            _, _, body = demo.ask("GET", f"{base_url}{JOBS}/{job}", key=key)
        except demo.DemoFailed:
            if time.monotonic() > until:
                raise
            continue  # The machine has much else to do: a script asks again.
        told = demo.object_of(body)
        if told["completed_at"]:
            return told
        if told["status"] == "running" and not has_passed:
            has_passed = True  # What it takes on a real machine.
            clock.set(clock.now() + timedelta(seconds=dice.uniform(4, 40)))
        if time.monotonic() > until:
            raise demo.DemoFailed(f"the run {job} did not end in time: {told['status']}")
        time.sleep(PAUSE_SECONDS)


class _Receiver(BaseHTTPRequestHandler):
    """A program of a studio's, which is told what happened; now and then it is broken."""

    broken = False

    def do_POST(self) -> None:
        """Take a message, or do not."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(502 if self.broken else 204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Keep silent."""


@contextmanager
def receiver() -> Iterator[tuple[str, type[_Receiver]]]:
    """Serve a studio's program; give where, and its class, which can be told to be broken."""

    class Receiver(_Receiver):
        """One that is broken apart from all others."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", Receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
