"""A credential may what its person's role allows now, whatever it was made for."""

from dataclasses import replace

import pytest
from django.test import Client

from accounts import teams
from accounts.models import Membership
from apikeys import keys
from usage.models import Call

Role = Membership.Role
PAYS = ["proxy", "usage:read", "keys:manage", "billing:manage"]


@pytest.fixture
def team(alice, bob):
    """Alice's team, where Bob pays."""
    made = teams.create(owner=alice.user, name="Studio")
    teams.join(made, bob.user, role=Role.BILLING, by=alice.user.pk)
    return made


@pytest.fixture
def bobs(team, bob):
    """Bob's program, which may all that Bob may."""
    whole, _ = keys.issue(workspace_id=team.pk, user_id=bob.user.pk, name="x", scopes=PAYS)

    def ask(method, path, body=None):
        return Client().generic(
            method, path, body or "{}", content_type="application/json",
            headers={"X-API-KEY": whole},
        )  # fmt: skip

    return ask


def at_a_browser(member, team):
    client = Client()
    client.force_login(member.user)
    assert client.post(f"/v1/workspaces/{team.pk}/switch").status_code == 200
    return client


def test_who_pays_no_more_has_no_key_that_does(alice, bob, team, bobs):
    assert bobs("PATCH", "/v1/wallet", '{"low_balance_micro_usd": 1000000}').status_code == 200
    teams.set_role(team.pk, bob.user.pk, role=Role.MEMBER, by=alice.user.pk)

    refused = bobs("PATCH", "/v1/wallet", '{"low_balance_micro_usd": 2000000}')

    assert (refused.status_code, "billing:manage" in refused.json()["message"]) == (403, True)
    wider = bobs("POST", "/v1/keys", '{"name": "x", "scopes": ["billing:manage"]}')
    assert wider.status_code == 403, "nor gives it to another key"
    assert bobs("GET", "/v1/me").json()["credential"]["scopes"] == PAYS[:3]


def test_who_passed_a_team_on_has_no_key_that_pays_for_it(alice, bob, team):
    whole, _ = keys.issue(workspace_id=team.pk, user_id=alice.user.pk, name="x", scopes=PAYS)
    teams.transfer(team.pk, to=bob.user.pk, by=alice.user.pk)

    refused = Client().patch(
        "/v1/wallet", {"low_balance_micro_usd": 1}, content_type="application/json",
        headers={"X-API-KEY": whole},
    )  # fmt: skip

    assert refused.status_code == 403


@pytest.mark.parametrize("path", ["/v1/purchases", "/v1/statement?from=2026-01-01"])
def test_a_member_reads_nothing_of_the_books_by_any_credential(alice, bob, team, bobs, path):
    browser = at_a_browser(bob, team)
    assert (bobs("GET", path).status_code, browser.get(path).status_code) == (200, 200)

    teams.set_role(team.pk, bob.user.pk, role=Role.MEMBER, by=alice.user.pk)

    assert (bobs("GET", path).status_code, browser.get(path).status_code) == (403, 403)
    own = Client().get(path, headers={"X-API-KEY": bob.key})
    assert own.status_code == 200, "of their own workspace they are the owner"


def test_a_members_history_is_their_own_by_any_credential(alice, bob, team, bobs, history):
    history(replace(alice, workspace_id=team.pk, wallet=team.wallet), "ccg")
    mine = Call.objects.filter(workspace_id=team.pk).order_by("number").first()
    Call.objects.filter(pk=mine.pk).update(user_id=bob.user.pk)
    browser, path = at_a_browser(bob, team), "/customers/events"
    assert bobs("GET", path).json()["total"] == 3
    teams.set_role(team.pk, bob.user.pk, role=Role.MEMBER, by=alice.user.pk)

    for answer in (bobs("GET", path), browser.get(path)):
        assert answer.json()["total"] == 1
        assert [each["event_id"] for each in answer.json()["events"]] == [str(mine.pk)]
    assert bobs("GET", f"{path}?filter=credit_added").json()["total"] == 0
    assert bobs("GET", f"{path}?page=2").json()["events"] == []
    assert at_a_browser(alice, team).get(path).json()["total"] == 3
