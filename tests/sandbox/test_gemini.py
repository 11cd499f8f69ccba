"""The sandbox's Gemini keeps its promises: two ways in, tokens, limits, blocks, media."""

import asyncio
import base64
import io
import json
import time

import jwt
import pytest
from aiohttp import ClientError, ClientSession
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from PIL import Image
from vendor_keys import KEY
from yarl import URL

from sandbox import service_account
from sandbox.far_side import FarSide, Settings
from sandbox.server import running

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
HERE = "/vertexai/v1/projects/sandbox-project/locations/global/publishers/google/models"
WITH_KEY = ("/vertexai/v1/publishers/google/models", "/vertexai/v1beta/models")
PRO, NANO, OMNI = "gemini-2.5-pro", "gemini-3-pro-image", "gemini-omni-flash-preview"
INTERACTIONS = "/vertexai/v1beta/interactions"
PIXEL = "iVBORw0KGgo="


def saying(text: str, **more) -> dict:
    return {"contents": [{"role": "user", "parts": [{"text": text}]}], **more}


async def account(caller: ClientSession) -> dict:
    async with caller.get("/vertexai/console/service-account.json") as answer:
        return await answer.json()


def assertion(file: dict, *, key: object = None, algorithm: str = "RS256", **claims) -> str:
    now = int(time.time())
    whole = {
        "iss": file["client_email"],
        "aud": file["token_uri"],
        "scope": SCOPE,
        "iat": now,
        "exp": now + 3600,
        **claims,
    }
    whole = {name: value for name, value in whole.items() if value is not None}
    headers = {"kid": file["private_key_id"]}
    return jwt.encode(whole, key or file["private_key"], algorithm=algorithm, headers=headers)


async def exchanged(caller: ClientSession, signed: str, grant: str = GRANT) -> tuple[int, dict]:
    asked = {"grant_type": grant, "assertion": signed}
    async with caller.post("/vertexai/token", data=asked) as answer:
        return answer.status, await answer.json()


async def signed_in(caller: ClientSession) -> dict[str, str]:
    status, content = await exchanged(caller, assertion(await account(caller)))
    assert status == 200, content
    return {"authorization": f"Bearer {content['access_token']}"}


async def ask(caller: ClientSession, body: object, model: str = PRO, **options) -> tuple[int, dict]:
    path = f"{options.pop('path', WITH_KEY[0])}/{model}:generateContent"
    async with caller.post(path, json=body, **options) as answer:
        return answer.status, await answer.json()


async def answered(caller: ClientSession, body: object, model: str = PRO, **options) -> dict:
    status, content = await ask(caller, body, model, **options)
    assert status == 200, content
    return content


async def test_a_service_account_signs_in_and_asks(far_side: FarSide, stranger):
    headers = await signed_in(stranger)

    content = await answered(stranger, saying("a red fox"), path=HERE, headers=headers)

    assert content["modelVersion"] == PRO
    assert content["candidates"][0]["finishReason"] == "STOP"
    assert content["candidates"][0]["content"]["parts"][0]["text"]
    assert content["usageMetadata"] == {
        "trafficType": "ON_DEMAND",
        "promptTokenCount": 3,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 3}],
        "candidatesTokenCount": 24,
        "candidatesTokensDetails": [{"modality": "TEXT", "tokenCount": 24}],
        "thoughtsTokenCount": 200,
        "totalTokenCount": 227,
    }
    assert far_side.counts("vertexai")["accepted"] == 1


async def test_an_account_that_was_made_before_signs_in(tmp_path):
    file = tmp_path / "key.json"
    file.write_text(json.dumps(service_account.content("http://127.0.0.1:1/vertexai/token")))
    async with (
        running(Settings(key=KEY, service_account=str(file))) as far_side,
        ClientSession(far_side.url) as stranger,
    ):
        shown = await account(stranger)
        assert shown["private_key"] == json.loads(file.read_text())["private_key"]
        headers = await signed_in(stranger)
        assert await answered(stranger, saying("a red fox"), path=HERE, headers=headers)


@pytest.mark.parametrize("path", WITH_KEY)
async def test_a_key_asks_on_its_own_paths(caller, path):
    assert (await answered(caller, saying("a"), path=path))["candidates"]


def other_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = serialization.PrivateFormat.PKCS8
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, plain).decode()


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"iss": "somebody@example.org"}, "invalid_grant"),
        ({"aud": "https://example.org/token"}, "invalid_grant"),
        ({"aud": None}, "invalid_grant"),
        (lambda now: {"exp": now - 3600, "iat": now - 7200}, "invalid_grant"),
        (lambda now: {"exp": now + 7200}, "invalid_grant"),
        (lambda now: {"iat": now + 600}, "invalid_grant"),
        ({"iat": None}, "invalid_grant"),
        ({"exp": None}, "invalid_grant"),
        ({"scope": "https://www.googleapis.com/auth/drive"}, "invalid_scope"),
        ({"scope": None}, "invalid_scope"),
        ({"key": other_key()}, "invalid_grant"),
        ({"key": "x" * 64, "algorithm": "HS256"}, "invalid_grant"),
        ({"algorithm": "RS512"}, "invalid_grant"),
        ({"algorithm": "PS256"}, "invalid_grant"),
    ],
)
async def test_no_other_assertion_gets_a_token(stranger, wrong, error):
    wrong = wrong(int(time.time())) if callable(wrong) else wrong
    status, content = await exchanged(stranger, assertion(await account(stranger), **wrong))

    assert (status, content["error"]) == (400, error)
    assert content["error_description"]


async def test_an_assertion_is_neither_altered_nor_unsigned(stranger):
    file = await account(stranger)
    head, claims, signature = assertion(file).split(".")
    none = jwt.encode({"iss": file["client_email"]}, None, algorithm="none")

    for signed in (f"{head}.{claims}.", f"{head}.{claims}x.{signature}", none, "", "a.b.c"):
        assert (await exchanged(stranger, signed))[1]["error"] == "invalid_grant", signed
    status, content = await exchanged(stranger, assertion(file), "client_credentials")
    assert (status, content["error"]) == (400, "unsupported_grant_type")
    assert "invalid_grant" in str(
        await exchanged(stranger, assertion({**file, "private_key_id": "x"}))
    )


async def test_googles_own_address_is_an_audience_too(stranger):
    signed = assertion(await account(stranger), aud="https://oauth2.googleapis.com/token")

    assert (await exchanged(stranger, signed))[0] == 200


async def test_each_way_in_wants_its_own_credential(far_side, caller, stranger):
    token = await signed_in(stranger)
    key = {"x-goog-api-key": KEY}

    for path, headers in (
        (HERE, key),
        (HERE, {"authorization": f"Bearer {KEY}"}),
        (HERE, {"authorization": token["authorization"] + "0"}),
        (HERE, {"authorization": token["authorization"].replace("ya29.", "ya29.9")}),
        (HERE, {"authorization": token["authorization"].removeprefix("Bearer ")}),
        (HERE, {"authorization": "Bearer ya29."}),
        (HERE, {}),
        (WITH_KEY[0], token),
        (WITH_KEY[1], {"x-goog-api-key": "x"}),
        (WITH_KEY[1], {}),
    ):
        status, content = await ask(stranger, saying("a"), path=path, headers=headers)
        assert (status, content["error"]["status"]) == (401, "UNAUTHENTICATED"), (path, headers)
    async with stranger.post(INTERACTIONS, json={}, headers=token) as answer:
        assert answer.status == 401
    elsewhere = HERE.replace("sandbox-project", "another")
    status, content = await ask(stranger, saying("a"), path=elsewhere, headers=token)
    assert (status, content["error"]["status"]) == (403, "PERMISSION_DENIED")
    assert far_side.counts("vertexai")["refused_credentials"] == 12


async def test_a_token_ends_with_its_time_and_with_a_reset():
    async with (
        running(Settings(key=KEY, token_seconds=0.3)) as far_side,
        ClientSession(far_side.url) as stranger,
    ):
        token = await signed_in(stranger)
        assert (await ask(stranger, saying("a"), path=HERE, headers=token))[0] == 200
        await asyncio.sleep(0.35)
        assert (await ask(stranger, saying("a"), path=HERE, headers=token))[0] == 401
        token = await signed_in(stranger)
        far_side.reset()
        assert (await ask(stranger, saying("a"), path=HERE, headers=token))[0] == 401


async def test_tokens_fail_on_request(far_side, stranger):
    file = await account(stranger)
    for failure, status in (("token_status=503", 503), ("token_nonjson", 200)):
        far_side.fail_next("vertexai", failure)
        async with stranger.post(
            "/vertexai/token", data={"grant_type": GRANT, "assertion": assertion(file)}
        ) as answer:
            assert answer.status == status
            assert (await answer.text())[0] in "{<"
    far_side.fail_next("vertexai", "token_drop")
    with pytest.raises((ConnectionError, ClientError)):
        await exchanged(stranger, assertion(file))

    assert (await exchanged(stranger, assertion(file)))[0] == 200
    assert far_side.counts("vertexai")["submits"] == 0


@pytest.mark.parametrize(
    ("tokens", "limit", "thoughts", "text", "ending"),
    [
        (1000, None, 200, 800, "STOP"),
        (1000, 1000, 200, 800, "STOP"),
        (1000, 999, 200, 799, "MAX_TOKENS"),
        (1000, 200, 200, None, "MAX_TOKENS"),
        (1000, 10, 10, None, "MAX_TOKENS"),
        (9_000_000, None, 200, 65_336, "MAX_TOKENS"),
        (9_000_000, 65_536, 200, 65_336, "MAX_TOKENS"),
    ],
)
async def test_a_limit_is_kept_and_reported(caller, tokens, limit, thoughts, text, ending):
    settings = {} if limit is None else {"maxOutputTokens": limit}
    body = saying(f"sandbox:tokens={tokens}", generationConfig=settings)

    content = await answered(caller, body)

    usage, candidate = content["usageMetadata"], content["candidates"][0]
    assert usage["thoughtsTokenCount"] == thoughts
    assert usage.get("candidatesTokenCount") == text
    assert candidate["finishReason"] == ending
    if text:
        assert len(candidate["content"]["parts"][0]["text"]) == 4 * text
    else:
        assert candidate["content"] == {"role": "model"}


@pytest.mark.parametrize(
    ("model", "side", "ratio", "tokens", "thoughts", "extent"),
    [
        (NANO, None, "16:9", 1120, 200, (512, 288)),
        (NANO, "4K", "1:1", 2000, 200, (512, 512)),
        ("gemini-2.5-flash-image", None, None, 1290, None, (512, 512)),
        ("gemini-3.1-flash-image", "512", "9:16", 747, 200, (288, 512)),
    ],
)
async def test_a_picture_comes_inline(caller, model, side, ratio, tokens, thoughts, extent):
    config = {"imageSize": side, "aspectRatio": ratio}
    config = {name: value for name, value in config.items() if value}

    content = await answered(
        caller, saying("a fox", generationConfig={"imageConfig": config}), model
    )

    text, picture = content["candidates"][0]["content"]["parts"]
    drawn = Image.open(io.BytesIO(base64.b64decode(picture["inlineData"]["data"])))
    assert (drawn.format, drawn.size) == ("PNG", extent)
    assert picture["inlineData"]["mimeType"] == "image/png"
    assert text["text"]
    assert content["usageMetadata"].get("thoughtsTokenCount") == thoughts
    assert {
        each["modality"]: each["tokenCount"]
        for each in content["usageMetadata"]["candidatesTokensDetails"]
    } == {"IMAGE": tokens, "TEXT": 6}


async def test_a_picture_alone_and_one_that_does_not_fit(caller):
    alone = {"responseModalities": ["IMAGE"], "maxOutputTokens": 1320}
    short = {"responseModalities": ["IMAGE"], "maxOutputTokens": 1319}

    fits = await answered(caller, saying("a", generationConfig=alone), NANO)
    not_there = await answered(caller, saying("a", generationConfig=short), NANO)

    assert [*fits["candidates"][0]["content"]["parts"][0]] == ["inlineData"]
    assert fits["usageMetadata"]["candidatesTokenCount"] == 1120
    assert not_there["candidates"] == [{"content": {"role": "model"}, "finishReason": "MAX_TOKENS"}]
    assert "candidatesTokenCount" not in not_there["usageMetadata"]


async def test_several_candidates_are_all_paid_for(caller):
    body = saying("a", generationConfig={"candidateCount": 3})

    content = await answered(caller, body)

    assert len(content["candidates"]) == 3
    assert content["usageMetadata"]["candidatesTokenCount"] == 72
    assert content["usageMetadata"]["thoughtsTokenCount"] == 600


async def test_input_is_counted_by_its_kind(caller):
    parts = [
        {"text": "ü" * 6},
        {"inlineData": {"mimeType": "image/png", "data": PIXEL}},
        {"inline_data": {"mime_type": "application/pdf", "data": PIXEL}},
        {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://example.org/a.jpg"}},
    ]
    body = {
        "contents": [{"role": "user", "parts": parts}],
        "system_instruction": {"parts": [{"text": "Be kind"}]},
    }

    usage = (await answered(caller, body))["usageMetadata"]

    assert usage["promptTokenCount"] == 3 + 2 + 3 * 258
    assert {each["modality"]: each["tokenCount"] for each in usage["promptTokensDetails"]} == {
        "TEXT": 5,
        "IMAGE": 516,
        "DOCUMENT": 258,
    }


@pytest.mark.parametrize("planned", [True, False])
async def test_a_blocked_prompt_is_a_200_without_candidates(far_side, caller, planned):
    if planned:
        far_side.fail_next("vertexai", "moderated")
    content = await answered(caller, saying("a fox" if planned else "sandbox:moderated"), NANO)

    assert content["promptFeedback"]["blockReason"] == "PROHIBITED_CONTENT"
    assert "candidates" not in content
    assert content["usageMetadata"].keys() == {
        "trafficType",
        "promptTokenCount",
        "promptTokensDetails",
        "totalTokenCount",
    }


@pytest.mark.parametrize(
    ("failure", "model", "ending"),
    [
        ("content_moderated", PRO, "SAFETY"),
        ("content_moderated", NANO, "IMAGE_SAFETY"),
        ("failed", PRO, "OTHER"),
        ("failed", NANO, "NO_IMAGE"),
    ],
)
async def test_a_blocked_result_has_no_content(caller, failure, model, ending):
    content = await answered(caller, saying(f"sandbox:{failure}"), model)

    assert content["candidates"] == [{"content": {"role": "model"}, "finishReason": ending}]
    assert content["usageMetadata"]["thoughtsTokenCount"] == 200


async def test_usage_is_left_out_on_request(caller):
    content = await answered(caller, saying("sandbox:no_usage"))

    assert "usageMetadata" not in content
    assert content["candidates"][0]["content"]["parts"]


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (400, "INVALID_ARGUMENT"),
        (403, "PERMISSION_DENIED"),
        (429, "RESOURCE_EXHAUSTED"),
        (500, "INTERNAL"),
        (503, "UNAVAILABLE"),
        (504, "DEADLINE_EXCEEDED"),
    ],
)
async def test_a_status_has_googles_word(far_side, caller, status, word):
    told, content = await ask(caller, saying(f"sandbox:status={status}"))

    assert told == content["error"]["code"] == status
    assert content["error"]["status"] == word
    assert far_side.counts("vertexai")["accepted"] == 0


@pytest.mark.parametrize(
    ("failure", "accepted"), [("drop_before", 0), ("drop_after", 1), ("cut", 1)]
)
async def test_an_answer_is_lost_on_request(far_side, caller, failure, accepted):
    with pytest.raises((ConnectionError, ClientError)):
        await ask(caller, saying(f"sandbox:{failure}"))

    assert far_side.counts("vertexai")["accepted"] == accepted


async def test_an_answer_is_slow_or_carries_our_credential(caller, stranger):
    token = await signed_in(stranger)
    started = time.monotonic()
    echoed = await answered(
        stranger, saying("sandbox:echo sandbox:slow=0.2"), path=HERE, headers=token
    )

    assert time.monotonic() - started >= 0.2
    assert echoed["debug"][0] == token["authorization"]


@pytest.mark.parametrize(
    ("body", "model", "status"),
    [
        ({}, PRO, 400),
        ([], PRO, 400),
        ({"contents": []}, PRO, 400),
        ({"contents": [{"role": "user"}]}, PRO, 400),
        ({"contents": [{"role": "system", "parts": [{"text": "a"}]}]}, PRO, 400),
        ({"contents": [{"role": "user", "parts": [{}]}]}, PRO, 400),
        ({"contents": ["a"]}, PRO, 400),
        (saying("a", uploadImagesToStorage=True), PRO, 400),
        (saying("a", generationConfig={"outputTokens": 1}), PRO, 400),
        (saying("a", generationConfig=[]), PRO, 400),
        (saying("a", generationConfig={"maxOutputTokens": 0}), PRO, 400),
        (saying("a", generationConfig={"maxOutputTokens": 65_537}), PRO, 400),
        (saying("a", generationConfig={"maxOutputTokens": True}), PRO, 400),
        (saying("a", generationConfig={"candidateCount": 9}), PRO, 400),
        (saying("a", generationConfig={"responseModalities": ["IMAGE"]}), PRO, 400),
        (saying("a", generationConfig={"imageConfig": {"imageSize": "8K"}}), NANO, 400),
        (
            {"contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": "?"}}]}]},
            PRO,
            400,
        ),
        ({"contents": [{"parts": [{"inlineData": {"data": PIXEL}}]}]}, PRO, 400),
        (
            {"contents": [{"parts": [{"fileData": {"mimeType": "a/b", "fileUri": "/a"}}]}]},
            PRO,
            400,
        ),
        (saying("a"), "gemini-3-pro-image-preview", 404),
        (saying("a"), "gemini-2.5-pro-preview-05-06", 404),
        (saying("sandbox:poll_inside"), PRO, 400),
        (saying("sandbox:code=5"), PRO, 400),
    ],
)
async def test_a_body_it_cannot_use_is_refused(far_side, caller, body, model, status):
    told, content = await ask(caller, body, model)

    assert (told, content["error"]["code"]) == (status, status)
    assert far_side.counts("vertexai")["accepted"] == 0


async def interact(caller: ClientSession, **body) -> dict:
    body = {"model": OMNI, "input": "waves", **body}
    async with caller.post(INTERACTIONS, json=body) as answer:
        content = await answer.json()
        assert answer.status == 200, content
        return content


async def test_an_interaction_makes_a_video_at_once(caller):
    parts = [
        {"type": "text", "text": "a 4-second clip in 16:9 of waves"},
        {"type": "image", "data": PIXEL, "mime_type": "image/png"},
    ]
    content = await interact(caller, input=parts, generation_config={"temperature": 1.0})

    thought, output = content["steps"]
    video = output["content"][1]
    assert (content["status"], thought["type"], output["type"]) == (
        "completed",
        "thought",
        "model_output",
    )
    assert (video["type"], video["mime_type"]) == ("video", "video/mp4")
    assert base64.b64decode(video["data"])[4:8] == b"ftyp"
    assert content["usage"] == {
        "total_input_tokens": 266,
        "input_tokens_by_modality": [
            {"modality": "text", "tokens": 8},
            {"modality": "image", "tokens": 258},
        ],
        "total_output_tokens": 23_203,
        "output_tokens_by_modality": [
            {"modality": "video", "tokens": 23_200},
            {"modality": "text", "tokens": 3},
        ],
        "total_thought_tokens": 120,
        "total_tokens": 23_589,
    }


async def test_a_video_by_address_needs_the_key(caller, stranger):
    form = {"type": "video", "delivery": "uri", "duration": "3s", "aspect_ratio": "9:16"}

    content = await interact(caller, response_format=[form])

    address = URL(content["steps"][1]["content"][1]["uri"])
    async with stranger.get(address) as answer:
        assert answer.status == 401
    async with stranger.get(address, headers={"x-goog-api-key": KEY}) as answer:
        assert (answer.status, answer.content_type) == (200, "video/mp4")


@pytest.mark.parametrize(
    ("failure", "status"),
    [("failed", "failed"), ("moderated", "failed"), ("content_moderated", "incomplete")],
)
async def test_an_interaction_ends_badly_on_request(caller, failure, status):
    content = await interact(caller, input=f"sandbox:{failure}")

    assert (content["status"], content["steps"]) == (status, [])
    assert content["errors"][0]["message"]
    assert content["usage"]["output_tokens_by_modality"] == []


async def test_an_interaction_in_the_background_is_polled_and_cancelled(caller):
    async def asked(content: dict, method: str = "GET", path: str = "") -> dict:
        address = f"{INTERACTIONS}/{content['id']}{path}"
        async with caller.request(method, address) as answer:
            assert answer.status == 200
            return await answer.json()

    quick = await interact(caller, background=True)
    stuck = await interact(caller, background=True, input="sandbox:never")
    await asyncio.sleep(0.1)
    done, cancelled = await asked(quick), await asked(stuck, "POST", "/cancel")

    assert (quick["status"], "usage" in quick) == ("in_progress", False)
    assert (done["status"], len(done["steps"])) == ("completed", 2)
    assert (await asked(quick, "POST", "/cancel"))["status"] == "completed"
    assert cancelled["status"] == (await asked(stuck))["status"] == "cancelled"
    async with caller.get(f"/vertexai/v1beta/files/{stuck['id']}:download") as answer:
        assert answer.status == 404
    async with caller.get(f"{INTERACTIONS}/nobody") as answer:
        assert answer.status == 404


async def test_tokens_and_no_usage_hold_for_interactions_too(caller):
    many = await interact(caller, input="sandbox:tokens=70000")
    none = await interact(caller, input="sandbox:no_usage")

    assert many["usage"]["output_tokens_by_modality"][0] == {"modality": "video", "tokens": 70_000}
    assert "usage" not in none


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"input": ""}, 400),
        ({"input": []}, 400),
        ({"input": [{"type": "smell", "data": PIXEL}]}, 400),
        ({"input": [{"type": "image"}]}, 400),
        ({"surprise": 1}, 400),
        ({"model": "gemini-omni"}, 404),
        ({"response_format": {"type": "video", "duration": "11s"}}, 400),
        ({"response_format": {"type": "video", "delivery": "post"}}, 400),
    ],
)
async def test_an_interaction_it_cannot_use_is_refused(far_side, caller, body, status):
    async with caller.post(INTERACTIONS, json={"model": OMNI, "input": "a", **body}) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (status, status)

    assert far_side.counts("vertexai")["accepted"] == 0
