"""Vendors whose answer is the result."""

from __future__ import annotations

import base64
import io

import anthropic
import dashscope
import httpx2
import openai
import pytest
import reve
from elevenlabs import ElevenLabs
from fishaudio import FishAudio
from openrouter import OpenRouter
from reve import exceptions as reve_errors
from reve.v1 import image as reve_images
from sdk_places import SOUND, bytes_at, ours, sound
from sonilo import Sonilo


def openai_at(place, path, *, strict=True):
    return openai.OpenAI(
        base_url=place.at(path), api_key=place.key, http_client=place.client, max_retries=0,
        _strict_response_validation=strict,
    )  # fmt: skip


def test_openai_answers_and_the_answer_is_found_again(either):
    client = openai_at(either, "openai/v1")
    made = client.responses.create(model="gpt-5.5", input="Say hello.", max_output_tokens=64)
    assert made.status == "completed"
    assert made.output_text
    assert made.usage.output_tokens > 0
    again = client.responses.retrieve(made.id)
    assert again.output_text == made.output_text


def test_openai_draws(sandbox, proxy):
    for place, path in ((sandbox, "openai/v1"), (proxy, "openai")):
        made = openai_at(place, path).images.generate(
            model="gpt-image-2", prompt="a red fox", size="1024x1024", quality="low"
        )
        drawn = base64.b64decode(made.data[0].b64_json)
        assert drawn.startswith(b"\x89PNG")
        assert made.usage.output_tokens > 0


def test_openai_says_what_is_wrong(sandbox):
    wrong = openai.OpenAI(base_url=sandbox.at("openai/v1"), api_key="another", max_retries=0)
    with pytest.raises(openai.AuthenticationError):
        wrong.responses.create(model="gpt-5.5", input="x")


def test_recraft_is_asked_by_openais_library(sandbox):
    client = openai_at(sandbox, "recraft/v1", strict=False)
    made = client.images.generate(
        model="recraftv3", prompt="a red fox", size="1024x1024", extra_body={"style": "any"}
    )
    assert bytes_at(made.data[0].url)


def test_meta_is_asked_by_openais_library(either):
    client = openai_at(either, "meta/v1", strict=False)
    made = client.images.generate(model="muse-image-1.0", prompt="a red fox")
    assert made.data


def test_anthropic(either):
    client = anthropic.Anthropic(
        base_url=either.at("anthropic"), api_key=either.key, max_retries=0,
        http_client=ours(either.key, httpx2), default_headers={"anthropic-version": "2023-06-01"},
    )  # fmt: skip
    made = client.messages.create(
        model="claude-sonnet-4-6", max_tokens=64, messages=[{"role": "user", "content": "Hello"}]
    )
    assert made.content[0].text
    assert made.usage.output_tokens > 0


def test_openrouter(sandbox):
    with OpenRouter(api_key=sandbox.key, server_url=sandbox.at("openrouter") + "/api/v1") as client:
        made = client.chat.send(
            model="openai/gpt-5", messages=[{"role": "user", "content": "Hello"}], max_tokens=64
        )
    assert made.choices[0].message.content
    assert made.usage.completion_tokens > 0


def test_reve(sandbox):
    client = reve.ReveClient(api_token=sandbox.key, api_url=sandbox.at("reve"))
    made = reve_images.create("a red fox", client=client)
    assert made.credits_used > 0
    changed = reve_images.edit("make it blue", made.image_bytes, client=client)
    assert changed.image_bytes
    wrong = reve.ReveClient(api_token="another", api_url=sandbox.at("reve"))
    with pytest.raises(reve_errors.ReveAuthenticationError):
        reve_images.create("a red fox", client=wrong)


def test_sonilo(sandbox):
    with Sonilo(api_key=sandbox.key, base_url=sandbox.at("sonilo")) as client:
        track = client.text_to_music.generate(prompt="calm piano", duration=5)
    assert track.audio


def test_elevenlabs(either):
    client = ElevenLabs(
        base_url=either.at("elevenlabs"), api_key=either.key, httpx_client=either.client
    )
    spoken = b"".join(client.text_to_speech.convert("v1", text="hello there", model_id="eleven_v3"))
    assert spoken
    if either.client is None:  # With us it has a field too many: webhook_metadata.
        heard = client.speech_to_text.convert(model_id="scribe_v2", source_url=SOUND)
        assert heard.text


def test_elevenlabs_voice_changer(sandbox):
    """The path of today, where clients speak the older one."""
    client = ElevenLabs(base_url=sandbox.at("elevenlabs"), api_key=sandbox.key)
    said = client.speech_to_speech.convert(
        "v1", audio=io.BytesIO(sound()), model_id="eleven_multilingual_sts_v2"
    )
    assert b"".join(said)


def test_fish_audio(sandbox):
    client = FishAudio(api_key=sandbox.key, base_url=sandbox.at("fishaudio"))
    spoken = client.tts.convert(text="hello there")
    assert spoken
    heard = client.asr.transcribe(audio=sound())
    assert heard.text is not None
    assert heard.duration > 0


def test_qwen_is_asked_by_dashscope(sandbox):
    dashscope.base_http_api_url = sandbox.at("qwen") + "/api/v1"
    made = dashscope.MultiModalConversation.call(
        api_key=sandbox.key, model="qwen-image-3.0-pro",
        messages=[{"role": "user", "content": [{"text": "a red fox"}]}], n=1,
    )  # fmt: skip
    assert made.status_code == 200, made
    assert bytes_at(made.output.choices[0].message.content[0]["image"])
