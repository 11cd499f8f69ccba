"""A published key is disabled and its owner told, once; and only on the word of who may say so."""

import base64
import hashlib
import json
import threading
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.core.cache import cache

from apikeys import keys, leaks, life, reports, states
from apikeys.life import Giver
from apikeys.models import ApiKey
from apikeys.rights import Rights, of
from common.errors import Unauthorized
from outbox.models import Mail

PATH = "/webhooks/leaked-keys"


class Site:
    """The reporter's own site, which publishes its public keys."""

    def __init__(self):
        self.signer, self.asked, self.status, self.extra = (
            ec.generate_private_key(ec.SECP256R1()),
            0,
            200,
            b"",
        )
        self.name = "first"

    def published(self):
        pem = self.signer.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        odd = [{"key_identifier": "odd", "key": "no key"}, {"key": 3}, "?"]
        one = {"key_identifier": self.name, "key": pem.decode(), "is_current": True}
        return json.dumps({"public_keys": [*odd, one]}).encode() + self.extra

    def sign(self, body):
        return base64.b64encode(self.signer.sign(body, ec.ECDSA(hashes.SHA256()))).decode()


@contextmanager
def serving(site):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            site.asked += 1
            body = site.published()
            self.send_response(site.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/keys"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def site(db, settings, monkeypatch):
    """Where reports come from; nobody has looked its keys up yet."""
    cache.clear()
    monkeypatch.setattr(leaks, "signers", leaks.Signers())
    made = Site()
    with serving(made) as url:
        settings.LEAK_REPORT_KEYS_URL = url
        yield made


@pytest.fixture
def report(client, site):
    def send(*tokens, url="https://git.example/a.py", body=None, name=None, signature=None):
        if body is None:
            listed = [
                {"token": t, "type": "a key", "url": url, "source": "content"} for t in tokens
            ]
            body = json.dumps(listed).encode()
        signed = site.sign(body) if signature is None else signature
        return client.post(
            PATH,
            body,
            content_type="application/json",
            headers={
                "Github-Public-Key-Identifier": site.name if name is None else name,
                "Github-Public-Key-Signature": signed,
            },
        )

    return send


def acts(key):
    try:
        keys.authenticate(key)
    except Unauthorized:
        return False
    return True


def letters(member):
    return list(Mail.objects.filter(to=member.user.email))


def test_a_published_key_is_disabled_and_its_owner_told_once(report, alice, bob):
    answers = [report(alice.key, "comfyui-" + "0" * 64) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200] * 3
    assert answers[0].json() == [
        {
            "token_hash": hashlib.sha256(alice.key.encode()).hexdigest(),
            "token_type": "a key",
            "label": "true_positive",
        },
        {
            "token_hash": hashlib.sha256(b"comfyui-" + b"0" * 64).hexdigest(),
            "token_type": "a key",
            "label": "false_positive",
        },
    ]
    assert [acts(alice.key), acts(bob.key)] == [False, True]
    (letter,) = letters(alice)
    assert "https://git.example/a.py" in letter.text
    assert alice.key not in letter.text
    assert "webhooks" not in letter.text
    assert alice.api_key_record.prefix in letter.text
    assert letters(bob) == []


def test_an_address_that_no_database_holds_lets_no_key_live_on(report, alice):
    assert report(alice.key, url="https://git.example/\0\ud800.py").status_code == 200

    assert not acts(alice.key)
    (letter,) = letters(alice)
    assert "https://git.example/??.py" in letter.text


def test_what_was_made_with_it_is_disabled_too(report, alice):
    ApiKey.objects.filter(pk=alice.api_key_record.pk).update(scopes=["proxy", "keys:manage"])

    def child(parent):
        giver = Giver(alice.user.pk, alice.workspace_id, of(parent), parent)
        scopes = Rights(scopes=frozenset(["proxy", "keys:manage"]))
        return life.make(giver, name="child", description="", asked=scopes)

    one, record = child(ApiKey.objects.get(pk=alice.api_key_record.pk))
    two, grandchild = child(record)
    three, _ = life.rotate(
        Giver(alice.user.pk, alice.workspace_id, of(record), record),
        record.pk,
        overlap=life.MOST_OVERLAP,
    )
    other, _ = keys.issue(workspace_id=alice.workspace_id, user_id=alice.user.pk, name="other")

    report(alice.key)

    assert [acts(each) for each in (alice.key, one, two, three, other)] == [False] * 4 + [True]
    (letter,) = letters(alice)
    assert grandchild.prefix in letter.text
    assert "look whether all of them are yours" in letter.text


def test_its_owner_cannot_enable_it(report, alice, client):
    report(alice.key)
    client.force_login(alice.user)

    path = f"/v1/keys/{alice.api_key_record.pk}"
    answer = client.patch(path, {"disabled": False}, content_type="application/json")

    assert answer.status_code == 400
    assert not acts(alice.key)


def test_a_key_that_was_revoked_and_made_nothing_is_told_to_nobody(report, alice):
    states.revoke(alice.api_key_record, by=alice.user.pk, reason="lost")

    assert report(alice.key).json()[0]["label"] == "true_positive"
    assert letters(alice) == []


def giver(alice, key):
    ApiKey.objects.filter(pk=key.pk).update(scopes=["proxy", "keys:manage"])
    found = ApiKey.objects.get(pk=key.pk)
    return Giver(alice.user.pk, alice.workspace_id, of(found), found)


@pytest.mark.parametrize("way", ["rotated", "revoked", "disabled"])
def test_who_finds_a_key_does_not_keep_what_they_made_by_ending_it(report, alice, way):
    """Before the report comes, so that it is of a key that ended."""
    found = giver(alice, alice.api_key_record)
    if way == "rotated":
        thiefs, _ = life.rotate(found, found.key.pk, overlap=timedelta())
    else:
        grants = Rights(scopes=frozenset(["proxy", "keys:manage"]))
        thiefs, made = life.make(found, name="mine now", description="", asked=grants)
        theirs = giver(alice, made)
        if way == "revoked":
            states.revoke(life.one(theirs, found.key.pk), by=alice.user.pk, reason="gone")
        else:
            life.change(theirs, found.key.pk, asked={}, disabled=True)
    assert acts(thiefs)

    for _ in range(2):
        assert report(alice.key).json()[0]["label"] == "true_positive"

    assert not acts(thiefs)
    (letter,) = letters(alice)
    assert ("revoked before" in letter.text) == (way != "disabled")
    assert "made with it, and are disabled" in letter.text


def test_a_key_that_its_owner_paused_is_paused_for_good_once_it_is_found(report, alice, client):
    states.disable(alice.api_key_record, by=alice.user.pk, reason="for a while")

    report(alice.key)
    client.force_login(alice.user)
    path = f"/v1/keys/{alice.api_key_record.pk}"
    answer = client.patch(path, {"disabled": False}, content_type="application/json")

    assert answer.status_code == 400
    assert not acts(alice.key)
    assert len(letters(alice)) == 1


def test_what_staff_let_act_again_is_told_again_when_it_is_found_again(report, alice, bob):
    report(alice.key)
    states.enable(alice.api_key_record, by=bob.user.pk, reason="It was another's.")
    report(alice.key)

    assert not acts(alice.key)
    assert len(letters(alice)) == 2


def test_the_bytes_are_signed_as_they_are(report, site, alice):
    body = json.dumps([{"token": alice.key, "type": "x", "url": ""}]).encode()
    signed = site.sign(body)

    assert report(body=body + b" ", signature=signed).status_code == 400
    assert report(body=body.replace(b": ", b":"), signature=signed).status_code == 400
    assert acts(alice.key)
    assert report(body=body, signature=signed).status_code == 200
    assert not acts(alice.key)


@pytest.mark.parametrize(
    ("name", "signature"),
    [
        ("other", None),
        ("", None),
        ("odd", None),
        (None, ""),
        (None, "AAAA"),
        (None, "ü?"),
        (None, "="),
    ],
)
def test_who_is_not_known_reports_nothing(report, alice, name, signature):
    assert report(alice.key, name=name, signature=signature).status_code == 400
    assert acts(alice.key)


def test_another_signer_under_the_known_name_is_refused(report, site, alice):
    assert report().status_code == 200
    site.signer = ec.generate_private_key(ec.SECP256R1())

    assert report(alice.key).status_code == 400


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[1]", b"[{}]", b'[{"token": 1}]', b"\xff", b"[" * 99999]
)
def test_a_signed_report_that_is_none_is_refused(report, body):
    assert report(body=body).status_code == 400


def test_keys_are_looked_up_once_and_unknown_names_not_at_will(report, site, monkeypatch):
    for _ in range(3):
        assert report().status_code == 200
        assert report(name="other").status_code == 400
    assert site.asked == 1

    monkeypatch.setattr(leaks, "AGAIN_SECONDS", 0)
    site.name, site.signer = "second", ec.generate_private_key(ec.SECP256R1())
    assert report().status_code == 200
    assert site.asked == 2


@pytest.mark.parametrize(("status", "extra"), [(500, b""), (200, b"}"), (200, b" " * (2 << 20))])
def test_while_its_keys_cannot_be_read_the_reporter_comes_again(report, site, alice, status, extra):
    site.status, site.extra = status, extra

    answer = report(alice.key)

    assert (answer.status_code, answer["Retry-After"]) == (503, "2")
    assert acts(alice.key)


def test_reports_are_counted_before_they_are_read(report, site, monkeypatch):
    monkeypatch.setattr(reports, "MOST_A_MINUTE", 2)

    codes = [report(signature="AAAA").status_code for _ in range(5)]

    assert codes.count(429) >= 2  # A minute may begin in between.
    assert site.asked <= 1


def test_where_no_scanner_is_named_none_is_heard(report, settings, alice):
    settings.LEAK_REPORT_KEYS_URL = ""

    assert report(alice.key).status_code == 404
    assert acts(alice.key)


def test_two_reports_at_once_write_one_letter(alice, at_once):
    at_once(lambda _: leaks.report(json.dumps([{"token": alice.key}]).encode()), range(6))

    assert len(letters(alice)) == 1
    assert not acts(alice.key)


def end_by_report(key, alice):
    leaks.report(json.dumps([{"token": alice.key}]).encode())


def end_by_hand(key, alice):
    states.revoke_with_made(key, by=alice.user.pk, reason="lost")


@pytest.mark.parametrize("end", [end_by_report, end_by_hand])
def test_a_run_of_what_it_made_that_begins_meanwhile_keeps_no_key(alice, end, monkeypatch):
    """Its transaction holds the second key's row, and is over once that one is to be ended."""
    own = {"workspace_id": alice.workspace_id, "user_id": alice.user.pk}
    _, second = keys.issue(**own, name="mine now", made_by=alice.api_key_record)
    found, of_runs = states.made_with, []

    def meanwhile(key):
        made = found(key)
        if not of_runs:
            of_runs.append(keys.issue(**own, name="a run", made_by=second)[0])
        return made

    monkeypatch.setattr(states, "made_with", meanwhile)
    end(alice.api_key_record, alice)

    assert not acts(of_runs[0])
