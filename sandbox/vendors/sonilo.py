"""Sonilo: POST /v1/<text-to-music|video-to-music>, a form in, lines of JSON out.

title(s), duration, audio_chunk ..., cost, complete. The form is urlencoded, or multipart. Errors
before the first line: {"code", "message"}; after it a line {"type": "error", "code", "message"}:
a prompt that says "error=CODE" has one, one that says "silence" has no sound, "break" no end.
"""

import base64
import re
from collections.abc import AsyncIterator
from urllib.parse import parse_qs

import orjson

from sandbox import pictures, works
from sandbox.forms import Form
from sandbox.media import Media, look, render
from sandbox.vendor import Answer, Exchange, Kind, RefusedError, Route, Vendor, in_header

CODES = {
    400: "invalid_request",
    401: "unauthorized",
    402: "insufficient_balance",
    403: "forbidden",
    413: "file_too_large",
    422: "validation_error",
    429: "rate_limited",
}
LENGTH = 10
"""Seconds of a video that is given."""
CHUNK = 4096


def _shape(status: int, sentence: str) -> object:
    return {"code": CODES.get(status, "internal_error"), "message": sentence}


def _form(exchange: Exchange) -> Form:
    if exchange.request.content_type == "application/x-www-form-urlencoded":
        return Form(parse_qs(exchange.raw.decode()))
    return pictures.form(exchange)


async def compose(exchange: Exchange) -> Answer:
    """Make music."""
    form = _form(exchange)
    body = pictures.fields(form)
    is_scored = exchange.request.path.endswith("video-to-music")
    if is_scored:
        works.given(body, "video_url", "video", form=form)
        seconds = LENGTH
    else:
        works.text(body, "prompt")
        seconds = pictures.number(body, "duration", least=1, most=600, default=0)
        if not seconds:
            raise RefusedError(422, "duration is required")
    prompt = f"{body.get('prompt', '')}"
    lines = [orjson.dumps(line) + b"\n" for line in _lines(exchange, prompt, seconds, is_scored)]
    length = sum(map(len, lines))
    kind = "application/x-ndjson"
    return Answer(_pass(lines), content_type=kind, length=length, chunked=True)


def _lines(
    exchange: Exchange, prompt: str, seconds: int, is_scored: bool
) -> list[dict[str, object]]:
    title: dict[str, object] = {"type": "title", "title": "Waves"}
    if is_scored:
        title = {"type": "titles", "titles": ["Waves"]}
    lines: list[dict[str, object]] = [title, {"type": "duration", "duration_sec": float(seconds)}]
    if "silence" not in prompt:
        sound = render(Media("mp3", look(exchange.seen.sha256), seconds=seconds))
        for at in range(0, len(sound), CHUNK):
            data = base64.b64encode(sound[at : at + CHUNK]).decode().rstrip("=")
            lines.append({"type": "audio_chunk", "stream_index": 0, "data": data})
    if code := re.search(r"error=(\w+)", prompt):
        return [*lines, {"type": "error", "code": code[1], "message": "It went wrong."}]
    cost: dict[str, object] = {"type": "cost", "amount": "0.0200", "currency": "USD"}
    end: dict[str, object] = {"type": "complete"}
    return [*lines, cost, *([] if "break" in prompt else [end])]


async def _pass(lines: list[bytes]) -> AsyncIterator[bytes]:
    for line in lines:
        yield line


SONILO = Vendor(
    name="sonilo",
    credential=in_header("authorization", prefix="Bearer "),
    refuse=works.refusing({402: "Your balance is insufficient"}, _shape),
    routes=(
        Route("POST", "/v1/text-to-music", Kind.SUBMIT, compose),
        Route("POST", "/v1/video-to-music", Kind.SUBMIT, compose),
    ),
)
