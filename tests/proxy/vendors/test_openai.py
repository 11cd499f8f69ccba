"""What is peculiar to OpenAI: responses asked for again, models that are gone, its codes."""

from __future__ import annotations

import asyncio
import json

import pytest
from aiohttp import web
from proxy_stage import answering, check_refusal
from sample_calls import call, job_of, sample_of, send
from vendor_calls import RICH, micros, spent

from common.errors import InvalidRequest
from proxy.asked import Asked, Evidence
from proxy.forms import File, Form
from proxy.vendors import catalogue

RESPONSES, SORA = "/proxy/openai/v1/responses", "/proxy/openai/v1/videos"
PICTURES, EDITS = "/proxy/openai/images/generations", "/proxy/openai/images/edits"
PICTURE = {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "high"}


def quote(path, *, files=(), **changed):
    operation = catalogue().find("POST", path).operation
    asked = Asked(body={**sample_of(path).entry["body"], **changed})
    if files:
        asked.form = Form("multipart/form-data")
        for name in files:
            asked.form.add(name, File(name, "x.png", "image/png", 0, 0))
    try:
        return asyncio.run(operation.price.quote(asked))
    finally:
        if asked.form is not None:
            asked.form.close()


def saying(*parts):
    return {"input": [{"role": "user", "content": list(parts)}]}


@pytest.mark.parametrize(
    ("path", "changed", "most"),
    [
        (RESPONSES, {"model": "gpt-5.6-terra", "max_output_tokens": None, "input": "x"}, "1.921"),
        (RESPONSES, {"model": "o1-pro", **saying(PICTURE)}, "4.01"),
        (RESPONSES, {"previous_response_id": "resp_1"}, "0.54"),
        (RESPONSES, {**saying({"type": "input_file", "file_data": "data:x"})}, "0.54"),
        (PICTURES, {"model": "gpt-image-2", "n": 8, "quality": "auto"}, "6.432"),
        (PICTURES, {"model": "gpt-image-1", "quality": "medium", "n": 2}, "0.14"),
        (PICTURES, {"model": "dall-e-2", "size": "512x512", "n": 3}, "0.054"),
        (PICTURES, {"model": "dall-e-3", "size": "1792x1024", "quality": "hd"}, "0.12"),
    ],
)
def test_what_can_be_used_is_held(settings, path, changed, most):
    settings.VENDOR_SETTINGS = {"VENDOR_OPENAI_BASE_URL": "https://mirror.example.org"}
    held = quote(path, **changed).most
    assert micros(most) <= held <= micros(most) * 1.02 + 3_000


def test_each_edited_picture_is_held():
    two, three = (quote(EDITS, files=["image[]"] * count).most for count in (2, 3))
    assert three - two == 8 * 6_500
    assert quote(SORA, files=["input_reference"], model="sora-2-pro", seconds="12",
                 size="1792x1024").most == micros("6")  # fmt: skip


def test_without_a_report_a_picture_costs_what_was_held():
    price = catalogue().find("POST", PICTURES).operation.price
    quoted = quote(PICTURES)
    assert price.settle(quoted.inputs, Evidence(end={"data": []})) == quoted.most
    assert price.settle(quoted.inputs, Evidence(submit={})) is None


@pytest.mark.parametrize(
    ("path", "changed", "named"),
    [
        (RESPONSES, {"model": "gpt-9"}, "gpt-9"),
        (RESPONSES, {"background": True}, "background"),
        (RESPONSES, {"stream": True}, "stream"),
        (RESPONSES, {"service_tier": "priority"}, "service_tier"),
        (RESPONSES, {"conversation": "conv_1"}, "conversation"),
        (RESPONSES, {"prompt": {"id": "pmpt_1"}}, "prompt"),
        (RESPONSES, {"tools": [{"type": "web_search"}]}, "web_search"),
        (RESPONSES, saying({"type": "input_audio"}), "input_audio"),
        (RESPONSES, saying({"type": "input_image", "file_id": "file-1"}), "file_id"),
        (RESPONSES, {"input": [{"type": "item_reference", "id": "x"}]}, "item_reference"),
        (RESPONSES, {"input": 7}, "input"),
        (PICTURES, {"n": 11}, "n must"),
        (PICTURES, {"partial_images": 3}, "partial_images"),
        (PICTURES, {"quality": "ultra"}, "ultra"),
    ],
)
def test_what_has_no_price_is_refused_by_its_name(path, changed, named):
    with pytest.raises(InvalidRequest, match=named):
        quote(path, **changed)


@pytest.mark.parametrize(
    ("path", "model", "day"),
    [
        (RESPONSES, "o4-mini", "2026-10-23"),
        (PICTURES, "dall-e-3", "2026-05-12"),
        (PICTURES, "gpt-image-1", "2026-10-23"),
        (SORA, "sora-2", "2026-09-24"),
    ],
)
def test_what_openai_withdrew_is_refused_unless_its_address_is_moved(settings, path, model, day):
    settings.VENDOR_BASE_URL, settings.VENDOR_SETTINGS = "", {}
    files = ("input_reference",) if path == SORA else ()
    changed = {"quality": "auto"} if path == PICTURES else {}
    with pytest.raises(InvalidRequest, match=f"withdrew {model} on {day}"):
        quote(path, model=model, files=files, **changed)
    settings.VENDOR_SETTINGS = {"VENDOR_OPENAI_BASE_URL": "https://mirror.example.org"}
    assert quote(path, model=model, files=files, **changed).most > 0


async def test_a_response_is_asked_for_again_and_continued_by_its_workspace_alone(stage):
    member, other = await stage.member(micros=RICH), await stage.member(micros=RICH)
    entry = sample_of(RESPONSES).entry
    made = (await send(stage, member, entry, body={**entry["body"], "store": False})).json()
    before = stage.spent(member)

    again = await stage.get(f"{RESPONSES}/{made['id']}", member)
    assert again.status == 200
    assert again.json()["output"] == made["output"]
    assert stage.spent(member) == before
    refused = await stage.get(f"{RESPONSES}/{made['id']}", other)
    assert (refused.status, refused.type) == (404, "not_found")
    check_refusal(refused)

    body = {**entry["body"], "previous_response_id": made["id"]}
    refused = await send(stage, other, entry, body=body)
    assert (refused.status, refused.type) == (404, "not_found")
    assert (await send(stage, member, entry, body=body)).status == 200
    spent(stage, other, "0")


async def test_openai_is_sent_a_limit_and_no_field_that_it_refuses(stage, settings):
    member, seen = await stage.member(micros=RICH), []

    async def openai(request):
        seen.append(json.loads(await request.read()))
        usage = {"input_tokens": 1, "output_tokens": 1}
        told = {"id": "r", "status": "completed", "data": [{"b64_json": ""}], "usage": usage}
        return web.json_response(told)

    async with answering(openai) as settings.VENDOR_BASE_URL:
        for path, changed in (
            (RESPONSES, {"max_output_tokens": None, "usage": None, "service_tier": "auto"}),
            (PICTURES, {"response_format": "b64_json"}),
        ):
            entry = sample_of(path).entry
            answer = await send(stage, member, entry, body={**entry["body"], **changed})
            assert answer.status == 200, answer.body
    assert seen[0]["max_output_tokens"] == 128_000
    assert (seen[0]["store"], seen[0]["service_tier"]) == (True, "default")
    assert "usage" not in seen[0]
    assert "response_format" not in seen[1]


async def test_a_video_of_sora_is_its_owners_and_only_if_it_is_paid_for(stage):
    member, other = await stage.member(micros=RICH), await stage.member(micros=RICH)
    await call(stage, member, sample_of(SORA))
    name = job_of(stage, member)
    spent(stage, member, "0.4")
    assert (await stage.get(f"{SORA}/{name}/content", member)).body[4:8] == b"ftyp"
    assert (await stage.get(f"{SORA}/{name}/content", other)).status == 404
    assert (await stage.get(f"{SORA}/{name}/content")).status == 401


@pytest.mark.parametrize(
    ("status", "code", "told", "type_"),
    [
        (429, "insufficient_quota", 403, "provider_disabled"),
        (400, "billing_hard_limit_reached", 403, "provider_disabled"),
        (404, "model_not_found", 403, "provider_disabled"),
        (429, "rate_limit_exceeded", 429, "provider_rate_limited"),
        (400, "moderation_blocked", 422, "content_blocked"),
        (400, "content_policy_violation", 422, "content_blocked"),
        (400, "invalid_value", 400, "provider_rejected"),
    ],
)
async def test_openais_codes_are_understood(stage, settings, status, code, told, type_):
    async def openai(_):
        error = {"message": "It is so.", "type": "invalid_request_error", "code": code}
        return web.json_response({"error": error}, status=status)

    member = await stage.member()
    async with answering(openai) as settings.VENDOR_BASE_URL:
        refused = await send(stage, member, sample_of(PICTURES).entry)
    assert (refused.status, refused.type) == (told, type_)
    check_refusal(refused)
    assert stage.wallet(member) == (5_000_000, 0)


async def test_a_response_that_failed_costs_nothing(stage):
    member = await stage.member(micros=RICH)
    for code, type_ in (
        ("server_error", "provider_rejected"),
        ("content_filter", "content_blocked"),
    ):
        error = {"code": code, "message": "It failed."}
        stage.vendor.desks["openai"].overlay = {"status": "failed", "error": error}
        refused = await send(stage, member, sample_of(RESPONSES).entry)
        assert (refused.status, refused.type) == (422, type_)
        check_refusal(refused)
    spent(stage, member, "0")
