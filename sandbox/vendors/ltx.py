"""Lightricks LTX: v1 answers the film, v2 a job.

    POST /v1/text-to-video, /v1/image-to-video -> the film
    POST /v2/<work>                            -> 202 {"id", "created_at"}
    GET  /v2/<work>/<id>                       -> {"id", "status", "result" | "error"}

An error is {"type": "error", "error": {"type", "message"}}. v1 is that of a mirror which still has
the models of before. A sound is six seconds long here.
"""

from datetime import UTC, datetime

from sandbox import works
from sandbox.failures import OF_JOB, OF_POLL, OF_WORDS
from sandbox.media import Media, look
from sandbox.vendor import (
    Answer,
    Exchange,
    Kind,
    RefusedError,
    Route,
    Vendor,
    delivery,
    in_header,
)

SOUND_SECONDS = 6
TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "insufficient_funds_error",
    404: "not_found_error",
    422: "content_filtered_error",
    429: "concurrency_limit_error",
    503: "service_unavailable",
    529: "overloaded_error",
}
V1 = ("ltx-2-fast", "ltx-2-pro", "ltx-2-3-fast", "ltx-2-3-pro")
V2 = ("ltx-2-5-fast", "ltx-2-5-pro")
SIZES = ("1280x720", "1920x1080", "2560x1440", "3840x2160")
WORDS = {None: "processing", "done": "completed"}


def refuse(status: int, detail: object) -> Answer:
    """Refuse with a type and a sentence."""
    error = {
        "type": TYPES.get(status, "api_error"),
        "message": f"{detail or works.USUAL.get(status, 'Overloaded')}",
    }
    return Answer.json({"type": "error", "error": error}, status=status)


def _in_its_words(code: int | None) -> RefusedError:
    return RefusedError(code if code in TYPES else 402)


def _checked(exchange: Exchange, models: tuple[str, ...]) -> int:
    """See that it can be made; return its seconds."""
    body = works.asked(exchange)
    works.one_of(body, "model", models)
    works.text(body, "prompt")
    sizes = (*SIZES, *("x".join(reversed(size.split("x"))) for size in SIZES))
    works.one_of(body, "resolution", sizes)
    if "image" in exchange.request.path:
        works.address(body, "image_uri")
    if "audio" in exchange.request.path:
        works.address(body, "audio_uri")
        return SOUND_SECONDS
    seconds = works.one_of(body, "duration", range(1, 21))
    assert isinstance(seconds, int), "it is one of a range"
    return seconds


async def film(exchange: Exchange) -> Answer:
    """Answer a film at once."""
    seconds = _checked(exchange, V1)
    if "content_moderated" in exchange.failures or "moderated" in exchange.failures:
        raise RefusedError(422)
    return await delivery(Media("mp4", look=look(exchange.seen.sha256), seconds=seconds))


async def submit(exchange: Exchange) -> Answer:
    """Accept a film."""
    job = works.start(exchange, "mp4", seconds=_checked(exchange, V2), path=exchange.request.path)
    created = datetime.fromtimestamp(job.created_at, UTC).isoformat()
    return Answer.json({"id": job.id, "created_at": created}, status=202)


async def state(exchange: Exchange) -> Answer:
    """Tell where a film stands, on the path that it was asked on."""
    job = works.find(exchange)
    if exchange.request.path != f"{job.facts['path']}/{job.id}":
        raise RefusedError(404)
    told: dict[str, object] = {"id": job.id, "status": WORDS.get(job.ending, "failed")}
    if job.ending == "done":
        told["result"] = {"video_url": works.addresses(exchange, "ltx", job)[0]}
    elif job.ending is not None:
        kind = "content_filtered_error" if job.ending != "failed" else "api_error"
        told["error"] = {"type": kind, "message": "It failed"}
    return Answer.json(told)


WORKS = ("text-to-video", "image-to-video", "audio-to-video")
LTX = Vendor(
    name="ltx",
    credential=in_header("authorization", prefix="Bearer "),
    refuse=refuse,
    in_its_words=_in_its_words,
    failures=OF_JOB - {"cost"} | OF_POLL - {"poll_inside"} | OF_WORDS,
    routes=(
        *(Route("POST", f"/v1/{work}", Kind.SUBMIT, film) for work in WORKS[:2]),
        *(Route("POST", f"/v2/{work}", Kind.SUBMIT, submit) for work in WORKS),
        *(Route("GET", f"/v2/{work}/{{id}}", Kind.POLL, state) for work in WORKS),
        works.FILES,
    ),
)
