"""Every door is limited for whoever knocks, and whatever is pushed in breaks none."""

import json
import time
from types import SimpleNamespace
from urllib.parse import urlencode

import pytest
from django.core.cache import cache
from django.db import OperationalError
from django.test import Client
from redis.exceptions import ConnectionError as RedisAway
from test_access_rules import DOOR, MEMBER, RULES, path_of

from accounts import doors
from apikeys import pairing
from common import ratelimits

LIKE_A_BROWSER = {"Accept": "text/html"}
DOORS = [path_of(route) for route in RULES[DOOR]]
ALL = DOORS + [path_of(route) for route in RULES[MEMBER]]
ODD = [
    "\0",
    "x" * 3000,
    "[]",
    '{"id": 1}',
    '{"type":"public-key","id":"AA","rawId":"AA","response":{}}',
    "a@b@\u0394\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
]
TYPES = (None, [], {}, 1, True, [{}])
FIELDS = ("login", "password", "email", "password1", "password2", "oldpassword", "code", "name",
          "credential", "passwordless", "action", "account", "next", "key", "session", "provider",
          "process", "callback_url", "token")  # fmt: skip


@pytest.fixture
def one_minute(monkeypatch):
    """The clock by which tries are counted stands still: no minute begins between two of them."""
    monkeypatch.setattr(ratelimits, "time", SimpleNamespace(time=lambda: 1_800_000_000.0))


@pytest.mark.usefixtures("one_minute")
@pytest.mark.parametrize("path", DOORS)
def test_every_door_is_limited_for_whoever_knocks(db, monkeypatch, path):
    monkeypatch.setattr(doors, "TRIES", 2)
    client = Client(SERVER_NAME="localhost")

    def knock(**about):
        return client.post(path, b"{}", content_type="application/json", **about)

    asked = [knock().status_code for _ in range(3)]
    assert 429 not in asked[:2]
    assert asked[2] == 429
    assert knock(REMOTE_ADDR="2001:db8::1").status_code != 429
    knock(REMOTE_ADDR="2001:db8::2")
    assert knock(REMOTE_ADDR="2001:db8::3").status_code == 429, "a household has many addresses"


def database_away(*_, **__):
    raise OperationalError("the connection is lost")


def redis_away(*_, **__):
    raise RedisAway("Connection refused.")


@pytest.mark.parametrize("away", [database_away, redis_away])
@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("/account/login/", (doors.ratelimits, "take")),  # Before the view,
        ("/account/login/", (doors.origins, "check")),
        ("/v1/pairings", (pairing, "begin")),  # and in one.
    ],
)
def test_where_tries_cannot_be_counted_nobody_is_heard_and_may_come_again(
    db, monkeypatch, away, path, where
):
    monkeypatch.setattr(*where, away)
    client = Client(SERVER_NAME="localhost", raise_request_exception=False)
    body = {"public_key": "A" * 43 + "=", "secret_digest": "00" * 32}

    headers = LIKE_A_BROWSER if where[0] is not pairing else {}

    answer = client.post(path, body, content_type="application/json", headers=headers)

    assert (answer.status_code, answer.json()["error"]) == (503, "service_unavailable")
    assert int(answer["Retry-After"]) > 0


@pytest.mark.usefixtures("one_minute")
def test_who_comes_back_from_another_site_knocks_by_reading(db, monkeypatch):
    monkeypatch.setattr(doors, "TRIES", 1)
    client = Client(SERVER_NAME="localhost")
    path = "/account/google/login/callback/?code=x&state=y"

    assert client.get(path).status_code != 429
    assert client.get(path).status_code == 429


@pytest.mark.slow
@pytest.mark.parametrize("is_member", [False, True])
@pytest.mark.parametrize("path", ALL)
def test_whatever_is_pushed_in_is_refused_and_breaks_nothing(
    ines, alice, path, is_member, monkeypatch
):
    monkeypatch.setattr(doors, "TRIES", 10**6)
    client = ines.browser
    client.raise_request_exception = False
    if is_member:
        client.force_login(alice.user, "allauth.account.auth_backends.AuthenticationBackend")
        proven_just_now(client, alice.user)

    broke = []
    for odd in ODD:
        asked = {
            "form": client.post(path, dict.fromkeys(FIELDS, odd)),
            "query": client.get(path, dict.fromkeys(FIELDS, odd)),
            "json": push(client, path, json.dumps(dict.fromkeys(FIELDS, odd))),
            "raw": push(client, path, odd),
        }
        broke += [(odd[:20], how) for how, answer in asked.items() if answer.status_code >= 500]
        cache.clear()
    for value in TYPES:
        answer = push(client, path, json.dumps(dict.fromkeys(FIELDS, value)))
        broke += [(value, "json")] * (answer.status_code >= 500)
    assert broke == []


def proven_just_now(client, user):
    """Have the session say so, as after a password: then nothing asks for one more."""
    session = client.session
    session["account_authentication_methods"] = [{"method": "password", "at": time.time()}]
    session["account_authentication_methods_user"] = str(user.pk)
    session.save()


def push(client, path, body):
    return client.post(path, body, content_type="application/json")


FOR_SCRIPTS = [path for path in ALL if path.startswith("/_allauth/")]


@pytest.mark.parametrize("path", FOR_SCRIPTS)
def test_who_begins_in_the_middle_is_told_so_at_each_address_for_scripts(db, path, monkeypatch):
    monkeypatch.setattr(doors, "TRIES", 10**6)
    client = Client(SERVER_NAME="localhost", raise_request_exception=False)

    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        answer = client.generic(method, path, "{}", content_type="application/json")
        assert answer.status_code < 500, method


def test_who_began_to_sign_up_by_a_passkey_is_read_to_the_end(ines):
    def send(method, what, body):
        path = f"/_allauth/browser/v1/auth/{what}"
        return ines.browser.generic(method, path, json.dumps(body), "application/json")

    assert send("PUT", "webauthn/signup", {}).status_code == 409, "nobody has begun"
    assert send("POST", "webauthn/signup", {"email": ines.email}).status_code == 401
    assert send("POST", "email/verify", {"key": ines.code()}).status_code == 401

    read = send("PUT", "webauthn/signup", {"name": "mine"})

    assert read.status_code == 400
    assert [each["param"] for each in read.json()["errors"]] == ["credential"]


@pytest.mark.parametrize("path", FOR_SCRIPTS)
def test_what_no_text_and_no_number_can_hold_is_refused_at_each_address_for_scripts(
    db, path, monkeypatch
):
    """Python's reader of JSON takes halves of surrogates, and breaks at a number too long."""
    monkeypatch.setattr(doors, "TRIES", 10**6)
    client = Client(SERVER_NAME="localhost", raise_request_exception=False)
    odd = ['"ann@example.org\\ud800"', "9" * 5000, "NaN", '{"a":' * 200 + "1" + "}" * 200]

    for method in ("POST", "PUT", "PATCH", "DELETE"):
        for value in odd:
            body = "{" + ",".join(f'"{field}":{value}' for field in FIELDS) + "}"
            answer = client.generic(method, path, body, content_type="application/json")
            assert answer.status_code == 400, (method, value[:30], answer.status_code)
            assert answer.json()["error"] == "invalid_request"


@pytest.mark.parametrize(
    "where",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "https:evil",
    ],
)
@pytest.mark.parametrize("how", ["form", "query"])
def test_who_signs_in_is_sent_to_no_other_site(ines, where, how):
    ines.come_in()
    ines.browser.logout()
    form = {"login": ines.email, "password": "four plain words of mine"}
    path = f"login/?{urlencode({'next': where})}" if how == "query" else "login/"

    answer = ines.post(path, **form, **({"next": where} if how == "form" else {}))

    assert ines.is_in()
    assert answer["Location"].startswith("/my/"), answer["Location"]


ODD_COOKIES = [
    '"\\000aaaaaaaaaaaaaaaa"',  # In quotes a cookie holds any byte, by its number.
    '"aaaaaaaaaaaa\\000"',
    '"' + "\\377" * 20 + '"',
    "\x80\xff" * 10,
    "a" * 8000,
    "A" * 32,
]


@pytest.mark.parametrize("cookie", ODD_COOKIES)
@pytest.mark.parametrize(
    "name", ["SESSION_COOKIE_NAME", "CSRF_COOKIE_NAME", "LANGUAGE_COOKIE_NAME"]
)
def test_whatever_a_cookie_holds_is_answered(db, settings, name, cookie):
    sent = f"{getattr(settings, name)}={cookie}"
    client = Client(SERVER_NAME="localhost", raise_request_exception=False)

    for path in ("/my/", "/account/login/", "/v1/me", "/staff/", "/receipts/x"):
        for method in ("GET", "POST"):
            answer = client.generic(method, path, HTTP_COOKIE=sent)
            assert answer.status_code < 500, (method, path)
    if name == "SESSION_COOKIE_NAME":
        asked = client.get("/my/", HTTP_COOKIE=sent)
        assert (asked.status_code, asked["Location"]) == (302, "/account/login/?next=/my/")
        assert asked.cookies[settings.SESSION_COOKIE_NAME]["max-age"] == 0, "it is taken away"
