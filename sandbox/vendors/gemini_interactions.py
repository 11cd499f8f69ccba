"""Google's Interactions API: a video in steps, now or in the background.

    POST /v1beta/interactions              -> {"id", "status", "steps", "usage"}
    GET  /v1beta/interactions/<id>         -> the same, of one that was made with `background`
    POST /v1beta/interactions/<id>/cancel  -> the same
    GET  /v1beta/files/<id>:download       -> the video, for who has the key

All of it under /v1 too. The video comes inline, or as an address that needs the key where the
format asks for `delivery: uri`. It lasts as long as the format or the text says, and costs what it
reports.
"""

import asyncio
import base64
import re
from collections.abc import Iterator, Mapping

from sandbox.jobs import Job
from sandbox.media import Media, look, render, size
from sandbox.vendor import (
    Answer,
    Body,
    Exchange,
    Kind,
    RefusedError,
    Route,
    delivery,
    in_header,
)

BYTES_PER_TOKEN = 4
INPUT_MEDIA_TOKENS = 258
TOKENS_PER_SECOND = 5_800
THOUGHTS = 120
MODELS = {"gemini-omni-flash-preview", "gemini-omni-1.1-flash", "gemini-omni-1.2-flash"}
KNOWN = {
    "model",
    "input",
    "background",
    "generation_config",
    "response_format",
    "response_modalities",
    "system_instruction",
    "safety_settings",
    "previous_interaction_id",
    "service_tier",
    "store",
    "labels",
    "tools",
}
SECONDS_IN_TEXT = re.compile(r"(\d{1,2})[- ]second")
SHORTEST, USUAL, LONGEST = 3, 6, 10
ENDINGS = {
    "done": ("completed", ""),
    "failed": ("failed", "The video could not be made."),
    "moderated": ("failed", "The prompt was blocked because of its content."),
    "content_moderated": ("incomplete", "The video was blocked because of its content."),
    "cancelled": ("cancelled", ""),
}
by_key = in_header("x-goog-api-key")


async def create(exchange: Exchange) -> Answer:
    """Make a video at once, or begin to."""
    body = _checked(exchange.body)
    inputs = list(_inputs(body))
    form = _format(body)
    seconds = _seconds(form, inputs)
    width, height = size({"aspect_ratio": form.get("aspect_ratio")}, default=(16, 9))
    media = Media("mp4", look(exchange.seen.sha256), width, height, float(seconds))
    failures = exchange.failures
    if not body.get("background"):
        failures = {name: value for name, value in failures.items() if name != "never"}
        failures |= {"delay": 0.0}
    facts = {
        "model": body["model"],
        "by_address": form.get("delivery") == "uri",
        "input": _input_tokens(inputs),
    }
    job = exchange.desk.jobs.start(media, failures=failures, facts=facts)
    return await _told(exchange, job)


def _checked(body: Body | None) -> Body:
    if body is None:
        raise RefusedError(400, "Invalid JSON payload received.")
    if unknown := body.keys() - KNOWN:
        raise RefusedError(400, f'Invalid JSON payload received. Unknown name "{min(unknown)}".')
    if body.get("model") not in MODELS:
        raise RefusedError(404, f"Model {body.get('model')!r} is not found")
    return body


def _inputs(body: Body) -> Iterator[Mapping[str, object]]:
    """Give each part of the input; a text alone is one."""
    given = body.get("input")
    if isinstance(given, str) and given:
        yield {"type": "text", "text": given}
        return
    if not isinstance(given, list) or not given:
        raise RefusedError(400, "input is needed")
    for part in given:
        if not isinstance(part, dict) or part.get("type") not in {
            "text",
            "image",
            "video",
            "audio",
        }:
            raise RefusedError(400, "A part of the input is of no known type")
        if part["type"] != "text" and not (part.get("data") or part.get("uri")):
            raise RefusedError(400, f"A part of type {part['type']} has neither data nor uri")
        yield part


def _format(body: Body) -> Mapping[str, object]:
    """Return what is said of the video's form."""
    given = body.get("response_format") or {}
    for form in given if isinstance(given, list) else [given]:
        if not isinstance(form, dict) or form.get("delivery", "inline") not in {"inline", "uri"}:
            raise RefusedError(400, "response_format cannot be used")
        if form.get("type") == "video":
            return form
    return {}


def _seconds(form: Mapping[str, object], inputs: list[Mapping[str, object]]) -> int:
    """Read how long the video shall be from its format, or from the text."""
    named = form.get("duration")
    if named is not None:
        found = re.fullmatch(r"(\d{1,2})s", str(named))
        if found is None or not SHORTEST <= int(found[1]) <= LONGEST:
            raise RefusedError(400, f"duration must be from {SHORTEST}s to {LONGEST}s")
        return int(found[1])
    said = SECONDS_IN_TEXT.search(" ".join(str(part.get("text", "")) for part in inputs))
    return min(LONGEST, max(SHORTEST, int(said[1]))) if said else USUAL


def _input_tokens(inputs: list[Mapping[str, object]]) -> dict[str, int]:
    counted: dict[str, int] = {}
    for part in inputs:
        kind, text = str(part["type"]), str(part.get("text", ""))
        tokens = INPUT_MEDIA_TOKENS if kind != "text" else -(-len(text.encode()) // BYTES_PER_TOKEN)
        counted[kind] = counted.get(kind, 0) + tokens
    return counted


def _ending(job: Job) -> str | None:
    return "cancelled" if job.facts.get("cancelled") else job.ending


async def _told(exchange: Exchange, job: Job) -> Answer:
    ending = _ending(job)
    status, said = ENDINGS[ending] if ending else ("in_progress", "")
    told: dict[str, object] = {
        "id": job.id,
        "object": "interaction",
        "model": job.facts["model"],
        "status": status,
        "steps": [],
    }
    if said:
        told["errors"] = [{"code": status, "message": said}]
    if ending == "done":
        video = await _video(exchange, job)
        told["steps"] = [
            {"type": "thought"},
            {"type": "model_output", "content": [{"type": "text", "text": "Here it is."}, video]},
        ]
    if ending and "no_usage" not in job.failures:
        told["usage"] = _usage(job, made=ending == "done")
    return Answer.json(told)


async def _video(exchange: Exchange, job: Job) -> dict[str, object]:
    media = job.makes[0]
    video: dict[str, object] = {"type": "video", "mime_type": media.content_type}
    if job.facts["by_address"]:
        return video | {
            "uri": f"{exchange.public}/vertexai/v1beta/files/{job.id}:download?alt=media"
        }
    drawn = await asyncio.to_thread(render, media)
    return video | {"data": base64.b64encode(drawn).decode()}


def _usage(job: Job, *, made: bool) -> dict[str, object]:
    asked = job.facts["input"]
    assert isinstance(asked, dict), "counted when it was asked for"
    wanted = job.failures.get("tokens")
    film = round(job.makes[0].seconds * TOKENS_PER_SECOND if wanted is None else wanted)
    spoken = {"video": film, "text": 3} if made else {}
    return {
        "total_input_tokens": sum(asked.values()),
        "input_tokens_by_modality": _by_modality(asked),
        "total_output_tokens": sum(spoken.values()),
        "output_tokens_by_modality": _by_modality(spoken),
        "total_thought_tokens": THOUGHTS,
        "total_tokens": sum(asked.values()) + sum(spoken.values()) + THOUGHTS,
    }


def _by_modality(counted: Mapping[str, int]) -> list[dict[str, object]]:
    return [{"modality": kind, "tokens": tokens} for kind, tokens in counted.items()]


def _named(exchange: Exchange) -> Job:
    job = exchange.find_job(exchange.request.match_info["id"])
    if job is None:
        raise RefusedError(404)
    return job


async def get(exchange: Exchange) -> Answer:
    """Tell where an interaction stands."""
    return await _told(exchange, _named(exchange))


async def cancel(exchange: Exchange) -> Answer:
    """End an interaction that still runs."""
    job = _named(exchange)
    if job.ending is None:
        assert isinstance(job.facts, dict), "its own"
        job.facts["cancelled"] = True
    return await _told(exchange, job)


async def download(exchange: Exchange) -> Answer:
    """Hand over a video."""
    job = _named(exchange)
    if _ending(job) != "done":
        raise RefusedError(404)
    return await delivery(job.makes[0])


ROUTES = tuple(
    route
    for version in ("v1beta", "v1")
    for route in (
        Route("POST", f"/{version}/interactions", Kind.SUBMIT, create, by_key),
        Route("GET", f"/{version}/interactions/{{id}}", Kind.POLL, get, by_key),
        Route("POST", f"/{version}/interactions/{{id}}/cancel", Kind.FREE, cancel, by_key),
        Route("GET", f"/{version}/files/{{id}}:download", Kind.DOWNLOAD, download, by_key),
    )
)
