"""What is peculiar to xAI: a 202 without a body, moderation, pictures by another name."""

from __future__ import annotations

import asyncio
import json
from fractions import Fraction

import pytest
from aiohttp import web
from proxy_stage import answering, check_refusal
from sample_calls import ask, call, job_of, polled, sample_of, send
from vendor_calls import RICH, followed, micros, spent

from common.errors import InvalidRequest
from proxy.asked import Asked, Evidence
from proxy.vendors import catalogue

IMAGES, EDITS = "/proxy/xai/v1/images/generations", "/proxy/xai/v1/images/edits"
VIDEOS, EXTEND = "/proxy/xai/v1/videos/generations", "/proxy/xai/v1/videos/extensions"
EDIT = "/proxy/xai/v1/videos/edits"
SHOWN = [{"url": "https://a.example/x.png"}]


def quote(path, measured=None, **changed):
    body = {**sample_of(path).entry["body"], **changed}
    asked = Asked(body=body, measured=measured or {})
    return asyncio.run(catalogue().find("POST", path).operation.price.quote(asked))


@pytest.mark.parametrize(
    ("path", "changed", "usd"),
    [
        (IMAGES, {"quality": "low", "resolution": "2k", "n": 10}, "0.6"),
        (IMAGES, {"model": "grok-imagine-image-pro", "quality": None}, "0.07"),
        (IMAGES, {"model": "grok-imagine-image-quality", "resolution": "2k"}, "0.07"),
        (EDITS, {"model": "grok-imagine-image", "images": SHOWN * 3}, "0.026"),
        (VIDEOS, {"image": SHOWN[0], "resolution": "720p"}, "0.422"),
        (VIDEOS, {"model": "grok-imagine-video-1.5", "resolution": "1080p"}, "2.145"),
        (VIDEOS, {"reference_images": SHOWN * 7, "duration": 15}, "1.09252"),
        (EXTEND, {"duration": 10}, "0.9295"),
    ],
)
def test_what_multiplies_a_price_is_counted(path, changed, usd):
    assert quote(path, **changed).most == micros(usd)


@pytest.mark.parametrize(
    ("path", "changed", "named"),
    [
        (IMAGES, {"model": "grok-2-image"}, "grok-2-image"),
        (IMAGES, {"quality": "high"}, "high"),
        (IMAGES, {"n": 11}, "n must"),
        (EDITS, {"images": SHOWN * 11}, "images"),
        (EDITS, {"image": SHOWN[0]}, "image has"),
        (VIDEOS, {"duration": 16}, "duration"),
        (VIDEOS, {"duration": None}, "duration"),
        (VIDEOS, {"resolution": "1080p"}, "1080p"),
        (VIDEOS, {"image": SHOWN[0], "reference_images": SHOWN}, "together"),
        (EDIT, {"duration": 8}, "duration"),
    ],
)
def test_what_has_no_price_is_refused_by_its_name(path, changed, named):
    with pytest.raises(InvalidRequest, match=named):
        quote(path, **changed)


def test_a_given_video_is_paid_for_by_what_was_measured_or_what_comes():
    price = catalogue().find("POST", EXTEND).operation.price
    assert quote(EXTEND, {"video": Fraction(5)}).most == micros("0.5005")
    quoted = quote(EXTEND)
    for seconds, usd in ((11, "0.5005"), (21, "0.6435"), ("21.5", "0.6435"), (2, "0.4576")):
        end = Evidence(end={}, measured={"seconds": Fraction(seconds)})
        assert price.settle(quoted.inputs, end) == micros(usd) <= quoted.most
    assert price.settle(quoted.inputs, Evidence(end={})) == micros("0.4576")
    assert quote(EDIT, {"video": Fraction(5)}).most == micros("0.3")


async def test_a_video_that_is_being_made_is_pending_and_its_follower_waits(stage):
    member = await stage.member(micros=RICH)
    stage.vendor.fail_next("xai", "never")
    await send(stage, member, sample_of(VIDEOS).entry)
    job = job_of(stage, member)
    pending = await ask(stage, member, sample_of(VIDEOS), job)
    assert (pending.status, pending.json()) == (200, {"status": "pending"})
    await followed(stage, member)
    assert stage.calls(member) == []
    stage.vendor.desks["xai"].jobs.find(job).failures.clear()
    stage.aged(member)
    stage.application._platform.recent._said.clear()
    end = await polled(stage, member, sample_of(VIDEOS), job)
    assert end.json()["video"]["url"]
    spent(stage, member, "0.3")


@pytest.mark.parametrize("ending", ["failed", "moderated"])
async def test_a_video_without_an_address_is_none(stage, ending):
    member = await stage.member(micros=RICH)
    stage.vendor.fail_next("xai", ending)
    end = await call(stage, member, sample_of(VIDEOS))
    assert end.json()["status"] == "failed"
    assert "video" not in end.json(), "clients want its address and length"
    spent(stage, member, "0")


async def test_of_pictures_those_are_paid_for_that_moderation_let_through(stage):
    member = await stage.member(micros=RICH)
    entry = sample_of(IMAGES).entry
    body = {**entry["body"], "n": 3, "prompt": "partly allowed"}
    assert (await send(stage, member, entry, body=body)).status == 200
    spent(stage, member, "0.12")
    refused = await send(stage, member, entry, body={**body, "prompt": "refused"})
    assert (refused.status, refused.type) == (422, "content_blocked")
    check_refusal(refused)
    spent(stage, member, "0.12")


async def test_pictures_to_edit_are_sent_as_the_vendor_of_today_takes_them(stage, settings):
    member, seen = await stage.member(micros=RICH), []

    async def xai(request):
        seen.append(json.loads(await request.read()))
        return web.json_response({"data": [{"url": "https://a"}]})

    entry = sample_of(EDITS).entry
    async with answering(xai) as settings.VENDOR_BASE_URL:
        for shown in (SHOWN, SHOWN * 2):
            answer = await send(stage, member, entry, body={**entry["body"], "images": shown})
            assert answer.status == 200, answer.body
    one = {"url": "https://a.example/x.png", "type": "image_url"}
    assert (seen[0]["image"], seen[0].get("images")) == (one, None)
    assert (seen[1].get("image"), seen[1]["images"]) == (None, [one, one])
    assert not {"seed", "aspect_ratio"} & seen[0].keys()


@pytest.mark.parametrize(
    ("status", "body", "told", "type_"),
    [
        (429, {"code": "x", "error": "Your team has used all available credits"}, 403,
         "provider_disabled"),
        (400, {"error": {"message": "Content violates usage guidelines"}}, 422, "content_blocked"),
        (400, {"code": "x", "error": "duration is wrong"}, 400, "provider_rejected"),
    ],
)  # fmt: skip
async def test_both_shapes_of_its_errors_are_read(stage, settings, status, body, told, type_):
    async def xai(_):
        return web.json_response(body, status=status)

    member = await stage.member()
    async with answering(xai) as settings.VENDOR_BASE_URL:
        refused = await send(stage, member, sample_of(IMAGES).entry)
    assert (refused.status, refused.type) == (told, type_)
    check_refusal(refused)
