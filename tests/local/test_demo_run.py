"""The demonstration's run tells the truth: only a whole one, which cost what it says, passes."""

from __future__ import annotations

import http.server
import json
import threading

import pytest

from local import demo, demo_run, machines

PICTURE = demo.PNG_SIGNATURE + b"..."


class Platform(http.server.ThreadingHTTPServer):
    """Answers as the platform would: not ready at first, then a run that takes two looks."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.not_ready = 2
        self.looks = 0
        self.status = "succeeded"
        self.picture = PICTURE
        self.cents = 500.0
        self.charged, self.inner = 2801, 10_000
        self.taken = 1.2801
        self.asked: list[dict] = []


class Handler(http.server.BaseHTTPRequestHandler):
    server: Platform

    def log_message(self, *_):
        pass

    def answer(self, body, status=200):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

    def job(self, **more):
        return {"id": "run-1", "status": "queued", "completed_at": None, "outputs": [],
                "error": None, "metrics": {}, **more}  # fmt: skip

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server.not_ready:
            self.server.not_ready -= 1
            self.answer({"error": {"code": "deployment_not_ready"}}, 429)
            return
        self.server.asked.append({**asked, "most": self.headers["Run-Max-Credits"]})
        self.answer(self.job(), 201)

    def do_GET(self):
        if self.path == "/picture":
            self.answer(self.server.picture)
        elif self.path == "/customers/balance":
            self.answer({"amount_micros": self.server.cents})
        else:
            self.server.looks += 1
            if self.server.looks < 2:
                self.answer(self.job(status="running"))
                return
            self.server.cents = 500 - self.server.taken
            metrics = {"execution_ms": 2003, "charged_micros": self.server.charged,
                       "inner_micros": self.server.inner}  # fmt: skip
            outputs = [{"url": f"{self.server.url}/picture"}]
            self.answer(
                self.job(status=self.server.status, completed_at="now", outputs=outputs,
                         metrics=metrics)
            )  # fmt: skip


@pytest.fixture
def platform():
    with Platform() as platform:
        thread = threading.Thread(target=platform.serve_forever, args=(0.01,))
        thread.start()
        yield platform
        platform.shutdown()
        thread.join()


@pytest.fixture
def run(platform):
    who = demo.Member(platform.url, "good", demo.EMAIL, "secret")
    graph = demo_run.workflow(on_demo=True, calls=True)
    return lambda: demo_run.machine_run(who, graph, pause=lambda _: None)


def test_a_run_is_handed_over_once_a_machine_is_ready_and_has_a_receipt(platform, run):
    receipt = run()

    (asked,) = platform.asked
    assert [each["class_type"] for each in asked["workflow"].values()] == [
        "EmptyImage", "DemoSleep", "DemoCall", "SaveImage",
    ]  # fmt: skip
    assert asked["most"] == str(demo_run.MOST_CREDITS)
    assert "  machine         2.003 seconds of its own clock" in receipt.lines()
    assert "  all of it       0.012801 USD  (2.70 credits)" in receipt.lines()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("status", "failed", "ended as 'failed'"),
        ("picture", b"<html>", "not a PNG"),
        ("taken", 6.0, "says that it cost"),
        ("not_ready", 10**6, "no machine for runs was ready"),
    ],
)
def test_what_is_not_right_is_a_failure(platform, run, name, value, said, monkeypatch):
    monkeypatch.setattr(demo_run, "READY_TRIES", 5)
    setattr(platform, name, value)

    with pytest.raises(demo.DemoFailed, match=said):
        run()


class Commands:
    """What `manage.py worker` was asked."""

    def __init__(self, **known):
        self.known, self.done, self.given = known, [], ""

    def __call__(self, *words, given=""):
        if words[:2] == ("member", "list"):
            return json.dumps([{"email": "grace@example.org", "roles": []}])
        if words[:2] == ("worker", "list"):
            return json.dumps([{"name": name, "url": url} for name, url in self.known.items()])
        self.done.append(words[1:3])
        self.given += given
        return ""


def test_the_sandboxs_machine_is_registered_anew_with_its_token_on_no_command_line():
    machine = machines.of({}, port=8188)
    commands = Commands(demo="http://127.0.0.1:9000")

    assert machines.register(machine, commands)

    assert commands.done == [("remove", "demo"), ("add", "demo")]
    assert commands.given.strip() == machine.token != ""
    assert machine.words("http://x")[0] == "sandbox.comfy_worker"


def test_a_comfyui_that_is_named_is_taken_instead_and_registered_once():
    machine = machines.of({"COMFYUI_URL": "http://10.0.0.7:8188/"}, port=1)

    assert (machine.name, machine.url, machine.is_ours) == (
        "comfyui",
        "http://10.0.0.7:8188",
        False,
    )
    commands = Commands(demo="http://127.0.0.1:9000")
    assert machines.register(machine, commands)
    assert commands.done == [("remove", "demo"), ("add", "comfyui")]
    again = Commands(comfyui="http://10.0.0.7:8188")
    assert not machines.register(machine, again)
    assert again.done == []
