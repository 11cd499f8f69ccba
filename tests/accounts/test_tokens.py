"""Which tokens are ours: signed by a key that we publish, for us, now; and no other."""

import base64
import hmac
import json
import time
import uuid
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives import serialization
from django.core.cache import cache
from django.test import Client
from django.utils import timezone
from joserfc import jwt
from joserfc.jwk import ECKey

from accounts import signingkeys, signins, tokens
from accounts.models import SignIn, SigningKey
from common.errors import Unauthorized


@pytest.fixture(autouse=True)
def ring(db, monkeypatch):
    """A process that has read no keys and remembers no tokens."""
    cache.clear()
    fresh = signingkeys.Ring()
    monkeypatch.setattr(signingkeys, "ring", fresh)
    monkeypatch.setattr(tokens, "remembered", tokens.Remembered())
    return fresh


@pytest.fixture
def signin(alice):
    """Alice's ComfyUI, signed in."""
    code = signins.begin(
        user=alice.user,
        workspace_id=alice.workspace_id,
        client_id="comfy-local-web",
        redirect_uri="http://127.0.0.1:8188/",
        challenge="x" * 43,
    )
    row = SignIn.objects.get(pk=code.partition(".")[0])
    signins.refreshed(row)
    return row


def claims_of(token):
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def made(signin, header=None, key=None, **changes):
    """A token as we sign it, but for the changes."""
    kid, own = signingkeys.ring.signer()
    said = claims_of(tokens.sign(signin)) | changes
    said = {name: value for name, value in said.items() if value is not ...}
    said = {name: now(at) if isinstance(at, In) else at for name, at in said.items()}
    whole = {"alg": "ES256", "typ": "at+jwt", "kid": kid, **(header or {})}
    whole = {name: value for name, value in whole.items() if value is not ...}
    return jwt.encode(whole, said, key or own, algorithms=["ES256"], default_type=None)


def is_good(token):
    try:
        tokens.read(token)
    except Unauthorized:
        return False
    return True


def status(token, path="/customers/balance"):
    return Client().get(path, headers={"Authorization": f"Bearer {token}"}).status_code


def test_what_is_signed_is_read(signin, alice):
    token = tokens.sign(signin)

    read = tokens.read(token)

    assert (read.sid, read.user_id, read.workspace_id) == (
        signin.pk,
        alice.user.pk,
        alice.workspace_id,
    )
    assert status(token) == 200


def test_a_node_can_renew_it_and_a_page_can_read_it(signin, alice):
    """Contract 2.5 and 7.6: `aud` is one text, `sid` a text, `exp` a number."""
    said = claims_of(tokens.sign(signin))

    assert said["aud"] == "comfy-partner-node"
    assert (said["sid"], said["sub"]) == (str(signin.pk), str(alice.user.pk))
    assert (said["email"], said["workspace_id"]) == (alice.user.email, str(alice.workspace_id))
    assert said["exp"] - said["iat"] == 900
    assert len(tokens.sign(signin)) < 1000


class In(int):
    """So many seconds from when the token is made."""


def now(seconds=0):
    return int(time.time()) + seconds


@pytest.mark.parametrize(
    ("changes", "good"),
    [
        ({}, True),
        ({"exp": In(2)}, True),
        ({"exp": In(-30)}, True),  # Clocks of our own machines differ.
        ({"exp": In(-90)}, False),
        ({"exp": ...}, False),
        ({"exp": "never"}, False),
        ({"exp": 1e99}, False),
        ({"exp": True}, False),
        ({"exp": None}, False),
        ({"iat": In(30)}, True),
        ({"iat": In(90)}, False),
        ({"iat": ...}, False),
        ({"aud": "somebody-else"}, False),
        ({"aud": ["comfy-partner-node", "somebody-else"]}, False),
        ({"aud": ...}, False),
        ({"iss": "https://api.comfy.org"}, False),
        ({"iss": ...}, False),
        ({"sid": ...}, False),
        ({"sid": "x"}, False),
        ({"sid": 7}, False),
        ({"sub": ...}, False),
        ({"workspace_id": ...}, False),
        ({"workspace_id": "x"}, False),
    ],
)
def test_a_token_is_for_us_and_for_now(signin, changes, good):
    token = made(signin, **changes)

    assert is_good(token) is good
    assert status(token) == (200 if good else 401)


@pytest.mark.parametrize(
    "header",
    [
        {"typ": "JWT"},
        {"typ": ...},
        {"kid": ...},
        {"kid": "unknown"},
        {"kid": ""},
        {"crit": ["exp"], "exp": 1},
        {"jku": "https://evil.example/jwks.json"},
        {"jwk": {"kty": "EC"}},
    ],
)
def test_a_header_says_what_ours_say_and_nothing_else(signin, header):
    token = made(signin)
    whole = json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))
    whole = {k: v for k, v in (whole | header).items() if v is not ...}
    head = b64(json.dumps(whole).encode())

    assert is_good(made(signin))
    assert not is_good(".".join([head, *token.split(".")[1:]]))
    if "crit" not in header:
        assert not is_good(made(signin, header=header))


def test_no_other_algorithm_is_taken(signin):
    good = made(signin)
    head, body, signature = good.split(".")
    kid, own = signingkeys.ring.signer()
    public = signingkeys.ring.public(kid)
    pem = public.raw_value.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )

    def headed(alg, sign):
        start = b64(json.dumps({"alg": alg, "typ": "at+jwt", "kid": kid}).encode()) + "." + body
        return f"{start}.{sign(start.encode())}"

    as_json = json.dumps(public.as_dict()).encode()
    others = claims_of(good) | {"sub": str(uuid.uuid4())}
    tricks = [
        headed("none", lambda _: ""),
        headed("none", lambda _: signature),
        headed("None", lambda _: signature),
        headed("HS256", lambda start: b64(hmac.digest(pem, start, "sha256"))),
        headed("HS256", lambda start: b64(hmac.digest(as_json, start, "sha256"))),
        headed("ES256K", lambda _: signature),
        headed("EdDSA", lambda _: signature),
        f"{head}.{body}.",
        f"{head}.{body}.{b64(bytes(64))}",
        f"{head}.{body}.{signature[:-4]}",
        f"{head}.{b64(json.dumps(others).encode())}.{signature}",
        made(signin, key=ECKey.generate_key("P-256")),
    ]  # fmt: skip
    assert is_good(good)
    assert [is_good(each) for each in tricks] == [False] * len(tricks)
    assert own.is_private


@pytest.mark.parametrize(
    "given",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic eDp5",
        "Bearer x",
        "Bearer a.b",
        "Bearer a.b.c",
        "Bearer a.b.c.d",
        "Bearer .b.c",
        "Bearer ü.ü.ü",
        "Bearer " + "a" * 5000,
        "Bearer " + ".".join(["A" * 1300] * 3),
        "Bearer " + b64(b"[" * 900) + ".e30.AA",
        "Bearer " + b64(b"[]") + ".e30.AA",
        "Bearer " + b64(b"{}") + ".e30.AA",
        "Bearer " + b64(b'{"alg":"ES256","typ":"at+jwt","kid":{}}') + ".e30.AA",
        "Bearer comfyui-" + "0" * 64,
    ],
)
def test_what_is_no_token_is_a_401_and_a_key_beside_it_does_not_help(alice, given):
    """A bearer beats a key (contract 2.1)."""
    headers = {"X-API-KEY": alice.key, "Authorization": given}

    answer = Client().get("/customers/balance", headers=headers)

    assert answer.status_code == (401 if given.strip() else 200)


def test_a_bearer_beats_a_key(signin, bob):
    headers = {"X-API-KEY": bob.key, "Authorization": f"bearer {tokens.sign(signin)}"}

    me = Client().get("/customers/me", headers=headers).json()

    assert me["id"] == str(signin.user_id)


def test_a_token_makes_no_keys_and_does_not_pay_otherwise(signin):
    """It lives in a page where other people's code runs."""
    headers = {"Authorization": f"Bearer {tokens.sign(signin)}"}

    for path in ("/v1/keys", "/customers/billing", "/customers/api-keys"):
        answer = Client().post(path, {}, content_type="application/json", headers=headers)
        assert answer.status_code == 403
    assert status(tokens.sign(signin), "/v1/keys") == 403


def test_a_token_that_was_verified_is_looked_up_and_forgotten_in_time(signin, monkeypatch):
    token = tokens.sign(signin)
    tokens.read(token)
    monkeypatch.setattr(tokens, "verified", None)  # It is not called again.

    assert tokens.read(token).sid == signin.pk
    remembered = tokens.remembered
    later = time.time() + tokens.LIFE_SECONDS + tokens.SKEW_SECONDS + 1
    assert remembered.get(token, now=later) is None


def test_so_many_tokens_are_remembered():
    some = tokens.Remembered(most=3)
    said = tokens.Claims(uuid.uuid4(), uuid.uuid4(), uuid.uuid4(), time.time() + 60)
    for name in "abcde":
        some.put(name, said)

    assert [some.get(name, now=time.time()) is not None for name in "abcde"] == [
        False, False, True, True, True,
    ]  # fmt: skip


# --- renewal ------------------------------------------------------------------------------------


def renew(token, **headers):
    given = {"Authorization": f"Bearer {token}", **headers}
    return Client().post("/auth/partner-node/renew", headers=given)


@pytest.mark.parametrize(
    ("ago", "good"), [(-600, True), (3600, True), (24 * 3600 - 60, True), (24 * 3600 + 90, False)]
)
def test_a_node_renews_its_token_also_a_day_after_its_end(signin, ago, good):
    old = made(signin, exp=In(-ago), iat=In(-ago - 900))

    answer = renew(old)

    assert answer.status_code == (200 if good else 401)
    if good:
        new = claims_of(answer.json()["token"])
        assert (new["aud"], new["sid"]) == ("comfy-partner-node", str(signin.pk))
        assert new["exp"] > now()
        assert status(answer.json()["token"]) == 200
    if ago > 60:
        assert status(old) == 401  # Renewing does not let it act.


def test_only_our_own_token_is_renewed(signin):
    assert renew(made(signin, key=ECKey.generate_key("P-256"))).status_code == 401
    assert renew("x").status_code == 401
    assert Client().post("/auth/partner-node/renew").json()["error"]["type"] == "unauthorized"
    assert renew(tokens.sign(signin), Origin="https://evil.example").status_code == 401
    assert renew(tokens.sign(signin), Origin="http://127.0.0.1:8188").status_code == 200


def test_a_token_of_a_moved_sign_in_is_refused(signin, alice, bob):
    """Whatever it says of itself, the row says whose it is."""
    for changes in ({"sub": str(bob.user.pk)}, {"workspace_id": str(bob.workspace_id)}):
        assert status(made(signin, **changes)) == 401


# --- signing keys -------------------------------------------------------------------------------


def age(days):
    for key in SigningKey.objects.all():
        SigningKey.objects.filter(pk=key.pk).update(signs_at=key.signs_at - timedelta(days=days))


def published():
    return {key["kid"] for key in Client().get("/.well-known/jwks.json").json()["keys"]}


def test_the_next_key_is_published_before_it_signs_and_the_old_one_stays(signin, ring):
    old = tokens.sign(signin)
    first = tokens.kid_of(old)

    signingkeys.tend()
    assert SigningKey.objects.count() == 1
    age(days=29)
    for _ in range(2):
        signingkeys.tend()
    ring.reload()
    assert len(published()) == 2
    assert tokens.kid_of(tokens.sign(signin)) == first

    age(days=1)
    ring.reload()
    second = tokens.kid_of(tokens.sign(signin))
    assert second != first
    assert is_good(old)

    age(days=2)
    signingkeys.tend()
    ring.reload()
    assert published() == {second}
    assert not is_good(made(signin, header={"kid": first}))


def test_what_is_published_is_public(signin):
    tokens.sign(signin)

    (key,) = Client().get("/.well-known/jwks.json").json()["keys"]

    assert set(key) == {"kty", "crv", "x", "y", "kid", "alg", "use"}
    assert (key["alg"], key["crv"]) == ("ES256", "P-256")


def test_a_private_key_is_sealed(signin, ring):
    kid, private = ring.signer()

    row = SigningKey.objects.get(kid=kid)

    assert "d" not in row.public
    assert private.as_dict(private=True)["d"].encode() not in bytes(row.sealed)


def test_under_another_secret_another_key_signs_and_older_tokens_stay_good(signin, ring, settings):
    old = tokens.sign(signin)
    settings.SECRET_KEY = "another secret, as long as it has to be, of chance: 0123456789"

    new = tokens.sign(signin)

    assert tokens.kid_of(new) != tokens.kid_of(old)
    assert [is_good(old), is_good(new)] == [True, True]


def test_an_unknown_key_is_not_looked_for_at_will(signin, ring, django_assert_num_queries):
    tokens.sign(signin)
    ring.reload()

    with django_assert_num_queries(0):
        for n in range(20):
            assert not is_good(made_up(n))


def made_up(n):
    head = b64(json.dumps({"alg": "ES256", "typ": "at+jwt", "kid": f"k{n}"}).encode())
    return f"{head}.e30.{b64(bytes(64))}"


def test_a_key_of_another_process_is_found(signin, ring, monkeypatch):
    other = signingkeys.Ring()
    monkeypatch.setattr(signingkeys, "AGAIN_SECONDS", -1)
    ring.reload()
    signingkeys.make(after=1, signs_at=timezone.now())
    other.reload()
    monkeypatch.setattr(signingkeys, "ring", other)
    token = tokens.sign(signin)
    monkeypatch.setattr(signingkeys, "ring", ring)

    assert is_good(token)


def test_what_says_nothing_any_more_is_forgotten(signin, alice):
    for field, days, gone in (
        ("expires_at", 89, False),
        ("expires_at", 91, True),
    ):
        SignIn.objects.filter(pk=signin.pk).update(**{field: timezone.now() - timedelta(days=days)})
        signins.forget()
        assert SignIn.objects.filter(pk=signin.pk).exists() is not gone
