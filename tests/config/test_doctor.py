"""`manage.py doctor`: each thing that can be wrong is found, and told without a secret."""

import json
import os
import re
import socketserver
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from config.doctor import (
    address,
    asking,
    database,
    environment,
    machine,
    mail,
    payments,
    rounds,
    vendors,
    workers,
)
from config.doctor.verdicts import State, failed, without_secrets
from django.db import connection
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from apikeys.models import ApiKey
from credits.models import StripeEvent
from credits.payments.stripe_api import HANDLED
from local.processes import free_port
from outbox.models import Mail
from proxy.vendors import catalogue
from sandbox.stripe.remote import stripe_in_thread

ROOT = Path(__file__).resolve().parents[2]
OK, WARNING, FAILED = State.OK, State.WARNING, State.FAILED
FINE = {"ready": True, "public_url": "fine"}
METRICS = "platform_open_holds 0.0\n"


def found(look, check):
    """Return the states of what was said of one thing, and all of its words."""
    said = [each for each in look() if each.check == check]
    return [each.state for each in said], " ".join(f"{each.sentence} {each.do}" for each in said)


# --- The address ------------------------------------------------------------------------------


class Site:
    """What answers at PUBLIC_URL: answers by path, each a status, headers and a body.

    A header may be a function, which is asked at each answer.
    """

    def __init__(self):
        self.answers = {
            "/health": (200, {}, {"status": "ok"}),
            "/ready": (200, {}, FINE),
            "/metrics": (401, {}, {"error": "unauthorized"}),
        }
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                status, headers, body = site.answers.get(self.path, (404, {}, {}))
                self.send_response_only(status)
                for name, value in headers.items():
                    self.send_header(name, value() if callable(value) else value)
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@contextmanager
def served(server):
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def site(settings):
    made = Site()
    with served(made.server):
        settings.PUBLIC_URL = made.url
        yield made


def test_an_address_that_leads_to_us_is_fine(site):
    site.answers["/health"] = (200, {"Date": formatdate(usegmt=True)}, {"status": "ok"})

    states = {each.check: each.state for each in address.look()}

    assert states == {
        "public url": WARNING,  # It is not https, and only of this machine.
        "reached": OK,
        "clock": OK,
        "ready": OK,
        "metrics": OK,
    }


ELSEWHERE = {"Location": "https://credits.example.org/health"}
AN_HOUR_AGO = {"Date": lambda: formatdate(time.time() - 3600, usegmt=True)}
WRONG_SITES = {
    "nothing of ours": ("/health", (404, {}, {}), "reached", "answers 404"),
    "somebody else": ("/health", (200, {}, {"status": "up"}), "reached", "not our web process"),
    "a detour": ("/health", (301, ELSEWHERE, {}), "reached", "leads to https://credits"),
    "another time": ("/health", (200, AN_HOUR_AGO, {"status": "ok"}), "clock", "differ by 3"),
    "one that cannot serve": (
        "/ready", (503, {}, {"ready": False, "migrations": False}), "ready", "serve: migrations",
    ),
    "one that hands out others": (
        "/ready", (200, {}, {"ready": True, "public_url": "why."}), "ready", "addresses: why.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG_SITES)
def test_what_does_not_lead_to_us_is_found(site, name):
    path, answer, check, words = WRONG_SITES[name]
    site.answers[path] = answer

    states, said = found(address.look, check)

    assert FAILED in states
    assert words in said


def test_ready_behind_a_proxy_that_hides_it_is_told(site):
    site.answers["/ready"] = (404, {}, {})

    assert found(address.look, "ready")[0] == [WARNING]


@pytest.mark.parametrize(("is_here", "state"), [(True, OK), (False, FAILED)])
def test_metrics_that_answer_anybody_are_found(site, monkeypatch, is_here, state):
    site.answers["/metrics"] = (200, {}, METRICS)
    monkeypatch.setattr(address, "_is_of_this_machine", lambda _: is_here)

    assert found(address.look, "metrics")[0] == [state]


def test_nobody_at_the_address_is_found(settings):
    settings.PUBLIC_URL = f"http://127.0.0.1:{free_port()}"

    states, said = found(address.look, "reached")

    assert states == [FAILED]
    assert "Nobody answers" in said


def test_somebody_who_never_answers_is_left(settings, monkeypatch):
    monkeypatch.setattr(asking, "SECONDS", 0.3)
    with socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler) as silent:
        settings.PUBLIC_URL = f"http://127.0.0.1:{silent.server_address[1]}"
        began = time.monotonic()

        states, said = found(address.look, "reached")

    assert states == [FAILED]
    assert "no answer within" in said
    assert time.monotonic() - began < 5


def test_without_an_address_clients_go_where_they_asked(settings):
    settings.PUBLIC_URL = ""

    assert found(address.look, "public url")[0] == [WARNING]


@pytest.mark.parametrize(
    ("url", "state"),
    [("https://credits.example.org", OK), ("http://credits.example.org", FAILED),
     ("http://localhost:8000", WARNING), ("http://[::1]:8000", WARNING)],
)  # fmt: skip
def test_an_address_is_https(url, state):
    assert address._scheme(url).state is state


# --- Settings ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "check", "state", "words"),
    [
        ("SECRET_KEY", "0123456789" * 6, "secrets", FAILED, "SECRET_KEY repeats itself"),
        ("KEY_PEPPERS", {3: b"ab" * 16}, "secrets", FAILED, "version 3 repeats itself"),
        ("METRICS_TOKEN", "short", "secrets", WARNING, "METRICS_TOKEN has fewer"),
        ("DEBUG", True, "debug", FAILED, "Set DEBUG=0"),
        ("ALLOWED_HOSTS", ["*"], "hosts", WARNING, "Set ALLOWED_HOSTS=credits.example.org"),
        ("ALLOWED_HOSTS", ["example.com"], "hosts", FAILED, "is not in ALLOWED_HOSTS"),
        ("ALLOWED_HOSTS", [".example.org"], "hosts", OK, ".example.org"),
        ("SECURE_HSTS_SECONDS", 0, "django", WARNING, "security.W004"),
    ],
)
def test_a_setting_that_is_no_good_is_found(settings, name, value, check, state, words):
    settings.PUBLIC_URL = "https://credits.example.org"
    setattr(settings, name, value)

    states, said = found(environment.look, check)

    assert state in states
    assert words in said


def test_secrets_of_chance_are_fine(settings):
    settings.SECRET_KEY = "qPZ0jv3kQkzUeXoJ5n8yYdR1wTg7cVhBsL2mAfE9iN4uGx6K-_pMtDaHrWbSyFQ"
    settings.KEY_PEPPERS = {1: os.urandom(32)}

    assert found(environment.look, "secrets")[0] == [OK]


def test_keys_whose_pepper_is_gone_are_found(alice, bob):
    here = [alice.workspace_id, bob.workspace_id]
    ApiKey.objects.exclude(workspace__in=here).update(revoked_at="2026-01-01T00:00Z")
    ApiKey.objects.filter(pk=alice.api_key_record.pk).update(pepper_version=9)

    states, said = found(environment.look_at_keys, "keys")

    assert states == [FAILED]
    assert "1 keys were made with pepper 9" in said
    ApiKey.objects.filter(pk=alice.api_key_record.pk).update(revoked_at="2026-01-01T00:00Z")
    assert found(environment.look_at_keys, "keys")[0] == [OK]


# --- The database -----------------------------------------------------------------------------


def test_a_server_to_throw_away_is_not_durable(db):
    states = {each.check: each.state for each in database.look()}

    assert states == {
        "database": OK,
        "encoding": OK,
        "timezone": OK,
        "durability": FAILED,
        "clock": OK,
        "migrations": OK,
        "role": WARNING,  # Tests are the owner (tests/config/test_grants.py).
    }


def test_a_server_that_is_too_old_is_found(db, monkeypatch):
    monkeypatch.setattr(database, "OLDEST_VERSION", 99)

    assert found(database.look, "database")[0] == [FAILED]


@pytest.mark.parametrize(
    ("ahead", "state"), [(0, OK), (-1.5, OK), (3, WARNING), (-29, WARNING), (31, FAILED)]
)
def test_clocks_may_differ_a_little(ahead, state):
    assert database.difference("clock", ahead, of="the other").state is state


def run(**changed):
    done = subprocess.run(
        [sys.executable, "manage.py", "doctor", "--json"],
        cwd=ROOT, env={**os.environ, **changed}, capture_output=True, text=True, check=False,
        timeout=120,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    told = json.loads(done.stdout)
    return done.returncode, {each["check"]: each for each in told["checks"]}


@pytest.fixture(scope="module")
def odd_database(django_db_setup):
    """A database in no encoding, of another time zone, without any table."""
    url = os.environ["DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("CREATE DATABASE odd TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'")
        db.execute("ALTER DATABASE odd SET timezone TO 'Asia/Tokyo'")
        yield make_conninfo(**{**conninfo_to_dict(url), "dbname": "odd"})
        db.execute("DROP DATABASE odd WITH (FORCE)")


@pytest.mark.system
def test_a_database_in_no_encoding_is_told_with_all_the_rest(odd_database):
    status, checks = run(DATABASE_URL=odd_database)

    assert status == 1
    assert checks["encoding"]["state"] == "failed"
    assert "SQL_ASCII" in checks["encoding"]["sentence"]
    assert checks["timezone"]["state"] == "warning"
    assert checks["migrations"]["state"] == "failed"
    assert {"broker", "vendor bfl", "stripe", "mail", "disk", "rest"} <= set(checks)


@pytest.mark.system
def test_a_database_that_is_away_is_told_with_all_the_rest():
    status, checks = run(DATABASE_URL="postgresql://nobody:secret-4711@127.0.0.1:9/none")

    assert status == 1
    assert checks["database"]["state"] == "failed"
    assert "refused" in checks["database"]["sentence"]
    assert {"broker", "vendor bfl", "stripe", "mail", "disk", "rest"} <= set(checks)
    assert "secret-4711" not in json.dumps(checks)


# --- Workers ----------------------------------------------------------------------------------


def test_messages_that_stay_in_their_process_are_found():
    assert found(workers.look_at_broker, "broker")[0] == [FAILED]


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_a_broker_that_is_away_is_found(settings, scheme):
    settings.CELERY_BROKER_URL = f"{scheme}://:secret-4711@127.0.0.1:{free_port()}/0"

    states, said = found(workers.look_at_broker, "broker")

    assert states == [FAILED]
    assert "refused" in said
    assert "secret-4711" not in said


def beat(**seconds):
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM proxy_heartbeat")
        for name, ago in seconds.items():
            cursor.execute(
                "INSERT INTO proxy_heartbeat (name, seen_at)"
                " VALUES (%s, now() - %s * interval '1 second')",
                [name, ago],
            )


def test_each_queue_that_nobody_takes_from_is_found(db):
    beat(worker=1, calls=20, money=100, default=4000)

    states = {each.check: each.state for each in workers.look_at_queues()}

    assert states == {
        "queue beat": OK,
        "queue calls": OK,
        "queue money": WARNING,
        "queue default": FAILED,
        "queue jobs": FAILED,
    }


@pytest.mark.parametrize("beats", [{}, {"worker": 61, "money": 3600}])
def test_without_any_worker_one_thing_is_said(db, beats):
    beat(**beats)

    states, said = found(workers.look_at_queues, "queues")

    assert states == [FAILED]
    assert "celery -A config.celery worker -B -Q" in said


def test_of_each_queue_it_is_known_what_does_not_happen(settings):
    assert set(workers.WORK) == set(settings.HEARTBEATS)


# --- Stripe -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def _far_side():
    with stripe_in_thread() as remote:
        yield remote


@pytest.fixture
def fake(_far_side, settings):
    _far_side.post("reset")
    _far_side.post("webhook", url="https://credits.example.org/webhooks/stripe")
    settings.PUBLIC_URL = "https://credits.example.org"
    settings.STRIPE_API_KEY = "sk_test_ours"
    settings.STRIPE_API_BASE = _far_side.url
    settings.STRIPE_WEBHOOK_SECRETS = ["whsec_ours"]
    return _far_side


@pytest.mark.parametrize("thin", [False, True])
@pytest.mark.parametrize("events", [["*"], list(HANDLED)])
def test_stripe_that_tells_us_of_everything_is_fine(fake, thin, events):
    fake.post("webhook", thin=thin, events=events)

    assert found(payments.look, "webhook")[0] == [OK]


@pytest.mark.parametrize(
    ("hook", "words"),
    [
        ({"url": "https://old.example.org/webhooks/stripe"}, "it has: https://old.example.org"),
        ({"url": None}, "it has: none"),
        ({"enabled": False}, "is disabled"),
        ({"events": list(HANDLED[3:])}, "3 kinds of event: checkout.session.completed, "),
        ({"events": [HANDLED[0]], "thin": True}, f"{len(HANDLED) - 1} kinds of event"),
    ],
)
def test_an_endpoint_that_does_not_tell_us_all_is_found(fake, hook, words):
    fake.post("webhook", **hook)

    states, said = found(payments.look, "webhook")

    assert states == [FAILED]
    assert words in said


def test_a_key_that_stripe_refuses_is_found(fake, settings):
    settings.STRIPE_API_KEY = "sk_live_of_somebody_else"

    states, said = found(payments.look, "stripe")

    assert FAILED in states
    assert "does not let this key" in said


@pytest.mark.slow
def test_stripe_that_does_not_answer_is_found(fake, settings):
    settings.STRIPE_API_BASE = f"http://127.0.0.1:{free_port()}"

    states, said = found(payments.look, "stripe")

    assert FAILED in states
    assert "does not answer" in said


@pytest.mark.parametrize(
    ("key", "base", "state"),
    [
        ("sk_live_x", "", OK),
        ("rk_live_x", "", OK),
        ("sk_test_x", "", WARNING),
        ("sk_live_x", "http://127.0.0.1:9", WARNING),
        ("pk_x", "", WARNING),
    ],
)
def test_the_mode_of_the_key_is_told(settings, key, base, state):
    settings.STRIPE_API_KEY, settings.STRIPE_API_BASE = key, base

    assert payments._mode().state is state


@pytest.mark.parametrize(("secrets", "state"), [([], FAILED), (["sk_test_ours"], WARNING)])
def test_a_signing_secret_that_is_none_is_found(fake, settings, secrets, state):
    settings.STRIPE_WEBHOOK_SECRETS = secrets

    assert state in found(payments.look, "webhook")[0]


def test_events_that_did_not_come_by_themselves_are_found(db):
    StripeEvent.objects.all().delete()  # Those of tests whose commits are real.
    assert found(payments.look_at_events, "events")[0] == [OK]
    event = {"type": "x", "object_id": "y", "payload": {}, "happened_at": "2026-01-01T00:00Z"}
    StripeEvent.objects.create(id="evt_a", listed=True, **event)
    late = StripeEvent.objects.create(id="evt_b", **event)
    StripeEvent.objects.filter(pk=late.pk).update(received_at="2026-01-01T00:00Z")

    states, said = found(payments.look_at_events, "events")

    assert states == [WARNING, WARNING]
    assert "1 of the last day's 1 events were not delivered" in said
    assert "1 events of Stripe's wait" in said


# --- Vendors, machine, mail -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "check", "state"),
    [
        ({"VENDOR_BFL_KEY": "a-good-key"}, "vendor bfl", OK),
        ({"VENDOR_BFL_KEY": ""}, "vendor bfl", WARNING),
        ({"VENDOR_BFL_KEY": "replace-this"}, "vendor bfl", FAILED),
        ({"VENDOR_KLING_SECRET": "half-of-a-pair"}, "vendor kling", FAILED),
        ({"VENDOR_VERTEXAI_CREDENTIALS": "/not/there.json"}, "vendor vertexai", FAILED),
        ({"VENDOR_VERTEXAI_KEY": "a-good-key"}, "vendor vertexai", OK),
        ({"VENDOR_BFL_KEY": "a-good-key "}, "vendor bfl", FAILED),
        (
            {"VENDOR_BFL_KEY": "a-good-key", "VENDOR_BFL_BASE_URL": "http://127.0.0.1:9"},
            "vendor bfl",
            WARNING,
        ),
        ({"VENDOR_KLING_KEY": "a-good-key"}, "vendor kling", OK),
        (
            {"VENDOR_KLING_KEY": "a-good-key", "VENDOR_KLING_SECRET": "a-good-secret"},
            "vendor kling",
            WARNING,  # A pair is not for all of its models.
        ),
        ({"VENDOR_VERTEXAI_CREDENTIALS": "/none/key.json"}, "vendor vertexai", FAILED),
        ({"VENDOR_VERTEXAI_CREDENTIALS": " {}\n"}, "vendor vertexai", FAILED),
        ({}, "vendor vertexai", WARNING),
        ({"VENDOR_BFL_KEY": "a-good-key", "VENDOR_BFL_KYE": "x"}, "vendors", WARNING),
        ({"VENDOR_BFL_KEY": "a-good-key", "VENDOR_BLF_KEY": "x"}, "vendors", WARNING),
    ],
)
def test_vendors_are_told_one_by_one(settings, given, check, state):
    settings.VENDOR_BASE_URL, settings.SANDBOX_OPERATIONS = "", False
    settings.VENDOR_SETTINGS = given

    assert found(vendors.look, check)[0] == [state]


@pytest.fixture
def written(committed):
    """Write accounts as staff does; none is left behind."""
    from proxy import vendor_accounts
    from proxy.models import VendorAccount

    def write(vendor, name, key="secret-4711", off=""):
        vendor_accounts.add(vendor, name, {"KEY": key}, by=uuid4(), reason="a test")
        if off:
            vendor_accounts.disable(vendor, name, by=uuid4(), reason=off)

    yield write
    VendorAccount.objects.all().delete()


def test_accounts_that_are_written_are_told_with_what_opens_them(settings, written):
    settings.KEY_PEPPERS, settings.VENDOR_SETTINGS = {1: b"a" * 32}, {}
    assert found(vendors.look_at_accounts, "vendors")[0] == [FAILED]
    written("bfl", "second")

    states, said = found(vendors.look_at_accounts, "vendor accounts")
    assert (states, "1 are written, sealed by pepper 1" in said) == ([OK], True)
    assert found(vendors.look_at_accounts, "vendors")[0] == []
    settings.KEY_PEPPERS = {1: b"a" * 32, 2: b"b" * 32}
    assert found(vendors.look_at_accounts, "vendor accounts")[0] == [WARNING]
    settings.KEY_PEPPERS = {2: b"b" * 32}
    states, said = found(vendors.look_at_accounts, "vendor accounts")
    assert (states, "bfl/second" in said) == ([FAILED], True)
    assert found(vendors.look_at_accounts, "vendor bfl")[0] == [FAILED]
    assert "secret-4711" not in said


def test_a_vendor_whose_accounts_are_all_off_is_told(settings, written):
    settings.VENDOR_SETTINGS = {"VENDOR_RUNWAY_KEY": "a-good-key"}
    written("bfl", "second", off="no contract any more")
    written("runway", "second", off="no contract any more")

    assert found(vendors.look_at_accounts, "vendor bfl")[0] == [FAILED]
    assert found(vendors.look_at_accounts, "vendor runway")[0] == [], "the environment's is used"
    assert found(vendors.look_at_accounts, "vendors")[0] == []


def test_the_example_names_what_each_vendor_is_called_with():
    said = (ROOT / ".env.example").read_text()

    for vendor in catalogue().vendors.values():
        for name in vendors.credentials_of(vendor):
            assert re.search(rf"^#?{name}=", said, re.MULTILINE), name


def test_a_folder_that_cannot_be_written_is_found(settings, tmp_path):
    (tmp_path / "file").write_text("")
    settings.DATA_DIR = tmp_path / "file" / "data"

    states, said = found(machine.look, "disk")

    assert FAILED in states
    assert "DATA_DIR" in said


@pytest.mark.parametrize(("limit", "state"), [("LITTLE", WARNING), ("TOO_LITTLE", FAILED)])
def test_a_disk_that_is_nearly_full_is_found(settings, tmp_path, monkeypatch, limit, state):
    settings.DATA_DIR = tmp_path / "new"
    monkeypatch.setattr(machine, limit, 1 << 62)

    assert set(found(machine.look, "disk")[0]) == {state}


class MailServer(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(b"220 here\r\n")
        for line in self.rfile:
            is_known = line[:4].upper() in (b"EHLO", b"QUIT", b"HELO")
            self.wfile.write(b"250 fine\r\n" if is_known else b"502 no\r\n")
            if line[:4].upper() == b"QUIT":
                return


@pytest.fixture
def smtp(settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_USE_TLS, settings.EMAIL_USE_SSL = "127.0.0.1", False, False
    settings.DEFAULT_FROM_EMAIL = "Credits <credits@credits.io>"
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), MailServer) as server, served(server):
        settings.EMAIL_PORT = server.server_address[1]
        yield settings


def test_a_mail_server_that_takes_our_mails_is_fine(smtp):
    assert found(mail.look, "mail")[0] == [OK]


@pytest.mark.parametrize(
    ("name", "value", "state"),
    [
        ("EMAIL_PORT", 9, FAILED),
        ("EMAIL_USE_TLS", True, FAILED),
        ("DEFAULT_FROM_EMAIL", "Credits <credits@localhost>", WARNING),
        ("EMAIL_BACKEND", "django.core.mail.backends.console.EmailBackend", WARNING),
    ],
)
def test_a_mail_server_that_does_not_is_found(smtp, name, value, state):
    setattr(smtp, name, value)

    assert state in found(mail.look, "mail")[0]


def test_mails_that_wait_are_found(db):
    Mail.objects.all().delete()
    assert found(mail.look_at_mails, "mails")[0] == [OK]
    written = Mail.objects.create(key="a", to="a@example.org", subject="s", text="t")
    Mail.objects.filter(pk=written.pk).update(created_at="2026-01-01T00:00Z")
    Mail.objects.create(key="b", to="a@example.org", subject="s", text="t", next_try_at=None)

    states, said = found(mail.look_at_mails, "mails")

    assert states == [WARNING]
    assert "1 mails wait for more than an hour; 1 of this week were given up" in said


# --- All together -----------------------------------------------------------------------------


def test_what_cannot_be_looked_at_is_a_failure_and_hides_nothing_else(db, monkeypatch):
    def breaks():
        yield database.ok("vendors", "one of two")
        raise RuntimeError("a bug")

    monkeypatch.setitem(rounds.ALONE, "vendors", breaks)

    said = list(rounds.examine())

    states = [(each.check, each.state) for each in said if each.check == "vendors"]
    assert states == [("vendors", OK), ("vendors", FAILED)]
    assert {"mail", "disk", "keys", "events", "mails"} <= {each.check for each in said}
    assert "RuntimeError: a bug" in " ".join(each.sentence for each in said)


def test_no_secret_is_ever_printed(settings):
    secrets = {name: f"{name}-secret-4711" for name in ("key", "db", "stripe", "hook", "mail")}
    settings.SECRET_KEY = secrets["key"]
    settings.DATABASES["default"]["PASSWORD"] = secrets["db"]
    settings.STRIPE_API_KEY = secrets["stripe"]
    settings.STRIPE_WEBHOOK_SECRETS = [secrets["hook"]]
    settings.EMAIL_HOST_PASSWORD = secrets["mail"]
    settings.METRICS_TOKEN = "metrics-secret-4711"
    settings.KEY_PEPPERS = {1: b"4711" * 8}
    settings.VENDOR_SETTINGS = {"VENDOR_BFL_KEY": "vendor-secret-4711"}
    settings.CELERY_BROKER_URL = "redis://:broker%2Dsecret-4711@host/0"
    more = ["metrics-secret-4711", "vendor-secret-4711", (b"4711" * 8).hex(), "broker-secret-4711"]
    text = " and ".join([*secrets.values(), *more])

    shown = without_secrets(failed("x", text, text))

    assert shown.sentence == shown.do == " and ".join(["***"] * 9)
