import re
import time
import zlib
from datetime import timedelta
from importlib import import_module
from unittest.mock import Mock

import pytest
from django.db import IntegrityError, OperationalError, connection, transaction
from django.utils import timezone

from apikeys import keys
from apikeys.models import ApiKey
from common.errors import InvalidRequest, Unauthorized


@pytest.fixture(autouse=True)
def used(monkeypatch):
    """A fresh memory of used keys, written just now."""
    fresh = keys.Used()
    fresh._written = time.monotonic()
    monkeypatch.setattr(keys, "used", fresh)
    return fresh


def change(member, **fields):
    ApiKey.objects.filter(pk=member.api_key_record.pk).update(**fields)


def test_a_key_has_72_characters_and_ends_in_its_own_checksum(alice):
    key = alice.key

    assert len(key) == keys.LENGTH == 72
    assert re.fullmatch(r"comfyui-[0-9a-f]{64}", key)
    assert key[-8:] == f"{zlib.crc32(key[:-8].encode()):08x}"
    assert keys.is_wellformed(key)


def test_a_key_is_kept_as_a_digest_and_its_first_digits_only(alice):
    record = ApiKey.objects.get(pk=alice.api_key_record.pk)

    assert record.prefix == alice.key[:16]
    assert len(record.digest) == 32
    with connection.cursor() as cursor:
        cursor.execute("SELECT apikeys_apikey::text FROM apikeys_apikey WHERE id = %s", [record.pk])
        (row,) = cursor.fetchone()
    assert alice.key not in row
    assert alice.key[16:] not in row
    assert alice.key[16:].encode().hex() not in row


def test_two_keys_are_never_alike(make_member):
    assert make_member("0").key != make_member("0").key


def test_a_living_key_is_recognised_in_one_query(alice, django_assert_num_queries):
    with django_assert_num_queries(1):
        found = keys.authenticate(alice.key)
        assert (found.user.pk, found.workspace.pk) == (alice.user.pk, alice.workspace_id)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda key: key[:-1] + ("0" if key[-1] != "0" else "1"),
        lambda key: key[:20] + ("0" if key[20] != "0" else "1") + key[21:],
        lambda key: key[:-1],
        lambda key: key + "0",
        lambda key: key + "\n",
        lambda key: key.upper(),
        lambda key: "",
        lambda key: "sk-" + key,
        lambda key: "comfyui-" + "٣" * 64,
    ],
)
def test_what_cannot_be_a_key_is_refused_without_a_query(alice, django_assert_num_queries, spoil):
    with django_assert_num_queries(0), pytest.raises(Unauthorized, match="not an API key"):
        keys.authenticate(spoil(alice.key))


def test_an_invented_key_with_a_right_checksum_is_unknown(alice):
    head = "comfyui-" + "ab" * 28

    with pytest.raises(Unauthorized, match="unknown, expired or revoked"):
        keys.authenticate(head + keys.checksum(head))


@pytest.mark.parametrize("field", ["revoked_at", "disabled_at", "expires_at"])
def test_a_key_that_ended_is_refused(alice, field):
    change(alice, created_at=timezone.now() - timedelta(hours=1))
    change(alice, **{field: timezone.now() - timedelta(seconds=1)})

    with pytest.raises(Unauthorized, match="unknown, expired or revoked"):
        keys.authenticate(alice.key)


def test_a_key_lives_until_it_expires(alice):
    change(alice, expires_at=timezone.now() + timedelta(seconds=30))

    assert keys.authenticate(alice.key).pk == alice.api_key_record.pk


def test_a_user_who_is_switched_off_cannot_use_a_key(alice):
    type(alice.user).objects.filter(pk=alice.user.pk).update(is_active=False)

    with pytest.raises(Unauthorized):
        keys.authenticate(alice.key)


@pytest.mark.parametrize("name", ["", "   "])
def test_a_key_needs_a_name(alice, name):
    with pytest.raises(InvalidRequest, match="needs a name"):
        keys.issue(workspace_id=alice.workspace_id, user_id=alice.user.pk, name=name)


def test_a_new_pepper_takes_over_key_by_key_as_they_are_used(alice, settings):
    old = bytes(ApiKey.objects.get(pk=alice.api_key_record.pk).digest)
    settings.KEY_PEPPERS = {**settings.KEY_PEPPERS, 2: b"another pepper, of 32 bytes or more"}

    assert keys.authenticate(alice.key).pk == alice.api_key_record.pk

    record = ApiKey.objects.get(pk=alice.api_key_record.pk)
    assert record.pepper_version == 2
    assert bytes(record.digest) == keys.digest(alice.key, 2) != old
    settings.KEY_PEPPERS = {2: settings.KEY_PEPPERS[2]}
    assert keys.authenticate(alice.key).pk == record.pk


def test_a_new_key_is_made_under_the_newest_pepper(settings, make_member):
    settings.KEY_PEPPERS = {**settings.KEY_PEPPERS, 2: b"another pepper, of 32 bytes or more"}

    member = make_member("0")

    assert member.api_key_record.pepper_version == 2


def test_without_its_pepper_a_key_is_unknown(alice, settings):
    settings.KEY_PEPPERS = {2: b"another pepper, of 32 bytes or more"}

    with pytest.raises(Unauthorized):
        keys.authenticate(alice.key)


def test_when_a_key_was_used_is_written_at_most_once_a_minute(
    alice, used, django_assert_num_queries
):
    used._written = time.monotonic() - 61
    with django_assert_num_queries(2):
        keys.authenticate(alice.key)
    first = ApiKey.objects.get(pk=alice.api_key_record.pk).last_used_at

    with django_assert_num_queries(3):
        for _ in range(3):
            keys.authenticate(alice.key)

    assert abs(first - timezone.now()) < timedelta(seconds=5)
    assert ApiKey.objects.get(pk=alice.api_key_record.pk).last_used_at == first


def test_a_last_use_never_moves_back(alice, used):
    later = timezone.now() + timedelta(hours=1)
    change(alice, last_used_at=later)
    used.note(str(alice.api_key_record.pk))

    used.write()

    assert ApiKey.objects.get(pk=alice.api_key_record.pk).last_used_at == later


def test_what_could_not_be_written_is_written_later(alice, used, monkeypatch):
    record = alice.api_key_record
    used.note(str(record.pk))
    with monkeypatch.context() as away:
        away.setattr(keys.connection, "cursor", Mock(side_effect=OperationalError("away")))
        with pytest.raises(OperationalError):
            used.write()

    used.write()

    assert ApiKey.objects.get(pk=record.pk).last_used_at is not None


def test_with_nothing_used_nothing_is_written(db, used, django_assert_num_queries):
    with django_assert_num_queries(0):
        used.write()
    assert not used.is_due()


@pytest.mark.parametrize(
    ("name", "sql"),
    [
        ("api_key_has_a_name", "name = ''"),
        ("api_key_limit_positive", "call_limit_micros = 0"),
        ("api_key_expires_after_creation", "expires_at = created_at"),
        ("api_key_scopes_known", "scopes = '{proxy,everything}'"),
        ("api_key_scopes_known", "scopes = '{NULL}'"),
    ],
)
def test_by_hand_the_database_refuses(alice, name, sql):
    with (
        pytest.raises(IntegrityError, match=name),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(f"UPDATE apikeys_apikey SET {sql} WHERE id = %s", [alice.api_key_record.pk])


def test_a_digest_belongs_to_one_key(alice, bob):
    with (
        pytest.raises(IntegrityError, match="apikeys_apikey_digest"),
        transaction.atomic(),
    ):
        change(alice, digest=bytes(bob.api_key_record.digest))


def test_a_key_that_might_change_how_one_pays_still_may(alice):
    """It had `keys:manage`, before `billing:manage` came."""
    moved = import_module("apikeys.migrations.0002_billing_scope").Migration.operations[1]
    key = ApiKey.objects.filter(pk=alice.api_key_record.pk)

    for before, after in (
        (["proxy", "keys:manage"], ["proxy", "keys:manage", "billing:manage"]),
        (["proxy", "usage:read"], ["proxy", "usage:read"]),
    ):
        key.update(scopes=before)
        for _ in range(2):
            with connection.cursor() as cursor:
                cursor.execute(moved.sql)
        assert key.get().scopes == after
