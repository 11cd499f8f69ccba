"""What is peculiar to vendors that answer pictures at once: forms, styles, what costs more."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest
from aiohttp import web
from proxy_stage import answering, check_refusal
from sample_calls import call, file_of, put, sample_of, send
from vendor_calls import RICH, micros, spent

from common.errors import InvalidRequest
from proxy.asked import Asked, Evidence
from proxy.forms import File, Form
from proxy.vendors import catalogue

RECRAFT = "/proxy/recraft/image_generation"
IDEOGRAM = "/proxy/ideogram/"


def quote(path, body, *files):
    operation = catalogue().find("POST", path).operation
    asked = Asked(body=body)
    if files:
        asked.form = Form("multipart/form-data", operation.repeated)
        for name in files:
            asked.form.add(name, File(name, "x.png", "image/png", 0, 0))
    try:
        return asyncio.run(operation.price.quote(asked))
    finally:
        if asked.form is not None:
            asked.form.close()


async def sent_by(stage, settings, path, **request):
    """Return what a vendor gets of a request: its Content-Type, and its form's parts."""
    got = []

    async def vendor(request):
        parts = await request.post()
        got.append((request.content_type, [(k, v if isinstance(v, str) else v.filename)
                                           for k, v in parts.items()]))  # fmt: skip
        return web.json_response({"created": 1, "credits": 40, "data": [{"url": "https://a/b"}]})

    member = await stage.member(micros=RICH)
    async with answering(vendor) as settings.VENDOR_BASE_URL:
        answer = await stage.post(path, member, **request)
    assert answer.status == 200, answer.body
    return got[0]


@pytest.mark.parametrize(
    ("path", "body", "files", "usd"),
    [
        (RECRAFT, {"n": 6, "model": "recraftv4_1"}, (), "0.21"),
        (RECRAFT, {"style": "vector_illustration", "n": 2}, (), "0.16"),
        (RECRAFT, {"model": "recraftv4_pro_vector", "style": "realistic_image"}, (), "0.3"),
        ("/proxy/recraft/images/replaceBackground", {"n": "6"}, ("image",), "0.24"),
        (f"{IDEOGRAM}generate", {"image_request": {"model": "V_1", "num_images": 5}}, (), "0.43"),
        (f"{IDEOGRAM}ideogram-v3/generate", {"rendering_speed": "TURBO", "num_images": "5"},
         ("character_reference_images",), "0.72"),
        (f"{IDEOGRAM}ideogram-v3/generate", {}, ("character_mask_binary",), "0.21"),
        (f"{IDEOGRAM}ideogram-v3/edit", {"rendering_speed": "quality"}, ("image",), "0.13"),
        (f"{IDEOGRAM}text-to-image/p-image-ideogram", {"quality": "HIGH", "resolution": "2K"}, (),
         "0.0429"),
    ],
)  # fmt: skip
def test_what_multiplies_a_price_is_counted(path, body, files, usd):
    quoted = quote(path, body, *files)
    operation = catalogue().find("POST", path).operation
    assert quoted.most == operation.price.settle(quoted.inputs, Evidence(end={})) == micros(usd)


@pytest.mark.parametrize(
    ("path", "body", "files", "named"),
    [
        (RECRAFT, {"n": 7}, (), "n must"),
        (RECRAFT, {"model": "recraftv4", "upscale": True}, (), "upscale"),
        (RECRAFT, {"style": "hand_drawn"}, (), "hand_drawn"),
        ("/proxy/recraft/images/inpaint", {"model": "recraftv4_pro"}, ("image",), "recraftv4_pro"),
        ("/proxy/recraft/images/vectorize", {}, ("n",), "n must be a text"),
        (f"{IDEOGRAM}ideogram-v3/generate", {"rendering_speed": "FLASH"}, ("image",), "FLASH"),
        (f"{IDEOGRAM}ideogram-v3/generate", {"character_reference_images": "x"}, ("image",),
         "character_reference_images"),
        (f"{IDEOGRAM}ideogram-v4/generate", {"num_images": 4}, (), "num_images"),
        (f"{IDEOGRAM}generate", {"image_request": {"model": "V_3"}}, (), "V_3"),
        (f"{IDEOGRAM}generate", {"image_request": []}, (), "image_request"),
    ],
)  # fmt: skip
def test_what_has_no_price_is_refused_by_its_name(path, body, files, named):
    with pytest.raises(InvalidRequest, match=named):
        quote(path, body, *files)


async def test_a_style_is_its_workspaces_own_or_anybodys_and_paid_by_what_it_is(stage):
    member, other = await stage.member(micros=RICH), await stage.member(micros=RICH)
    made = await send(stage, member, sample_of("/proxy/recraft/styles").entry)
    style = made.json()["id"]
    entry = sample_of(RECRAFT).entry
    own = {**entry["body"], "style": None, "style_id": style}

    refused = await send(stage, other, entry, body=own)
    assert (refused.status, refused.type) == (404, "not_found")
    check_refusal(refused)
    public = {**own, "style_id": "5b2b9a2c-0000-4000-8000-0123456789ab"}
    assert (await send(stage, other, entry, body=public)).status == 200
    spent(stage, other, "0.04")

    assert (await send(stage, member, entry, body=own)).status == 200
    spent(stage, member, "0.08")
    assert stage.calls(member)[-1]["held_micros"] == micros("0.08")
    stage.vendor.desks["recraft"].overlay = {"credits": 80}
    assert (await send(stage, member, entry, body={**own, "prompt": "again"})).status == 200
    spent(stage, member, "0.16")


async def test_out_of_credit_is_the_operators_affair_in_plain_text_too(stage, settings):
    async def recraft(_):
        return web.Response(status=400, text="not enough credits to perform the operation")

    member = await stage.member()
    async with answering(recraft) as settings.VENDOR_BASE_URL:
        refused = await send(stage, member, sample_of(RECRAFT).entry)
    assert (refused.status, refused.type) == (403, "provider_disabled")
    check_refusal(refused)


async def test_ideogram_gets_forms_whatever_came(stage, settings):
    """The vendor of today reads no JSON from v3 on, and calls a character's mask otherwise."""
    body = {"json_prompt": {"subject": "a fox"}, "rendering_speed": "TURBO", "resolution": None}
    kind, parts = await sent_by(stage, settings, f"{IDEOGRAM}ideogram-v4/generate", json=body)
    assert kind == "multipart/form-data"
    assert [name for name, _ in parts] == ["json_prompt", "rendering_speed"]
    assert json.loads(parts[0][1]) == {"subject": "a fox"}

    body = {"prompt": "a fox", "seed": 7}
    path = f"{IDEOGRAM}text-to-image/p-image-ideogram"
    assert await sent_by(stage, settings, path, json=body) == (
        "multipart/form-data",
        [("prompt", "a fox"), ("seed", "7")],
    )

    path = f"{IDEOGRAM}ideogram-v3/generate"
    kind, parts = await sent_by(stage, settings, path, data={"prompt": "a fox", "seed": "7"})
    assert (kind, parts) == ("multipart/form-data", [("prompt", "a fox"), ("seed", "7")])

    data = aiohttp.FormData({"prompt": "a fox"}, default_to_multipart=True)
    for name in ("character_reference_images", "character_mask_binary"):
        picture = file_of("image/png")
        data.add_field(name, picture, filename=f"{name}.png", content_type="image/png")
    _, parts = await sent_by(stage, settings, path, data=data)
    assert parts[1:] == [
        ("character_reference_images", "character_reference_images.png"),
        ("character_reference_images_mask", "character_mask_binary.png"),
    ]


async def test_an_unsafe_picture_of_ideogram_is_billed_and_a_refused_prompt_is_free(stage):
    member = await stage.member(micros=RICH)
    entry = sample_of(f"{IDEOGRAM}generate").entry
    body = put(entry["body"], "image_request.prompt", "unsafe")
    answer = await send(stage, member, entry, body=body)
    assert answer.json()["data"][0]["url"] == ""
    spent(stage, member, "0.11")
    stage.vendor.fail_next("ideogram", "status=422")
    refused = await send(stage, member, entry)
    assert (refused.status, refused.type) == (422, "content_blocked")
    check_refusal(refused)
    spent(stage, member, "0.11")


REVE = "/proxy/reve/v1/image/"
QWEN = sample_of("/proxy/qwen/api/v1/services/aigc/multimodal-generation/generation").entry
META = "/proxy/meta/v1/images/"
FAST = "reve-remix-fast@20251030"
NO_BACKGROUND = {"process": "remove_background"}
UPSCALE = {"process": "upscale", "upscale_factor": 3}


@pytest.mark.parametrize(
    ("path", "changed", "usd"),
    [
        (f"{REVE}create", {"test_time_scaling": 15}, "0.5148"),
        (f"{REVE}create", {"postprocessing": [NO_BACKGROUND, UPSCALE]}, "0.0591"),
        (f"{REVE}edit", {"postprocessing": [{"process": "upscale"}]}, "0.0686"),
        (f"{REVE}remix", {"version": FAST, "test_time_scaling": 2}, "0.02002"),
        (QWEN["path"], {"parameters": {"n": 6}}, "0.6435"),
        (QWEN["path"], {"parameters": {"size": "1500*1501"}}, "0.10725"),
        (QWEN["path"], {"parameters": {"size": "1500*1500"}}, "0.0572"),
        (QWEN["path"], {"model": "qwen-image-3.0", "parameters": {"n": 2}}, "0.0858"),
        (QWEN["path"], {"model": "qwen-image-3.0", "input": {"messages": [
            {"content": [{"image": "https://a/b"}, {"image": "data:image/png;base64,AA"}]}]}},
         "0.05148"),
        (f"{META}generations", {"n": 10}, "0.143"),
    ],
)  # fmt: skip
def test_what_is_made_costs_by_its_kind_and_number(path, changed, usd):
    body = {**sample_of(path).entry["body"], **changed}
    assert quote(path, body).most == micros(usd)


@pytest.mark.parametrize(
    ("path", "changed", "named"),
    [
        (f"{REVE}create", {"version": "latest"}, "latest"),
        (f"{REVE}create", {"version": None}, "version must"),
        (f"{REVE}create", {"test_time_scaling": 16}, "test_time_scaling"),
        (f"{REVE}create", {"postprocessing": [UPSCALE, UPSCALE]}, "upscale"),
        (f"{REVE}create", {"postprocessing": [{"process": "effect"}]}, "effect"),
        (f"{REVE}create", {"postprocessing": [{**UPSCALE, "upscale_factor": 8}]}, "upscale_factor"),
        ("/proxy/quiver/v1/svgs/generations", {"n": 4}, "n has no price"),
        ("/proxy/quiver/v1/svgs/generations", {"stream": True}, "stream"),
        ("/proxy/quiver/v1/svgs/generations", {"model": "arrow-2"}, "arrow-2"),
        (QWEN["path"], {"parameters": {"size": "4K"}}, "parameters.size"),
        (QWEN["path"], {"parameters": {"enable_interleave": True}}, "enable_interleave"),
        (QWEN["path"], {"input": {"messages": [{"content": [{"video": "x"}]}]}}, "video"),
        (QWEN["path"], {"input": {"messages": "x"}}, "messages"),
        (f"{META}generations", {"n": 11}, "n must"),
        (f"{META}generations", {"moderation": "none"}, "moderation"),
        (f"{META}generations", {"quality": "high"}, "quality"),
    ],
)
def test_what_nobody_priced_is_refused_by_its_name(path, changed, named):
    with pytest.raises(InvalidRequest, match=named):
        quote(path, {**sample_of(path).entry["body"], **changed})


async def test_a_picture_of_reve_that_breaks_the_rules_is_not_given_and_free(stage):
    member = await stage.member(micros=RICH)
    entry = sample_of(f"{REVE}create").entry
    for accept in ("image/webp", "application/json"):
        body = put(entry["body"], "prompt", f"a violation, {accept}")
        refused = await send(stage, member, entry, body=body, headers={"Accept": accept})
        assert (refused.status, refused.type) == (422, "content_blocked")
        check_refusal(refused)
    spent(stage, member, "0")
    answer = await send(stage, member, entry)
    assert answer.headers["content-type"] == "image/webp"
    assert answer.body[8:12] == b"WEBP"
    assert not any(name.startswith("x-reve") for name in answer.headers)
    spent(stage, member, "0.03432")


@pytest.mark.parametrize(
    ("status", "type_", "code"),
    [
        (403, "provider_disabled", 402),
        (403, "provider_disabled", 401),
        (403, "provider_disabled", 404),
        (429, "provider_rate_limited", 429),
        (422, "content_blocked", 422),
        (422, "provider_rejected", 400),
        (422, "outcome_unknown", 500),
    ],
)
async def test_an_error_of_qwen_is_one_in_a_200_too(stage, status, type_, code):
    member = await stage.member()
    stage.vendor.fail_next("qwen", f"inside={code}")
    refused = await send(stage, member, QWEN)
    assert (refused.status, refused.type) == (status, type_)
    check_refusal(refused)
    assert stage.wallet(member) == (5_000_000, 0)


async def test_of_metas_pictures_those_that_come_are_paid_for(stage):
    member = await stage.member(micros=RICH)
    entry = sample_of(f"{META}generations").entry
    body = {**entry["body"], "n": 3, "prompt": "partly allowed"}
    answer = await send(stage, member, entry, body=body)
    assert len(answer.json()["data"]) == 2
    spent(stage, member, "0.0286")


@pytest.mark.parametrize(("status", "code"), [(403, "account_frozen"), (429, "weekly_limit")])
async def test_quivers_words_of_our_account_are_the_operators_affair(stage, settings, status, code):
    async def quiver(_):
        told = {"status": status, "code": f"{code}_exceeded", "message": "x", "request_id": "1"}
        return web.json_response(told, status=status)

    member = await stage.member()
    async with answering(quiver) as settings.VENDOR_BASE_URL:
        refused = await send(stage, member, sample_of("/proxy/quiver/v1/svgs/generations").entry)
    assert (refused.status, refused.type) == (403, "provider_disabled")
    check_refusal(refused)


ULTRA = "/proxy/stability/v2beta/stable-image/generate/ultra"
UPSCALE_JOB = "/proxy/stability/v2beta/stable-image/upscale/creative"


async def test_what_stability_filters_is_not_charged_whatever_the_client_takes(stage):
    member = await stage.member(micros=RICH)
    entry = sample_of(ULTRA).entry
    body = {**entry["body"], "prompt": "filtered"}
    for accept in ("image/*", "application/json"):
        refused = await send(stage, member, entry, body=body, headers={"Accept": accept})
        assert (refused.status, refused.type) == (422, "content_blocked")
        check_refusal(refused)
    spent(stage, member, "0")
    assert (await send(stage, member, entry, headers={"Accept": "image/*"})).json()["image"]


async def test_an_upscale_that_is_filtered_is_an_error_for_clients(stage):
    """They take every `finish_reason` for a result."""
    member = await stage.member(micros=RICH)
    stage.vendor.fail_next("stability", "moderated")
    end = await call(stage, member, sample_of(UPSCALE_JOB))
    assert end.json()["name"] == "content_moderation"
    assert end.json()["errors"]
    assert "finish_reason" not in end.json()
    assert [each["outcome"] for each in stage.calls(member)] == ["moderated"]


@pytest.mark.parametrize(
    ("name", "told", "type_"),
    [
        ("content_moderation", 422, "content_blocked"),
        ("forbidden", 403, "provider_disabled"),
    ],
)
async def test_a_403_of_stability_is_about_content_or_about_us(stage, settings, name, told, type_):
    async def stability(_):
        return web.json_response({"id": "1", "name": name, "errors": ["It is so"]}, status=403)

    member = await stage.member()
    async with answering(stability) as settings.VENDOR_BASE_URL:
        refused = await send(stage, member, sample_of(ULTRA).entry)
    assert (refused.status, refused.type) == (told, type_)
    check_refusal(refused)
