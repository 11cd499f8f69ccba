"""What two do with keys at the same moment has one outcome, and it is a sentence."""

import uuid

import pytest

from apikeys import keys, life, rights, states
from apikeys.life import Giver
from apikeys.models import SCOPES, ApiKey
from apikeys.rights import Rights
from common.errors import PlatformError

ALL = Rights(scopes=frozenset(SCOPES))
SMALL = Rights(scopes=frozenset({"proxy"}))


def giver(member, key=None):
    return Giver(member.user.pk, member.workspace_id, rights.of(key) if key else ALL, key)


def outcome(work):
    try:
        work()
    except PlatformError as refusal:
        return refusal.code
    return "done"


def test_a_key_gets_one_successor(alice, at_once):
    def rotate(_):
        from datetime import timedelta

        again = timedelta(hours=1)
        return outcome(lambda: life.rotate(giver(alice), alice.api_key_record.pk, overlap=again))

    came = at_once(rotate, range(8))

    assert sorted(came) == ["done"] + ["invalid_request"] * 7
    assert ApiKey.objects.filter(replaces=alice.api_key_record).count() == 1


def test_nobody_makes_more_keys_than_they_may(alice, at_once, monkeypatch):
    monkeypatch.setattr(life, "MOST_KEYS", 4)

    def make(n):
        return outcome(
            lambda: life.make(giver(alice), name=f"key {n}", description="", asked=SMALL)
        )

    came = at_once(make, range(12))

    assert came.count("done") == 3
    assert came.count("invalid_request") == 9


def test_when_all_keys_end_none_is_left_that_one_of_them_made(alice, at_once):
    """Whoever has a stolen key makes another just as its owner ends them all."""
    ApiKey.objects.filter(pk=alice.api_key_record.pk).update(scopes=list(SCOPES))
    stolen = ApiKey.objects.get(pk=alice.api_key_record.pk)

    def act(n):
        if n == 5:
            reason = {"by": uuid.uuid4(), "reason": "stolen"}
            return outcome(lambda: states.revoke_all(alice.user.pk, **reason))
        return outcome(
            lambda: life.make(giver(alice, stolen), name="again", description="", asked=SMALL)
        )

    came = at_once(act, range(12))

    assert set(came) <= {"done", "unauthorized"}
    assert not keys.living().filter(user=alice.user).exists()


@pytest.mark.parametrize("end", [states.revoke, states.disable])
def test_an_ended_key_is_not_changed_by_who_came_just_before(alice, end):
    stolen = ApiKey.objects.get(pk=alice.api_key_record.pk)
    end(stolen, by=uuid.uuid4(), reason="stolen")

    made = outcome(
        lambda: life.make(giver(alice, stolen), name="again", description="", asked=SMALL)
    )

    assert made == "unauthorized"
