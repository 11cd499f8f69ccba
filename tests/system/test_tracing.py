"""Spans of what real programs do, as they come to a collector; and what it costs to have none."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from system_stack import IMAGE, ROOT, Stack, free_port

from local import aside
from local.licences import PINNED
from local.up import embedded_broker, worker

LOCK = ROOT / "requirements-otel.lock"
EXTRA = aside.Aside(LOCK, ROOT / ".otel", "opentelemetry/sdk")
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
SECRET = "whsec_traced"
MAIL = "who.is.not.told@example.org"
PROMPT = "a prompt that nobody is told"
WITHIN_SECONDS = 90


class Traced(Stack):
    """The platform with a worker, each of whose programs tells a collector of ours."""

    def __init__(self, folder: Path, libraries: Path) -> None:
        super().__init__(folder)
        self.libraries, self.collected = libraries, folder / "spans.jsonl"

    def begin(self) -> None:
        self.start()
        port = free_port()
        self.environment |= {
            **embedded_broker(self.cluster.url("comfy")),
            "PYTHONPATH": os.pathsep.join([self.environment["PYTHONPATH"], str(self.libraries)]),
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
            "OTEL_BSP_SCHEDULE_DELAY": "200",
            "STRIPE_API_KEY": "sk_test_traced",
            "STRIPE_API_BASE": f"http://127.0.0.1:{free_port()}",
            "STRIPE_WEBHOOK_SECRETS": SECRET,
        }
        script = str(Path(__file__).with_name("otlp_receiver.py"))
        self.others = [self._spawn("receiver", [script, str(port), str(self.collected)])]
        self.await_port("receiver", port)
        self.start_web()
        self.others.append(self._spawn("worker", ["-m", *worker("default,beat,calls,money")]))

    def end(self) -> None:
        for each in self.others:
            each.terminate()
            each.wait(60)
        self.stop()

    def spans(self) -> list[dict[str, Any]]:
        if not self.collected.exists():
            return []
        lines = self.collected.read_text().split("\n")[:-1]  # The last one may not be whole.
        return [json.loads(line) for line in lines]

    def span(self, **wanted: str) -> dict[str, Any]:
        """Return the span that is so, or has such an attribute of ours, once it came."""
        end = time.monotonic() + WITHIN_SECONDS
        while True:
            for each in self.spans():
                said = {**attributes(each), **each}
                if all(
                    value in (said.get(n), said.get(f"comfy.{n}")) for n, value in wanted.items()
                ):
                    return each
            assert time.monotonic() < end, f"no {wanted} among {[s['name'] for s in self.spans()]}"
            time.sleep(0.1)

    def post(self, path: str, body: bytes, **headers: str) -> int:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.url + path, body, named, method="POST")
        request.add_header("Content-Type", "application/json")
        request.add_header("traceparent", TRACEPARENT)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    try:
        libraries = EXTRA.find_or_install(print)
    except aside.Missing as why:
        pytest.skip(f"the extra cannot be installed: {why}")
    stack = Traced(tmp_path_factory.mktemp("traced"), libraries)
    try:
        stack.begin()
        yield stack
    finally:
        stack.end()


def attributes(span: dict[str, Any]) -> dict[str, Any]:
    return {each["key"]: next(iter(each["value"].values())) for each in span.get("attributes", [])}


def test_a_metered_call_is_a_span_that_tells_what_it_was_and_cost(traced: Traced):
    member = traced.member("5")
    body = json.dumps({"prompt": PROMPT, "width": 8, "height": 8}).encode()

    assert traced.post(IMAGE, body, X_API_KEY=member["api_key"]) == 200

    (call,) = traced.calls(member)
    span = traced.span(name="call sandbox sandbox/v1/image", call=call["id"])
    told = attributes(span)
    held = int(told.pop("comfy.held_micros"))
    assert told == {
        "http.request.method": "POST",
        "http.response.status_code": "200",
        "comfy.vendor": "sandbox",
        "comfy.operation": "sandbox/v1/image",
        "comfy.call": call["id"],
        "comfy.outcome": "delivered",
        "comfy.charged_micros": str(call["charged_micros"]),
    }
    assert held >= call["charged_micros"] > 0
    assert (span["trace"], span["parent"]) == (TRACE, PARENT)
    assert span["path"] == "/v1/traces"


def test_a_call_that_is_refused_says_why_and_by_which_status(traced: Traced):
    assert traced.post(IMAGE, b'{"prompt":"x"}', X_API_KEY="comfyui-none") == 401

    span = traced.span(name="call sandbox sandbox/v1/image", refused="unauthorized")
    assert attributes(span)["http.response.status_code"] == "401"


def test_what_a_view_begins_and_a_worker_ends_is_one_trace(traced: Traced):
    event = {"id": "evt_traced", "object": "event", "type": "checkout.session.completed",
             "livemode": False, "created": 1, "data": {"object": {"id": "cs_traced"}}}  # fmt: skip
    body, at = json.dumps(event).encode(), str(int(time.time()))
    signed = hmac.new(SECRET.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()

    assert traced.post("/webhooks/stripe", body, Stripe_Signature=f"t={at},v1={signed}") == 200

    view = traced.span(name="POST webhooks/stripe")
    sent = traced.span(trace=TRACE, kind="SPAN_KIND_PRODUCER")
    run = traced.span(trace=TRACE, kind="SPAN_KIND_CONSUMER")
    assert view["parent"] == PARENT
    assert sent["parent"] == view["id"]
    assert run["parent"] == sent["id"]
    assert sent["name"] == run["name"].replace("run/", "apply_async/")


def test_no_secret_no_mail_and_no_address_is_told(traced: Traced):
    member = traced.member("5")
    path = f"/account/login/?email={MAIL}&token=hidden-token"
    traced.post(path, json.dumps({"email": MAIL}).encode(), X_API_KEY=member["api_key"])
    traced.post(f"/customers/credit?email={MAIL}", b"{", X_API_KEY=member["api_key"])
    traced.post(IMAGE + "?a=hidden-token", b'{"prompt":"' + PROMPT.encode() + b'"}',
                X_API_KEY=member["api_key"])  # fmt: skip

    traced.span(name="POST account/login/")
    traced.span(name="POST customers/credit")
    (call,) = traced.calls(member)
    traced.span(call=call["id"])

    told = traced.collected.read_text()
    hidden = (member["api_key"], MAIL, PROMPT, "hidden-token", SECRET, "127.0.0.1", "Traceback")
    assert [word for word in hidden if word in told] == []


def test_no_vendor_is_told_what_a_call_belongs_to(traced: Traced):
    """`tests/proxy/test_clients.py` sees what reaches a vendor; here that none is traced beyond."""
    assert all(span["kind"] != "SPAN_KIND_CLIENT" for span in traced.spans())


# --- without --------------------------------------------------------------------------------------

NOTHING_OF_IT = """
import sys
from config.asgi import application
from config.celery import app
from common import tracing
from proxy import door
assert tracing.tell is None
assert application._serve is door.serve
print([name for name in sys.modules if name.startswith("opentelemetry")])
"""


def run(stack: Stack, script: str, **settings: str) -> subprocess.CompletedProcess[str]:
    words = ["-c", script] if "\n" in script else ["-m", *script.split()]
    return subprocess.run(
        [sys.executable, *words], cwd=ROOT, env={**stack.environment, **settings},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_without_the_setting_nothing_of_it_is_loaded(stack: Stack):
    done = run(stack, NOTHING_OF_IT)

    assert done.stdout == "[]\n", done.stderr


@pytest.mark.parametrize("program", ["config.web", "config.runs", "config.manage check"])
def test_without_the_extra_a_program_says_so_in_a_line(stack: Stack, program: str):
    done = run(stack, program, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:4318")

    (line,) = done.stderr.splitlines()
    assert done.returncode == 1
    assert "OTEL_EXPORTER_OTLP_ENDPOINT is set, and the extra is not installed" in line


def test_the_extra_is_what_is_locked_and_agrees_with_the_rest():
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())
    locked = dict(PINNED.findall(LOCK.read_text()))
    everything = dict(PINNED.findall((ROOT / "requirements.lock").read_text()))

    for text in told["project"]["optional-dependencies"]["otel"]:
        wanted = Requirement(text)
        version = locked[canonicalize_name(wanted.name)]
        assert wanted.specifier.contains(version, prereleases=True)
    both = locked.keys() & everything.keys()
    assert {name: locked[name] for name in both} == {name: everything[name] for name in both}
