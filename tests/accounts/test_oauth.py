"""The stock frontend signs somebody in by code and challenge (contract 7.6), and nobody else."""

from datetime import timedelta
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from allauth.account.signals import password_changed
from django.test import Client, RequestFactory
from django.utils import timezone
from signin_flow import AUTHORIZE, ORIGIN, Flow, refresh

from accounts import issuing, origins, signingkeys, signins
from accounts.models import Membership, RefusedOrigin, SignIn
from audit.models import Event


@pytest.fixture(autouse=True)
def no_key_is_remembered(monkeypatch):
    """A process knows keys for a minute; those of other tests went with their transactions."""
    monkeypatch.setattr(signingkeys, "ring", signingkeys.Ring())


@pytest.fixture
def flow(client, alice):
    """Alice, signed in at our page, to whom a ComfyUI sends its browser."""
    client.defaults["SERVER_NAME"] = "localhost"
    client.force_login(alice.user)
    return Flow(client)


def balance(token, **headers):
    given = {"Authorization": f"Bearer {token}", **headers}
    return Client().get("/customers/balance", headers=given).status_code


def here():
    """A program that asks us by a name from which people sign in."""
    return Client(SERVER_NAME="localhost")


def only(alice):
    return SignIn.objects.get(user=alice.user)


# --- as it should go ----------------------------------------------------------------------------


def test_a_page_gets_tokens_that_act_for_who_allowed_it(flow, alice):
    tokens = flow.signed_in()

    assert set(tokens) == {"access_token", "refresh_token", "expires_in", "scope", "token_type"}
    assert (tokens["token_type"], tokens["expires_in"]) == ("Bearer", 900)
    assert balance(tokens["access_token"]) == 200
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    me = Client().post("/customers", headers=bearer).json()
    assert (me["id"], me["email"]) == (str(alice.user.pk), alice.user.email)
    (place,) = Client().get("/api/workspaces", headers=bearer).json()["workspaces"]
    assert (place["id"], place["role"]) == (str(alice.workspace_id), "owner")
    assert {"type", "name", "created_at", "joined_at"} <= set(place)


def test_what_is_given_is_kept_as_a_digest(flow, alice):
    code = flow.code()
    tokens = flow.exchange(code).json()

    row = str(SignIn.objects.filter(user=alice.user).values().get())
    for secret in (code, tokens["refresh_token"], tokens["access_token"]):
        assert secret.rpartition(".")[2] not in row


def test_tokens_are_renewed_and_each_refresh_token_is_good_once(flow, alice):
    first = flow.signed_in()

    second = refresh(here(), first["refresh_token"]).json()

    assert second["refresh_token"] != first["refresh_token"]
    assert [balance(each["access_token"]) for each in (first, second)] == [200, 200]
    assert only(alice).last_used_at is not None


def test_it_is_written_down(flow, alice):
    flow.signed_in()
    signins.end_all(alice.user.pk, why="a test")

    said = Event.objects.filter(subject_id=alice.user.pk, action__startswith="sign-in")
    assert list(said.order_by("id").values_list("action", flat=True)) == [
        "sign-in.begun",
        "sign-in.ended",
    ]


def test_somebody_is_asked_each_time(flow):
    flow.signed_in()

    page = flow.page()

    assert page.status_code == 200
    assert ORIGIN in page.content.decode()


def test_who_is_not_signed_in_is_sent_there_first_and_back(client, db):
    client.defaults["SERVER_NAME"] = "localhost"
    flow = Flow(client)

    sent = flow.page()

    assert sent.status_code == 302
    after = parse_qs(urlsplit(sent["Location"]).query)["next"][0]
    assert after.startswith(f"{AUTHORIZE}?response_type=code")
    assert client.post(AUTHORIZE, flow.parameters(answer="allow")).status_code == 302


def test_the_page_lets_its_form_lead_back_there_and_nowhere_else(flow):
    """With `form-action 'self'` alone a browser blocks the way back."""
    policy = flow.page()["Content-Security-Policy"]

    assert f"form-action 'self' {ORIGIN}" in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert flow.page()["Referrer-Policy"] != "no-referrer"


def test_who_does_not_allow_it_is_sent_back_without_a_code(flow, alice):
    for answer in ("deny", "", "ALLOW"):
        back = flow.answer(answer)
        said = parse_qs(urlsplit(back["Location"]).query)
        assert (said["error"], said["state"]) == (["access_denied"], [flow.state])
        assert back["Location"].startswith(f"{ORIGIN}/?")
    assert not SignIn.objects.filter(user=alice.user).exists()


def test_a_foreign_page_sends_no_answer(flow, alice):
    strict = Client(enforce_csrf_checks=True, SERVER_NAME="localhost")
    strict.force_login(alice.user)

    answer = strict.post(AUTHORIZE, {**flow.parameters(), "answer": "allow"})

    assert answer.status_code == 403
    assert not SignIn.objects.filter(user=alice.user).exists()


def test_one_chooses_for_which_workspace(flow, alice, bob):
    Membership.objects.create(workspace_id=bob.workspace_id, user=alice.user, role="member")

    code = flow.code(workspace=str(bob.workspace_id))

    assert only(alice).workspace_id == bob.workspace_id
    assert flow.exchange(code).status_code == 200


@pytest.mark.parametrize("which", ["bob's", "nobody's", "x"])
def test_another_workspace_is_not_to_be_chosen(flow, alice, bob, which):
    choice = {"bob's": str(bob.workspace_id), "nobody's": str(bob.user.pk)}.get(which, which)

    assert flow.answer(workspace=choice).status_code == 400
    assert not SignIn.objects.filter(user=alice.user).exists()


# --- what is not to be trusted ------------------------------------------------------------------

GOOD = [
    "http://localhost:8188",
    "http://localhost",
    "http://[::1]:8188",
    "https://127.0.0.1:8443",
    "http://127.0.0.1:65535",
]
BAD = [
    None,
    "",
    "http://127.0.0.1:8188",
    "http://127.0.0.1:8188/x",
    "http://127.0.0.1:8188/?x=1",
    "http://127.0.0.1:8188/#x",
    "http://127.0.0.1:8188//",
    "http://127.0.0.1:80/",
    "http://127.0.0.1:0/",
    "http://127.0.0.1:08188/",
    "http://127.0.0.1:99999/",
    "http://127.0.0.1:/",
    "http://user@127.0.0.1:8188/",
    "http://127.0.0.1:8188@evil.example/",
    "http://127.0.0.1.evil.example/",
    "http://localhost.evil.example/",
    "http://localhost./",
    "http://LOCALHOST:8188/",
    "http://127.1:8188/",
    "http://0.0.0.0:8188/",
    "http://192.168.1.5:8188/",
    "http://evil.example/",
    "https://evil.example/",
    "HTTP://127.0.0.1:8188/",
    "//127.0.0.1:8188/",
    "javascript:alert(1)//127.0.0.1/",
    "file:///127.0.0.1:8188/",
    "null",
    "http://127.0.0.1:8188/\n",
    "http://127.0.0.1:8188/\\evil",
    "http://127.0.0.1:8188\\@evil.example/",
    'http://127.0.0.1:8188/"',
    "http://\u24dbocalhost:8188/",
    "http://127.0.0.1:8188/ü",
    "http://127.0.0.1:\uff18\uff11\uff18\uff18/",
    "x" * 5000,
]


@pytest.mark.parametrize("origin", GOOD)
def test_a_loopback_page_may_ask(flow, origin):
    flow.origin = origin

    assert flow.exchange(flow.code()).status_code == 200


@pytest.mark.parametrize("uri", BAD)
def test_nobody_is_sent_where_no_comfyui_of_theirs_is(flow, alice, uri):
    page = flow.page(redirect_uri=uri)
    post = flow.client.post(AUTHORIZE, {**flow.parameters(redirect_uri=uri), "answer": "allow"})

    for answer in (page, post):
        assert answer.status_code in (400, 403)
        assert "Location" not in answer
    assert not SignIn.objects.filter(user=alice.user).exists()


def test_an_origin_that_is_not_allowed_is_written_down_and_then_allowed(flow, alice):
    flow.origin = "https://comfy.example.org"
    refused = flow.page()
    assert refused.status_code == 403
    assert "API key" in refused.content.decode()
    assert RefusedOrigin.objects.get(origin=flow.origin).tries >= 1

    origins.allow(flow.origin, by=alice.user.pk, reason="our studio")

    assert "not on your computer" in flow.page().content.decode()
    assert flow.exchange(flow.code(), headers={"Origin": flow.origin}).status_code == 200


def test_who_changes_their_password_ends_what_acts_for_them(flow, alice):
    tokens = flow.signed_in()

    request = RequestFactory().post("/account/password/change/")
    request.user, request.session = alice.user, flow.client.session
    password_changed.send(sender=type(alice.user), request=request, user=alice.user)

    assert balance(tokens["access_token"]) == 401
    assert only(alice).why_ended == "how one signs in was changed"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": "x" * 43 + "="}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": "s256"}, "invalid_request"),
        ({"resource": "https://api.comfy.org/api"}, "invalid_target"),
        ({"resource": ""}, "invalid_target"),
    ],
)
def test_what_is_wrong_is_told_to_the_page_that_asked(flow, alice, changes, error):
    back = flow.page(**changes)

    said = parse_qs(urlsplit(back["Location"]).query)
    assert (back.status_code, said["error"], said["state"]) == (302, [error], [flow.state])
    assert not SignIn.objects.filter(user=alice.user).exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": None},
        {"client_id": "other"},
        {"client_id": 'ü"'},
        {"response_type": None, "redirect_uri": "https://evil.example/"},
        {"response_type": 'co"de'},
        {"response_type": "ü"},
        {"state": "ü"},
        {"state": "x" * 3000},
        {"code_challenge": "\x00" * 43},
    ],
)
def test_what_cannot_be_read_sends_nobody_anywhere(flow, changes):
    answer = flow.page(**changes)

    assert answer.status_code in (400, 403)
    assert "Location" not in answer


def test_a_parameter_is_said_once(flow):
    query = urlencode(flow.parameters())
    for more in ("&redirect_uri=https%3A%2F%2Fevil.example%2F", "&state=2", "&x=1&x=2"):
        assert flow.client.get(f"{AUTHORIZE}?{query}{more}").status_code == 400
    sent = flow.client.post(f"{AUTHORIZE}?{query}", {**flow.parameters(), "answer": "allow"})
    assert sent.status_code == 400


def test_other_methods_are_none(flow):
    assert flow.client.put(AUTHORIZE).status_code == 405
    assert flow.client.get("/oauth/token").status_code == 405
    answer = flow.client.get("/auth/partner-node/renew")
    assert (answer.status_code, answer["Allow"]) == (405, "POST")
    assert answer.json()["error"]["type"] == "invalid_request"


# --- codes and refresh tokens -------------------------------------------------------------------


def test_a_code_that_comes_twice_ends_what_it_began(flow, alice):
    code = flow.code()
    tokens = flow.exchange(code).json()

    again = flow.exchange(code)

    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert balance(tokens["access_token"]) == 401
    assert refresh(here(), tokens["refresh_token"]).json()["error"] == "invalid_grant"
    assert only(alice).why_ended == "a code used twice"


def test_a_refresh_token_that_comes_twice_ends_the_family(flow, alice):
    first = flow.signed_in()
    second = refresh(here(), first["refresh_token"]).json()

    again = refresh(here(), first["refresh_token"])

    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert balance(second["access_token"]) == 401
    assert refresh(here(), second["refresh_token"]).status_code == 400
    assert only(alice).why_ended == "a refresh token used twice"


@pytest.mark.parametrize(
    "changes",
    [
        {"code_verifier": None},
        {"code_verifier": "x" * 43},
        {"code_verifier": "short"},
        {"code_verifier": "ü" * 43},
        {"redirect_uri": "http://localhost:8188/"},
        {"redirect_uri": None},
        {"client_id": None},
        {"client_id": "other"},
        {"client_secret": "x"},
        {"grant_type": "password"},
        {"grant_type": None},
        {"grant_type": "ü"},
        {"code": None},
        {"code": "x"},
        {"code": "00000000-0000-0000-0000-000000000000.x"},
        {"code": "\x00.x"},
    ],
)
def test_a_code_alone_is_worth_nothing(flow, alice, changes):
    code = flow.code()

    refused = flow.exchange(code, **changes)

    assert refused.status_code == 400
    assert refused.json()["error"]
    assert flow.exchange(code).status_code == 200  # Its own page still has it.


def test_a_code_of_another_page_is_refused(flow):
    code = flow.code()
    for origin, status, error in (
        ("https://evil.example", 403, "origin_not_allowed"),
        ("null", 403, "origin_not_allowed"),
        ("", 403, "origin_not_allowed"),
        ("http://localhost:8188", 400, "invalid_grant"),
    ):
        refused = flow.exchange(code, headers={"Origin": origin})
        assert (refused.status_code, refused.json()["error"]) == (status, error)

    kept = flow.exchange(code, headers={"Origin": ORIGIN})

    assert kept.status_code == 200
    assert kept["Access-Control-Allow-Origin"] == "*"
    token = kept.json()["refresh_token"]
    other = refresh(here(), token, headers={"Origin": "https://evil.example"})
    assert other.status_code == 403
    other = refresh(here(), token, headers={"Origin": "http://localhost:8188"})
    assert other.status_code == 400
    assert refresh(here(), token, headers={"Origin": ORIGIN}).status_code == 200


def test_a_code_is_good_for_a_minute(flow, alice):
    code = flow.code()
    SignIn.objects.filter(user=alice.user).update(code_expires_at=timezone.now())

    assert flow.exchange(code).status_code == 400


@pytest.mark.parametrize(
    "token", ["", "x", "x.y", "00000000-0000-0000-0000-000000000000.x", "\x00"]
)
def test_an_invented_refresh_token_is_worth_nothing(db, token):
    answer = refresh(here(), token)

    assert answer.status_code == 400
    assert answer.json()["error"] in ("invalid_grant", "invalid_request")


@pytest.mark.parametrize("invented", ["x", "", "ü", "A" * 43 + "0" * 32, "given.x", "of another"])
def test_who_knows_only_the_id_of_a_sign_in_ends_nothing(flow, alice, invented):
    """It stands in every access token, which each ComfyUI and all that runs in it can read."""
    given = flow.signed_in()
    pk, _, secret = given["refresh_token"].partition(".")
    if invented == "given.x":
        invented = f"{secret[:-1]}{'0' if secret[-1] != '0' else '1'}"
    elif invented == "of another":
        invented = Flow(flow.client).signed_in()["refresh_token"].partition(".")[2]

    refused = refresh(here(), f"{pk}.{invented}")

    assert (refused.status_code, refused.json()["error"]) in (
        (400, "invalid_grant"),
        (400, "invalid_request"),
    )
    assert balance(given["access_token"]) == 200
    assert refresh(here(), given["refresh_token"]).status_code == 200


def end(alice, how):
    match how:
        case "ended":
            signins.end_all(alice.user.pk, why="signed out elsewhere")
        case "expired":
            SignIn.objects.filter(user=alice.user).update(expires_at=timezone.now() - timedelta(1))
        case "deactivated":
            alice.user.is_active = False
            alice.user.save()
        case "removed":
            Membership.objects.filter(user=alice.user).delete()


@pytest.mark.parametrize("how", ["ended", "expired", "deactivated", "removed"])
def test_what_has_ended_gives_nothing_more(flow, alice, how):
    code, other = flow.code(), Flow(flow.client).code()
    tokens = flow.exchange(code).json()
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    end(alice, how)

    assert balance(tokens["access_token"]) == 401
    assert refresh(here(), tokens["refresh_token"]).json()["error"] == "invalid_grant"
    assert Client().post("/auth/partner-node/renew", headers=bearer).status_code == 401
    assert flow.exchange(other).status_code == 400


def test_signing_in_is_counted(flow, monkeypatch):
    monkeypatch.setattr(issuing, "MOST_TRIES", 3)
    monkeypatch.setattr(issuing, "MOST_ANSWERS", 3)

    codes = [refresh(here(), "x").status_code for _ in range(8)]
    assert codes.count(429) >= 2
    answers = [flow.answer("deny").status_code for _ in range(8)]
    assert answers.count(429) >= 2
    renewals = [Client().post("/auth/partner-node/renew") for _ in range(8)]
    assert [each.status_code for each in renewals].count(429) >= 2


# --- what we are --------------------------------------------------------------------------------


def test_we_say_where_what_is(client, db):
    said = client.get("/.well-known/oauth-authorization-server")

    assert said.json()["token_endpoint"] == "http://testserver/oauth/token"
    assert said.json()["code_challenge_methods_supported"] == ["S256"]
    assert said["Cache-Control"] == "public, max-age=300"
