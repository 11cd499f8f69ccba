"""A key's whole life on the wire: who makes it, what it may, and how it ends."""

import json
import uuid
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Membership
from apikeys import keys, states
from apikeys.models import SCOPES, ApiKey
from common.errors import PlatformError

JSON = "application/json"
NAME = {"name": "laptop"}


@pytest.fixture
def signed_in(client, alice):
    """Alice, signed in at one of our pages."""
    client.force_login(alice.user)
    return client


@pytest.fixture
def by_key(client, alice):
    """Alice's program, whose key may make keys."""

    def ask(method, path, body=None, **fields):
        ApiKey.objects.filter(pk=alice.api_key_record.pk).update(
            **{"scopes": ["proxy", "keys:manage"], **fields}
        )
        headers = {"X-API-KEY": alice.key}
        return client.generic(
            method, path, json.dumps(body or {}), content_type=JSON, headers=headers
        )

    return ask


def post(client, path, body=None, **more):
    return client.post(path, body or {}, content_type=JSON, **more)


def row(answer_or_id):
    return ApiKey.objects.get(pk=answer_or_id)


def acts(key, address="127.0.0.1"):
    try:
        keys.authenticate(key, address=address)
    except PlatformError as refusal:
        return refusal.code
    return True


def join(workspace_id, member, role="member"):
    Membership.objects.create(workspace_id=workspace_id, user=member.user, role=role)


# --- as the contract has it ---------------------------------------------------------------------


def test_a_key_is_made_listed_and_deleted(signed_in, alice):
    made = post(signed_in, "/customers/api-keys", NAME)
    key = made.json()["api_key"]

    assert made.status_code == 201
    assert set(key) == {"id", "name", "description", "key_prefix", "created_at", "plaintext_key"}
    assert key["plaintext_key"].startswith(key["key_prefix"])
    assert acts(key["plaintext_key"]) is True
    listed = signed_in.get("/customers/api-keys").json()["api_keys"]
    assert [each["id"] for each in listed] == [key["id"], str(alice.api_key_record.pk)]
    assert key["plaintext_key"] not in str(listed)

    path = f"/customers/api-keys/{key['id']}"
    assert [signed_in.delete(path).status_code for _ in range(2)] == [204, 404]
    assert acts(key["plaintext_key"]) == "unauthorized"
    assert len(signed_in.get("/customers/api-keys").json()["api_keys"]) == 1


@pytest.mark.parametrize(
    "body", [{}, {"name": ""}, {"name": " "}, {"name": "x" * 101}, {"name": 1e999}]
)
@pytest.mark.parametrize("path", ["/customers/api-keys", "/v1/keys"])
def test_a_key_needs_a_name(signed_in, path, body):
    answer = signed_in.post(
        path, str(body).replace("'", '"').replace("inf", "null"), content_type=JSON
    )

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_a_key_makes_no_key_and_a_page_of_others_neither(client, alice):
    refused = post(client, "/v1/keys", NAME, headers={"X-API-KEY": alice.key})
    assert (refused.status_code, refused.json()["error"]) == (403, "access_disabled")
    assert post(client, "/v1/keys", NAME).status_code == 401

    strict = Client(enforce_csrf_checks=True)
    strict.force_login(alice.user)
    assert strict.post("/v1/keys", NAME, content_type=JSON).status_code == 403
    assert ApiKey.objects.filter(user=alice.user).count() == 1


def test_who_is_deactivated_is_signed_out(signed_in, alice):
    alice.user.is_active = False
    alice.user.save()

    assert post(signed_in, "/v1/keys", NAME).status_code == 401


# --- what a key may -----------------------------------------------------------------------------

BOUNDED = {
    "name": "studio",
    "description": "the machine in the cellar",
    "scopes": ["proxy"],
    "allowed_vendors": ["bfl", "kling"],
    "allowed_networks": ["192.0.2.0/24", "2001:db8::/32", "198.51.100.7"],
    "call_limit_micro_usd": 250_000,
    "expires_at": "2099-01-01T00:00:00Z",
}


def test_a_key_has_what_was_asked_for(signed_in):
    answer = post(signed_in, "/v1/keys", BOUNDED)
    shown = answer.json()

    assert answer.status_code == 201
    assert shown["allowed_networks"] == ["192.0.2.0/24", "198.51.100.7/32", "2001:db8::/32"]
    assert {name: shown[name] for name in BOUNDED if name != "allowed_networks"} == {
        name: value for name, value in BOUNDED.items() if name != "allowed_networks"
    }
    assert shown["state"] == "living"
    assert signed_in.get(f"/v1/keys/{shown['id']}").json() == {
        name: value for name, value in shown.items() if name != "key"
    }


@pytest.mark.parametrize(
    ("address", "outcome"),
    [
        ("192.0.2.200", True),
        ("::ffff:192.0.2.200", True),
        ("2001:db8:1::1", True),
        ("198.51.100.7", True),
        ("198.51.100.8", "access_disabled"),
        ("2001:db9::1", "access_disabled"),
        ("", "access_disabled"),
        ("nonsense", "access_disabled"),
    ],
)
def test_a_key_may_be_used_from_its_networks_alone(signed_in, address, outcome):
    key = post(signed_in, "/v1/keys", BOUNDED).json()["key"]

    assert acts(key, address) == outcome


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("scopes", []),
        ("scopes", ["everything"]),
        ("scopes", ["staff"]),
        ("scopes", "proxy"),
        ("allowed_vendors", ["BFL!"]),
        ("allowed_vendors", ["x" * 33]),
        ("allowed_vendors", ["a"] * 101),
        ("allowed_networks", ["192.0.2.1/24"]),
        ("allowed_networks", ["localhost"]),
        ("allowed_networks", ["fe80::%eth0/64"]),
        ("allowed_networks", ["fe80::1%1"]),
        ("allowed_networks", [str(n) for n in range(51)]),
        ("call_limit_micro_usd", 0),
        ("call_limit_micro_usd", 10**13),
        ("expires_at", "2020-01-01T00:00:00Z"),
        ("expires_at", "soon"),
        ("expires_at", "0001-01-01T00:00:00+14:00"),
        ("name", "nul\x00"),
    ],
)
def test_what_cannot_be_asked_for_is_a_sentence(signed_in, field, value):
    answer = post(signed_in, "/v1/keys", {**BOUNDED, field: value})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")

    made = post(signed_in, "/v1/keys", BOUNDED).json()["id"]
    changed = signed_in.patch(f"/v1/keys/{made}", {field: value}, content_type=JSON)
    assert (changed.status_code, changed.json()["error"]) == (400, "invalid_request")


OWN = {
    "scopes": ["proxy", "usage:read", "keys:manage"],
    "allowed_vendors": ["bfl"],
    "allowed_networks": ["127.0.0.0/8"],
    "call_limit_micros": 100_000,
    "expires_at": timezone.now() + timedelta(days=30),
}
FITS = {
    "name": "child",
    "scopes": ["proxy"],
    "allowed_vendors": ["bfl"],
    "allowed_networks": ["127.0.0.1"],
    "call_limit_micro_usd": 100_000,
    "expires_at": (timezone.now() + timedelta(days=29)).isoformat(),
}
MORE = [
    ("scopes", ["billing:manage"]),
    ("allowed_vendors", None),
    ("allowed_vendors", ["bfl", "kling"]),
    ("allowed_networks", None),
    ("allowed_networks", ["0.0.0.0/0"]),
    ("allowed_networks", ["::/0"]),
    ("call_limit_micro_usd", None),
    ("call_limit_micro_usd", 100_001),
    ("expires_at", None),
    ("expires_at", (timezone.now() + timedelta(days=31)).isoformat()),
]


def test_a_key_gives_what_it_has(by_key):
    made = by_key("POST", "/v1/keys", FITS, **OWN)

    assert made.status_code == 201
    assert row(made.json()["id"]).made_by_id is not None


@pytest.mark.parametrize(
    ("field", "value"), MORE, ids=[f"{n}-{name}" for n, (name, _) in enumerate(MORE)]
)
def test_a_key_gives_nothing_that_it_has_not(by_key, alice, field, value):
    made = by_key("POST", "/v1/keys", FITS, **OWN).json()["id"]

    for method, path, body in (
        ("POST", "/v1/keys", {**FITS, field: value}),
        ("PATCH", f"/v1/keys/{made}", {field: value}),
    ):
        refused = by_key(method, path, body, **OWN)
        assert (refused.status_code, refused.json()["error"]) == (403, "access_disabled")
        assert field in refused.json()["message"]
    assert ApiKey.objects.filter(made_by=alice.api_key_record).count() == 1


def test_a_key_that_may_begin_so_many_calls_makes_none_that_begin_more(by_key, alice):
    """Of 200 keys, each with a minute of its own, there would be no limit of calls in a minute."""
    _, other = keys.issue(workspace_id=alice.workspace_id, user_id=alice.user.pk, name="other")
    paced = {"scopes": list(SCOPES), "requests_per_minute": 5}

    for path in ("/v1/keys", "/customers/api-keys", f"/v1/keys/{other.pk}/rotate"):
        refused = by_key("POST", path, {} if "rotate" in path else NAME, **paced)
        assert (refused.status_code, refused.json()["error"]) == (403, "access_disabled"), path
        assert "5 calls in a minute" in refused.json()["message"]
    rotated = by_key("POST", f"/v1/keys/{alice.api_key_record.pk}/rotate", {}, **paced)
    assert rotated.status_code == 201
    assert row(rotated.json()["id"]).requests_per_minute == 5


def test_the_contracts_way_gives_no_more_either(by_key):
    assert by_key("POST", "/customers/api-keys", NAME, **OWN).status_code == 403


def test_a_small_key_neither_rotates_nor_enables_a_large_one(by_key, alice):
    large, record = keys.issue(
        workspace_id=alice.workspace_id, user_id=alice.user.pk, name="large", scopes=list(SCOPES)
    )
    path = f"/v1/keys/{record.pk}"

    assert by_key("POST", f"{path}/rotate", **OWN).status_code == 403
    assert by_key("PATCH", path, {"disabled": True}, **OWN).status_code == 200
    assert by_key("PATCH", path, {"disabled": False}, **OWN).status_code == 403
    assert acts(large) == "unauthorized"


# --- changing, rotating, ending -----------------------------------------------------------------


def test_a_key_is_renamed_bounded_disabled_and_enabled(signed_in, alice):
    path = f"/v1/keys/{alice.api_key_record.pk}"

    def patch(**body):
        return signed_in.patch(path, body, content_type=JSON).json()

    assert patch(name="desk", allowed_vendors=["bfl"])["name"] == "desk"
    assert row(alice.api_key_record.pk).allowed_vendors == ["bfl"]
    assert patch(disabled=True, reason="at the fair")["state"] == "disabled"
    assert acts(alice.key) == "unauthorized"
    assert patch(disabled=False)["state"] == "living"
    assert acts(alice.key) is True
    assert patch()["allowed_vendors"] == ["bfl"]


def test_of_two_changes_one_of_which_cannot_be_neither_is_made(signed_in, alice):
    states.disable(alice.api_key_record, by=uuid.uuid4(), reason="seen in public")
    path = f"/v1/keys/{alice.api_key_record.pk}"

    refused = signed_in.patch(path, {"name": "new", "disabled": False}, content_type=JSON)

    assert refused.status_code == 400
    assert "seen in public" in refused.json()["message"]
    assert row(alice.api_key_record.pk).name == "laptop"


def test_a_successor_may_the_same_and_both_may_for_a_while(signed_in, alice):
    first = post(signed_in, "/v1/keys", BOUNDED).json()

    second = post(signed_in, f"/v1/keys/{first['id']}/rotate", {"overlap_seconds": 3600})
    shown = second.json()

    assert second.status_code == 201
    same = set(BOUNDED) - {"name"} | {"name"}
    assert {name: shown[name] for name in same} == {name: first[name] for name in same}
    assert shown["replaces"] == first["id"]
    assert [acts(each["key"], "192.0.2.1") for each in (first, shown)] == [True, True]
    left = row(first["id"]).expires_at - timezone.now()
    assert timedelta(minutes=59) < left <= timedelta(hours=1)
    assert row(shown["id"]).family == row(first["id"]).family == uuid.UUID(first["id"])

    again = post(signed_in, f"/v1/keys/{first['id']}/rotate")
    assert (again.status_code, again.json()["error"]) == (400, "invalid_request")


def test_without_an_overlap_the_first_ends_at_once(signed_in, alice):
    made = post(signed_in, f"/v1/keys/{alice.api_key_record.pk}/rotate", {"overlap_seconds": 0})

    assert acts(made.json()["key"]) is True
    assert acts(alice.key) == "unauthorized"


def test_an_overlap_makes_no_key_live_longer(signed_in, alice):
    soon = timezone.now() + timedelta(minutes=5)
    ApiKey.objects.filter(pk=alice.api_key_record.pk).update(expires_at=soon)

    post(signed_in, f"/v1/keys/{alice.api_key_record.pk}/rotate")

    assert row(alice.api_key_record.pk).expires_at == soon


@pytest.mark.parametrize("overlap", [-1, 31 * 86400, "long", None])
def test_an_overlap_has_its_bounds(signed_in, alice, overlap):
    path = f"/v1/keys/{alice.api_key_record.pk}/rotate"
    assert post(signed_in, path, {"overlap_seconds": overlap}).status_code == 400


def test_what_is_revoked_stays_so(signed_in, alice):
    path = f"/v1/keys/{alice.api_key_record.pk}"
    assert signed_in.delete(path).status_code == 204

    for body in ({"name": "x"}, {"disabled": False}, {"expires_at": None}):
        assert signed_in.patch(path, body, content_type=JSON).status_code == 400
    assert post(signed_in, f"{path}/rotate").status_code == 400
    assert signed_in.get(path).json()["state"] == "revoked"


def test_all_keys_of_a_member_end_together(signed_in, alice, bob):
    post(signed_in, "/v1/keys", BOUNDED)
    join(alice.workspace_id, bob)
    key, _ = keys.issue(workspace_id=alice.workspace_id, user_id=bob.user.pk, name="bob here")

    ended = post(signed_in, "/v1/keys/revoke-all", {"member": str(bob.user.pk)})
    assert ended.json() == {"revoked": 1}
    assert [acts(each) for each in (key, bob.key, alice.key)] == ["unauthorized", True, True]

    assert post(signed_in, "/v1/keys/revoke-all").json() == {"revoked": 2}
    assert post(signed_in, "/v1/keys/revoke-all").json() == {"revoked": 0}


def test_nobody_has_keys_without_end(signed_in, monkeypatch):
    monkeypatch.setattr("apikeys.life.MOST_KEYS", 3)

    assert [post(signed_in, "/v1/keys", NAME).status_code for _ in range(3)] == [201, 201, 400]


# --- whose --------------------------------------------------------------------------------------

DOORS = [
    ("GET", "/v1/keys/{}"),
    ("PATCH", "/v1/keys/{}"),
    ("DELETE", "/v1/keys/{}"),
    ("POST", "/v1/keys/{}/rotate"),
    ("DELETE", "/customers/api-keys/{}"),
]


@pytest.mark.parametrize(("method", "path"), DOORS)
def test_another_workspaces_key_is_not_there(signed_in, by_key, bob, method, path):
    path = path.format(bob.api_key_record.pk)

    assert signed_in.generic(method, path, "{}", content_type=JSON).status_code == 404
    assert by_key(method, path).status_code == 404
    assert acts(bob.key) is True


def test_another_workspaces_member_is_not_there(signed_in, bob):
    answer = post(signed_in, "/v1/keys/revoke-all", {"member": str(bob.user.pk)})

    assert answer.status_code == 404
    assert acts(bob.key) is True


@pytest.mark.parametrize(("method", "path"), DOORS)
def test_a_member_has_only_their_own_and_an_owners_key_too(
    client, alice, bob, by_key, method, path
):
    """Only an owner who is signed in sees what others made."""
    join(alice.workspace_id, bob)
    _, of_bob = keys.issue(workspace_id=alice.workspace_id, user_id=bob.user.pk, name="bob here")
    _, of_alice = keys.issue(workspace_id=alice.workspace_id, user_id=alice.user.pk, name="mine")

    assert by_key(method, path.format(of_bob.pk)).status_code == 404
    client.force_login(bob.user)
    session = client.session
    session["workspace"] = str(alice.workspace_id)
    session.save()
    assert client.generic(method, path.format(of_alice.pk), content_type=JSON).status_code == 404
    assert client.generic(method, path.format(of_bob.pk), content_type=JSON).status_code < 300


def test_an_owner_sees_what_all_have_made(signed_in, alice, bob):
    join(alice.workspace_id, bob)
    keys.issue(workspace_id=alice.workspace_id, user_id=bob.user.pk, name="bob here")

    names = [each["name"] for each in signed_in.get("/v1/keys?all=true").json()["keys"]]
    assert sorted(names) == ["bob here", "laptop"]
    assert [each["name"] for each in signed_in.get("/v1/keys").json()["keys"]] == ["laptop"]


def test_a_member_gives_no_right_to_change_how_the_workspace_pays(client, alice, bob):
    join(alice.workspace_id, bob)
    client.force_login(bob.user)
    session = client.session
    session["workspace"] = str(alice.workspace_id)
    session.save()

    refused = post(client, "/v1/keys", {**NAME, "scopes": ["billing:manage"]})
    assert refused.status_code == 403
    made = post(client, "/v1/keys", NAME).json()
    assert row(made["id"]).workspace_id == alice.workspace_id


def test_who_left_a_workspace_acts_for_their_own(client, alice, bob):
    client.force_login(bob.user)
    session = client.session
    session["workspace"] = str(alice.workspace_id)
    session.save()

    made = post(client, "/v1/keys", NAME).json()

    assert row(made["id"]).workspace_id == bob.workspace_id


# --- the prefix, and the operator's programs ----------------------------------------------------


def test_the_operators_part_of_the_prefix_leaves_the_length(signed_in, alice, settings):
    settings.KEY_PREFIX = "acme"

    made = post(signed_in, "/v1/keys", NAME).json()

    assert made["key"].startswith("comfyui-acme-")
    assert len(made["key"]) == keys.LENGTH
    assert made["key_prefix"] == made["key"][:21]
    settings.KEY_PREFIX = "other"
    assert [acts(made["key"]), acts(alice.key)] == [True, True]
    assert states.find(made["key_prefix"]).pk == uuid.UUID(made["id"])
    assert not keys.is_wellformed(made["key"].replace("acme", "acm"))


SECRET = "s" * 40


def verify(client, key, secret=SECRET):
    headers = {"X-Comfy-Admin-Secret": secret} if secret else {}
    return post(client, "/admin/verify-api-key", {"api_key": key}, headers=headers)


def test_the_operator_asks_whose_a_key_is(client, alice, settings):
    settings.ADMIN_SECRETS = ["o" * 40, SECRET]

    answer = verify(client, alice.key)
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "valid": True,
            "firebase_uid": str(alice.user.pk),
            "email": alice.user.email,
            "name": alice.user.name,
            "is_admin": False,
        },
    )
    assert verify(client, "comfyui-no").status_code == 404
    ApiKey.objects.filter(pk=alice.api_key_record.pk).update(scopes=["usage:read"])
    assert verify(client, alice.key).status_code == 403
    states.revoke(alice.api_key_record, by=alice.user.pk, reason="x")
    assert verify(client, alice.key).status_code == 404


@pytest.mark.parametrize("secrets", [[], [SECRET]])
@pytest.mark.parametrize("given", ["", "x", SECRET[:-1], SECRET + "s", "ü"])
def test_without_the_secret_nobody_asks(client, alice, settings, secrets, given):
    settings.ADMIN_SECRETS = secrets

    assert verify(client, alice.key, given).status_code == 401


# --- What was made with it ----------------------------------------------------------------------


def a_line(by_key, client):
    """Return three keys: one, what was made with it, and what was made with that."""
    grants = {"scopes": ["proxy", "keys:manage"]}
    first = by_key("POST", "/v1/keys", {**NAME, **grants}).json()
    headers = {"X-API-KEY": first["key"]}
    second = post(client, "/v1/keys", {**NAME, **grants}, headers=headers).json()
    headers = {"X-API-KEY": second["key"]}
    last = {**NAME, "scopes": ["proxy"]}
    return first, second, post(client, "/v1/keys", last, headers=headers).json()


def test_a_key_says_with_which_it_was_made(by_key, client, alice):
    first, second, third = a_line(by_key, client)

    told = [first["made_by"], second["made_by"], third["made_by"]]
    assert told == [str(alice.api_key_record.pk), first["id"], second["id"]]


@pytest.mark.parametrize(
    ("query", "left"), [("", [False, True, True]), ("?with_made=true", [False] * 3)]
)
def test_a_key_is_ended_alone_or_with_what_was_made_with_it(by_key, client, alice, query, left):
    line = a_line(by_key, client)

    answer = by_key("DELETE", f"/v1/keys/{line[0]['id']}{query}")

    assert answer.status_code == 204
    assert [acts(each["key"]) is True for each in line] == left
    assert acts(alice.key) is True


def test_what_an_ended_key_made_is_ended_later(by_key, client):
    line = a_line(by_key, client)
    by_key("DELETE", f"/v1/keys/{line[1]['id']}")

    assert by_key("DELETE", f"/v1/keys/{line[0]['id']}?with_made=true").status_code == 204
    assert [acts(each["key"]) is True for each in line] == [False] * 3
    assert by_key("DELETE", f"/v1/keys/{line[0]['id']}?with_made=true").status_code == 404
    assert by_key("DELETE", f"/v1/keys/{line[0]['id']}?with_made=perhaps").status_code == 400


def test_no_crowd_of_ended_keys_hides_one_that_works(by_key, client):
    """Of whoever knew that only so many are looked through: what they made would go on."""
    first, second, third = a_line(by_key, client)
    by_key("DELETE", f"/v1/keys/{second['id']}")
    ended = ApiKey.objects.values().get(pk=second["id"])
    ApiKey.objects.bulk_create(
        ApiKey(**{**ended, "id": (made := uuid.uuid4()), "family": made, "digest": made.bytes * 2})
        for _ in range(1100)
    )

    by_key("DELETE", f"/v1/keys/{first['id']}?with_made=true")

    assert acts(third["key"]) == "unauthorized"


def test_its_page_names_what_it_made_and_ends_them_with_it(by_key, client, signed_in):
    line = a_line(by_key, client)
    page = f"/my/keys/{line[0]['id']}"

    assert "2 keys were made with it" in signed_in.get(page).content.decode()
    signed_in.post(f"{page}/revoke", {"with_made": "1"})

    assert [acts(each["key"]) is True for each in line] == [False] * 3


def test_what_a_key_that_ended_made_is_named_and_ended_on_its_page_too(by_key, client, signed_in):
    line = a_line(by_key, client)
    by_key("DELETE", f"/v1/keys/{line[0]['id']}")
    page = f"/my/keys/{line[0]['id']}"

    assert "2 keys were made with it" in signed_in.get(page).content.decode()
    signed_in.post(f"{page}/revoke", {"with_made": "1"})

    assert [acts(each["key"]) is True for each in line] == [False] * 3
    assert "made with it" not in signed_in.get(page).content.decode()
