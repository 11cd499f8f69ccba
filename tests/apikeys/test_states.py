"""A key that is disabled or revoked does nothing from that moment, and it is known who did that."""

import uuid

import pytest
from django.db import IntegrityError, transaction

from apikeys import keys, states
from apikeys.models import ApiKey
from common.errors import InvalidRequest, NotFound, Unauthorized

GRACE = uuid.UUID(int=7)
WHY = {"by": GRACE, "reason": "It was in a public repository."}


def now(member):
    return ApiKey.objects.get(pk=member.api_key_record.pk)


def acts(member):
    try:
        keys.authenticate(member.key)
    except Unauthorized:
        return False
    return True


def test_revoking_is_for_good_and_keeps_its_first_time(alice):
    first = states.revoke(alice.api_key_record, **WHY)
    noted = now(alice)
    again = states.revoke(alice.api_key_record, by=uuid.UUID(int=8), reason="once more")

    assert (first, again) == (True, False)
    assert now(alice).revoked_at == noted.revoked_at
    assert (now(alice).status_changed_by, now(alice).status_reason) == (GRACE, WHY["reason"])
    assert not acts(alice)
    with pytest.raises(InvalidRequest, match="for good"):
        states.enable(alice.api_key_record, **WHY)
    assert not states.disable(alice.api_key_record, **WHY)


def test_what_is_disabled_acts_again_when_it_is_enabled(alice, bob):
    did = [states.disable(alice.api_key_record, **WHY) for _ in range(2)]
    assert (did, acts(alice), acts(bob)) == ([True, False], False, True)

    did = [states.enable(alice.api_key_record, **WHY) for _ in range(2)]
    assert (did, acts(alice)) == ([True, False], True)


@pytest.mark.parametrize("change", [states.disable, states.enable, states.revoke])
@pytest.mark.parametrize("reason", ["", "  ", "x" * 301])
def test_each_change_has_a_reason(alice, change, reason):
    with pytest.raises(InvalidRequest, match="reason"):
        change(alice.api_key_record, by=GRACE, reason=reason)

    assert acts(alice)


def test_the_database_wants_a_name_and_a_reason(alice):
    for wrong in ({"status_changed_by": GRACE}, {"status_reason": "x"}):
        with pytest.raises(IntegrityError, match="somebody_with_a_reason"), transaction.atomic():
            ApiKey.objects.filter(pk=alice.api_key_record.pk).update(
                status_changed_at="2026-01-01T00:00Z", **wrong
            )


def test_a_key_is_found_by_what_one_has_of_it(alice, settings):
    record = alice.api_key_record
    settings.KEY_PEPPERS = {**settings.KEY_PEPPERS, 9: b"n" * 32}  # It was made before this one.

    for text in (alice.key, f" {alice.key}\n", str(record.pk), record.prefix):
        assert states.find(text).pk == record.pk


def test_a_beginning_that_several_have_names_none(alice, bob):
    for member in (alice, bob):
        ApiKey.objects.filter(pk=member.api_key_record.pk).update(prefix="comfyui-00000000")

    with pytest.raises(InvalidRequest, match="More than one"):
        states.find("comfyui-0000")


@pytest.mark.parametrize(
    "text", ["", "laptop", "comfyui-", "comfyui-XYZ", "%", "comfyui-" + "0" * 63]
)
def test_what_names_no_key_is_refused(alice, text):
    with pytest.raises(InvalidRequest, match="named by"):
        states.find(text)


@pytest.mark.parametrize("text", [str(uuid.UUID(int=9)), "comfyui-ffffffff"])
def test_a_key_that_is_not_there_is_not_found(alice, text):
    with pytest.raises(NotFound):
        states.find(text)
