"""Whatever ends a key ends it at every door: it is one rule, in one piece of SQL."""

import json
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import Membership
from apikeys import callers, keys, states
from apikeys.models import ApiKey
from common.errors import Unauthorized
from proxy import sql


def end(member, how):
    record = ApiKey.objects.filter(pk=member.api_key_record.pk)
    match how:
        case "revoked":
            record.update(revoked_at=timezone.now())
        case "disabled":
            record.update(disabled_at=timezone.now())
        case "expired":
            ago = timezone.now() - timedelta(days=2)
            record.update(created_at=ago, expires_at=ago + timedelta(days=1))
        case "its person left":
            member.user.is_active = False
            member.user.save()
        case "its person was removed":
            Membership.objects.filter(user=member.user).delete()
        case "its person came back":
            later = timezone.now() + timedelta(seconds=1)
            Membership.objects.filter(user=member.user).update(created_at=later)
        case "not yet":
            record.update(expires_at=timezone.now() + timedelta(days=1))


def opens(member):
    """Return which doors let the key in."""
    (way,) = callers.by_key(member.key, "127.0.0.1").asked()
    try:
        doors = {"account": keys.authenticate(member.key).pk == member.api_key_record.pk}
    except Unauthorized:
        doors = {"account": False}
    with connection.cursor() as cursor:
        cursor.execute(sql.MAY_CALL, [json.dumps({"vendor": "bfl", "amount": 0, **way})])
        doors["call"] = cursor.fetchone()[0] != "unauthorized"
        asked = {"n": 0, "vendor": "bfl", "job": "?", **way}
        cursor.execute(sql.FIND_JOBS, [json.dumps([asked])])
        doors["poll"] = cursor.fetchone()[0]
    return doors


def told(member):
    """Return what staff read of the key."""
    return states.told(ApiKey.objects.get(pk=member.api_key_record.pk))


ENDS = ["revoked", "disabled", "expired", "its person left"]
LEFT = ["its person was removed", "its person came back"]
TOLD = {"its person left": "of nobody active", **dict.fromkeys(LEFT, "of nobody here")}


@pytest.mark.parametrize("how", ENDS + LEFT)
def test_a_key_that_is_ended_opens_no_door(alice, how):
    end(alice, how)

    assert opens(alice) == {"account": False, "call": False, "poll": False}
    assert told(alice) == TOLD.get(how, how)


@pytest.mark.parametrize("how", ["nothing", "not yet"])
def test_a_living_key_opens_all(alice, how):
    end(alice, how)

    assert opens(alice) == {"account": True, "call": True, "poll": True}
    assert told(alice) == "living"


def test_another_key_of_an_unknown_digest_opens_none(alice, bob):
    head = alice.key[:-16] + "00000000"
    made_up = head + keys.checksum(head)
    ghost = type(alice)(bob.user, bob.workspace_id, bob.wallet, made_up, bob.api_key_record)

    assert opens(ghost) == {"account": False, "call": False, "poll": False}


@pytest.mark.parametrize(
    ("address", "outcome"),
    [("192.0.2.7", None), ("2001:db8::1", "network"), ("", "network"), ("unix", "network")],
)
def test_a_key_of_some_networks_calls_from_nowhere_else(alice, address, outcome):
    """Whose address is not known comes from nowhere."""
    key = ApiKey.objects.filter(pk=alice.api_key_record.pk)
    key.update(allowed_networks=["192.0.2.0/24"])
    (way,) = callers.by_key(alice.key, address).asked()

    with connection.cursor() as cursor:
        cursor.execute(sql.MAY_CALL, [json.dumps({"vendor": "bfl", "amount": 0, **way})])
        assert cursor.fetchone()[0] == outcome
        cursor.execute(sql.FIND_JOBS, [json.dumps([{"n": 0, "vendor": "bfl", **way}])])
        assert cursor.fetchone()[0] is (outcome is None)
