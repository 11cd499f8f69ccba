"""A key and the limits of its own: made and changed as one, and kept over its rotations."""

from datetime import timedelta

import pytest

from accounts import teams
from accounts.sessions import Session
from apikeys import allowances, life, limited, rights
from apikeys.authentication import giver
from apikeys.limited import Limits
from apikeys.models import ApiKey
from apikeys.rights import Rights
from common.errors import AccessDisabled, InvalidRequest
from common.money import usd

CALLS = Rights(scopes=frozenset({"proxy"}))


def signed_in(member, workspace_id=None, role="owner"):
    return giver(Session(member.user, workspace_id or member.workspace_id, role))


def test_a_key_is_made_with_all_its_limits(alice):
    limits = Limits(project="Kite film", pace=60, amounts={"day": usd("5"), "month": usd("60")})

    whole, key = limited.make(signed_in(alice), name="Farm", asked=CALLS, limits=limits)

    assert len(whole) == 72
    found = limited.of(key)
    assert (found.project, found.pace) == ("Kite film", 60)
    assert found.amounts == {
        "day": usd("5"), "week": None, "month": usd("60"), "total": None,
    }  # fmt: skip


def test_of_what_cannot_be_limited_so_no_key_is_made(alice):
    before = ApiKey.objects.count()

    with pytest.raises(InvalidRequest, match="project"):
        limited.make(signed_in(alice), name="Farm", asked=CALLS, limits=Limits(project="x" * 65))
    with pytest.raises(InvalidRequest, match="requests_per_minute"):
        limited.make(signed_in(alice), name="Farm", asked=CALLS, limits=Limits(pace=0))

    assert ApiKey.objects.count() == before


def test_a_change_is_whole_or_none(alice):
    key = alice.api_key_record

    with pytest.raises(InvalidRequest):
        limited.change(
            signed_in(alice), key.pk, name="Other", asked=CALLS, limits=Limits(pace=10**9)
        )
    key.refresh_from_db()
    assert key.name == "laptop"

    bounded = Rights(
        frozenset({"proxy"}), frozenset({"bfl"}), rights.networks(["192.0.2.0/24"]), usd("2")
    )
    changed = limited.change(
        signed_in(alice), key.pk, name="Other", asked=bounded,
        limits=Limits(amounts={"week": usd("9")}),
    )  # fmt: skip
    assert changed.name == "Other"
    assert rights.of(changed) == bounded
    assert limited.of(changed).amounts["week"] == usd("9")


def test_what_the_owner_set_stays_while_the_rest_is_changed(alice, bob):
    team = teams.create(owner=alice.user, name="Studio")
    teams.join(team, bob.user, role="member", by=alice.user.pk)
    bobs = signed_in(bob, team.pk, "member")
    _, key = limited.make(bobs, name="Bobs", asked=CALLS, limits=Limits())
    allowances.set_rule(team.pk, "key", str(key.pk), "day", usd("3"), by=alice.user.pk)
    kept = limited.of(key)

    renamed = limited.change(bobs, key.pk, name="Renamed", asked=None, limits=kept)
    assert renamed.name == "Renamed"
    more = Limits(amounts={"day": usd("30")})
    with pytest.raises(AccessDisabled, match="ask for more"):
        limited.change(bobs, key.pk, name="Again", asked=None, limits=more)
    assert ApiKey.objects.get(pk=key.pk).name == "Renamed"


def test_a_rotated_key_stays_within_its_project_and_its_pace(alice):
    limits = Limits(project="Kite film", pace=7)
    _, key = limited.make(signed_in(alice), name="Farm", asked=CALLS, limits=limits)

    _, successor = life.rotate(signed_in(alice), key.pk, overlap=timedelta(days=1))

    assert (successor.project, successor.requests_per_minute) == ("Kite film", 7)
