"""Teams and invitations: who belongs to what, who may change that, and what ends with it."""

import json
import re
import uuid
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from accounts import invitations, teams
from accounts.models import Invitation, Membership
from accounts.signup import verify_email
from apikeys import keys, states
from apikeys.models import ApiKey
from audit.models import Event
from common.errors import AccessDisabled, InvalidRequest, NotFound, RateLimited, Unauthorized
from outbox.models import Mail

JSON = "application/json"
Role = Membership.Role
WHERE = "https://us.example"


@pytest.fixture
def carol(make_member):
    return make_member()


@pytest.fixture
def team(alice, bob):
    """Alice's team, with Bob in it."""
    made = teams.create(owner=alice.user, name="Studio")
    teams.join(made, bob.user, role=Role.MEMBER, by=alice.user.pk)
    return made


def browser(member):
    client = Client()
    client.force_login(member.user)
    return client


def ask(client, method, path, body=None):
    return client.generic(method, path, json.dumps(body or {}), content_type=JSON)


def roles(team):
    return dict(Membership.objects.filter(workspace=team).values_list("user_id", "role"))


def invite(team, alice, email, **more):
    given = {"role": Role.MEMBER, "by": alice.user, "base_url": WHERE, **more}
    made = invitations.invite(team.pk, email=email, **given)
    (mail,) = Mail.objects.filter(key=f"invitation:{made.pk}")
    (token,) = re.findall(r"/invitations/(\S+)", mail.text)
    return made, token, mail


def a_key(team, member):
    return keys.issue(workspace_id=team.pk, user_id=member.user.pk, name="laptop")


def lives(whole):
    try:
        keys.authenticate(whole, address="127.0.0.1")
    except Unauthorized:
        return False
    return True


# --- what a team is -----------------------------------------------------------------------------


def test_a_team_has_a_wallet_of_its_own_and_one_owner(alice, team):
    assert team.kind == "team"
    assert team.wallet.balance_micros == 0
    assert roles(team)[alice.user.pk] == "owner"
    with pytest.raises(IntegrityError, match="workspace_has_one_owner"), transaction.atomic():
        Membership.objects.filter(workspace=team).update(role="owner")
    with pytest.raises(IntegrityError, match="membership_role_known"), transaction.atomic():
        Membership.objects.filter(workspace=team).update(role="boss")


def test_ownership_passes_on_and_there_is_one_owner_still(alice, bob, team):
    teams.transfer(team.pk, to=bob.user.pk, by=alice.user.pk)

    assert roles(team) == {alice.user.pk: "member", bob.user.pk: "owner"}
    with pytest.raises(AccessDisabled):
        teams.transfer(team.pk, to=alice.user.pk, by=alice.user.pk)


def test_the_owner_cannot_leave_and_no_role_makes_another(alice, bob, team):
    for change in (
        lambda: teams.remove(team.pk, alice.user.pk, by=alice.user.pk),
        lambda: teams.set_role(team.pk, bob.user.pk, role=Role.OWNER, by=alice.user.pk),
        lambda: teams.set_role(team.pk, alice.user.pk, role=Role.MEMBER, by=alice.user.pk),
    ):
        with pytest.raises(InvalidRequest):
            change()


def test_nobody_else_changes_anything(alice, bob, carol, team):
    changes = (
        lambda by: teams.rename(team.pk, name="x", by=by),
        lambda by: teams.allow_vendors(team.pk, [], by=by),
        lambda by: teams.set_role(team.pk, bob.user.pk, role=Role.BILLING, by=by),
        lambda by: teams.remove(team.pk, alice.user.pk, by=by),
        lambda by: teams.transfer(team.pk, to=bob.user.pk, by=by),
    )
    before = roles(team)
    for change in changes:
        with pytest.raises(AccessDisabled):
            change(bob.user.pk)
        with pytest.raises(NotFound):
            change(carol.user.pk)
    assert roles(team) == before


def test_a_personal_workspace_is_for_one(alice, bob):
    with pytest.raises(InvalidRequest, match="for one"):
        teams.join(alice.user.personal_workspace, bob.user, role=Role.MEMBER, by=alice.user.pk)
    with pytest.raises(InvalidRequest, match="for one"):
        invitations.invite(
            alice.workspace_id, email="x@example.org", role=Role.MEMBER, by=alice.user, base_url=""
        )
    with pytest.raises(InvalidRequest):
        teams.transfer(alice.workspace_id, to=bob.user.pk, by=alice.user.pk)


def test_two_who_pass_it_on_at_once_are_one_after_the_other(committed, make_member, at_once):
    alice, others = make_member(), [make_member() for _ in range(4)]
    team = teams.create(owner=alice.user, name="Studio")
    for other in others:
        teams.join(team, other.user, role=Role.MEMBER, by=alice.user.pk)

    def pass_on(other):
        try:
            teams.transfer(team.pk, to=other.user.pk, by=alice.user.pk)
        except AccessDisabled:
            return False
        return True

    assert sum(at_once(pass_on, others)) == 1
    assert sorted(roles(team).values()) == ["member"] * 4 + ["owner"]


# --- removal ------------------------------------------------------------------------------------


def test_who_is_removed_has_no_key_here_any_more_and_their_own_elsewhere(alice, bob, team):
    whole, record = a_key(team, bob)
    assert lives(whole)

    teams.remove(team.pk, bob.user.pk, by=alice.user.pk)

    assert not lives(whole)
    assert states.told(ApiKey.objects.get(pk=record.pk)) == "of nobody here"
    assert lives(bob.key)
    event = Event.objects.filter(action="member.removed").latest("id")
    assert (event.actor_id, event.subject_id) == (alice.user.pk, bob.user.pk)


def test_who_comes_back_makes_new_keys(alice, bob, team):
    whole, _ = a_key(team, bob)
    # A transaction has one time, and this test is one.
    ApiKey.objects.filter(workspace=team).update(created_at=timezone.now() - timedelta(hours=1))
    teams.remove(team.pk, bob.user.pk, by=bob.user.pk)
    teams.join(team, bob.user, role=Role.MEMBER, by=alice.user.pk)

    assert not lives(whole)
    assert lives(a_key(team, bob)[0])


# --- invitations --------------------------------------------------------------------------------


def test_an_invitation_is_mailed_and_accepted_once_by_its_addressee(alice, bob, carol, team):
    _, token, mail = invite(team, alice, f" {carol.user.email.upper()} ", role=Role.BILLING)
    verify_email(carol.user)

    assert mail.to == carol.user.email
    assert token not in str(Invitation.objects.values())
    verify_email(bob.user)
    with pytest.raises(AccessDisabled, match="another address"):
        invitations.accept(token, user=bob.user)
    mine = invitations.accept(token, user=carol.user)

    assert (mine.workspace_id, mine.role) == (team.pk, "billing")
    assert invitations.accept(token, user=carol.user) == mine, "a second click says the same"
    teams.remove(team.pk, carol.user.pk, by=alice.user.pk)
    with pytest.raises(NotFound):
        invitations.accept(token, user=carol.user)


def test_who_has_not_shown_that_the_address_is_theirs_does_not_join(alice, carol, team):
    _, token, _ = invite(team, alice, carol.user.email)

    with pytest.raises(AccessDisabled, match="Verify"):
        invitations.accept(token, user=carol.user)

    verify_email(carol.user)
    assert invitations.accept(token, user=carol.user).role == "member"


@pytest.mark.parametrize("end", ["expired", "withdrawn", "newer", "unknown"])
def test_an_invitation_that_is_over_leads_nowhere(alice, carol, team, end):
    made, token, _ = invite(team, alice, carol.user.email)
    verify_email(carol.user)
    if end == "expired":
        ago = timezone.now() - timedelta(days=8)
        Invitation.objects.update(created_at=ago, expires_at=ago + timedelta(days=7))
        assert not invitations.pending(team.pk)
    elif end == "withdrawn":
        invitations.withdraw(team.pk, made.pk, by=alice.user.pk)
        with pytest.raises(NotFound):
            invitations.withdraw(team.pk, made.pk, by=alice.user.pk)
    elif end == "newer":
        _, newer, _ = invite(team, alice, carol.user.email)
    else:
        token = "\ud800" + token

    with pytest.raises(NotFound):
        invitations.accept(token, user=carol.user)
    if end == "newer":
        assert invitations.accept(newer, user=carol.user)


def test_whom_one_invites(alice, bob, team):
    unheard_of = "x@\u05ff.example"  # No sign has this number.
    for email in ("", "x", "a@b", f"{'x' * 250}@example.org", bob.user.email, unheard_of):
        with pytest.raises(InvalidRequest):
            invite(team, alice, email)
    with pytest.raises(InvalidRequest, match="ownership"):
        invite(team, alice, "x@example.org", role=Role.OWNER)
    with pytest.raises(AccessDisabled):
        invitations.invite(
            team.pk, email="x@example.org", role=Role.MEMBER, by=bob.user, base_url=WHERE
        )


def test_two_who_accept_at_once_are_one_member(committed, make_member, at_once):
    alice, carol = make_member(), make_member()
    team = teams.create(owner=alice.user, name="Studio")
    verify_email(carol.user)
    _, token, _ = invite(team, alice, carol.user.email)

    def accept(_):
        return invitations.accept(token, user=carol.user).pk

    assert len(set(at_once(accept, range(6)))) == 1
    assert Event.objects.filter(action="member.joined", workspace_id=team.pk).count() == 1


def test_so_many_mails_and_no_more(alice, team, monkeypatch):
    monkeypatch.setattr(invitations, "PER_DAY", 2)
    for n in range(2):
        invite(team, alice, f"{n}-{uuid.uuid4().hex}@example.org")

    with pytest.raises(RateLimited):
        invite(team, alice, "c@example.org")


def test_many_teams_send_no_more_mails_than_one_person_may(alice, team, monkeypatch):
    monkeypatch.setattr(invitations, "PER_PERSON", 2)
    another = teams.create(owner=alice.user, name="Another")
    for each in (team, another):
        invite(each, alice, f"{uuid.uuid4().hex}@example.org")

    with pytest.raises(RateLimited):
        invite(another, alice, "c@example.org")


def test_nobodys_mailbox_is_filled_by_invitations(alice, bob, team, monkeypatch):
    monkeypatch.setattr(invitations, "PER_ADDRESS", 2)
    anothers, email = (
        teams.create(owner=bob.user, name="Another"),
        f"{uuid.uuid4().hex}@example.org",
    )
    invite(team, alice, email)
    invite(anothers, bob, email)

    with pytest.raises(RateLimited):
        invite(team, alice, email.upper())


# --- on the wire --------------------------------------------------------------------------------


def test_the_whole_of_it_on_the_wire(alice, carol):
    owner, guest = browser(alice), browser(carol)
    verify_email(carol.user)
    made = ask(owner, "POST", "/v1/workspaces", {"name": " The  Studio "})
    here = f"/v1/workspaces/{made.json()['id']}"

    assert (made.status_code, made.json()["name"]) == (201, "The Studio")
    assert ask(guest, "GET", here).status_code == 404
    asked = {"email": carol.user.email}
    assert ask(owner, "POST", f"{here}/invitations", asked).status_code == 201
    (one,) = ask(owner, "GET", f"{here}/invitations").json()["invitations"]
    assert (one["email"], one["role"]) == (carol.user.email, "member")
    (mail,) = Mail.objects.filter(to=carol.user.email, key__startswith="invitation:")
    token = re.findall(r"/invitations/(\S+)", mail.text)[0]
    joined = ask(guest, "POST", "/v1/invitations/accept", {"token": token})
    assert (joined.status_code, joined.json()["current"]) == (200, True)

    names = [each["name"] for each in ask(guest, "GET", "/v1/workspaces").json()["workspaces"]]
    assert names == ["Personal", "The Studio"]
    assert len(ask(owner, "GET", f"{here}/members").json()["members"]) == 2
    assert len(ask(guest, "GET", f"{here}/members").json()["members"]) == 1
    guests = f"{here}/members/{carol.user.pk}"
    assert ask(guest, "PATCH", guests, {"role": "billing"}).status_code == 403
    assert ask(owner, "PATCH", guests, {"role": "billing"}).status_code == 204
    assert len(ask(guest, "GET", f"{here}/members").json()["members"]) == 2
    assert ask(owner, "POST", f"{here}/transfer", {"to": str(carol.user.pk)}).status_code == 204
    assert ask(owner, "DELETE", f"{here}/members/{alice.user.pk}").status_code == 204
    assert ask(owner, "GET", here).status_code == 404


def test_who_is_removed_acts_for_their_own_workspace_again(alice, bob, team):
    client = browser(bob)
    here = f"/v1/workspaces/{team.pk}"
    assert ask(client, "POST", f"{here}/switch").json()["current"] is True
    whole = ask(client, "POST", "/v1/keys", {"name": "laptop"}).json()["key"]
    assert keys.authenticate(whole, address="127.0.0.1").workspace_id == team.pk

    teams.remove(team.pk, bob.user.pk, by=alice.user.pk)

    assert not lives(whole)
    assert ask(client, "POST", f"{here}/switch").status_code == 404
    current = [
        each["id"]
        for each in ask(client, "GET", "/v1/workspaces").json()["workspaces"]
        if each["current"]
    ]
    assert current == [str(bob.workspace_id)]


def test_only_the_vendors_that_a_workspace_allows(alice, team):
    client = browser(alice)
    here = f"/v1/workspaces/{team.pk}"

    for bad in ({"allowed_vendors": ["BFL"]}, {"allowed_vendors": ["a b"]}, {"name": "  "}):
        assert ask(client, "PATCH", here, bad).status_code == 400
    good = ask(client, "PATCH", here, {"allowed_vendors": ["kling", "bfl", "bfl"]})
    assert good.json()["allowed_vendors"] == ["bfl", "kling"]
    assert ask(client, "PATCH", here, {"allowed_vendors": None}).json()["allowed_vendors"] is None


def test_no_key_changes_who_belongs_to_what(client, alice, team):
    whole, _ = a_key(team, alice)
    ApiKey.objects.update(scopes=["proxy", "usage:read", "keys:manage", "billing:manage"])

    answer = client.get("/v1/workspaces", headers={"X-API-KEY": whole})

    assert (answer.status_code, answer.json()["error"]) == (403, "access_disabled")
    assert "signed in" in answer.json()["message"]
