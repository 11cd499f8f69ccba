"""What is peculiar to vendors of speech: whose a voice is, how long a sound is."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from aiohttp import web
from proxy_stage import answering, check_refusal
from sample_calls import file_of, sample_of, send
from vendor_calls import RICH, micros, spent

from common.errors import InvalidRequest
from proxy.asked import Asked, Evidence
from proxy.forms import Form

ELEVEN = "/proxy/elevenlabs/v1/"
SPEAK, TALK = f"{ELEVEN}text-to-speech/{{voice_id}}", f"{ELEVEN}text-to-dialogue"
EFFECT, HEAR = f"{ELEVEN}sound-generation", f"{ELEVEN}speech-to-text"
ISOLATE, CHANGE = f"{ELEVEN}audio-isolation", f"{ELEVEN}speech-to-speech/{{voice_id}}"
CLONE = f"{ELEVEN}voices/add"
FISH = "/proxy/fishaudio/v1/tts"


def quote(path, measured=None, *, headers=None, **changed):
    entry = sample_of(path).entry
    asked = Asked(parts=entry.get("path_params", {}), headers=headers or {"model": "s1"},
                  body={**entry["body"], **changed}, measured=measured or {})  # fmt: skip
    if entry.get("form"):
        asked.form = Form("multipart/form-data")
    try:
        return asyncio.run(sample_of(path).operation.price.quote(asked))
    finally:
        if asked.form is not None:
            asked.form.close()


@pytest.mark.parametrize(
    ("path", "changed", "usd"),
    [
        (SPEAK, {"text": "ä" * 1000}, "0.24"),
        (TALK, {"inputs": [{"text": "x" * 500, "voice_id": "v"}] * 3}, "0.36"),
        (EFFECT, {"duration_seconds": 0.5}, "0.001167"),
        (EFFECT, {"duration_seconds": 30}, "0.07"),
        (FISH, {"text": "ä" * 1000}, "0.0429"),
        (HEAR, {}, "4.38"),
    ],
)
def test_what_is_said_or_made_is_counted(path, changed, usd):
    assert quote(path, **changed).most == micros(usd)


@pytest.mark.parametrize(
    ("path", "changed", "named"),
    [
        (SPEAK, {"model_id": "eleven_ttv_v3"}, "eleven_ttv_v3"),
        (SPEAK, {"text": ""}, "text"),
        (SPEAK, {"text": "x" * 40_001}, "text"),
        (SPEAK, {"previous_text": "x"}, "previous_text"),
        (TALK, {"inputs": []}, "inputs"),
        (TALK, {"inputs": [{"voice_id": "v"}]}, "inputs"),
        (EFFECT, {"duration_seconds": None}, "duration_seconds"),
        (EFFECT, {"duration_seconds": 31}, "duration_seconds"),
        (EFFECT, {"model_id": "eleven_text_to_sound_v3"}, "eleven_text_to_sound_v3"),
        (HEAR, {"use_multi_channel": "true"}, "use_multi_channel"),
        (HEAR, {"webhook": "true"}, "webhook"),
        (HEAR, {"source_url": "https://a"}, "cloud_storage_url"),
        (HEAR, {"model_id": "scribe_v9"}, "scribe_v9"),
        (ISOLATE, {"file_format": "pcm_s16le_16"}, "file_format"),
        (ISOLATE, {}, "audio must be one file"),
        (FISH, {"references": [{"audio": "x"}]}, "references"),
    ],
)
def test_what_has_no_price_is_refused_by_its_name(path, changed, named):
    with pytest.raises(InvalidRequest, match=named):
        quote(path, **changed)


def test_a_transcript_is_paid_for_to_its_last_word():
    price = sample_of(HEAR).operation.price
    quoted = quote(HEAR)
    words = [{"end": 12}, {"end": 60.0}, {"end": "x"}, {"end": True}, 7]
    assert price.settle(quoted.inputs, Evidence(end={"words": words})) == micros("0.0073")
    assert price.settle(quoted.inputs, Evidence(end={})) == 122
    assert quote(HEAR, {"cloud_storage_url": 60}).most == micros("0.0073")


async def test_a_cloned_voice_is_its_workspaces_own_and_others_are_everybodys(stage):
    member, other = await stage.member(micros=RICH), await stage.member(micros=RICH)
    voice = (await send(stage, member, sample_of(CLONE).entry)).json()["voice_id"]
    spent(stage, member, "0.15")
    for path, changed in (
        (SPEAK, {"path_params": {"voice_id": voice}}),
        (TALK, {"body": {"inputs": [{"text": "x", "voice_id": voice}], "model_id": "eleven_v3"}}),
        (CHANGE, {"path_params": {"voice_id": voice}}),
    ):
        entry = sample_of(path).entry
        assert (await send(stage, other, entry)).status == 200, "one of the library"
        before = stage.wallet(other)
        refused = await send(stage, other, entry, **changed)
        assert (refused.status, refused.type) == (404, "not_found"), path
        check_refusal(refused)
        assert stage.wallet(other) == before
        assert (await send(stage, member, entry, **changed)).status == 200


async def test_a_voice_of_fish_audio_is_private_free_and_its_workspaces_own(stage, settings):
    member, other = await stage.member(micros=RICH), await stage.member(micros=RICH)

    def voice():
        data = aiohttp.FormData({"title": "me", "visibility": "public", "train_mode": "full"},
                                default_to_multipart=True)  # fmt: skip
        sound = file_of("audio/wav")
        data.add_field("voices", sound, filename="1.wav", content_type="audio/wav")
        return data

    made = await stage.post("/proxy/fishaudio/model", member, data=voice())
    assert made.status == 200, made.body
    assert made.json()["visibility"] == "private"
    entry = sample_of(FISH).entry
    for named in (made.json()["_id"], [made.json()["_id"], "public"]):
        body = {**entry["body"], "reference_id": named}
        refused = await send(stage, other, entry, body=body)
        assert (refused.status, refused.type) == (404, "not_found")
        assert (await send(stage, member, entry, body=body)).status == 200
    spent(stage, member, "0.000472")
    spent(stage, other, "0")
    seen = []

    async def fish(request):
        seen.append(dict(await request.post()))
        return web.json_response({"_id": "v"})

    async with answering(fish) as settings.VENDOR_BASE_URL:
        await stage.post("/proxy/fishaudio/model", member, data=voice())
    assert (seen[0]["visibility"], seen[0]["train_mode"], seen[0]["type"]) == (
        "private", "fast", "tts",
    )  # fmt: skip


async def test_elevenlabs_of_today_is_asked(stage):
    """Another path, another field, and the model that the price is of."""
    member = await stage.member(micros=RICH)
    for path in (CHANGE, HEAR, EFFECT, SPEAK):
        entry = {**sample_of(path).entry, "query": {"output_format": "opus_48000_192", "x": "1"}}
        assert (await send(stage, member, entry)).status == 200, "the sandbox insists on them"
    asked = [each.path for each in stage.vendor.requests("elevenlabs")]
    assert asked[0] == "/elevenlabs/v1/voice-changer/v1?output_format=opus_48000_192"
    assert asked[1] == "/elevenlabs/v1/speech-to-text"
    assert all(each.headers["xi-api-key"] for each in stage.vendor.requests("elevenlabs"))


async def test_a_sound_that_cannot_be_measured_is_refused_before_anything_is_held(stage):
    member = await stage.member()
    for path in (ISOLATE, "/proxy/fishaudio/v1/asr"):
        data = aiohttp.FormData(default_to_multipart=True)
        data.add_field("audio", b"#EXTM3U\n/etc/passwd", filename="a.mp4", content_type="audio/mp4")
        refused = await stage.post(path, member, data=data)
        assert (refused.status, refused.type) == (400, "invalid_request")
        assert "audio cannot be measured" in refused.json()["message"]
        check_refusal(refused)
    assert stage.wallet(member) == (5_000_000, 0)
    assert stage.vendor.counts("elevenlabs")["submits"] == 0


@pytest.mark.parametrize(
    ("status", "detail", "told", "type_"),
    [
        (401, {"status": "quota_exceeded", "message": "x"}, 403, "provider_disabled"),
        (400, {"status": "voice_limit_reached", "message": "x"}, 403, "provider_disabled"),
        (402, {"code": "payment_required", "message": "x"}, 403, "provider_disabled"),
        (429, {"status": "too_many_concurrent_requests", "message": "x"}, 429,
         "provider_rate_limited"),
        (400, {"code": "content_policy_violation", "message": "x"}, 422, "content_blocked"),
        (422, [{"loc": ["body"], "msg": "too long"}], 422, "provider_rejected"),
    ],
)  # fmt: skip
async def test_elevenlabs_words_are_understood(stage, settings, status, detail, told, type_):
    async def eleven(_):
        return web.json_response({"detail": detail}, status=status)

    member = await stage.member()
    async with answering(eleven) as settings.VENDOR_BASE_URL:
        refused = await send(stage, member, sample_of(EFFECT).entry)
    assert (refused.status, refused.type) == (told, type_)
    check_refusal(refused)
    assert stage.wallet(member) == (5_000_000, 0)
