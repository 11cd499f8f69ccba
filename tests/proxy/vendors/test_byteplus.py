"""What is peculiar to BytePlus: options in a prompt, tokens, series, assets, four accounts."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from operations import operation, quote, sent
from proxy_stage import VENDOR_KEY, check_refusal
from sample_calls import sample_of
from vendor_calls import RICH, followed, micros, spent, until

from common.errors import InvalidRequest
from proxy import signatures
from proxy.asked import Evidence
from proxy.credentials import Account
from proxy.relay import Outgoing
from proxy.vendors import catalogue

ARK = "byteplus/api/v3"
VIDEO, PICTURE = f"{ARK}/contents/generations/tasks", f"{ARK}/images/generations"
ENHANCE = "byteplusmediakit/api/v1/tools/enhance-video"
LIBRARY = "/proxy/seedance/virtual-library/assets"
PRO, FAST = "seedance-1-0-pro-250528", "dreamina-seedance-2-0-fast-260128"
FILE = {"url": "https://storage.example.com/in/1.png", "hash": "00"}


def one(text, **more):
    return {"model": PRO, "content": [{"type": "text", "text": text}], **more}


@pytest.mark.parametrize(
    ("body", "most"),
    [
        (one("x --resolution 480p --duration 10"), "0.264"),
        (one("x --rs 480p --dur 10"), "0.264"),
        (one("x", resolution="480p", duration=10), "0.264"),
        (one("x"), "1.6104"),  # Nobody says how large, how long: the most.
        (one("x --duration -1 --resolution 480p"), "0.3168"),
        (one("a fox -- running, --quickly --seed 4"), "1.6104"),
        (one("x --resolution 480p --duration 10", model="seedance-1-5-pro-251215"), "0.264"),
        (one("x --resolution 480p --duration 10", model="seedance-1-5-pro-251215",
             generate_audio=False), "0.132"),
    ],
)  # fmt: skip
def test_seedance_1_is_held_by_the_options_in_its_prompt(body, most):
    assert quote(VIDEO, body).most == micros(most)


@pytest.mark.parametrize(
    "body",
    [
        one("x --resolution 480p --resolution 1080p"),
        one("x --duration 5 --dur 12"),
        one("x --duration 5", duration=12),
        {**one("x --rs 480p"), "content": [{"type": "text", "text": "--rs 480p"}] * 2},
        one("x --frames 289"),
        one("x --FPS 60"),
        one("x --duration 60"),
        one("x --resolution 8k"),
        one("x", service_tier="flex"),
        one("x", n=2),
        one("x --duration 12", model=FAST),
        one("x", model=FAST, resolution="1080p"),
        one("x", model=FAST, duration=31),
        one("x", model=FAST, duration=True),
        {"model": PRO, "content": [{"type": "video_url", "video_url": {"url": "https://a/b"}}]},
        {"model": FAST, "content": [{"type": "image_url", "image_url": {"url": "file:///etc"}}]},
        {"model": FAST, "content": [{"type": "draft_task"}]},
    ],
)
def test_what_might_cost_more_at_seedance_is_refused(body):
    with pytest.raises(InvalidRequest):
        quote(VIDEO, body)


def test_seedance_2_is_told_what_was_priced_and_costs_its_tokens():
    body = one("x", model=FAST, callback_url="https://evil.example")
    told = sent(VIDEO, body)
    assert (told["resolution"], told["duration"]) == ("720p", 5)
    assert "callback_url" not in told
    video = {"type": "video_url", "video_url": {"url": "https://a/b.mp4"}}
    inputs = quote(VIDEO, {**body, "content": [*body["content"], video]}).inputs
    price = operation(VIDEO).price
    end = {"usage": {"completion_tokens": 1_000_000}}
    assert price.settle(inputs, Evidence(end=end)) == micros("4.719")
    assert price.settle(quote(VIDEO, body).inputs, Evidence(end=end)) == micros("8.008")
    for silent in ({}, {"usage": None}, {"usage": {"completion_tokens": "7"}}):
        assert price.settle(inputs, Evidence(end=silent)) == micros("0.51288")


async def test_a_video_is_asked_for_by_either_path_and_by_its_owner_only(stage):
    member, other = await stage.member(micros=RICH), await stage.member(micros=RICH)
    body = one("a fox --resolution 480p --duration 2")
    job = (await stage.post(f"/proxy/{VIDEO}", member, json=body)).json()["id"]
    second = f"/proxy/{VIDEO.replace('byteplus', 'byteplus-seedance2', 1)}/{job}"

    refused = await stage.get(second, other)
    end = await stage.get(second, member)

    assert refused.status == 404
    assert end.json()["content"]["video_url"]
    assert (await stage.get(f"/proxy/{VIDEO}/{job}", member)).body == end.body
    tokens = 864 * 480 * 24 * 2 // 1024
    assert stage.spent(member) == -(-tokens * 25 // 10)


async def test_a_video_that_the_vendor_lost_reads_as_failed(stage):
    member = await stage.member(micros=RICH)
    body = one("a fox --duration 2 sandbox:poll_status=404")
    job = (await stage.post(f"/proxy/{VIDEO}", member, json=body)).json()["id"]
    assert (await stage.get(f"/proxy/{VIDEO}/{job}", member)).json()["status"] == "running"
    stage.aged(member)

    end = await stage.get(f"/proxy/{VIDEO}/{job}", member)

    assert (end.json()["id"], end.json()["status"]) == (job, "failed")
    assert stage.wallet(member) == (RICH, 0)


# --- Pictures, sounds, enhanced videos -----------------------------------------------------------


async def test_a_picture_of_a_series_that_failed_is_not_charged(stage):
    member = await stage.member(micros=RICH)
    body = {**sample_of(f"/proxy/{PICTURE}").entry["body"], "sequential_image_generation": "auto"}
    body |= {"prompt": "sandbox:cost", "sequential_image_generation_options": {"max_images": 4}}
    answer = await stage.post(f"/proxy/{PICTURE}", member, json=body)
    assert len(answer.json()["data"]) == 4
    spent(stage, member, "0.12")


@pytest.mark.parametrize(("failure", "type_"), [("failed", ""), ("moderated", "content_blocked")])
async def test_pictures_that_all_failed_are_none(stage, failure, type_):
    member = await stage.member(micros=RICH)
    body = {**sample_of(f"/proxy/{PICTURE}").entry["body"], "prompt": f"sandbox:{failure}"}
    refused = await stage.post(f"/proxy/{PICTURE}", member, json=body)
    assert (refused.status, refused.type) == (422, type_ or "provider_rejected")
    spent(stage, member, "0")


@pytest.mark.parametrize(
    ("body", "most"),
    [
        ({"model": "seedream-4-0-250828", "sequential_image_generation": "auto"}, "0.45"),
        ({"model": "seedream-5-0-pro-260628", "size": "1536x1536"}, "0.045"),
        ({"model": "seedream-5-0-pro-260628", "size": "2K"}, "0.09"),
        ({"model": "seedream-5-0-pro-260628", "size": "1K", "layer_decomposition": True}, "0.64"),
    ],
)
def test_pictures_are_held_for_as_many_as_may_come(body, most):
    assert quote(PICTURE, body).most == micros(most)


@pytest.mark.parametrize(
    "more",
    [
        {"n": 4},
        {"stream": True},
        {"image": ["asset://of-another"]},
        {"sequential_image_generation": "auto",
         "sequential_image_generation_options": {"max_images": 16}},
        {"layer_decomposition": True},
        {"tools": [{"type": "web_search"}]},
    ],
)  # fmt: skip
def test_what_has_no_price_at_seedream_is_refused(more):
    with pytest.raises(InvalidRequest):
        quote(PICTURE, {"model": "seedream-4-5-251128", **more})


async def test_a_sound_without_a_length_costs_a_second_and_an_error_nothing(stage):
    member, path = await stage.member(micros=RICH), f"/proxy/{ARK}/tts/create"
    body = {**sample_of(path).entry["body"], "text_prompt": "sandbox:no_usage"}
    await stage.post(path, member, json=body)
    spent(stage, member, "0.003575")
    stage.vendor.desks["byteplus"].overlay = {"code": 55000000, "message": "server error"}
    refused = await stage.post(path, member, json=sample_of(path).entry["body"])
    assert (refused.status, refused.type) == (422, "outcome_unknown")
    spent(stage, member, "0.003575")


def test_an_enhanced_video_costs_by_what_is_delivered_where_it_follows_its_source():
    price, body = operation(ENHANCE).price, {"video_url": "https://a/b.mp4"}
    dear = {**body, "tool_version": "professional"}
    with pytest.raises(InvalidRequest, match=r"it would cost \$472\."):
        quote(ENHANCE, dear)
    assert quote(ENHANCE, dear, video_url=10).most == micros("7.878347")
    inputs = quote(ENHANCE, body).inputs
    result = {"resolution": "1920x1080", "fps": 59.94}
    told = Evidence(end={"result": result}, measured={"seconds": 60})
    assert price.settle(inputs, told) == micros("1.181752")  # Sixty seconds, 2 x 2.
    larger = Evidence(end={"result": {"resolution": "8k", "fps": 240}}, measured={"seconds": 600})
    assert price.settle(inputs, larger) == quote(ENHANCE, body).most
    both = quote(ENHANCE, {**body, "resolution": "720p", "resolution_limit": 2160, "fps": 30})
    assert both.inputs["tier"] == 8
    known = quote(ENHANCE, {**body, "resolution": "720p", "fps": 30}, video_url=10)
    assert known.most == micros("0.04924")
    assert sent(ENHANCE, {**body, "callback_url": "x"}) == {**body, "tool_version": "standard"}


# --- Assets --------------------------------------------------------------------------------------


@pytest.fixture
def group(configure):
    configure(VENDOR_BYTEPLUS_ASSET_GROUP="group-of-the-operator")


async def active(stage, member, asset):
    return await until(
        lambda: stage.get(f"/proxy/seedance/assets/{asset}", member),
        lambda answer: answer.json()["status"] == "Active",
    )


def shown(asset):
    picture = {"type": "image_url", "image_url": {"url": f"asset://{asset}"}}
    return {"model": FAST, "content": [picture], "duration": 4}


@pytest.mark.usefixtures("group")
async def test_an_asset_is_its_workspaces_own(stage):
    member, other = await stage.member(micros=RICH), await stage.member(micros=RICH)

    kept = await stage.post(LIBRARY, member, json=FILE)
    asset = kept.json()["asset_id"]
    end = await active(stage, member, asset)

    assert end.json()["asset_type"] == "Image"
    assert end.json()["group_id"] == "group-of-the-operator"
    assert end.json()["error"] is None
    for refused in (
        await stage.get(f"/proxy/seedance/assets/{asset}", other),
        await stage.post(f"/proxy/{VIDEO}", other, json=shown(asset)),
        await stage.post(f"/proxy/{VIDEO}", member, json=shown("never-made")),
        await stage.post(f"/proxy/{VIDEO}", member, json=shown("")),
    ):
        assert refused.status == 404, refused.body
        check_refusal(refused)
    assert stage.wallet(other) == (RICH, 0)
    assert (await stage.get(f"/proxy/seedance/assets/{asset}")).status == 401
    made = await stage.post(f"/proxy/{VIDEO}", member, json=shown(asset))
    assert made.status == 200, made.body
    await followed(stage, member)


async def test_a_persons_assets_go_into_the_group_of_their_session(stage):
    member, other = await stage.member(micros=RICH), await stage.member(micros=RICH)
    begun = (await stage.post("/proxy/seedance/visual-validate/sessions", member)).json()
    path = f"/proxy/seedance/visual-validate/sessions/{begun['session_id']}"

    assert begun["h5_link"].startswith("http")
    assert (await stage.get(path, other)).status == 404
    end = await stage.get(path, member)
    assert end.json()["status"] == "completed"
    body = {**FILE, "group_id": end.json()["group_id"], "asset_type": "Image", "name": "me"}
    refused = await stage.post("/proxy/seedance/assets", other, json=body)
    assert refused.status == 404
    check_refusal(refused)
    kept = await stage.post("/proxy/seedance/assets", member, json=body)
    assert (await active(stage, member, kept.json()["asset_id"])).status == 200
    assert stage.wallet(member) == (RICH, 0)


def test_a_session_and_an_asset_that_are_not_ready_read_as_running():
    session, asset = (
        catalogue().find("GET", f"/proxy/seedance/{path}/x").operation.reply
        for path in ("visual-validate/sessions", "assets")
    )
    assert session({"Result": {}}) == {"session_id": "", "status": "pending"}
    assert asset({"Result": {"Id": "a", "Status": "Processing"}})["status"] == "Processing"
    failed = asset({"Result": {"Id": "a", "Status": "Failed", "Error": {"Code": "x"}}})
    assert (failed["status"], failed["error"]["code"]) == ("Failed", "x")


@pytest.mark.usefixtures("group")
async def test_assets_want_an_access_key_and_a_group(stage, configure):
    member = await stage.member(micros=RICH)
    for wrong in (
        {"VENDOR_BYTEPLUS_ACCESS_SECRET": "another-secret"},
        {"VENDOR_BYTEPLUS_ACCESS_SECRET": None},
        {"VENDOR_BYTEPLUS_ASSET_GROUP": None},
    ):
        configure(**wrong)
        refused = await stage.post(LIBRARY, member, json=FILE)
        assert (refused.status, refused.type) == (403, "provider_disabled")
        check_refusal(refused)
        configure(VENDOR_BYTEPLUS_ACCESS_SECRET=VENDOR_KEY, VENDOR_BYTEPLUS_ASSET_GROUP="g")
    for url in ("file:///etc/passwd", "asset://x", ""):
        refused = await stage.post(LIBRARY, member, json={**FILE, "url": url})
        assert (refused.status, refused.type) == (400, "invalid_request")


def test_a_request_is_signed_as_byteplus_own_library_does(monkeypatch):
    monkeypatch.setattr(signatures, "time", SimpleNamespace(time=lambda: 1767225600.9))
    url = "https://ark.ap-southeast-1.byteplusapi.com/?Action=GetAsset&Version=2024-01-01"
    asked = Outgoing("POST", url, {}, b'{"Id":"a"}')
    account = Account("byteplus", {"ACCESS_KEY": "an-id", "ACCESS_SECRET": "a-secret-key"})

    asyncio.run(signatures.AccessKey("ark", "ap-southeast-1").sign(asked, account, None))

    assert asked.headers["authorization"] == (
        "HMAC-SHA256 Credential=an-id/20260101/ap-southeast-1/ark/request, "
        "SignedHeaders=content-type;host;x-content-sha256;x-date, "
        "Signature=12628444b6b132485690fe4f7152320aa24e61403834d267a565ed0598222fa8"
    )
    assert asked.headers["x-date"] == "20260101T000000Z"


@pytest.mark.parametrize(
    ("failure", "status", "type_"),
    [
        ("code=402", 403, "provider_disabled"),
        ("code=404", 403, "provider_disabled"),  # A model that is not open to this account.
        ("code=429", 403, "provider_disabled"),  # A limit that the operator set.
        ("code=503", 429, "provider_rate_limited"),
        ("code=422", 422, "content_blocked"),
        ("code=451", 422, "content_blocked"),
        ("code=400", 400, "provider_rejected"),
        ("inside=402", 403, "provider_disabled"),
        ("inside=500", 422, "outcome_unknown"),
    ],
)
async def test_byteplus_own_words(stage, failure, status, type_):
    member, path = await stage.member(micros=RICH), f"/proxy/{VIDEO}"
    stage.vendor.fail_next("byteplus", failure)
    refused = await stage.post(path, member, json=sample_of(path).entry["body"])
    assert (refused.status, refused.type) == (status, type_), refused.body
    check_refusal(refused)
    assert stage.wallet(member) == (RICH, 0)
