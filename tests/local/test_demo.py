"""The demonstration tells the truth: only a delivered call, charged right, passes."""

from __future__ import annotations

import http.server
import json
import threading
import urllib.parse
from collections.abc import Iterator
from decimal import Decimal

import pytest

from local import demo

PICTURE = demo.PNG_SIGNATURE + b"..."


class Platform(http.server.ThreadingHTTPServer):
    """Answers as the platform would, and does on request what it never should."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.polling_url = f"{self.url}/poll/token"
        self.cents = 500
        self.password = "secret"
        self.price = 6
        self.statuses = ["Pending", "Ready"]
        self.picture = PICTURE
        self.may_run = True


class Handler(http.server.BaseHTTPRequestHandler):
    server: Platform

    def log_message(self, *_):
        pass

    def answer(self, body, status=200):
        self.send_response(status)
        self.send_header("Call-Id", "call-1")
        self.end_headers()
        self.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/account/login/":
            good = {"login": demo.EMAIL, "password": self.server.password}
            form = dict(urllib.parse.parse_qsl(body.decode()))
            known = form == {**good, "csrfmiddlewaretoken": "t0k"}
            known = known and self.headers["Cookie"] == "csrftoken=c"
            self.lead("/my/" if known else "/account/login/")
        else:
            self.server.cents -= self.server.price
            self.answer({"id": "1", "polling_url": self.server.polling_url})

    def lead(self, path):
        self.send_response(302)
        self.send_header("Location", path)
        self.end_headers()

    def do_GET(self):
        if self.path == "/account/login/":
            self.send_response(200)
            self.send_header("Set-Cookie", "csrftoken=c; Path=/")
            self.end_headers()
            self.wfile.write(b'<input name="csrfmiddlewaretoken" value="t0k">')
            return
        known = self.headers["X-API-KEY"] == "good"
        if self.path.startswith("/customers/"):
            self.answer({"amount_micros": self.server.cents}, 200 if known else 401)
        elif self.path.startswith("/api/v2/jobs"):
            self.answer({"jobs": []}, 200 if known and self.server.may_run else 403)
        elif self.path in ("/picture", "/my/"):
            self.answer(self.server.picture)
        else:  # Polled, and that without a credential.
            result = {"sample": f"{self.server.url}/picture"}
            answer = {"id": "1", "status": self.server.statuses.pop(0), "result": result}
            self.answer(answer, 403 if self.headers["X-API-KEY"] else 200)


@pytest.fixture
def platform() -> Iterator[Platform]:
    with Platform() as platform:
        thread = threading.Thread(target=platform.serve_forever, args=(0.01,))
        thread.start()
        yield platform
        platform.shutdown()
        thread.join()


@pytest.fixture
def call(platform):
    who = demo.Member(platform.url, "good", demo.EMAIL, "secret")
    return lambda: demo.metered_call(who, pause=lambda _: None)


def test_a_delivered_call_gives_a_receipt(call):
    receipt = call()

    assert receipt == demo.Receipt("call-1", len(PICTURE), Decimal(500), Decimal(494))
    assert "  price           0.06 USD  (12.66 credits)" in receipt.lines()


@pytest.mark.parametrize("price", [0, 5, 12])
def test_a_wrong_charge_is_a_failure(platform, call, price):
    platform.price = price

    with pytest.raises(demo.DemoFailed, match=r"should have cost 0\.06 USD"):
        call()


def test_a_job_that_fails_is_a_failure(platform, call):
    platform.statuses = ["Error"]

    with pytest.raises(demo.DemoFailed, match="ended as 'Error'"):
        call()


def test_a_polling_url_that_no_node_could_poll_is_a_failure(platform, call):
    platform.polling_url = "/poll/token"

    with pytest.raises(demo.DemoFailed, match="not absolute"):
        call()


def test_what_is_not_a_picture_is_a_failure(platform, call):
    platform.picture = b"<html>"

    with pytest.raises(demo.DemoFailed, match="not a PNG"):
        call()


@pytest.mark.parametrize("staff", [[], ["grace@example.org"]])
def test_the_member_of_an_earlier_run_is_taken_again_and_topped_up(platform, tmp_path, staff):
    added, appointed = [], []

    def manage(*words):
        if "list" in words:
            return json.dumps(
                [{"email": each, "roles": ["finance"]} for each in [*staff, *appointed]]
            )
        if "--staff" in words:
            appointed.append(words[2])
            return ""
        added.append(words)
        platform.password = words[words.index("--password") + 1]
        platform.cents += 500
        return json.dumps({"api_key": "good"})

    file = tmp_path / "demo.json"
    first = demo.member(file, base_url=platform.url, manage=manage)
    again = demo.member(file, base_url=platform.url, manage=manage)
    platform.cents = 5
    topped_up = demo.member(file, base_url=platform.url, manage=manage)

    assert first == again == topped_up
    assert len(added) == 2
    assert appointed == ([] if staff else [demo.STAFF])
    (by,) = {words[words.index("--by") + 1] for words in added}
    assert by == (staff[0] if staff else demo.STAFF)
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_key_of_an_earlier_version_that_runs_nothing_is_followed_by_one_that_does(
    platform, tmp_path
):
    platform.may_run = False
    who = demo.Member(platform.url, "good", demo.EMAIL, "secret")
    (tmp_path / "demo.json").write_text(json.dumps(vars(who)))
    asked = []

    def manage(*words):
        asked.append(words)
        staff = [
            {"email": "axel@example.org", "roles": []},
            {"email": "grace@example.org", "roles": ["finance", "operations"]},
        ]
        return json.dumps(staff if "list" in words else {"api_key": "good"})

    demo.member(tmp_path / "demo.json", base_url=platform.url, manage=manage)

    (added,) = [words for words in asked if words[:2] == ("member", "add")]
    assert "runs" in added
    assert "grace@example.org" in added, "an auditor gives nothing"


@pytest.mark.parametrize(("password", "is_in"), [("secret", True), ("other", False)])
def test_the_login_that_is_printed_is_tried_by_the_form(platform, password, is_in):
    who = demo.Member(platform.url, "good", demo.EMAIL, password)

    assert demo.signs_in(who) is is_in


def test_a_member_of_an_earlier_version_is_verified(platform, tmp_path, monkeypatch):
    asked = []
    who = demo.Member(platform.url, "good", demo.EMAIL, "other")
    (tmp_path / "demo.json").write_text(json.dumps(vars(who)))

    demo.member(
        tmp_path / "demo.json", base_url=platform.url, manage=lambda *words: asked.append(words)
    )

    assert asked == [("member", "add", demo.EMAIL, "--verified")]
