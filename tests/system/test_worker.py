"""Everything that beat starts, run by a real worker: what it does, and what it says of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from system_stack import ROOT, Stack, free_port

from local.up import embedded_broker, worker

ULTRA = "/proxy/bfl/flux-pro-1.1-ultra/generate"
MONEY = ("credits.payments.tasks.follow_money", "credits.payments.tasks.tend_wallets")
SEND_ALL = """
import json
from config.celery import app
from django.conf import settings
sent = {}
for name, each in settings.CELERY_BEAT_SCHEDULE.items():
    queue = each.get("options", {}).get("queue")
    sent[name] = app.send_task(each["task"], each.get("args", ()), queue=queue).id
print(json.dumps(sent))
"""


@pytest.fixture(scope="module")
def working(stack: Stack) -> Iterator[Stack]:
    """The stack with a broker, the fake Stripe and a web process; its jobs end when asked."""
    port = free_port()
    stack.environment |= {
        **embedded_broker(stack.cluster.url("comfy")),
        "STRIPE_API_KEY": "sk_test_worker",
        "STRIPE_API_BASE": f"http://127.0.0.1:{port}",
        "STRIPE_WEBHOOK_SECRETS": "whsec_worker",
        "PYTHONPATH": os.pathsep.join(
            [stack.environment["PYTHONPATH"], str(Path(__file__).parent)]
        ),
        "PROBE_FILE": str(stack.folder / "ended"),
        "WELCOME_GRANT_USD": "0",
    }
    stripe = stack._spawn("stripe", ["-m", "sandbox.stripe", "--port", str(port)])
    stack.await_port("stripe", port)
    stack.start_web()
    try:
        yield stack
    finally:
        stripe.terminate()
        stripe.wait(10)


def ask(stack: Stack, path: str, key: str = "", body: Any = None) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(
        stack.url + path,
        data=None if body is None else json.dumps(body).encode(),
        headers={"X-API-KEY": key, "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)


def until(found: Callable[[], Any], seconds: float = 60) -> Any:
    end = time.monotonic() + seconds
    while not (it := found()):
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.1)
    return it


def start(stack: Stack, name: str, words: list[str]) -> tuple[subprocess.Popen[bytes], Path]:
    """Start a worker; what it says on stderr is in a file of its own."""
    said = stack.folder / f"{name}.err"
    with said.open("wb") as log:
        words = [sys.executable, "-m", *words]
        process = subprocess.Popen(
            words, cwd=ROOT, env=stack.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=log, start_new_session=True,
        )  # fmt: skip
    return process, said


def stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    finally:
        process.kill()


def probed(words: list[str]) -> list[str]:
    return [word.replace("config.celery", "worker_probe") for word in words]


def send(stack: Stack, tasks: Sequence[str], *, every: float = 0, first: str = "pass") -> set[str]:
    """Have the tasks called by whoever takes their queues; return the messages' ids."""
    code = (
        "import time\nfrom config.celery import app\nfrom django.db import connection\n"
        f"for name in {list(tasks)}:\n"
        f"    {first}\n"
        "    print(app.send_task(name).id)\n"
        f"    time.sleep({every})"
    )
    return set(stack.manage("shell", "-v0", "-c", code).split())


def how_they_ended(stack: Stack) -> dict[str, str]:
    ended = Path(stack.environment["PROBE_FILE"])
    return {each["id"]: each["state"] for each in lines(ended)} if ended.exists() else {}


def lines(said: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in said.read_text().splitlines()]


def test_each_task_of_the_beat_runs_in_a_worker_and_is_heard_of(working: Stack):
    """One job costs more than its hold by now; one hold is over; both end with a line of log."""
    member = working.member("5")
    assert ask(working, ULTRA, member["api_key"], {"prompt": "too cheap"})[0] == 200
    working.rows(
        "WITH small AS (UPDATE credits_hold SET amount_micros = 10000 WHERE account_id = %s"
        "               RETURNING account_id)"
        " UPDATE credits_account SET held_micros = 10000 FROM small WHERE id = small.account_id",
        member["workspace_id"],
    )
    working.rows("UPDATE proxy_job SET next_poll_at = now() - interval '1 minute'")
    lost = working.manage(
        "shell", "-v0", "-c",
        "from credits.books import holds\n"
        f"print(holds.place('{member['workspace_id']}', amount=10, ttl_seconds=1).id)",
    ).strip()  # fmt: skip
    time.sleep(1.1)
    sent = json.loads(working.manage("shell", "-v0", "-c", SEND_ALL))

    process, said = start(working, "worker", probed(worker("default,beat,calls,money,jobs")))
    try:
        until(lambda: set(sent.values()) <= set(how_they_ended(working)))
    finally:
        stop(process)

    states = how_they_ended(working)
    assert {name: states[task] for name, task in sent.items()} == dict.fromkeys(sent, "SUCCESS")
    heard = lines(said)
    assert ("expired", lost) in [(each["event"], each.get("call")) for each in heard]
    (alarm,) = [each for each in heard if each["event"] == "shortfall"]
    assert (alarm["level"], alarm["micros"]) == ("error", 50_000)
    assert ("job", alarm["call"]) in [(each["event"], each.get("call")) for each in heard]
    assert [each for each in heard if "trace" in each] == []
    _, is_ready = ask(working, "/ready")
    assert (is_ready["worker"], is_ready["jobs"]) == (True, True)


def test_beat_within_a_worker_goes_on(working: Stack):
    """It is a process of its own, made of the worker's, whose connections are not for it."""
    beat = ("-B", "-s", str(working.folder / "schedule"))
    process, said = start(working, "with-beat", worker("default,beat,calls,money", *beat))
    try:
        until(lambda: ask(working, "/ready")[1]["worker"])
        working.rows("DELETE FROM proxy_heartbeat")
        until(lambda: ask(working, "/ready")[1]["worker"])
    finally:
        stop(process)

    assert "celery: " not in said.read_text()


def doctor(stack: Stack, **changed: str) -> tuple[int, dict[str, dict[str, str]]]:
    done = subprocess.run(
        [sys.executable, "manage.py", "doctor", "--json"],
        cwd=ROOT, env={**stack.environment, **changed}, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done.returncode, {each["check"]: each for each in json.loads(done.stdout)["checks"]}


def test_the_doctor_tells_what_runs_and_what_does_not(working: Stack):
    """Without a worker for jobs only that is broken; with one, nothing is."""
    public = {"PUBLIC_URL": working.url}
    stripe_side = working.environment["STRIPE_API_BASE"]
    hook = json.dumps({"url": f"{working.url}/webhooks/stripe"}).encode()
    request = urllib.request.Request(f"{stripe_side}/control/webhook", data=hook)
    request.add_header("Content-Type", "application/json")
    urllib.request.urlopen(request, timeout=60).close()
    working.rows("DELETE FROM proxy_heartbeat")

    status, nobody = doctor(working, **public)
    rest, _ = start(working, "rest", worker("default,beat,calls,money"))
    until(lambda: ask(working, "/ready")[1]["worker"])
    _, some = doctor(working, **public)
    jobs, _ = start(working, "jobs", worker("jobs", "-n", "jobs@%h"))
    until(lambda: ask(working, "/ready")[1]["jobs"])
    last, everybody = doctor(working, **public)
    stop(jobs)
    stop(rest)

    assert (status, nobody["queues"]["state"]) == (1, "failed")
    assert some["queue jobs"]["state"] == "failed"
    assert [some[f"queue {name}"]["state"] for name in ("beat", "calls", "money", "default")] == [
        "ok"
    ] * 4
    broken = {name: each for name, each in everybody.items() if each["state"] == "failed"}
    assert set(broken) == {"secrets"}, broken  # They are the tests' own.
    assert last == 1
    for name in ("database", "migrations", "reached", "ready", "broker", "webhook", "queue jobs"):
        assert everybody[name]["state"] == "ok"


def test_a_vendor_that_is_silent_stops_neither_heartbeat_nor_money_nor_sweep(working: Stack):
    """It holds all threads of the worker that asks vendors; what else is due is another's."""
    member = working.member("5")
    for n in range(2):
        assert ask(working, ULTRA, member["api_key"], {"prompt": f"silent {n}"})[0] == 200
    rest, _ = start(working, "rest", probed(worker("default,beat,calls,money")))
    jobs, _ = start(working, "jobs", probed(worker("jobs", "-n", "jobs@%h")))
    assert working.sandbox is not None
    working.sandbox.send_signal(signal.SIGSTOP)
    try:
        until(lambda: ask(working, "/ready")[1]["jobs"])
        due = 'connection.cursor().execute("UPDATE proxy_job SET next_poll_at = now()")'
        send(working, ["proxy.tasks.follow_jobs"] * 5, every=0.3, first=due)
        others = send(working, ["proxy.tasks.heartbeat", "proxy.tasks.sweep_holds", *MONEY])
        until(lambda: others <= set(how_they_ended(working)), seconds=10)
    finally:
        working.sandbox.send_signal(signal.SIGCONT)
        jobs.kill()  # It would wait for the vendor.
        jobs.wait(10)
        stop(rest)
