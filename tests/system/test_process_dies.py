"""One of two web processes is killed in the middle of a call: its caller's next try is answered."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from system_stack import CENT, IMAGE, Stack, free_port

from credits.books.processes import BEAT_SECONDS, SILENT_SECONDS
from local.up import embedded_broker

BODY = json.dumps({"prompt": "a lighthouse", "width": 8, "height": 8}).encode()


@pytest.fixture
def other(stack: Stack) -> Iterator[str]:
    """A worker that sweeps, and a second web process; return that one's address."""
    port = free_port()
    stack.environment |= embedded_broker(stack.cluster.url("comfy"))
    beat = ["-B", "-s", str(stack.folder / "beat")]
    worker = ["-m", "celery", "-A", "config.celery", "worker", "-P", "threads", "-c", "2"]
    quiet = [
        *beat,
        "-Q",
        "calls",
        "--without-gossip",
        "--without-mingle",
        "--without-heartbeat",
        "-l",
        "WARNING",
    ]
    started = [
        stack._spawn("web2", ["-m", "config.web", "--port", str(port)]),
        stack._spawn("worker", [*worker, *quiet]),
    ]
    try:
        stack.start_web()
        stack.await_port("web2", port)
        yield f"http://127.0.0.1:{port}"
    finally:
        for process in started:
            process.terminate()
        for process in started:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def call(url: str, member: dict[str, str], seconds: float) -> tuple[int, str]:
    """Make a keyed call; return its status and Call-Id. A connection that breaks is status 0."""
    headers = {
        "X-API-KEY": member["api_key"],
        "Content-Type": "application/json",
        "Idempotency-Key": "one lighthouse",
    }
    request = urllib.request.Request(url + IMAGE, BODY, headers)
    try:
        with urllib.request.urlopen(request, timeout=seconds) as answer:
            answer.read()
            return answer.status, answer.headers["Call-Id"]
    except urllib.error.HTTPError as refused:
        return refused.code, ""
    except OSError:
        return 0, ""


def be_slow_once(stack: Stack) -> None:
    url = f"http://127.0.0.1:{stack.sandbox_port}/control/sandbox/next"
    body = json.dumps({"failures": ["slow=120"], "times": 1}).encode()
    headers = {"Content-Type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=60).close()


def await_row(stack: Stack, sql: str, *parameters: object, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not stack.rows(sql, *parameters):
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.1)


def test_the_next_try_of_who_was_with_the_killed_process_is_a_new_call(stack, other):
    member = stack.member("1")
    # The sweep has watched for long enough to tell who is silent.
    watched = "SELECT 1 FROM credits_process WHERE id = %s AND since_at < now() - interval '30 s'"
    await_row(stack, watched, uuid.UUID(int=0), seconds=90)
    be_slow_once(stack)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(call, stack.url, member, 150)
        held = "SELECT 1 FROM credits_hold WHERE account_id = %s AND process_id IS NOT NULL"
        await_row(stack, held, member["workspace_id"])
        stack.kill_web()
        killed = time.monotonic()
        assert first.result() == (0, "")

    status, answered = call(other, member, 60)

    took = time.monotonic() - killed
    assert status == 200
    assert took < SILENT_SECONDS + 2 * BEAT_SECONDS + 60  # Else eleven minutes.
    assert stack.charged(member) == {answered: CENT}
    assert stack.wallet(member) == (1_000_000 - CENT, 0)
    outcomes = [(row["outcome"], row["charged_micros"]) for row in stack.calls(member)]
    assert outcomes == [("expired", 0), ("delivered", CENT)]
    assert "orphaned" in (stack.folder / "worker.log").read_text()
    assert "DIFFERS" not in stack.reconcile()


def test_a_process_that_ends_well_leaves_nothing_to_wait_for(stack, other):
    """It has no row any more, so nobody waits for its silence."""
    stack.start_web()
    alive = "SELECT id FROM credits_process WHERE seen_at > now() - interval '20 s'"
    await_row(stack, "SELECT 1 FROM credits_process HAVING count(*) > 2")
    before = len(stack.rows(alive))

    assert stack.stop_web() == 0

    assert len(stack.rows(alive)) == before - 1
