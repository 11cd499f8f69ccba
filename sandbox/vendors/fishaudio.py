"""Fish Audio: speech, transcripts, voices.

    POST /v1/tts  JSON, or MessagePack; the model in a header -> a sound
    POST /v1/asr  a form, or MessagePack -> {"text", "duration", "segments"}
    POST /model   a form -> {"_id", "state", "visibility"}

Errors: {"status", "message"}.
"""

import asyncio
import uuid

from sandbox import msgpack, pictures, works
from sandbox.media import render
from sandbox.vendor import Answer, Body, Exchange, Kind, RefusedError, Route, Vendor, in_header

MODELS = ("s1", "s2-pro", "s2.1-pro", "speech-1.5", "speech-1.6")


def _packed(exchange: Exchange) -> Body | None:
    """Return what the vendor's own library sends; None where it is no such message."""
    if exchange.request.content_type != "application/msgpack":
        return None
    try:
        body = msgpack.read(exchange.raw)
    except msgpack.InvalidMessageError as wrong:
        raise RefusedError(400, f"The message cannot be read: {wrong}") from None
    if not isinstance(body, dict):
        raise RefusedError(400, "The message is no object")
    return body


async def speak(exchange: Exchange) -> Answer:
    """Say a text."""
    body = _packed(exchange) or works.asked(exchange)
    works.text(body, "text")
    if exchange.request.headers.get("model") not in MODELS:
        raise RefusedError(400, "model is not one of ours")
    format_ = works.one_of(body, "format", ("mp3", "wav"), default="mp3")
    made = pictures.media(exchange, f"{format_}", seconds=3)
    content = await asyncio.to_thread(render, made)
    return Answer(content, content_type=made.content_type)


async def hear(exchange: Exchange) -> Answer:
    """Write down what is said."""
    body = _packed(exchange)
    files = pictures.form(exchange).files.get("audio", []) if body is None else [body.get("audio")]
    if len(files) != 1 or not files[0]:
        raise RefusedError(422, "audio is required")
    segment = {"text": "hello", "start": 0.0, "end": 1.0}
    return Answer.json({"text": "hello", "duration": 30.0, "segments": [segment]})


async def clone(exchange: Exchange) -> Answer:
    """Keep a voice."""
    form = pictures.form(exchange)
    body = pictures.fields(form)
    works.text(body, "title")
    works.one_of(body, "visibility", ("public", "unlist", "private"), default="public")
    if not form.files.get("voices"):
        raise RefusedError(422, "voices is required")
    name = uuid.uuid4().hex
    return Answer.json({"_id": name, "state": "trained", "visibility": body.get("visibility")})


FISHAUDIO = Vendor(
    name="fishaudio",
    credential=in_header("authorization", prefix="Bearer "),
    refuse=works.refusing(
        {402: "Insufficient balance"}, lambda status, said: {"status": status, "message": said}
    ),
    ids=frozenset({"_id"}),
    routes=(
        Route("POST", "/v1/tts", Kind.SUBMIT, speak),
        Route("POST", "/v1/asr", Kind.SUBMIT, hear),
        Route("POST", "/model", Kind.SUBMIT, clone),
    ),
)
