"""What the vendors whose work is a job say, and what clients read of it."""

from __future__ import annotations

import aiohttp
import orjson
import pytest
from operations import FILM, WAN, operation, poll_of
from proxy_stage import check_refusal
from sample_calls import sample_of
from vendor_calls import RICH, spent

from proxy.dialect import Said, Verdict
from proxy.vendors import catalogue


@pytest.mark.parametrize(
    ("path", "failure", "status", "type_"),
    [
        ("wavespeed/api/v3/wavespeed-ai/flashvsr", "inside=402", 403, "provider_disabled"),
        ("wavespeed/api/v3/wavespeed-ai/flashvsr", "inside=400", 422, "provider_rejected"),
        ("wavespeed/api/v3/wavespeed-ai/flashvsr", "inside=429", 429, "provider_rate_limited"),
        ("wavespeed/api/v3/wavespeed-ai/flashvsr", "inside=500", 422, "outcome_unknown"),
        ("higgsfield/higgsfield/genjutsu/motion-transfer/v1.0", "code=403", 403,
         "provider_disabled"),
        ("higgsfield/higgsfield/genjutsu/motion-transfer/v1.0", "code=429", 429,
         "provider_rate_limited"),
        ("higgsfield/higgsfield/genjutsu/motion-transfer/v1.0", "code=423", 502,
         "provider_error"),
        ("minimax/video_generation", "inside=1008", 403, "provider_disabled"),
        ("minimax/video_generation", "inside=1026", 422, "content_blocked"),
        ("minimax/video_generation", "inside=1002", 429, "provider_rate_limited"),
        ("minimax/video_generation", "inside=2013", 422, "provider_rejected"),
        ("minimax/video_generation", "inside=1033", 422, "outcome_unknown"),
        ("minimax/v2/video_generation", "status=422", 422, "content_blocked"),
        ("vidu/text2video", "code=402", 403, "provider_disabled"),
        ("vidu/text2video", "code=422", 422, "content_blocked"),
        ("pixverse/video/text/generate", "inside", 403, "provider_disabled"),
        ("pixverse/video/text/generate", "inside=10003", 403, "provider_disabled"),
        ("pixverse/video/text/generate", "inside=500044", 429, "provider_rate_limited"),
        ("pixverse/video/text/generate", "inside=500054", 422, "content_blocked"),
        ("pixverse/video/text/generate", "inside=400017", 422, "provider_rejected"),
        ("pixverse/video/text/generate", "inside=99999", 422, "outcome_unknown"),
        (WAN, "code=402", 403, "provider_disabled"),
        (WAN, "code=422", 422, "content_blocked"),
        ("bria/v2/image/edit", "code=460", 422, "provider_rejected"),
        ("bria/v2/image/edit", "code=506", 422, "provider_rejected"),
        ("ltx/v2/text-to-video", "code=422", 422, "content_blocked"),
        ("ltx/v2/text-to-video", "code=529", 429, "provider_rate_limited"),
        ("ltx/v1/text-to-video", "code=402", 403, "provider_disabled"),
        (FILM, "code=402", 403, "provider_disabled"),
        (FILM, "code=422", 422, "content_blocked"),
    ],
)  # fmt: skip
async def test_a_vendors_own_words(stage, path, failure, status, type_):
    name = catalogue().find("POST", f"/proxy/{path}").vendor.name
    sample = sample_of(f"/proxy/{path}").entry
    member = await stage.member(micros=RICH)
    stage.vendor.fail_next(name, failure)
    refused = await stage.post(sample["path"], member, json=sample["body"])
    assert (refused.status, refused.type) == (status, type_)
    check_refusal(refused)
    spent(stage, member, "0")


def test_not_enough_credits_is_the_operators_affair_whatever_its_status():
    said = Said(400, b'{"error": "You do not have enough credits to run this task."}')
    assert catalogue().vendors["runway"].judge(said).verdict is Verdict.OPERATOR


@pytest.mark.parametrize(
    ("path", "said", "word", "told"),
    [
        ("wavespeed/api/v3/wavespeed-ai/flashvsr", {"data": {"status": "timeout"}},
         ("data", "status"), "failed"),
        ("wavespeed/api/v3/wavespeed-ai/flashvsr", {"data": {"status": "warming"}},
         ("data", "status"), "processing"),
        ("higgsfield/higgsfield/genjutsu/motion-transfer/v1.0", {"status": "nsfw"},
         ("status",), "nsfw"),
        ("runway/image_to_video", {"status": "THROTTLED"}, ("status",), "THROTTLED"),
        ("pixverse/video/text/generate", {"Resp": {"status": 10}}, ("Resp", "status"), 5),
        ("pixverse/video/text/generate", {"Resp": {"status": 7}}, ("Resp", "status"), 7),
        (WAN, {"output": {"task_status": "SUSPENDED"}}, ("output", "task_status"), "RUNNING"),
        ("bria/v2/image/edit", {"status": "UNKNOWN"}, ("status",), "ERROR"),
        ("synclabs/v2/generate", {"status": "FAILED", "error_code": "x"}, ("errorCode",), "x"),
    ],
)  # fmt: skip
def test_a_word_that_clients_do_not_know_is_said_in_one_that_they_do(path, said, word, told):
    found = poll_of(path).reply(said)
    for name in word:
        found = found[name]
    assert found == told


def test_what_we_say_while_a_vendor_cannot_be_asked_has_what_clients_insist_on():
    for path, kind in (("luma/generations", "video"), ("luma/generations/image", "image")):
        told = operation(path).job.pending("g1")
        assert told["generation_type"] == kind
        assert told["created_at"]
        assert told["request"]["model"] == told["model"]
        orjson.dumps(told)
    assert operation("runway/image_to_video").job.pending("r1")["createdAt"]


async def test_a_picture_of_style_is_uploaded_as_it_is(stage):
    member = await stage.member(micros=RICH)
    data = aiohttp.FormData(default_to_multipart=True)
    data.add_field("file", b"a picture", filename="x.png", content_type="image/png")
    kept = await stage.post("/proxy/krea/assets", member, data=data)
    assert kept.status == 200
    assert kept.json()["image_url"].endswith(".png")
    assert (await stage.post("/proxy/krea/assets", data=data)).status == 401
    assert stage.calls(member) == []
