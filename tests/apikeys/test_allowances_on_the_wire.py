"""Who sets which allowance, what everybody is shown of it, and asking for more."""

import json
import uuid

import pytest
from django.db import IntegrityError, transaction
from django.test import Client

from accounts import teams
from accounts.models import Membership
from apikeys import keys
from apikeys.models import Ask
from audit.models import Event
from credits.models import Allowance, Budget
from outbox.models import Mail

DOLLAR = 1_000_000
Role = Membership.Role


class At:
    """A member at a browser, and the team."""

    def __init__(self, member, team):
        self.member, self.team = member, team
        self.client = Client()
        self.client.force_login(member.user)

    def ask(self, method, path, **body):
        here = f"/v1/workspaces/{self.team.pk}/{path}"
        return self.client.generic(method, here, json.dumps(body), content_type="application/json")

    def rule(self, kind, limit, of="", period="month"):
        return self.ask("PUT", "allowances", kind=kind, of=of, period=period, limit_micro_usd=limit)

    def rules(self):
        found = self.ask("GET", "allowances").json()["allowances"]
        return {(each["kind"], each["of"]): each["limit_micro_usd"] for each in found}

    def limits(self, key, **body):
        """Of a key, acting for the team."""
        assert self.ask("POST", "switch").status_code == 200
        return self.client.put(f"/v1/keys/{key.pk}/limits", body, content_type="application/json")

    def key(self):
        return keys.issue(workspace_id=self.team.pk, user_id=self.member.user.pk, name="x")[1]


@pytest.fixture
def team(alice):
    return teams.create(owner=alice.user, name="Studio")


@pytest.fixture
def owner(alice, team):
    return At(alice, team)


@pytest.fixture
def bobs(bob, team, alice):
    teams.join(team, bob.user, role=Role.MEMBER, by=alice.user.pk)
    return At(bob, team)


@pytest.fixture
def payer(make_member, team, alice):
    member = make_member()
    teams.join(team, member.user, role=Role.BILLING, by=alice.user.pk)
    return At(member, team)


@pytest.fixture
def stranger(make_member, team):
    return At(make_member(), team)


def test_the_owner_sets_all_and_everybody_sees_what_is_theirs(owner, bobs, payer, stranger):
    key, bob = bobs.key(), str(bobs.member.user.pk)
    film = owner.limits(key, project=" The  Film ")
    assert film.json() == {"project": "The Film", "requests_per_minute": None}
    for kind, of in [
        ("workspace", ""),
        ("each_member", ""),
        ("project", "The Film"),
        ("member", bob),
        ("key", str(key.pk)),
    ]:
        assert owner.rule(kind, DOLLAR, of).status_code == 200, kind
    mine = {("member", bob): DOLLAR, ("key", str(key.family)): DOLLAR}
    mine |= {("project", "The Film"): DOLLAR}
    everything = {("workspace", ""): DOLLAR, ("each_member", ""): DOLLAR, **mine}
    for other in (owner, payer):
        everything[("member", str(other.member.user.pk))] = DOLLAR

    assert owner.rules() == payer.rules() == everything
    assert bobs.rules() == mine
    assert stranger.ask("GET", "allowances").status_code == 404
    told = bobs.ask("GET", "allowances").json()["allowances"][0]
    assert (told["left_micro_usd"], told["spent_micro_usd"]) == (DOLLAR, 0)
    assert told["resets_at"].endswith("-01T00:00:00Z")
    assert owner.rule("workspace", None).status_code == 200
    assert ("workspace", "") not in owner.rules()
    event = Event.objects.filter(action="allowance.set").latest("id")
    assert (event.before, event.after) == ({"limit_micros": DOLLAR}, {"limit_micros": None})


def test_others_set_what_their_own_keys_may_and_no_more_than_the_owner_says(
    owner, bobs, payer, stranger
):
    key = bobs.key()
    for who in (bobs, payer):
        for kind, of in [
            ("workspace", ""),
            ("each_member", ""),
            ("project", "x"),
            ("member", str(who.member.user.pk)),
            ("member", str(uuid.uuid4())),
        ]:
            assert who.rule(kind, DOLLAR, of).status_code == 403, kind
        for others in (owner.key().pk, uuid.uuid4()):
            assert who.rule("key", DOLLAR, str(others)).status_code == 404
    assert stranger.rule("key", DOLLAR, str(key.pk)).status_code == 404
    assert not Allowance.objects.filter(owner__contains=str(bobs.team.pk)).exists()

    assert bobs.rule("key", DOLLAR, str(key.pk)).status_code == 200
    assert bobs.rule("key", 2 * DOLLAR, str(key.pk)).status_code == 200
    assert owner.rule("key", DOLLAR, str(key.pk)).status_code == 200
    refused = bobs.rule("key", None, str(key.pk))
    assert (refused.status_code, refused.json()["error"]) == (403, "access_disabled")
    assert bobs.rule("key", 5, str(key.pk), period="day").status_code == 200


def test_pace_and_project_of_a_key(owner, bobs, payer):
    key = bobs.key()
    assert bobs.limits(key, requests_per_minute=60).status_code == 200
    assert bobs.limits(key, requests_per_minute=10, project="a").json() == {
        "project": "a",
        "requests_per_minute": 10,
    }
    for more in ({"requests_per_minute": 11}, {"requests_per_minute": None}, {"project": ""}):
        assert bobs.limits(key, **more).status_code == 403, more
        assert payer.limits(key, **more).status_code == 404, "as one that is not there"
    assert owner.limits(key, requests_per_minute=None, project="").status_code == 200
    for bad in ({"requests_per_minute": 0}, {"requests_per_minute": 1e9}, {"project": "x" * 65}):
        assert owner.limits(key, **bad).status_code == 400
    key.pk = uuid.uuid4()
    assert owner.limits(key, project="x").status_code == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"kind": "member", "of": "x"}, 404),
        ({"kind": "member", "of": str(uuid.UUID(int=1))}, 404),
        ({"kind": "key", "of": str(uuid.UUID(int=1))}, 404),
        ({"kind": "project", "of": " "}, 400),
        ({"kind": "project", "of": "x" * 65}, 400),
        ({"kind": "galaxy"}, 400),
        ({"period": "year"}, 400),
        ({"limit_micro_usd": -1}, 400),
        ({"limit_micro_usd": 10**12 + 1}, 400),
        ({"limit_micro_usd": 0.5}, 400),
        ({"of": "\0"}, 400),
    ],
)
def test_what_is_no_rule_is_refused(owner, body, status):
    given = {"kind": "workspace", "of": "", "period": "day", "limit_micro_usd": 1, **body}

    assert owner.ask("PUT", "allowances", **given).status_code == status


def test_the_database_knows_what_a_rule_is(db):
    rule = {"owner_kind": "key", "owner": "x", "set_by": uuid.uuid4()}
    for name, more in {
        "allowance_period_known": {"period": "year", "limit_micros": 1},
        "allowance_limit_not_negative": {"period": "day", "limit_micros": -1},
    }.items():
        with pytest.raises(IntegrityError, match=name), transaction.atomic():
            Allowance.objects.create(**rule, **more)
    Allowance.objects.create(**rule, period="day", limit_micros=1)
    with pytest.raises(IntegrityError, match="allowance_once_per_period"), transaction.atomic():
        Allowance.objects.create(**rule, period="day", limit_micros=2)
    with pytest.raises(IntegrityError, match="budget_period_known"), transaction.atomic():
        Budget.objects.create(
            owner_kind="key", owner="x", period="year", starts_at="2026-01-01T00:00Z"
        )


# --- asking for more ------------------------------------------------------------------------------


def test_a_member_asks_and_the_owner_answers_with_one_call(owner, bobs, payer, stranger):
    asked = bobs.ask("POST", "asks", period="month", limit_micro_usd=5 * DOLLAR, note="a film")
    assert asked.status_code == 201
    bobs.ask("POST", "asks", period="month", limit_micro_usd=6 * DOLLAR)
    (one,) = owner.ask("GET", "asks").json()["asks"]
    assert (one["email"], one["limit_micro_usd"]) == (bobs.member.user.email, 6 * DOLLAR)
    assert payer.ask("GET", "asks").json()["asks"] == []
    (mail,) = Mail.objects.filter(key=f"ask:{one['id']}")
    assert (mail.to, "$6.00 a month" in mail.text) == (owner.member.user.email, True)

    path = f"asks/{one['id']}/answer"
    refused = [who.ask("POST", path, granted=True).status_code for who in (bobs, payer, stranger)]
    assert refused == [403, 403, 404]
    assert owner.ask("POST", path, granted=True).json()["granted"] is True

    assert bobs.rules() == {("member", str(bobs.member.user.pk)): 6 * DOLLAR}
    assert owner.ask("POST", path, granted=False).status_code == 404, "it was answered"
    assert Mail.objects.get(key=f"ask-answered:{one['id']}").to == bobs.member.user.email


def test_the_owner_grants_what_they_saw_and_nothing_that_was_put_in_its_place(owner, bobs):
    ask = {"period": "month", "limit_micro_usd": 5 * DOLLAR, "note": "a film"}
    seen = bobs.ask("POST", "asks", **ask).json()["id"]
    same = bobs.ask("POST", "asks", **ask | {"note": "a long film"}).json()
    assert (same["id"], same["note"]) == (seen, "a long film"), "another reason is the same ask"
    now = bobs.ask("POST", "asks", **ask | {"limit_micro_usd": 5000 * DOLLAR}).json()["id"]

    assert owner.ask("POST", f"asks/{seen}/answer", granted=True).status_code == 404

    assert bobs.rules() == {}
    (open_one,) = owner.ask("GET", "asks").json()["asks"]
    assert open_one["id"] == now
    assert owner.ask("POST", f"asks/{now}/answer", granted=True).status_code == 200


def test_what_is_declined_changes_nothing(owner, bobs):
    one = bobs.ask("POST", "asks", period="day", limit_micro_usd=DOLLAR).json()

    assert owner.ask("POST", f"asks/{one['id']}/answer", granted=False).status_code == 200

    assert bobs.rules() == {}
    assert bobs.ask("GET", "asks").json()["asks"] == []
    assert bobs.ask("POST", "asks", period="day", limit_micro_usd=DOLLAR).status_code == 201


def test_who_left_is_granted_nothing(owner, bobs):
    one = bobs.ask("POST", "asks", period="day", limit_micro_usd=DOLLAR).json()
    teams.remove(owner.team.pk, bobs.member.user.pk, by=owner.member.user.pk)

    assert owner.ask("POST", f"asks/{one['id']}/answer", granted=True).status_code == 404
    assert Ask.objects.get(pk=one["id"]).answered_at is None


def test_owners_do_not_ask_and_nobody_asks_all_the_time(owner, bobs, monkeypatch):
    ask = {"period": "day", "limit_micro_usd": DOLLAR}
    assert owner.ask("POST", "asks", **ask).status_code == 400
    monkeypatch.setattr("apikeys.asks.PER_DAY", 1)
    assert [bobs.ask("POST", "asks", **ask).status_code for _ in range(2)] == [201, 429]
