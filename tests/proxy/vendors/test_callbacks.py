"""Nobody but us is told of a result."""

from __future__ import annotations

import hashlib

import orjson
import pytest
from sample_calls import SAMPLES, prepared, send
from vendor_calls import RICH

from proxy import callbacks
from proxy.catalogue import Takes

THEIRS = "https://elsewhere.example/"
NAMES = ("webhook_url", "webhook", "callBackUrl", "callback_url", "notify_hook", "webhookUrl")
OF_VENDOR = {sample.vendor.name: sample for sample in reversed(SAMPLES)}
EACH = [pytest.param(each, id=name) for name, each in OF_VENDOR.items()]


def test_what_has_somebody_else_called_is_left_out_wherever_it_is():
    body = {"prompt": "a callback", "n": 1, "input": {"text": "x"}, "tools": [{"callback_url": 1}]}
    for name in (*NAMES, "CallbackUrl", "webhook-url", "result_webhook", "notification_url"):
        assert callbacks.left_out({**body, name: THEIRS}) == body
        inner = {"text": "x", name: THEIRS}
        assert callbacks.left_out({**body, "input": inner}) == body
        assert callbacks.left_out({**body, "input": {"text": "x", "a": {name: 1}}}) == {
            **body,
            "input": {"text": "x", "a": {}},
        }
    assert callbacks.left_out(body) is None


async def test_a_body_that_is_sent_as_it_came_is_sent_without(stage):
    """BFL answers such a request without an address to poll, and brings the picture elsewhere."""
    member = await stage.member()
    body = {"prompt": "a red fox", "seed": 1}

    hidden = b'{"prompt":"a red fox","\\u0077ebhook_url":"https://elsewhere.example/","seed":1}'
    answer = await stage.post(
        "/proxy/bfl/flux-pro-1.1-ultra/generate",
        member,
        data=hidden,
        headers={"content-type": "application/json"},
    )

    assert answer.status == 200, answer.body
    (asked,) = [each for each in stage.vendor.requests("bfl") if each.method == "POST"]
    assert asked.sha256 == hashlib.sha256(orjson.dumps(body)).hexdigest()


@pytest.mark.parametrize("sample", EACH)
async def test_no_vendor_is_told_to_call_anybody(stage, sample):
    """Two requests that differ in this alone are one to the vendor."""
    member = await stage.member(micros=RICH)
    sizes = set()
    for address in (THEIRS, THEIRS + 100 * "x"):
        entry = await prepared(stage, member, sample)
        before = stage.vendor.counts(sample.vendor.name)["submits"]
        extra = dict.fromkeys(NAMES, address)
        answer = await send(stage, member, entry, body={**entry["body"], **extra})
        if answer.status == 400:
            assert any(name in answer.json()["message"] for name in NAMES), answer.body
            assert stage.vendor.counts(sample.vendor.name)["submits"] == before
            return
        assert answer.status < 300, answer.body
        sent = stage.vendor.requests(sample.vendor.name)
        sizes.add(next(each.size for each in reversed(sent) if each.method in ("POST", "PATCH")))
    assert len(sizes) == 1
    assert None not in sizes or sample.operation.takes is not Takes.JSON
