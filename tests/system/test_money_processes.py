"""Two web processes and a worker, and Stripe telling all of them everything several times."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
from system_stack import Stack, free_port

from local.up import embedded_broker
from sandbox.stripe.remote import Remote
from sandbox.stripe.webhooks import signature

SECRET = "whsec_of_the_stack"
PURCHASES, CENTS = 6, 2500


class Shop:
    """A stack with a fake Stripe, web processes of its own, and a worker with beat."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        port = free_port()
        stack.environment |= {
            "STRIPE_API_KEY": "sk_test_of_the_stack",
            "STRIPE_API_BASE": f"http://127.0.0.1:{port}",
            "STRIPE_WEBHOOK_SECRETS": SECRET,
            **embedded_broker(stack.cluster.url("comfy")),
        }
        self.processes = [stack._spawn("stripe", ["-m", "sandbox.stripe", "--port", str(port)])]
        stack.await_port("stripe", port)
        self.fake = Remote(f"http://127.0.0.1:{port}")

    def start_web(self, **environment: str) -> str:
        """Start one more web process; return its address."""
        port, before = free_port(), self.stack.environment
        self.stack.environment = {**before, **environment}
        try:
            words = ["-m", "config.web", "--port", str(port)]
            self.processes.append(self.stack._spawn("web", words))
        finally:
            self.stack.environment = before
        self.stack.await_port("web", port)
        return f"http://127.0.0.1:{port}"

    def start_worker(self) -> None:
        beat = ["-B", "-s", str(self.stack.folder / "beat")]
        quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "WARNING"]
        words = ["-m", "celery", "-A", "config.celery", "worker", *beat, "-P", "threads", "-c", "4"]
        self.processes.append(self.stack._spawn("worker", [*words, *quiet]))

    def close(self) -> None:
        """End what a test started, and forget what happened; Stripe stays."""
        started, self.processes = self.processes[1:], self.processes[:1]
        end(started)
        self.fake.post("reset")

    def buy(self, web: str, key: str) -> str:
        """Begin a purchase and pay for it; return its session."""
        asked = json.dumps({"amount_micros": CENTS * 10_000, "currency": "usd"}).encode()
        _, answer = post(f"{web}/customers/credit", asked, {"X-API-KEY": key})
        session: str = answer["checkout_url"].rpartition("/")[2]
        self.fake.post(f"sessions/{session}/pay")
        return session

    def deliver_everything(self, *webs: str) -> list[int]:
        """Post each event that there is to each of them, all at once."""
        bodies = [json.dumps(event).encode() for event in self.fake.get("state")["event"]]

        def one(to: tuple[str, bytes]) -> int:
            web, body = to
            mark = signature(body, [SECRET], int(time.time()))
            return post(f"{web}/webhooks/stripe", body, {"Stripe-Signature": mark})[0]

        with ThreadPoolExecutor(16) as pool:
            return list(pool.map(one, [(web, body) for body in bodies for web in webs]))

    def waiting(self) -> int:
        (row,) = self.stack.rows(
            "SELECT count(*) AS n FROM credits_stripeevent WHERE processed_at IS NULL"
        )
        return int(row["n"])


def end(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def post(url: str, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str]]:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json", **headers})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.status, json.load(answer)


def wait_until(true, seconds=60):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def _shop(stack):
    made = Shop(stack)
    try:
        yield made
    finally:
        end(made.processes)


@pytest.fixture
def shop(_shop):
    yield _shop
    _shop.close()


def test_a_web_process_whose_broker_is_away_answers_stripe_at_once(shop, stack):
    """Nothing listens there; no worker runs yet, either: the event is stored, and waits."""
    web = shop.start_web(CELERY_BROKER_URL="redis://127.0.0.1:9", CELERY_BROKER_OPTIONS="{}")
    member = stack.member("1.00")
    shop.buy(web, member["api_key"])

    begun = time.monotonic()
    statuses = shop.deliver_everything(web)

    assert set(statuses) == {200}
    assert time.monotonic() - begun < 8
    assert shop.waiting() == len(statuses)
    assert stack.wallet(member)[0] == 1_000_000

    shop.start_worker()  # Beat finds what no message told of.
    wait_until(lambda: not shop.waiting())
    assert stack.wallet(member)[0] == 1_000_000 + CENTS * 10_000


def test_what_two_processes_and_a_worker_hear_many_times_is_credited_once(shop, stack):
    webs = [shop.start_web(), shop.start_web()]
    shop.start_worker()
    hook = f"{webs[0]}/webhooks/stripe"
    shop.fake.post("webhook", url=hook, secrets=[SECRET], duplicate=2, reorder=True)
    member = stack.member("1.00")

    sessions = [shop.buy(web, member["api_key"]) for web in webs * (PURCHASES // 2)]
    with ThreadPoolExecutor(6) as pool:  # Members come back meanwhile, too.
        pages = [
            pool.submit(urllib.request.urlopen, f"{web}/purchases/{row['id']}", timeout=30)
            for web in webs
            for row in stack.rows(
                "SELECT id FROM credits_topup WHERE session_id = ANY (%s)", sessions
            )
        ]
        statuses = shop.deliver_everything(*webs, *webs)
    for page in pages:
        with page.result() as answer:
            assert answer.status == 200
    assert shop.fake.post("webhook/flush", seconds=20)["idle"]
    wait_until(lambda: not shop.waiting())

    assert set(statuses) == {200}
    entries = stack.rows(
        "SELECT key, amount_micros FROM credits_entry WHERE credit_id = %s AND kind = 'top_up'",
        member["workspace_id"],
    )
    assert [row["amount_micros"] for row in entries] == [CENTS * 10_000] * PURCHASES
    assert stack.wallet(member) == (1_000_000 + PURCHASES * CENTS * 10_000, 0)
    assert "DIFFERS" not in stack.reconcile()
