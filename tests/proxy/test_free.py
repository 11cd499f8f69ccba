"""What costs nothing passes through for a living key, and leaves no trace in the books."""

import pytest

from apikeys import keys

FREE = "/proxy/sandbox/v1/free"


async def test_a_free_operation_passes_through_with_an_empty_wallet(stage):
    member = await stage.member(0)

    answer = await stage.post(FREE, member, json={"prompt": "x"})

    assert answer.status == 200
    assert stage.wallet(member) == (0, 0)
    assert stage.calls(member) == []
    assert stage.vendor.counts("sandbox")["submits"] == 1


async def test_a_free_operation_needs_a_living_key(stage):
    head = keys.PREFIX + "0" * 56
    unknown = head + keys.checksum(head)

    for headers in ({}, {"X-API-KEY": unknown}):
        answer = await stage.post(FREE, None, json={}, headers=headers)
        assert (answer.status, answer.type) == (401, "unauthorized")

    assert stage.vendor.counts("sandbox")["submits"] == 0


@pytest.mark.parametrize(
    "options", [{"scopes": ["usage:read"]}, {"allowed_vendors": []}, {"allowed_vendors": ["bfl"]}]
)
async def test_a_free_operation_needs_a_key_that_may(stage, options):
    member = await stage.member(**options)

    answer = await stage.post(FREE, member, json={})

    assert (answer.status, answer.type) == (403, "access_disabled")
    assert stage.vendor.counts("sandbox")["submits"] == 0


async def test_a_vendor_that_fails_a_free_operation_is_translated(stage):
    member = await stage.member(0)
    stage.vendor.fail_next("sandbox", "status=401")

    answer = await stage.post(FREE, member, json={})

    assert (answer.status, answer.type) == (403, "provider_disabled")
