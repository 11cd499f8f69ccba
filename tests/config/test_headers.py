"""What every answer carries, who may read the metrics, and what anybody can make us write."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from config.health import BOUND_TO
from test_scopes import GUARDED, routes

ROOT = Path(__file__).parents[2]
PUBLIC = {"/.well-known/oauth-authorization-server", "/.well-known/jwks.json"}
PLAIN = [
    "/",
    "/profile/usage",
    "/auth/partner-node/renew",
    "/admin/verify-api-key",
    "/health",
    "/ready",
    "/metrics",
    "/nothing",
    "/openapi.json",
    "/openapi-proxy.json",
    "/reference",
    "/webhooks/stripe",
    "/webhooks/leaked-keys",
    "/releases",
    "/api/global-settings",
    "/api/global-settings/<str:key>",
    "/pair",
    "/receipts/nobody",
    "/notices/nobody",
    "/profile/billing",
    "/privacy/nobody",
    "/privacy/confirm/nobody",
    "/privacy/nobody/certificate",
    "/privacy/nobody/certificate.json",
]
READS = sorted({path for method, path, _ in GUARDED if method == "get"})


@pytest.mark.parametrize("path", [*PLAIN, *READS])
@pytest.mark.parametrize("with_key", [True, False])
def test_an_answer_is_kept_by_nobody_and_is_what_it_says_it_is(client, alice, path, with_key):
    answer = client.get(path, headers={"X-API-KEY": alice.key} if with_key else {})

    assert answer["Cache-Control"] == "no-store"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["X-Frame-Options"] == "DENY"


def test_each_plain_address_is_among_them():
    plain = {f"/{route}" for route, callback in routes() if not hasattr(callback, "cls")}

    others = (
        "/static/", "/files/", "/login", "/oauth/", "/pair", "/invitations/", "/privacy/",
        "/receipts/", "/notices/",
    )  # fmt: skip
    assert {path for path in plain if not path.startswith(others) and "purchases" not in path} <= {
        *PLAIN,
        *PUBLIC,
    }


@pytest.fixture
def bound(monkeypatch):
    """The web process listens at loopback, as `config.web` leaves it."""
    monkeypatch.setenv(BOUND_TO, "127.0.0.1")


def of_loopback(client, *, asker="127.0.0.1", host="127.0.0.1:8000", **headers):
    return client.get("/metrics", REMOTE_ADDR=asker, headers={"Host": host, **headers})


@pytest.mark.usefixtures("bound")
@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "[::1]:8000"])
def test_without_a_token_metrics_are_for_this_machine(client, db, host):
    assert of_loopback(client, host=host).status_code == 200
    assert of_loopback(client, host=host, asker="::1").status_code == 200


PROXIES = [
    {"host": "credits.example.org"},
    {"host": "[::1"},
    {"host": ""},
    {"asker": "10.0.0.9"},
    {"asker": ""},
    {"X-Forwarded-For": "127.0.0.1"},
    {"X-Forwarded-Proto": "https"},
    {"X-Forwarded-Host": "localhost"},
    {"Forwarded": "for=127.0.0.1"},
    {"Via": "1.1 edge"},
]


@pytest.mark.usefixtures("bound")
@pytest.mark.parametrize("how", PROXIES)
def test_whoever_comes_from_outside_is_refused(client, db, how):
    answer = of_loopback(client, **how)

    assert answer.status_code in (400, 403)
    assert b"platform_" not in answer.content


@pytest.mark.parametrize("where", ["0.0.0.0", "::", "10.0.0.7", ""])
def test_a_web_process_that_others_reach_gives_no_metrics(client, db, monkeypatch, where):
    monkeypatch.setenv(BOUND_TO, where)

    answer = of_loopback(client)

    assert (answer.status_code, answer.json()["error"]) == (403, "access_disabled")
    assert "METRICS_TOKEN" in answer.json()["message"]


@pytest.mark.usefixtures("bound")
def test_behind_a_proxy_that_hides_there_are_no_metrics(client, db, settings):
    """It passes neither Host nor any header of its own; but there is a public address."""
    settings.PUBLIC_URL = "https://credits.example.org"

    assert of_loopback(client).status_code == 403


def test_what_a_stranger_sends_is_a_line_and_no_trace(client, db, caplog, settings):
    settings.ALLOWED_HOSTS = ["credits.example.org"]

    with caplog.at_level(logging.INFO):
        assert client.get("/health", headers={"Host": "evil.example"}).status_code == 400
        body = b"x" * (3 << 20)
        large = client.post("/webhooks/stripe", body, content_type="application/json",
                            headers={"Host": "credits.example.org"})  # fmt: skip

    assert (large.status_code, large.json()["error"]) == (413, "body_too_large")
    names = [record.name for record in caplog.records]
    assert names == ["django.security.DisallowedHost", "credits.payments.views"]


@pytest.mark.system
def test_the_trace_of_a_stranger_is_not_written():
    """In a process of its own: what a test captures is no handler of ours."""
    code = (
        "import django; django.setup()\n"
        "from django.test import Client\n"
        "print(Client().get('/health', headers={'Host': 'evil.example'}).status_code)"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True,
        env={**os.environ, "ALLOWED_HOSTS": "a.example", "PYTHONPATH": f"{ROOT}:{ROOT}/platform"},
    )  # fmt: skip

    assert said.stdout == "400\n"
    (line,) = said.stderr.splitlines()
    assert "evil.example" in json.loads(line)["event"]
    assert "trace" not in json.loads(line)


@pytest.mark.system
def test_with_the_settings_of_production_django_finds_nothing_to_say():
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'platform'}",
        "PUBLIC_URL": "https://credits.example.org",
        "ALLOWED_HOSTS": "credits.example.org",
        "DEBUG": "0",
        "SECRET_KEY": "0123456789abcdef" * 4,
    }
    done = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")
