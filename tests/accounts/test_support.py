"""What staff and the operator's programs read of members, and nobody else."""

import uuid

import pytest
from django.test import Client

from accounts.sessions import METHODS

SECRET = "s" * 40
BY_STAFF = [
    "/customers?email={email}",
    "/customers/{id}",
    "/customers/{id}/balance",
    "/customers/{id}/events",
]


@pytest.fixture
def grace(make_member):
    """Grace is of our staff, and signed in by two factors."""
    member = make_member("0")
    member.user.is_staff = True
    member.user.save()
    client = Client()
    client.force_login(member.user)
    session = client.session
    session[METHODS] = [{"method": "password"}, {"method": "mfa", "type": "totp"}]
    session.save()
    return client


def of(member, path):
    return path.format(id=member.user.pk, email=member.user.email)


@pytest.mark.parametrize("path", BY_STAFF)
def test_staff_read_of_a_member(grace, alice, path):
    answer = grace.get(of(alice, path))

    assert answer.status_code == 200
    found = answer.json()
    match path.rpartition("/")[2]:
        case "balance":
            assert found["amount_micros"] == 100
        case "events":
            assert [each["event_type"] for each in found["events"]] == ["credit_added"]
        case "{id}":
            assert found["customer"]["email"] == alice.user.email
        case _:
            assert [each["id"] for each in found["customers"]] == [str(alice.user.pk)]
            assert found["total"] == found["totalPages"] == 1


@pytest.mark.parametrize("path", BY_STAFF)
def test_nobody_else_does(client, grace, alice, bob, path):
    client.force_login(alice.user)
    assert client.get(of(bob, path)).status_code == 403
    assert Client().get(of(bob, path)).status_code == 401
    assert Client().get(of(alice, path), headers={"X-API-KEY": alice.key}).status_code == 403

    session = grace.session
    session[METHODS] = [{"method": "password"}]
    session.save()
    assert grace.get(of(alice, path)).status_code == 403, "without a second factor"


def test_a_key_of_staff_is_a_key(grace, make_member):
    member = make_member("0")
    member.user.is_staff = True
    member.user.save()

    answer = Client().get(of(member, BY_STAFF[1]), headers={"X-API-KEY": member.key})

    assert answer.status_code == 403


@pytest.mark.parametrize("path", BY_STAFF[1:])
def test_who_is_not_there_is_not_found(grace, path):
    assert grace.get(path.format(id=uuid.uuid4())).status_code == 404


@pytest.mark.parametrize("query", ["page=0", "limit=101", "page=x", "email=" + "x" * 300])
def test_a_search_has_its_bounds(grace, query):
    assert grace.get(f"/customers?{query}").status_code == 400


def test_a_search_takes_signs_of_patterns_as_they_are(grace, alice):
    assert grace.get("/customers?email=%25").json()["total"] == 0
    assert grace.get("/customers?email=_").json()["total"] == 0


def test_the_operators_programs_read_a_balance_by_their_secret(client, alice, settings):
    settings.ADMIN_SECRETS = [SECRET]
    path = f"/admin/customers/{alice.user.pk}/balance"

    answer = client.get(path, headers={"X-Comfy-Admin-Secret": SECRET})
    assert answer.json()["amount_micros"] == 100
    assert client.get(path).status_code == 401
    assert client.get(path, headers={"X-API-KEY": alice.key}).status_code == 401
    other = f"/admin/customers/{uuid.uuid4()}/balance"
    assert client.get(other, headers={"X-Comfy-Admin-Secret": SECRET}).status_code == 404


def test_the_operators_program_reads_that_nobody_subscribes(client, alice, settings):
    settings.ADMIN_SECRETS = [SECRET]
    path = f"/admin/customers/{alice.user.pk}/cloud-subscription-status"
    with_secret = {"X-Comfy-Admin-Secret": SECRET}

    answer = client.get(path, headers=with_secret)

    assert (answer.status_code, answer.json()) == (200, {"is_active": False, "has_fund": True})
    assert client.get(path).status_code == 401
    other = path.replace(str(alice.user.pk), str(uuid.uuid4()))
    assert client.get(other, headers=with_secret).status_code == 404


# --- sign-ins -----------------------------------------------------------------------------------


def sign_in(member):
    from accounts import signins
    from accounts.models import SignIn

    code = signins.begin(
        user=member.user,
        workspace_id=member.workspace_id,
        client_id="comfy-local-web",
        redirect_uri="http://127.0.0.1:8188/",
        challenge="x" * 43,
        address="192.0.2.7",
        agent="Firefox",
    )
    row = SignIn.objects.get(pk=code.partition(".")[0])
    signins.refreshed(row)
    return row


def test_somebody_sees_and_ends_what_acts_for_them(client, alice, bob):
    mine, second, other = sign_in(alice), sign_in(alice), sign_in(bob)
    client.force_login(alice.user)

    listed = client.get("/v1/sign-ins").json()["sign_ins"]
    assert [each["id"] for each in listed] == [str(second.pk), str(mine.pk)]
    assert (listed[0]["origin"], listed[0]["address"]) == ("http://127.0.0.1:8188", "192.0.2.7")

    assert client.delete(f"/v1/sign-ins/{other.pk}").status_code == 404
    ended = [client.delete(f"/v1/sign-ins/{mine.pk}").status_code for _ in range(2)]
    assert ended == [204, 404]
    assert client.delete("/v1/sign-ins").json() == {"ended": 1}
    assert client.get("/v1/sign-ins").json() == {"sign_ins": []}
    other.refresh_from_db()
    assert other.ended_at is None
