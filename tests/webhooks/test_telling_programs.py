"""Telling members' programs: signed, once for a reason, again where it failed, and never inside."""

import asyncio
import base64
import hashlib
import hmac
import json
import os
import socket
import subprocess
import sys
import threading
import time
import uuid
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.utils import timezone
from hostile import Server, answer, endless, raw, silent

from apikeys.models import SCOPES, ApiKey
from audit.models import Event
from common.errors import InvalidRequest, InvalidWebhookUrl, RateLimited
from common.outside import guard
from credits.gifts import grants
from webhooks import addresses, endpoints, events, sending
from webhooks.models import Delivery, Endpoint

ROOT = Path(__file__).parents[2]
OK = answer(b"thanks")


@pytest.fixture
def listen(settings, alice):
    """Make an endpoint of Alice's on a server, and return it with its secret."""

    def make(server, *types):
        settings.OUTSIDE_ORIGINS = [server.origin]
        Delivery.objects.update(next_try_at=None)  # None of another test waits.
        return endpoints.make(
            alice.workspace_id,
            url=f"{server.origin}/hook?a=b",
            types=types or ["run.succeeded"],
            name="mine",
            by=alice.user.pk,
        )

    return make


def happen(alice, key=None, **data):
    return events.emit(
        alice.workspace_id, "run.succeeded", data or {"id": 1}, key=key or f"run:{uuid.uuid4()}"
    )


def of(endpoint):
    return Delivery.objects.get(endpoint=endpoint)


def verify(secret, asked):
    """Check a message as a receiver does: the standard's algorithm, written anew."""
    at = int(asked.headers["webhook-timestamp"])
    assert abs(time.time() - at) < 300
    content = b".".join([asked.headers["webhook-id"].encode(), str(at).encode(), asked.body])
    kind, _, encoded = secret.partition("_")
    assert kind == "whsec"
    wanted = hmac.digest(base64.b64decode(encoded, validate=True), content, hashlib.sha256)
    given = [each.split(",") for each in asked.headers["webhook-signature"].split(" ")]
    assert all(version == "v1" for version, _ in given)
    return any(base64.b64decode(each, validate=True) == wanted for _, each in given)


def test_the_example_of_the_standard_verifies():
    """Its published vector: spec/standard-webhooks.md's libraries all have it."""
    from webhooks import signing

    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    headers = signing.headers(
        "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}', by=[secret]
    )

    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_what_happened_is_told_once_signed_by_the_secret_that_was_shown(alice, listen):
    with Server(OK) as server:
        endpoint, secret = listen(server)
        assert happen(alice, "run:1", name="ünï") == 1
        assert happen(alice, "run:1") == 0
        while sending.send_due():
            pass

    (asked,) = server.asked
    assert asked.line == "POST /hook?a=b HTTP/1.1"
    assert verify(secret, asked)
    assert not verify("whsec_" + base64.b64encode(bytes(32)).decode(), asked)
    told = json.loads(asked.body)
    assert (told["type"], told["data"]) == ("run.succeeded", {"name": "ünï"})
    assert of(endpoint).state == "delivered"
    assert secret not in str(Endpoint.objects.values().get(pk=endpoint.pk))


def test_what_is_rolled_back_is_not_told_and_strangers_and_others_hear_nothing(alice, bob, listen):
    with Server(OK) as server:
        listen(server)
        with transaction.atomic():
            happen(alice)
            transaction.set_rollback(True)
        events.emit(alice.workspace_id, "run.failed", {}, key="other")
        events.emit(bob.workspace_id, "run.succeeded", {}, key="bobs")
        sending.send_due()

    assert server.asked == []


def test_both_secrets_sign_for_a_day_after_a_rotation(alice, listen):
    with Server(OK) as server:
        endpoint, old = listen(server)
        _, new = endpoints.rotate(alice.workspace_id, endpoint.pk, by=alice.user.pk)
        happen(alice)
        sending.send_due()
        Endpoint.objects.filter(pk=endpoint.pk).update(old_secret_until=timezone.now())
        happen(alice)
        sending.send_due()

    first, second = server.asked
    assert verify(old, first)
    assert verify(new, first)
    assert verify(new, second)
    assert not verify(old, second)


FAILING = {
    "404": answer(status="404 Not Found"), "500": answer(status="500 Oops"),
    "301": answer(status="301 Moved", Location="/elsewhere"),
    "307": answer(status="307 Temp", Location="http://127.0.0.1:1/"),
    "silent": silent(), "hangs up": raw(b""), "no HTTP": raw(b"hello\r\n\r\n"),
    "endless head": endless(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n", pause=0.02),
}  # fmt: skip


@pytest.mark.parametrize("how", sorted(FAILING))
def test_what_failed_is_tried_again_later(alice, listen, how, monkeypatch):
    monkeypatch.setattr(sending, "WHOLE_SECONDS", 1)
    with Server(FAILING[how]) as server:
        endpoint, _ = listen(server)
        happen(alice)
        sending.send_due()

    delivery = of(endpoint)
    assert len(server.asked) == 1, "a redirect is not followed"
    assert (delivery.state, delivery.attempts, len(delivery.tries)) == ("waiting", 1, 1)
    assert delivery.last_error
    assert 4 < (delivery.next_try_at - timezone.now()).total_seconds() + 5 < 12
    endpoint.refresh_from_db()
    assert endpoint.failing_since is not None


def test_of_a_huge_answer_nothing_is_read(alice, listen):
    with Server(endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536)) as server:
        endpoint, _ = listen(server)
        happen(alice)
        sending.send_due()

    assert of(endpoint).state == "delivered"


def test_pauses_grow_and_after_the_last_try_it_is_given_up(alice, listen, settings):
    with Server(answer(status="503 Later")) as server:
        endpoint, _ = listen(server)
        happen(alice)
        waits = []
        for _ in range(sending.MOST_TRIES):
            Delivery.objects.filter(endpoint=endpoint).update(next_try_at=timezone.now())
            before = timezone.now()
            sending.send_due()
            if (then := of(endpoint).next_try_at) is not None:
                waits.append((then - before).total_seconds())

    assert of(endpoint).state == "failed"
    assert len({asked.headers["webhook-id"] for asked in server.asked}) == 1
    for wait, pause in zip(waits, sending.PAUSES, strict=True):
        assert pause <= wait < pause * 1.1 + 20


@pytest.mark.parametrize(
    ("said", "seconds"), [("600", 600), ("99999999999", 86_400), ("soon", 5), ("-5", 5)]
)
def test_who_asks_for_a_pause_gets_it_within_reason(alice, listen, said, seconds):
    with Server(answer(status="429 Slow", Retry_After=said)) as server:
        endpoint, _ = listen(server)
        happen(alice)
        sending.send_due()

    wait = (of(endpoint).next_try_at - timezone.now()).total_seconds()
    assert seconds - 20 < wait < seconds + 20


def test_gone_switches_it_off_and_nothing_waits_any_more(alice, listen):
    with Server(answer(status="410 Gone")) as server:
        endpoint, _ = listen(server)
        for _ in range(9):
            happen(alice)
        sending.send_due()
        asked = len(server.asked)
        sending.send_due()

    endpoint.refresh_from_db()
    assert (endpoint.off_reason, endpoint.told_at) == (sending.GONE, None)
    assert asked == len(server.asked) <= sending.AT_ONCE_FOR_ONE
    assert not endpoint.deliveries.filter(next_try_at__isnull=False).exists()
    assert happen(alice) == 0
    assert Event.objects.filter(action="webhook.switched_off", target=str(endpoint.pk)).exists()


def test_what_takes_nothing_for_days_is_switched_off_and_one_success_begins_anew(alice, listen):
    long_ago = timezone.now() - timedelta(days=sending.DAYS_UNTIL_OFF, minutes=1)
    answers = iter([OK, answer(status="500 Oops")])
    with Server(lambda sock, asked: next(answers)(sock, asked)) as server:
        endpoint, _ = listen(server)
        for _ in range(2):
            Endpoint.objects.filter(pk=endpoint.pk).update(failing_since=long_ago)
            happen(alice)
            sending.send_due()
            endpoint.refresh_from_db()
            if server.asked[1:]:
                assert endpoint.off_reason == sending.FAILED_FOR_DAYS
            else:
                assert endpoint.failing_since is None


def test_a_message_is_sent_again_under_its_own_id(alice, bob, listen):
    with Server(OK) as server:
        endpoint, _ = listen(server)
        happen(alice)
        sending.send_due()
        endpoints.resend(alice.workspace_id, of(endpoint).pk, by=alice.user.pk)
        sending.send_due()

    first, second = server.asked
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body


def test_an_address_that_a_run_names_is_told_in_its_own_words(alice, listen):
    with Server(OK) as server:
        listen(server)
        url = addresses.require(f"{server.origin}/run")
        for _ in range(2):
            events.emit_to(
                alice.workspace_id, url, "run.succeeded", '{"status":"COMPLETED"}', key="run:7"
            )
        sending.send_due()

    (asked,) = server.asked
    assert (asked.line, asked.body) == ("POST /run HTTP/1.1", b'{"status":"COMPLETED"}')
    assert verify(endpoints.secret_for_runs(alice.workspace_id), asked)


@pytest.mark.parametrize(
    "url",
    ["https://127.0.0.1/", "http://example.org/", "https://[::1]/", "https://2130706433/", "x", "",
     "https://169.254.169.254/latest", "https://user:pw@example.org/", "https://example.org:8443/"],
)  # fmt: skip
def test_what_is_inside_is_no_webhook(alice, url):
    with pytest.raises(InvalidWebhookUrl, match="url: ") as refused:
        addresses.require(url)

    assert refused.value.status == 422


def test_a_name_that_turned_inside_since_is_refused_at_the_try(alice, settings):
    async def inside(host, port):
        return ["10.0.0.1"]

    Delivery.objects.update(next_try_at=None)
    events.emit_to(alice.workspace_id, "https://turned.example/", "run.failed", "{}", key="x")
    sending.send_due(look_up=inside)

    delivery = Delivery.objects.get(endpoint__workspace_id=alice.workspace_id)
    assert "public internet" in delivery.last_error
    assert "10.0" not in delivery.last_error


def test_of_two_senders_at_once_each_message_goes_once(committed, alice, listen, at_once):
    with Server(OK) as server:
        listen(server)
        for _ in range(12):
            happen(alice)

        def send(_):
            while sending.send_due():
                pass

        at_once(send, range(4))

    ids = [asked.headers["webhook-id"] for asked in server.asked]
    assert len(ids) == len(set(ids)) == 12


@pytest.mark.system
def test_who_dies_between_sending_and_noting_sends_again_under_the_same_id(
    committed, alice, listen
):
    """Killed as the machine would be, with the request answered and nothing written of it."""
    with Server(OK) as server:
        endpoint, secret = listen(server)
        happen(alice)
        name = connection.settings_dict["NAME"]
        code = (
            "import django; django.setup(); from django.conf import settings;"
            f"settings.DATABASES['default']['NAME'] = {name!r};"
            "from webhooks import sending; sending.send_due()"
        )
        died = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT, capture_output=True, text=True, check=False,
            env={**os.environ, "FAIL_POINT": "webhooks.sent", "OUTSIDE_ORIGINS": server.origin,
                 "DJANGO_SETTINGS_MODULE": "config.settings",
                 "PYTHONPATH": f"{ROOT}:{ROOT}/platform"},
        )  # fmt: skip
        assert died.returncode == -9, died.stderr
        assert of(endpoint).state == "waiting"
        assert sending.send_due() == 0, "it is the dead one's until the lease is over"
        Delivery.objects.filter(endpoint=endpoint).update(next_try_at=timezone.now())
        sending.send_due()

    first, second = server.asked
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert verify(secret, second)
    assert of(endpoint).state == "delivered"


def test_a_note_that_comes_too_late_changes_nothing(alice, listen):
    with Server(OK) as server:
        endpoint, _ = listen(server)
        happen(alice)
        (slow,) = sending.claim()
        Delivery.objects.filter(endpoint=endpoint).update(next_try_at=timezone.now())
        sending.send_due()

        assert not sending.note(slow, sending.Outcome(error="slow"))

    assert of(endpoint).state == "delivered"


def test_one_endpoint_that_hangs_takes_only_its_share(alice, listen):
    with Server(OK) as server:
        listen(server)
        for _ in range(9):
            happen(alice)

        assert len(sending.claim()) == sending.AT_ONCE_FOR_ONE


def test_who_has_many_endpoints_that_hang_holds_up_nobody_else(
    alice, bob, listen, monkeypatch, settings
):
    """Alice's take the slots that one workspace may have; Bob's go meanwhile."""
    monkeypatch.setattr(sending, "AT_ONCE", 9)
    monkeypatch.setattr(sending, "WHOLE_SECONDS", 4)
    monkeypatch.setattr(sending, "WHILE_SECONDS", 2)
    with Server(silent(30)) as hangs, Server(OK) as server:
        listen(hangs)
        for n in range(4):
            events.emit_to(
                alice.workspace_id, f"{hangs.origin}/{n}", "run.failed", "{}", key=f"{n}"
            )
        for n in range(12):
            happen(alice)
            events.emit_to(bob.workspace_id, f"{server.origin}/{n}", "run.failed", "{}", key=f"{n}")
        settings.OUTSIDE_ORIGINS = [hangs.origin, server.origin]
        sending.send_due()

    assert len(server.asked) == 12
    assert len(hangs.asked) <= sending.AT_ONCE_FOR_WORKSPACE


def test_those_with_the_fewest_under_way_come_first(alice, bob, listen, monkeypatch):
    with Server(OK) as server:
        hers, _ = listen(server)
        for _ in range(4):
            happen(alice)
        events.emit_to(bob.workspace_id, f"{server.origin}/bobs", "run.failed", "{}", key="1")

        with monkeypatch.context() as few:
            few.setattr(sending, "AT_ONCE", 2)
            assert {each.url for each in sending.claim()} == {"", f"{server.origin}/bobs"}
        (one, *_) = sending.claim()
        assert one.endpoint_id == hers.pk
        Delivery.objects.filter(endpoint=hers).update(next_try_at=timezone.now())
        assert len(sending.claim([one] * 3)) == 1
        assert sending.claim([one] * sending.AT_ONCE_FOR_ONE) == []


def test_slow_names_hold_up_neither_who_asks_nor_other_names(monkeypatch):
    """The system's resolver waits for a server of names that may be its owner's."""
    over = threading.Event()

    def resolve(host, port, **_):
        if host.startswith("slow"):
            over.wait(30)
        return [(0, 0, 0, "", ("8.8.8.8", port))]

    async def look(host):
        return await guard.look_up(guard.read(f"https://{host}/"))

    async def all_at_once():
        slow = [asyncio.ensure_future(look(f"slow{n}.example")) for n in range(60)]
        await asyncio.sleep(0)
        found = await look("quick.example")
        gone = await asyncio.gather(*slow, return_exceptions=True)
        return found, gone

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(guard, "LOOK_UP_SECONDS", 0.5)
    begun = time.monotonic()
    try:
        found, gone = asyncio.run(all_at_once())
    finally:
        over.set()

    assert found == ["8.8.8.8"]
    assert {type(each) for each in gone} == {guard.NotAllowed}
    assert time.monotonic() - begun < 25


def test_a_message_that_is_sent_again_and_again_stops_nobodys(alice, bob, listen):
    """A count that no column can hold would stop the statement that claims for all."""
    with Server(OK) as server:
        endpoint, _ = listen(server)
        happen(alice)
        Delivery.objects.filter(endpoint=endpoint).update(attempts=2**15 - 1)
        sending.send_due()

    assert of(endpoint).state == "delivered"


def test_a_secret_that_no_pepper_opens_is_one_endpoints_fault(alice, bob, listen, settings):
    with Server(OK) as server:
        endpoint, _ = listen(server)
        happen(alice)
        Endpoint.objects.filter(pk=endpoint.pk).update(secret="77:AAAA")
        events.emit_to(bob.workspace_id, f"{server.origin}/bobs", "run.failed", "{}", key="1")
        sending.send_due()

    assert [asked.line for asked in server.asked] == ["POST /bobs HTTP/1.1"]
    assert of(endpoint).last_error == "Its secret cannot be read any more. Rotate it."
    runs = Endpoint.objects.filter(workspace_id=alice.workspace_id, url="")
    runs.update(secret="77:AAAA")
    assert endpoints.secret_for_runs(alice.workspace_id).startswith("whsec_")
    assert endpoints.secret_for_runs(alice.workspace_id) == endpoints.secret_for_runs(
        alice.workspace_id
    )


def test_a_fault_of_ours_is_one_messages(alice, bob, listen, monkeypatch, caplog):
    with Server(OK) as server:
        endpoint, _ = listen(server)
        happen(alice)
        events.emit_to(bob.workspace_id, f"{server.origin}/bobs", "run.failed", "{}", key="1")
        told, bad = sending.signing.headers, f"msg_{of(endpoint).pk.hex}"

        def breaks(message_id, *args, **more):
            if message_id == bad:
                raise RuntimeError("broken")
            return told(message_id, *args, **more)

        monkeypatch.setattr(sending.signing, "headers", breaks)
        sending.send_due()

    assert [asked.line for asked in server.asked] == ["POST /bobs HTTP/1.1"]
    assert of(endpoint).state == "waiting"
    assert "could not be sent" in caplog.text


def test_a_new_pepper_takes_the_secrets_over_and_the_old_one_can_go(alice, listen, settings):
    with Server(OK) as server:
        endpoint, old = listen(server)
        _, new = endpoints.rotate(alice.workspace_id, endpoint.pk, by=alice.user.pk)
        settings.KEY_PEPPERS = {**settings.KEY_PEPPERS, 99: bytes(range(32))}
        assert endpoints.reseal() == Endpoint.objects.count()
        assert endpoints.reseal() == 0
        settings.KEY_PEPPERS = {99: bytes(range(32))}
        happen(alice)
        sending.send_due()

    (asked,) = server.asked
    assert verify(old, asked)
    assert verify(new, asked)


def test_nobody_makes_tries_or_sends_again_without_end(alice, listen, monkeypatch):
    monkeypatch.setattr(endpoints, "TRIED_AN_HOUR", 1)
    monkeypatch.setattr(endpoints, "RESENT_AN_HOUR", 1)
    monkeypatch.setattr(endpoints, "MADE_AN_HOUR", 1)
    with Server(OK) as server:
        endpoint, _ = listen(server)
        with pytest.raises(RateLimited):
            listen(server)
        tried = endpoints.try_out(alice.workspace_id, endpoint.pk, by=alice.user.pk)
        with pytest.raises(RateLimited):
            endpoints.try_out(alice.workspace_id, endpoint.pk, by=alice.user.pk)
        endpoints.resend(alice.workspace_id, tried.pk, by=alice.user.pk)
        with pytest.raises(RateLimited):
            endpoints.resend(alice.workspace_id, tried.pk, by=alice.user.pk)


def test_credits_that_come_in_are_told(alice, listen):
    with Server(OK) as server:
        endpoint, _ = listen(server, "credits.added")
        grants.grant(wallet=alice.wallet, amount=5, key=uuid.uuid4().hex, reason="test")

    told = json.loads(of(endpoint).body)
    assert told["data"] == {"kind": "grant", "amount_micro_usd": 5}


# --- On the wire -------------------------------------------------------------------------------


@pytest.fixture
def ask(alice):
    ApiKey.objects.filter(pk=alice.api_key_record.pk).update(scopes=list(SCOPES))

    def ask(method, path, **body):
        return Client().generic(
            method, f"/v1/webhooks{path}", json.dumps(body), "application/json",
            headers={"X-API-KEY": alice.key},
        )  # fmt: skip

    return ask


def test_on_the_wire_one_makes_tries_rotates_and_removes(ask, listen):
    made = ask("POST", "", url="https://93.184.216.34/hook", events=["run.failed", "credits.low"])
    here = f"/{made.json()['id']}"
    tried = ask("POST", f"{here}/test")

    assert made.status_code == 201, made.content
    secret = made.json()["secret"]
    assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32
    assert "secret" not in ask("GET", here).json()
    assert [each["id"] for each in ask("GET", "").json()["webhooks"]] == [made.json()["id"]]
    assert (tried.status_code, tried.json()["state"]) == (202, "waiting")
    (listed,) = ask("GET", f"{here}/deliveries").json()["deliveries"]
    assert listed["type"] == "webhook.test"
    assert ask("POST", f"/deliveries/{listed['id']}/resend").status_code == 202
    assert ask("POST", f"{here}/rotate").json()["secret"] != secret
    off = ask("PATCH", here, enabled=False, events=["run.started"]).json()
    assert (off["enabled"], off["events"]) == (False, ["run.started"])
    assert ask("POST", f"{here}/test").status_code == 400
    assert ask("PATCH", here, enabled=True).json()["enabled"] is True
    assert ask("DELETE", here).status_code == 204
    assert ask("GET", here).status_code == 404
    assert ask("GET", "/secret").json()["secret"].startswith("whsec_")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [({}, 400, "invalid_request"),
     ({"url": "x", "events": ["run.failed"]}, 422, "invalid_webhook_url"),
     ({"url": "https://8.8.8.8/", "events": []}, 400, "invalid_request"),
     ({"url": "https://8.8.8.8/", "events": ["nothing"]}, 400, "invalid_request"),
     ({"url": "https://10.0.0.1/", "events": ["run.failed"]}, 422, "invalid_webhook_url")],
)  # fmt: skip
def test_on_the_wire_what_is_wrong_is_said(ask, body, status, code):
    refused = ask("POST", "", **body)

    assert (refused.status_code, refused.json()["error"]) == (status, code)


def test_there_are_not_more_than_so_many(alice, monkeypatch):
    monkeypatch.setattr(endpoints, "MOST", 1)

    def make():
        return endpoints.make(
            alice.workspace_id,
            url="https://8.8.8.8/",
            types=["run.failed"],
            name="",
            by=alice.user.pk,
        )

    make()
    with pytest.raises(InvalidRequest, match="at most 1"):
        make()


@pytest.mark.parametrize(
    ("column", "value", "name"),
    [("events", ["x"], "webhook_events_known"), ("secret", "", "webhook_has_a_secret"),
     ("off_reason", "x", "webhook_reason_of_what_is_off"),
     ("old_secret", "x", "webhook_old_secret_has_an_end")],
)  # fmt: skip
def test_by_hand_the_database_refuses_what_cannot_be(alice, column, value, name):
    endpoint = events.for_runs(alice.workspace_id)

    with pytest.raises(IntegrityError, match=name), transaction.atomic():
        Endpoint.objects.filter(pk=endpoint.pk).update(**{column: value})
