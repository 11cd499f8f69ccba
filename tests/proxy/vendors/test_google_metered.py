"""Gemini end to end: signed by a service account or a key, charged by the tokens it reports."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import io
import json

import pytest
from aiohttp import web
from proxy_stage import VENDOR_KEY, answering, check_refusal
from vendor_calls import RICH, micros

from proxy import memory
from proxy.credentials import account_of
from proxy.vendors.google import GOOGLE
from proxy.vendors.google_account import ServiceAccountOrKey, service_account

GENERATE = "/proxy/vertexai/gemini"
FLASH, NANO = f"{GENERATE}/gemini-2.5-flash", f"{GENERATE}/gemini-3-pro-image-preview"
OMNI = "/proxy/gemini-interactions"
CLIP = {
    "model": "gemini-omni-flash-preview",
    "input": [{"type": "text", "text": "a 4-second clip"}],
}


def saying(text="a red fox", **more):
    return {"contents": [{"role": "user", "parts": [{"text": text}]}], **more}


def cost(usage, in_, out, picture=0):
    """Work out micros by Google's report; rates are USD a million tokens."""
    details = {each["modality"]: each["tokenCount"] for each in usage["candidatesTokensDetails"]}
    drawn = details.pop("IMAGE", 0)
    spoken = sum(details.values()) + usage.get("thoughtsTokenCount", 0)
    return -(
        -round(100 * (usage["promptTokenCount"] * in_ + spoken * out + drawn * picture)) // 100
    )


@pytest.fixture
async def key_file(stage, configure, tmp_path):
    """Switch Google on by the key file that its console gives."""
    given = await stage.get(f"{stage.vendor.url}/vertexai/console/service-account.json")
    file = tmp_path / "service-account.json"
    file.write_bytes(given.body)
    configure(VENDOR_VERTEXAI_CREDENTIALS=str(file))
    return given.json()


async def test_a_text_is_charged_by_its_tokens(stage, key_file):
    member = await stage.member()
    answer = await stage.post(FLASH, member, json=saying())
    usage = answer.json()["usageMetadata"]
    price = cost(usage, 0.3, 2.5)

    assert answer.status == 200
    assert answer.json()["candidates"][0]["content"]["parts"][0]["text"]
    assert 0 < price == stage.spent(member)
    assert stage.wallet(member) == (5_000_000 - price, 0)
    assert float(answer.headers["x-comfy-credits-used"]) == pytest.approx(price * 211e-6, abs=0.01)
    (call,) = stage.calls(member)
    assert call["held_micros"] > price
    assert (call["outcome"], call["price_version"]) == ("delivered", "google-2026-08")
    (asked,) = [each for each in stage.vendor.requests("vertexai") if "generate" in each.path]
    assert asked.path == (
        "/vertexai/v1/projects/sandbox-project/locations/global"
        "/publishers/google/models/gemini-2.5-flash:generateContent"
    )


async def test_pictures_cost_more_and_the_platforms_wish_stays_here(stage, key_file):
    """The sandbox refuses a name that Google does not know: uploadImagesToStorage is none."""
    member = await stage.member()
    for size, tokens in (("1K", 1120), ("4K", 2000)):
        before = stage.spent(member)
        settings = {"responseModalities": ["TEXT", "IMAGE"], "imageConfig": {"imageSize": size}}
        body = saying(uploadImagesToStorage=True, generationConfig=settings)
        answer = await stage.post(NANO, member, json=body)
        usage = answer.json()["usageMetadata"]
        parts = answer.json()["candidates"][0]["content"]["parts"]
        (drawn,) = [part["inlineData"] for part in parts if "inlineData" in part]
        assert base64.b64decode(drawn["data"])[:4] == b"\x89PNG"
        price = cost(usage, 2, 12, 144)
        assert price > 144 * tokens
        assert stage.spent(member) - before == price
    models = {each.path.rpartition("/")[2] for each in stage.vendor.requests("vertexai")}
    assert "gemini-3-pro-image:generateContent" in models, "renamed by Google"


async def test_the_wallet_sets_the_limit_and_google_keeps_it(stage, key_file):
    """A cent buys some 4,000 tokens: a long answer is cut there, and costs no more than that."""
    member = await stage.member(micros=10_000)
    answer = await stage.post(FLASH, member, json=saying("sandbox:tokens=60000"))
    assert answer.status == 200, answer.body
    assert answer.json()["candidates"][0]["finishReason"] == "MAX_TOKENS"
    price = cost(answer.json()["usageMetadata"], 0.3, 2.5)
    assert 9_900 < stage.spent(member) == price <= 10_000
    assert stage.wallet(member) == (10_000 - price, 0)

    short = await stage.post(FLASH, member, json=saying("more"))
    assert (short.status, short.type) == (402, "insufficient_credits")
    check_refusal(short)
    assert stage.vendor.counts("vertexai")["submits"] == 1


async def test_two_calls_at_once_share_a_wallet(stage, key_file):
    member = await stage.member(micros=300_000)
    asked = [stage.post(FLASH, member, json=saying(f"sandbox:slow=0.3 {n}")) for n in range(3)]
    answers = await asyncio.gather(*asked)
    assert {answer.status for answer in answers} <= {200, 402}
    assert 200 in {answer.status for answer in answers}
    assert stage.wallet(member)[1] == 0


async def test_a_token_is_asked_for_once_an_hour(stage, key_file):
    member = await stage.member()
    await asyncio.gather(*(stage.post(FLASH, member, json=saying(f"{n}")) for n in range(5)))
    assert stage.vendor.counts("vertexai")["by_path"]["/token"] == 1
    assert stage.vendor.counts("vertexai")["refused_credentials"] == 0


async def test_a_token_that_google_forgot_is_the_operators_affair_once(stage, key_file):
    member = await stage.member()
    assert (await stage.post(FLASH, member, json=saying("1"))).status == 200
    desk = stage.vendor.desks["vertexai"]
    desk._sealing_key = b"x" * 32
    refused = await stage.post(FLASH, member, json=saying("2"))
    assert (refused.status, refused.type) == (403, "provider_disabled")
    check_refusal(refused)
    assert (await stage.post(FLASH, member, json=saying("3"))).status == 200, "a new token"
    assert [call["outcome"] for call in stage.calls(member)] == [
        "delivered",
        "refused",
        "delivered",
    ]


@pytest.mark.parametrize(
    ("failure", "status", "type_"),
    [
        ("token_status=401", 403, "provider_disabled"),
        ("token_status=500", 502, "provider_error"),
        ("token_status=429", 502, "provider_error"),
        ("token_nonjson", 502, "provider_error"),
        ("token_cut", 502, "provider_error"),
        ("token_drop", 502, "provider_error"),
    ],
)
async def test_without_a_token_nothing_is_sent_or_held(stage, key_file, failure, status, type_):
    member = await stage.member()
    stage.vendor.fail_next("vertexai", failure)
    refused = await stage.post(FLASH, member, json=saying())
    assert (refused.status, refused.type) == (status, type_)
    check_refusal(refused)
    assert stage.calls(member) == []
    assert stage.wallet(member) == (5_000_000, 0)
    assert stage.vendor.counts("vertexai")["submits"] == 0
    assert (await stage.post(FLASH, member, json=saying())).status == 200


async def test_a_key_asks_without_a_project(stage):
    member = await stage.member()
    answer = await stage.post(FLASH, member, json=saying())
    assert answer.status == 200
    (asked,) = stage.vendor.requests("vertexai")
    path = "/vertexai/v1/publishers/google/models/gemini-2.5-flash:generateContent"
    assert (asked.path, asked.headers["x-goog-api-key"]) == (path, VENDOR_KEY)
    assert "authorization" not in asked.headers


async def test_wrong_credentials_are_the_operators_affair(stage, configure, key_file):
    member = await stage.member()
    other = {**key_file, "client_email": "somebody@example.org"}
    for given in (
        {"VENDOR_VERTEXAI_CREDENTIALS": json.dumps(other)},
        {"VENDOR_VERTEXAI_CREDENTIALS": "{"},
        {"VENDOR_VERTEXAI_CREDENTIALS": "/not/there.json"},
        {"VENDOR_VERTEXAI_CREDENTIALS": json.dumps({**key_file, "private_key": "x"})},
        {"VENDOR_VERTEXAI_CREDENTIALS": json.dumps({"type": "service_account"})},
        {"VENDOR_VERTEXAI_CREDENTIALS": json.dumps(key_file), "VENDOR_VERTEXAI_PROJECT": "other"},
        {"VENDOR_VERTEXAI_CREDENTIALS": None, "VENDOR_VERTEXAI_KEY": "another-key"},
        {"VENDOR_VERTEXAI_CREDENTIALS": None, "VENDOR_VERTEXAI_KEY": None},
    ):
        configure(**given)
        refused = await stage.post(FLASH, member, json=saying())
        assert (refused.status, refused.type) == (403, "provider_disabled"), given
        check_refusal(refused)
    # A key file alone opens no Interactions.
    configure(VENDOR_VERTEXAI_CREDENTIALS=json.dumps(key_file), VENDOR_VERTEXAI_PROJECT=None)
    assert (await stage.post(FLASH, member, json=saying())).status == 200
    refused = await stage.post(OMNI, member, json=CLIP)
    assert (refused.status, refused.type) == (403, "provider_disabled")
    assert stage.wallet(member)[1] == 0


def test_a_model_is_where_the_operators_project_is(settings, key_file_text):
    settings.VENDOR_BASE_URL = ""
    scheme = ServiceAccountOrKey()
    path = "/publishers/google/models/gemini-2.5-pro:generateContent"
    for place, host in (
        (None, "aiplatform.googleapis.com"),
        ("global", "aiplatform.googleapis.com"),
        ("us", "aiplatform.us.rep.googleapis.com"),
        ("europe-west4", "europe-west4-aiplatform.googleapis.com"),
    ):
        settings.VENDOR_SETTINGS = {
            "VENDOR_VERTEXAI_CREDENTIALS": key_file_text,
            **({"VENDOR_VERTEXAI_LOCATION": place} if place else {}),
        }
        account = account_of("vertexai", scheme.optional, scheme.public)
        operation = GOOGLE.operations[0]
        located = operation.locate(GOOGLE, account, {"model": "gemini-2.5-pro"})
        assert located == (
            f"https://{host}/v1/projects/a-project/locations/{place or 'global'}{path}"
        )
        # A project and a place are no secrets: an answer may hold them.
        words = b"a-project europe-west4"
        assert account.redacted(words) == words
    settings.VENDOR_SETTINGS = {"VENDOR_VERTEXAI_KEY": "a-key-of-google"}
    account = account_of("vertexai", scheme.optional, scheme.public)
    located = GOOGLE.operations[0].locate(GOOGLE, account, {"model": "gemini-2.5-pro"})
    assert located == f"https://aiplatform.googleapis.com/v1{path}"
    assert service_account(account) is None


@pytest.fixture(scope="module")
def key_file_text():
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return json.dumps(
        {
            "private_key": pem.decode(),
            "client_email": "relay@example.org",
            "token_uri": "https://oauth2.googleapis.com/token",
            "project_id": "a-project",
        }
    )


async def test_neither_the_token_nor_the_key_comes_back(stage, key_file):
    member = await stage.member()
    answer = await stage.post(FLASH, member, json=saying("sandbox:echo"))
    debug = answer.json()["debug"]
    assert any(each and set(each.removeprefix("Bearer ")) == {"*"} for each in debug)
    assert b"ya29." not in answer.body
    clip = await stage.post(OMNI, member, json={**CLIP, "input": "sandbox:echo 3-second"})
    assert VENDOR_KEY.encode() not in clip.body
    assert b"****" in clip.body


@pytest.mark.parametrize("path", [FLASH, NANO])
@pytest.mark.parametrize("failure", ["moderated", "content_moderated"])
async def test_what_is_blocked_is_told_and_not_charged(stage, path, failure):
    member = await stage.member()
    blocked = await stage.post(path, member, json=saying(f"sandbox:{failure}"))
    assert (blocked.status, blocked.type) == (422, "content_blocked")
    assert "Prompt or Initial Image failed the safety checks." in blocked.json()["message"]
    check_refusal(blocked)
    assert stage.wallet(member) == (5_000_000, 0)
    assert [call["outcome"] for call in stage.calls(member)] == ["moderated"]


async def test_an_answer_with_nothing_in_it_is_not_charged_but_thoughts_are(stage):
    member = await stage.member()
    nothing = await stage.post(NANO, member, json=saying("sandbox:failed"))
    assert (nothing.status, nothing.type) == (422, "provider_rejected")
    assert stage.spent(member) == 0

    body = saying("x", generationConfig={"maxOutputTokens": 100})
    thought = await stage.post(FLASH, member, json=body)
    assert thought.status == 200
    assert thought.json()["candidates"][0]["finishReason"] == "MAX_TOKENS"
    assert stage.spent(member) == -(-(1 * 3 + 100 * 25) // 10)


@pytest.mark.parametrize(
    ("failure", "status", "type_", "held"),
    [
        ("status=400", 400, "provider_rejected", False),
        ("status=401", 403, "provider_disabled", False),
        ("status=402", 403, "provider_disabled", False),
        ("status=403", 403, "provider_disabled", False),
        ("status=404", 404, "provider_rejected", False),
        ("status=429", 429, "provider_rate_limited", False),
        ("status=500", 502, "provider_error", False),
        ("status=503", 502, "provider_error", False),
        ("status=504", 422, "outcome_unknown", True),
        ("nonjson", 422, "outcome_unknown", False),
        ("cut", 422, "outcome_unknown", False),
        ("drop_after", 422, "outcome_unknown", True),
    ],
)
async def test_each_failure_is_what_it_is(stage, failure, status, type_, held):
    for path, body in (
        (FLASH, saying(f"sandbox:{failure}")),
        (OMNI, {**CLIP, "input": f"sandbox:{failure}"}),
    ):
        member = await stage.member()
        refused = await stage.post(path, member, json=body)
        assert (refused.status, refused.type) == (status, type_), path
        check_refusal(refused)
        assert ("retry-after" in refused.headers) == (status == 429)
        balance, aside = stage.wallet(member)
        assert (balance, aside > 0) == (5_000_000, held)
        assert stage.spent(member) == 0


@pytest.mark.parametrize(
    ("status", "body", "type_"),
    [
        (400, {"error": {"status": "INVALID_ARGUMENT", "message": "API key not valid."}}, "prov"),
        (429, {"error": {"status": "RESOURCE_EXHAUSTED", "message": "Check your billing"}}, "prov"),
        (403, [{"error": {"status": "PERMISSION_DENIED", "message": "x"}}], "prov"),
        (200, {"error": {"status": "PERMISSION_DENIED", "message": "x"}}, "prov"),
        (200, [{"error": {"message": "x"}}], "outcome_unknown"),
        (200, {}, "outcome_unknown"),
        (200, [], "outcome_unknown"),
        (200, {"status": "in_progress"}, "outcome_unknown"),
        (200, {"candidates": []}, "provider_rejected"),
        (200, {"candidates": 7}, "provider_rejected"),
        (200, {"status": "budget_exceeded"}, "prov"),
    ],
)
async def test_what_is_no_result_is_not_charged(stage, status, body, type_):
    type_ = "provider_disabled" if type_ == "prov" else type_
    member = await stage.member()

    async def google(_: web.Request) -> web.Response:
        return web.json_response(body, status=status)

    async with answering(google) as url:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("proxy.vendors.google_account.moved_to", lambda vendor, base="": url)
            patch.setattr("proxy.catalogue.moved_to", lambda vendor, base="": url)
            refused = await stage.post(FLASH, member, json=saying())
    assert refused.type == type_
    check_refusal(refused)
    assert stage.wallet(member) == (5_000_000, 0)


async def test_a_refusal_names_no_project_of_the_operators(stage):
    member = await stage.member()
    said = "Field `x` of projects/secret-project-17/locations/global is wrong"

    async def google(_: web.Request) -> web.Response:
        error = {"status": "INVALID_ARGUMENT", "message": said}
        return web.json_response({"error": error}, status=400)

    async with answering(google) as url:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("proxy.catalogue.moved_to", lambda vendor, base="": url)
            refused = await stage.post(FLASH, member, json=saying())
    assert refused.status == 400
    assert "Field `x`" in refused.json()["message"]
    assert b"secret-project" not in refused.body


async def test_an_answer_without_usage_is_charged_by_what_is_seen_and_leaves_a_finding(stage):
    member = await stage.member()
    text = await stage.post(FLASH, member, json=saying("sandbox:no_usage"))
    assert text.status == 200
    assert 0 < stage.spent(member) < 1_000
    found = stage.rows("SELECT * FROM credits_finding WHERE key LIKE 'unreported:vertexai%%'")
    assert len(found) == 1
    before = stage.spent(member)
    clip = await stage.post(OMNI, member, json={**CLIP, "input": "sandbox:no_usage"})
    assert clip.status == 200
    assert stage.spent(member) - before == 435_435


async def test_more_than_was_held_is_the_houses_and_absurd_is_not_believed(stage):
    member = await stage.member()
    body = {**CLIP, "input": "sandbox:tokens=9000000000"}
    assert (await stage.post(OMNI, member, json=body)).status == 200
    assert stage.spent(member) == 435_435
    found = stage.rows("SELECT * FROM credits_finding WHERE key LIKE 'absurd:vertexai%%'")
    assert len(found) >= 1


@pytest.mark.parametrize(
    "where",
    [
        "generativelanguage.googleapis.com./v1beta/files/abc",
        "generativelanguage.googleapis.com.:443/v1beta/files/abc",
        "us-generativelanguage.googleapis.com/v1beta/files/abc",
        "generativelanguage\uff0egoogleapis.com/v1beta/files/abc",
        "aiplatform.googleapis.com/v1/projects",
        "169.254.169.254/computeMetadata/v1/",
        "[::1]/x",
        "localhost/x",
    ],
)
async def test_an_address_that_another_than_anybody_may_open_is_refused(stage, where):
    member = await stage.member()
    part = {"fileData": {"mimeType": "image/png", "fileUri": f"https://{where}"}}

    refused = await stage.post(FLASH, member, json={"contents": [{"parts": [part]}]})

    assert refused.status in (400, 404)
    check_refusal(refused)
    assert stage.vendor.counts("vertexai")["submits"] == 0


@pytest.mark.parametrize("where", ["a.example/x.png", "storage.googleapis.com/b/x.png"])
async def test_an_address_that_anybody_may_open_is_sent_on(stage, where):
    member = await stage.member()
    part = {"fileData": {"mimeType": "image/png", "fileUri": f"https://{where}"}}
    body = {"contents": [{"role": "user", "parts": [part, {"text": "x"}]}]}
    assert (await stage.post(FLASH, member, json=body)).status == 200


async def test_nothing_is_asked_or_held_for_what_has_no_price(stage):
    member = await stage.member()
    for path, body in (
        (f"{GENERATE}/gemini-9", saying()),
        (FLASH, saying(tools=[{"googleSearch": {}}])),
        (FLASH, saying(cachedContent="x")),
        (OMNI, {**CLIP, "model": "gemini-omni-1.1-flash"}),
        (OMNI, {**CLIP, "tools": []}),
        (FLASH, {"contents": [{"parts": [{"fileData": {"fileUri": "gs://bucket/x"}}]}]}),
        (OMNI, {**CLIP, "input": [{"type": "video", "uri": "gs://bucket/x"}]}),
        (OMNI, {**CLIP, "input": [{"type": "video", "uri": "https://[/x"}]}),
    ):
        refused = await stage.post(path, member, json=body)
        assert (refused.status, refused.type) == (400, "invalid_request"), body
        check_refusal(refused)
    assert stage.wallet(member) == (5_000_000, 0)
    assert stage.vendor.counts("vertexai")["submits"] == 0


# --- Interactions -------------------------------------------------------------------------------


async def test_a_clip_is_charged_by_its_tokens(stage):
    member = await stage.member()
    answer = await stage.post(OMNI, member, json={**CLIP, "background": True, "stream": True})
    content = answer.json()
    usage = content["usage"]
    asked = sum(each["tokens"] for each in usage["input_tokens_by_modality"])
    made = {each["modality"]: each["tokens"] for each in usage["output_tokens_by_modality"]}
    spoken = made["text"] + usage["total_thought_tokens"]
    price = -(-(2145 * asked + 25025 * made["video"] + 12870 * spoken) // 1000)

    assert (answer.status, content["status"]) == (200, "completed")
    assert made["video"] == 4 * 5800
    assert stage.spent(member) == price
    video = content["steps"][-1]["content"][-1]
    assert base64.b64decode(video["data"])[4:8] == b"ftyp"
    assert stage.calls(member)[0]["held_micros"] == micros("2.5")


@pytest.mark.parametrize(
    ("failure", "type_"),
    [
        ("moderated", "content_blocked"),
        ("content_moderated", "content_blocked"),
        ("failed", "provider_rejected"),
    ],
)
async def test_a_clip_that_is_not_completed_is_not_charged(stage, failure, type_):
    member = await stage.member()
    refused = await stage.post(OMNI, member, json={**CLIP, "input": f"sandbox:{failure}"})
    assert (refused.status, refused.type) == (422, type_)
    check_refusal(refused)
    assert stage.wallet(member) == (5_000_000, 0)


async def test_a_clip_behind_our_key_is_handed_out_by_us_to_its_owner_only(stage):
    member, other = await stage.member(micros=RICH), await stage.member(micros=RICH)
    body = {**CLIP, "response_format": {"type": "video", "delivery": "uri", "duration": "3s"}}
    made = (await stage.post(OMNI, member, json=body)).json()
    address = made["steps"][-1]["content"][-1]["uri"]
    name = address.rpartition("/")[2]

    assert address == f"/proxy/gemini-interactions/files/{name}"
    spent = stage.spent(member)
    film = await stage.get(address, member)
    assert (film.status, film.headers["content-type"]) == (200, "video/mp4")
    assert film.body[4:8] == b"ftyp"
    for refused in (
        await stage.get(address, other),
        await stage.get(f"{address}x", member),
    ):
        assert (refused.status, refused.type) == (404, "not_found")
        check_refusal(refused)
    assert (await stage.get(address)).status == 401

    theirs = f"{stage.vendor.url}/vertexai/v1beta/files/{name}"
    for use in (
        {"previous_interaction_id": made["id"]},
        {"input": [{"type": "video", "uri": f"{theirs}:download?alt=media"}]},
        {"input": [{"type": "video", "uri": theirs}]},
        {"input": [{"type": "video", "uri": f"files/{name}"}]},
        {"input": [{"role": "user", "content": [{"type": "video", "uri": f"files/{name}"}]}]},
    ):
        refused = await stage.post(OMNI, other, json={**CLIP, **use})
        assert (refused.status, refused.type) == (404, "not_found"), use
    file = {"fileData": {"mimeType": "video/mp4", "fileUri": theirs}}
    refused = await stage.post(FLASH, other, json={"contents": [{"parts": [file]}]})
    assert refused.status == 404
    again = await stage.post(OMNI, member, json={**CLIP, "previous_interaction_id": made["id"]})
    assert again.status == 200
    assert stage.spent(member) > spent
    assert stage.spent(other) == 0


async def test_a_clip_is_not_fetched_without_its_owner_or_from_elsewhere(stage):
    """What a vendor says to be elsewhere stays what it is: our key goes nowhere else."""
    member = await stage.member(micros=RICH)
    elsewhere = "https://evil.example/v1beta/files/abc:download"
    video = {"type": "video", "uri": elsewhere}
    step = {"type": "model_output", "content": [video, "x", {"uri": 7}]}

    async def google(_: web.Request) -> web.Response:
        content = {"id": "i", "status": "completed", "steps": [step, "x", 7]}
        return web.json_response(content)

    async with answering(google) as url:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("proxy.catalogue.moved_to", lambda vendor, base="": url)
            answer = await stage.post(OMNI, member, json=CLIP)
    assert answer.json()["steps"] == [step, "x", 7]
    assert (await stage.get("/proxy/gemini-interactions/files/abc", member)).status == 404


async def test_a_repeat_of_a_generation_is_answered_from_the_first(stage):
    member = await stage.member()
    key = {"Idempotency-Key": "k"}
    first = await stage.post(FLASH, member, json=saying(), headers=key)
    second = await stage.post(FLASH, member, json=saying(), headers=key)
    assert (first.status, first.body) == (second.status, second.body)
    assert stage.vendor.counts("vertexai")["submits"] == 1
    assert len(stage.calls(member)) == 1


async def test_a_large_request_counts_once_in_the_memory_of_all(stage):
    """What is written anew takes the place of what came."""
    member = await stage.member()
    data = base64.b64encode(bytes(2 << 20)).decode()
    picture = {"inlineData": {"mimeType": "image/png", "data": data}}
    body = {"contents": [{"role": "user", "parts": [picture, {"text": "sandbox:slow=0.3"}]}]}
    raw = json.dumps(body).encode()
    asked = asyncio.ensure_future(stage.post(FLASH, member, data=io.BytesIO(raw)))
    taken = []
    while not asked.done():
        taken.append(memory.held.taken)
        await asyncio.sleep(0.01)

    assert (await asked).status == 200
    assert 0.9 * len(raw) < max(taken) < 1.1 * len(raw)
    assert memory.held.taken == 0


@pytest.mark.slow
async def test_a_token_that_runs_out_is_renewed_before_it_does(stage, key_file):
    desk = stage.vendor.desks["vertexai"]
    desk.settings = dataclasses.replace(desk.settings, token_seconds=61)
    member = await stage.member()
    assert (await stage.post(FLASH, member, json=saying("1"))).status == 200
    await asyncio.sleep(1.2)
    assert (await stage.post(FLASH, member, json=saying("2"))).status == 200
    assert stage.vendor.counts("vertexai")["by_path"]["/token"] == 2
