"""A job whose vendor does not say what it used is charged by our rule, and staff are told of it."""

from __future__ import annotations

import pytest
from sample_calls import call, sample_of
from vendor_calls import RICH

FOUND = "SELECT * FROM credits_finding WHERE key = %s"


@pytest.mark.parametrize(
    ("path", "silence"),
    [
        ("/proxy/byteplus/api/v3/contents/generations/tasks", "no_usage"),
        ("/proxy/hitpaw/api/photo-enhancer", "cost=0"),
        ("/proxy/topaz/image/v1/enhance-gen/async", "cost=0"),
    ],
)
async def test_a_job_that_does_not_say_what_it_used_is_charged_and_found(stage, path, silence):
    sample = sample_of(path)
    key = f"unreported:{sample.operation.path}"
    member = await stage.member(micros=RICH)
    await call(stage, member, sample)
    assert stage.rows(FOUND, key) == [], "it said what it used"

    other = await stage.member(micros=RICH)
    stage.vendor.fail_next(sample.vendor.name, silence)
    await call(stage, other, sample)

    assert stage.spent(other) > 0
    (found,) = stage.rows(FOUND, key)
    assert found["kind"] == "vendor"
    assert f"{stage.calls(other)[-1]['id']}" in found["sentence"]
