"""What is peculiar to Sonilo: lines that come, an error after the 200, music that breaks off."""

from __future__ import annotations

import asyncio
import base64
import json

import aiohttp
import pytest
from aiohttp import web
from proxy_stage import answering, check_refusal
from sample_calls import sample_of, send
from vendor_calls import RICH, micros, spent

from common.errors import InvalidRequest
from proxy.asked import Asked
from proxy.forms import Form
from proxy.vendors import catalogue

TEXT, VIDEO = "/proxy/sonilo/t2m/generate", "/proxy/sonilo/v2m/generate"


def quote(path, body):
    asked = Asked(body=body, form=Form("application/x-www-form-urlencoded"))
    try:
        return asyncio.run(catalogue().find("POST", path).operation.price.quote(asked))
    finally:
        asked.form.close()


def lines(answer):
    return [json.loads(line) for line in answer.body.splitlines()]


async def ask(stage, member, prompt, path=TEXT):
    entry = sample_of(path).entry
    return await send(stage, member, entry, body={**entry["body"], "prompt": prompt})


async def test_music_comes_in_lines_without_what_it_cost_us_and_with_its_padding(stage):
    member = await stage.member(micros=RICH)
    told = lines(await ask(stage, member, "calm"))
    kinds = [line["type"] for line in told]
    assert kinds[:2] == ["title", "duration"]
    assert (kinds[-1], "cost" in kinds) == ("complete", False)
    sound = b"".join(base64.b64decode(line["data"]) for line in told if "data" in line)
    assert sound[:2] == b"\xff\xfb"
    spent(stage, member, "0.075")


async def test_a_form_may_be_urlencoded_as_the_node_sends_it(stage):
    member = await stage.member(micros=RICH)
    answer = await stage.post(TEXT, member, data={"prompt": "calm", "duration": "7"})
    assert lines(answer)[-1] == {"type": "complete"}
    spent(stage, member, "0.0175")


async def test_music_for_a_video_costs_by_the_length_that_a_line_tells(stage):
    member = await stage.member(micros=RICH)
    assert lines(await ask(stage, member, "calm", VIDEO))[1]["duration_sec"] == 10.0
    spent(stage, member, "0.09")
    assert stage.calls(member)[-1]["held_micros"] == micros("3.24")


@pytest.mark.parametrize(
    ("code", "outcome"),
    [("generation_failed", "failed"), ("moderation", "moderated"), ("trial_exhausted", "failed")],
)
async def test_an_error_after_the_200_costs_nothing(stage, code, outcome):
    member = await stage.member(micros=RICH)
    answer = await ask(stage, member, f"error={code}")
    assert (answer.status, lines(answer)[-1]["type"]) == (200, "error")
    spent(stage, member, "0")
    assert [call["outcome"] for call in stage.calls(member)] == [outcome]


async def test_music_without_an_end_is_not_charged(stage):
    member = await stage.member(micros=RICH)
    with pytest.raises(aiohttp.ClientPayloadError):
        await ask(stage, member, "break")
    await stage.settled(member, 1)
    spent(stage, member, "0")


async def test_music_without_a_sound_is_none(stage):
    member = await stage.member(micros=RICH)
    await ask(stage, member, "silence")
    spent(stage, member, "0")
    assert [call["outcome"] for call in stage.calls(member)] == ["failed"]


@pytest.mark.parametrize(
    ("status", "body", "told", "type_"),
    [
        (402, {"code": "trial_exhausted", "message": "x"}, 403, "provider_disabled"),
        (400, {"detail": {"code": "insufficient_balance", "message": "x"}}, 403,
         "provider_disabled"),
        (422, {"detail": "duration is too long"}, 422, "provider_rejected"),
    ],
)  # fmt: skip
async def test_both_shapes_of_its_errors_are_read(stage, settings, status, body, told, type_):
    async def sonilo(_):
        return web.json_response(body, status=status)

    member = await stage.member()
    async with answering(sonilo) as settings.VENDOR_BASE_URL:
        refused = await ask(stage, member, "calm")
    assert (refused.status, refused.type) == (told, type_)
    check_refusal(refused)
    if type_ == "provider_rejected":
        assert "duration is too long" in refused.json()["detail"]["message"], "what its node reads"


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        (TEXT, {"prompt": "x"}, "duration"),
        (TEXT, {"prompt": "x", "duration": "361"}, "duration"),
        (TEXT, {"prompt": "x", "duration": "5", "variations": "3"}, "variations"),
        (VIDEO, {"prompt": "x"}, "video_url"),
    ],
)
def test_what_has_no_price_is_refused_by_its_name(path, body, named):
    with pytest.raises(InvalidRequest, match=named):
        quote(path, body)
