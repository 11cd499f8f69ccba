"""The custom node and our server pair a machine, the one as it runs in a ComfyUI, by HTTP."""

from __future__ import annotations

import threading
import time
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest
from django.core.cache import cache
from django.core.wsgi import get_wsgi_application
from django.db import connections

from apikeys import keys, life, pairing
from apikeys.models import ApiKey, Pairing, default_scopes
from apikeys.rights import Rights

pytestmark = pytest.mark.usefixtures("committed")


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


class Threads(ThreadingMixIn, WSGIServer):
    daemon_threads = True


def django_closing(environ, start_response):
    try:
        yield from get_wsgi_application()(environ, start_response)
    finally:
        connections.close_all()


@pytest.fixture
def ours():
    cache.clear()
    server = make_server("127.0.0.1", 0, django_closing, Threads, Quiet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def machine(node, key_file, ours, monkeypatch):
    """A machine that wants a key, and asks often how things stand."""
    monkeypatch.setattr(node.pairing, "EVERY_SECONDS", 0.05)
    made = node.pairing.Pairing(ours, say=lambda line: None)
    yield made
    made.give_up()
    time.sleep(0.2)  # The thread that asks has seen it.


def until(machine, phase):
    end = time.monotonic() + 60
    while machine.shown()["phase"] != phase:
        assert time.monotonic() < end, machine.shown()
        time.sleep(0.02)
    return machine.shown()


def approve(member, code):
    row = pairing.find(code, user=member.user, address="127.0.0.1")
    giver = life.Giver(
        member.user.pk, member.workspace_id, Rights(scopes=frozenset(default_scopes()))
    )
    limits = {"limit": 10_000, "per_day": 50_000}
    return pairing.approve(row.pk, giver, user=member.user, name="studio", days=7, **limits)


@pytest.mark.parametrize("with_library", [True, False])
def test_a_machine_comes_to_its_key(node, machine, ours, alice, monkeypatch, with_library):
    if not with_library:
        monkeypatch.setattr(node.box, "SealedBox", None)
    machine.begin()
    shown = until(machine, "waiting")
    assert shown["where"] == f"{ours}/pair"
    assert Pairing.objects.get(machine__gt="", code_digest__isnull=False).words == shown["words"]
    machine.begin()
    assert machine.shown()["code"] == shown["code"], "pressed twice: still the same code"

    key = approve(alice, shown["code"])
    shown = until(machine, "approved")
    assert shown["account"] == pairing.masked(alice.user.email)
    assert node.place.key_for(ours) is None, "nobody at the machine has confirmed it yet"
    machine.confirm()

    assert machine.shown() == {
        "platform": ours, "phase": "paired", "account": pairing.masked(alice.user.email),
    }  # fmt: skip
    assert keys.authenticate(node.place.key_for(ours)).pk == key.pk
    assert Pairing.objects.get(key=key).box is None
    with pytest.raises(node.pairing.Refused, match="has its key"):
        machine.begin()


def test_what_is_shown_holds_no_secret(node, machine, alice):
    machine.begin()
    approve(alice, machine.shown()["code"])
    shown = str(until(machine, "approved"))

    for secret in (machine._poll_secret, machine._box, machine._secret_key.hex()):
        assert secret not in shown


def test_an_account_that_nobody_meant_gets_no_machine_and_its_key_ends(node, machine, ours, bob):
    machine.begin()
    key = approve(bob, machine.shown()["code"])
    until(machine, "approved")

    machine.give_up()

    assert machine.shown()["phase"] == "over"
    assert ApiKey.objects.get(pk=key.pk).revoked_at is not None
    assert node.place.key_for(ours) is None


def test_a_box_that_was_swapped_on_the_way_is_not_opened(node, machine, ours, alice):
    machine.begin()
    key = approve(alice, machine.shown()["code"])
    until(machine, "approved")
    machine._box = machine._box[:-8] + "AAAAAAA="

    with pytest.raises(node.pairing.Refused, match="cannot be opened"):
        machine.confirm()

    assert node.place.key_for(ours) is None
    assert ApiKey.objects.get(pk=key.pk).revoked_at is not None


def test_a_member_who_says_no_is_seen(machine, alice):
    machine.begin()
    row = pairing.find(machine.shown()["code"], user=alice.user, address="127.0.0.1")
    until(machine, "found")
    pairing.refuse(row.pk, user=alice.user)

    assert until(machine, "over")["why"] == "The member said no."


def test_a_key_of_which_the_platform_does_not_hear_is_kept_by_nobody(
    node, machine, ours, alice, monkeypatch
):
    """Else it would be revoked there, minutes later, while it is used here."""
    machine.begin()
    approve(alice, machine.shown()["code"])
    until(machine, "approved")
    asked = node.pairing.asked

    def away(method, url, **more):
        if url.endswith("/taken"):
            raise node.pairing.Away("lost")
        return asked(method, url, **more)

    monkeypatch.setattr(node.pairing, "asked", away)
    monkeypatch.setattr(node.pairing.time, "sleep", lambda _: None)
    with pytest.raises(node.pairing.Away):
        machine.confirm()
    assert node.place.key_for(ours) is None
    assert machine.shown()["phase"] == "approved", "and may be confirmed again"

    monkeypatch.setattr(node.pairing, "asked", asked)
    machine.confirm()
    assert node.place.key_for(ours)


def test_a_platform_that_is_away_is_a_sentence(node, key_file):
    machine = node.pairing.Pairing("http://127.0.0.1:9", say=print)

    with pytest.raises(node.pairing.Away, match="cannot be asked"):
        machine.begin()

    assert machine.shown()["phase"] == "none"


def test_the_platforms_own_sentence_is_shown(node, machine, monkeypatch):
    monkeypatch.setattr(pairing, "MOST_BEGUN", 0)

    with pytest.raises(node.pairing.Away, match="Too many tries"):
        machine.begin()
