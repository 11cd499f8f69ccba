"""What a team's members call: from its wallet, as long as they belong to it, and what it allows."""

from __future__ import annotations

import uuid

from proxy_stage import IMAGE, Member, check_refusal, in_thread

from accounts import teams
from accounts.models import Membership, User
from apikeys import keys
from credits.gifts import grants


async def a_team(stage, owner, *others):
    """A team with a dollar, and a key in it for each."""

    def make():
        people = [User.objects.get(pk=each.user) for each in (owner, *others)]
        team = teams.create(owner=people[0], name="Studio")
        grants.grant(wallet=team.wallet, amount=1_000_000, key=uuid.uuid4().hex, reason="a test")
        found = []
        for person in people:
            teams.join(team, person, role=Membership.Role.MEMBER, by=people[0].pk)
            whole, record = keys.issue(workspace_id=team.pk, user_id=person.pk, name="x")
            found.append(Member(whole, str(team.pk), str(person.pk), str(record.pk)))
        return team.pk, found

    team, seats = await in_thread(make)
    stage.members.extend(seats)
    return team, seats


async def called(stage, member):
    answer = await stage.post(IMAGE, member, json={"prompt": str(uuid.uuid4())})
    if answer.status != 200:
        check_refusal(answer)
    return answer.status


async def test_members_call_from_the_teams_wallet_until_they_are_removed(stage):
    alice, bob = await stage.member(0), await stage.member(0)
    team, (hers, his) = await a_team(stage, alice, bob)
    assert [await called(stage, each) for each in (hers, his, bob)] == [200, 200, 402]

    await in_thread(lambda: teams.remove(team, uuid.UUID(bob.user), by=uuid.UUID(alice.user)))

    assert [await called(stage, each) for each in (hers, his)] == [200, 401]
    assert {str(call["user_id"]) for call in stage.calls(hers)} == {alice.user, bob.user}


async def test_a_vendor_that_the_workspace_does_not_allow_is_not_called(stage):
    alice = await stage.member()
    team, (hers,) = await a_team(stage, alice)
    by = uuid.UUID(alice.user)

    await in_thread(lambda: teams.allow_vendors(team, ["bfl"], by=by))
    refused = await stage.post(IMAGE, hers, json={"prompt": "x"})
    free = await stage.post("/proxy/sandbox/v1/free", hers, json={"units": 3})
    assert [refused.status, refused.type, free.status] == [403, "access_disabled", 403]
    assert "workspace does not allow sandbox" in refused.json()["message"]
    assert await called(stage, alice) == 200

    await in_thread(lambda: teams.allow_vendors(team, None, by=by))
    assert await called(stage, hers) == 200
