"""ElevenLabs: the answer is a sound; the key goes in `xi-api-key`.

    POST /v1/text-to-speech/{voice}   JSON      POST /v1/voice-changer/{voice}  a form
    POST /v1/text-to-dialogue         JSON      POST /v1/audio-isolation        a form
    POST /v1/sound-generation         JSON
    POST /v1/speech-to-text           a form -> {"text", "language_code", "words": [...]}
    POST /v1/voices/add               a form -> {"voice_id", "requires_verification"}

Errors: {"detail": {"type", "code", "message", "status", "request_id"}}.
"""

import asyncio
import uuid

from sandbox import pictures, works
from sandbox.media import render
from sandbox.vendor import Answer, Exchange, Kind, RefusedError, Route, Vendor, in_header

CODES = {
    400: "invalid_request",
    401: "invalid_api_key",
    402: "insufficient_credits",
    403: "missing_permissions",
    404: "voice_not_found",
    422: "invalid_parameters",
    429: "concurrent_limit_exceeded",
}


def _shape(status: int, sentence: str) -> object:
    code = CODES.get(status, "internal_error")
    detail = {"type": code, "code": code, "status": code, "message": sentence}
    return {"detail": {**detail, "request_id": uuid.uuid4().hex}}


async def _sound(exchange: Exchange, characters: int, seconds: float = 3) -> Answer:
    made = pictures.media(exchange, "mp3", seconds=seconds)
    headers = {"character-cost": str(characters)}
    content = await asyncio.to_thread(render, made)
    return Answer(content, content_type=made.content_type, headers=headers)


async def speak(exchange: Exchange) -> Answer:
    """Say a text."""
    body = works.asked(exchange)
    text = works.text(body, "text")
    works.one_of(body, "model_id", ("eleven_v3", "eleven_multilingual_v2"))
    return await _sound(exchange, len(text))


async def talk(exchange: Exchange) -> Answer:
    """Let voices talk to each other."""
    body = works.asked(exchange)
    inputs = body.get("inputs")
    if not isinstance(inputs, list) or not inputs:
        raise RefusedError(422, "inputs: Field required")
    said = "".join(works.text(each, "text") for each in inputs)
    return await _sound(exchange, len(said))


async def effect(exchange: Exchange) -> Answer:
    """Make a sound."""
    body = works.asked(exchange)
    works.text(body, "text")
    works.one_of(body, "model_id", ("eleven_text_to_sound_v2", "eleven_text_to_sound_v3"))
    seconds = body.get("duration_seconds")
    if not isinstance(seconds, int | float) or not 0.5 <= seconds <= 30:
        raise RefusedError(422, "duration_seconds must be from 0.5 to 30")
    return await _sound(exchange, 100, seconds)


async def change(exchange: Exchange) -> Answer:
    """Let another voice say it, or take away what is no voice."""
    form = pictures.form(exchange)
    if len(form.files.get("audio", [])) != 1:
        raise RefusedError(422, "audio: Field required")
    return await _sound(exchange, 500)


async def hear(exchange: Exchange) -> Answer:
    """Write down what is said."""
    form = pictures.form(exchange)
    body = pictures.fields(form)
    works.one_of(body, "model_id", ("scribe_v1", "scribe_v2"))
    works.given(body, "source_url", "file", form=form)
    words = [{"text": "hello", "type": "word", "start": 0.1, "end": 4.9}]
    told = {"language_code": "en", "language_probability": 0.9, "text": "hello", "words": words}
    return Answer.json(told)


async def clone(exchange: Exchange) -> Answer:
    """Keep a voice."""
    form = pictures.form(exchange)
    works.text(pictures.fields(form), "name")
    if not form.files.get("files"):
        raise RefusedError(422, "files: Field required")
    return Answer.json({"voice_id": uuid.uuid4().hex[:20], "requires_verification": False})


ELEVENLABS = Vendor(
    name="elevenlabs",
    credential=in_header("xi-api-key"),
    refuse=works.refusing({402: "You have no credits left"}, _shape),
    ids=frozenset({"voice_id"}),
    routes=(
        Route("POST", "/v1/text-to-speech/{voice}", Kind.SUBMIT, speak),
        Route("POST", "/v1/text-to-dialogue", Kind.SUBMIT, talk),
        Route("POST", "/v1/sound-generation", Kind.SUBMIT, effect),
        Route("POST", "/v1/voice-changer/{voice}", Kind.SUBMIT, change),
        Route("POST", "/v1/audio-isolation", Kind.SUBMIT, change),
        Route("POST", "/v1/speech-to-text", Kind.SUBMIT, hear),
        Route("POST", "/v1/voices/add", Kind.SUBMIT, clone),
    ),
)
