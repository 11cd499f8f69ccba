"""The vendors whose work is a job: each sample to its end, and each way a job can end badly."""

from __future__ import annotations

import json

import aiohttp
import pytest
from proxy_stage import check_refusal
from vendor_calls import RICH, followed, micros, samples, spent

from proxy.vendors import VENDORS, catalogue

OLDER = ("bfl", "kling", "rodin", "google", "vertexai")
SAMPLES = [
    pytest.param(sample, id=sample["path"].removeprefix("/proxy/"))
    for vendor in VENDORS
    if vendor.name not in OLDER
    for sample in samples(vendor.name)
    if catalogue().find("POST", sample["path"]).operation.job is not None
]
FIRST = [
    pytest.param(samples(vendor.name)[0], id=vendor.name)
    for vendor in VENDORS
    if vendor.name not in OLDER
]


def form(sample):
    data = aiohttp.FormData(default_to_multipart=True)
    for name, value in (sample["body"] or {}).items():
        data.add_field(name, f"{value}")
    for name, filename, kind in sample["files"]:
        data.add_field(name, b"a file", filename=filename, content_type=kind)
    return data


async def submit(stage, member, sample):
    given = {"data": form(sample)} if "files" in sample else {"json": sample["body"]}
    return await stage.post(sample["path"], member, **given)


async def polled(stage, member, sample, answer):
    """Ask for a job as its node does; return the answer."""
    route = catalogue().find("POST", sample["path"])
    poll, job = route.vendor.poll(route.operation.job), route.operation.job
    found = job.job_id(answer.json())
    assert found
    path = f"/proxy/{poll.path}"
    for name, value in {**route.parts, poll.names.name: found}.items():
        path = path.replace(f"{{{name}}}", value)
    if poll.names.where == "query":
        path += f"?{poll.names.name}={found}"
    given = {"json": {poll.names.name: found}} if poll.names.where == "body" else {}
    return await stage.ask(poll.method, path, by=member, **given)


@pytest.mark.parametrize("sample", SAMPLES)
async def test_a_sample_costs_what_is_published(stage, sample):
    member = await stage.member(micros=RICH)
    answer = await submit(stage, member, sample)
    assert answer.status in (200, 201, 202), answer.body
    balance, held = stage.wallet(member)
    assert balance == RICH
    assert micros(sample["usd"]) <= held <= micros(sample["most_usd"])

    end = await polled(stage, member, sample, answer)

    assert end.status == 200, end.body
    spent(stage, member, sample["usd"])
    (call,) = stage.calls(member)
    assert call["outcome"] == "delivered"
    route = catalogue().find("POST", sample["path"])
    for url in list(route.operation.job.results(end.json()))[:1]:
        assert (await stage.get(url)).status == 200


@pytest.mark.parametrize("sample", FIRST)
async def test_what_nobody_polls_is_settled_by_the_follower(stage, sample):
    member = await stage.member(micros=RICH)
    assert (await submit(stage, member, sample)).status < 300
    await followed(stage, member)
    spent(stage, member, sample["usd"])


@pytest.mark.parametrize("sample", FIRST)
@pytest.mark.parametrize("failure", ["failed", "moderated", "content_moderated"])
async def test_what_ends_badly_costs_nothing(stage, sample, failure):
    member = await stage.member(micros=RICH)
    vendor = catalogue().find("POST", sample["path"]).vendor
    stage.vendor.fail_next(vendor.name, failure)
    answer = await submit(stage, member, sample)
    end = await polled(stage, member, sample, answer)
    assert end.status == 200, end.body
    spent(stage, member, "0")
    (call,) = stage.calls(member)
    bad = ("failed",) if failure == "failed" else ("failed", "moderated")
    assert call["outcome"] in bad


@pytest.mark.parametrize("sample", FIRST)
async def test_nobody_asks_for_what_another_made(stage, sample):
    member, other = await stage.member(micros=RICH), await stage.member(micros=RICH)
    answer = await submit(stage, member, sample)
    refused = await polled(stage, other, sample, answer)
    assert refused.status == 404
    check_refusal(refused)


@pytest.mark.parametrize("sample", FIRST)
async def test_a_wrong_key_is_the_operators_affair(stage, configure, sample):
    vendor = catalogue().find("POST", sample["path"]).vendor
    configure(**{f"VENDOR_{vendor.name.upper()}_KEY": "another-vendor-key"})
    member = await stage.member(micros=RICH)
    refused = await submit(stage, member, sample)
    assert (refused.status, refused.type) == (403, "provider_disabled")
    check_refusal(refused)
    spent(stage, member, "0")


@pytest.mark.parametrize("sample", FIRST)
@pytest.mark.parametrize(
    ("failure", "status", "type_"),
    [
        ("status=400", 400, "provider_rejected"),
        ("status=402", 403, "provider_disabled"),
        ("status=429", 429, "provider_rate_limited"),
        ("status=503", 502, "provider_error"),
        ("nonjson", 422, "outcome_unknown"),
        ("no_id", 422, "outcome_unknown"),
    ],
)
async def test_a_refused_submit_costs_nothing(stage, sample, failure, status, type_):
    member = await stage.member(micros=RICH)
    vendor = catalogue().find("POST", sample["path"]).vendor
    stage.vendor.fail_next(vendor.name, failure)
    refused = await submit(stage, member, sample)
    assert (refused.status, refused.type) == (status, type_), refused.body
    check_refusal(refused)
    spent(stage, member, "0")


@pytest.mark.parametrize("sample", SAMPLES)
async def test_an_unknown_model_is_refused_by_name(stage, sample):
    path, body = sample["path"], sample["body"] or {}
    if "model" not in body:
        pytest.skip("this operation has one model")
    member = await stage.member(micros=RICH)
    refused = await submit(stage, member, {**sample, "body": {**body, "model": "no-such-model"}})
    assert refused.status == 400, path
    assert "no-such-model" in json.loads(refused.body)["message"]
    assert stage.calls(member) == []
