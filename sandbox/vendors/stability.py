"""Stability AI: forms in, JSON with base64 out where `Accept` asks for it, else bytes.

    POST /v2beta/stable-image/generate/<ultra|sd3>        -> {"image", "finish_reason", "seed"}
    POST /v2beta/stable-image/upscale/<fast|conservative> -> the same
    POST /v2beta/audio/stable-audio-2/<...>               -> {"audio", ...}
    POST /v2beta/stable-image/upscale/creative            -> {"id"}
    GET  /v2beta/results/{id}      -> 202 {"id", "status"}, or 200 {"result", "finish_reason"}

A prompt that says "filtered" is filtered in a 200. Errors: {"id", "name", "errors": [...]}.
"""

import uuid

from sandbox import pictures, works
from sandbox.failures import OF_JOB, OF_POLL
from sandbox.vendor import Answer, Exchange, Kind, RefusedError, Route, Vendor, in_header

NAMES = {
    400: "bad_request",
    401: "unauthorized",
    402: "payment_required",
    403: "content_moderation",
    404: "not_found",
    422: "invalid_language",
    429: "rate_limit_exceeded",
}
SAYS = {402: "You lack sufficient credits to make this request", 403: "Permission denied"}


def _shape(status: int, sentence: str) -> object:
    name = "forbidden" if sentence == SAYS[403] else NAMES.get(status, "internal_error")
    return {"id": uuid.uuid4().hex, "name": name, "errors": [sentence]}


def _json_only(exchange: Exchange) -> None:
    if exchange.request.headers.get("accept") != "application/json":
        raise RefusedError(400, "accept: this sandbox answers in JSON")


async def make(exchange: Exchange) -> Answer:
    """Make a picture, or a sound."""
    _json_only(exchange)
    form = pictures.form(exchange)
    path = exchange.request.path
    wanted = "audio" if path.endswith(("audio-to-audio", "inpaint")) else "image"
    if ("upscale" in path or wanted == "audio") and wanted not in form.files:
        raise RefusedError(400, f"{wanted}: cannot be blank")
    body = pictures.fields(form)
    if "fast" not in path:
        works.text(body, "prompt")
    if path.endswith("sd3"):
        works.one_of(body, "model", ("sd3.5-large", "sd3.5-large-turbo", "sd3.5-medium"))
    if b"filtered" in exchange.raw:
        return Answer.json({"finish_reason": "CONTENT_FILTERED", "seed": 7})
    kind, format_ = ("audio", "mp3") if "/audio/" in path else ("image", "png")
    made = pictures.encoded(pictures.media(exchange, format_, seconds=3))
    return Answer.json({kind: made, "finish_reason": "SUCCESS", "seed": 7})


async def submit(exchange: Exchange) -> Answer:
    """Accept an upscale."""
    _json_only(exchange)
    if "image" not in pictures.form(exchange).files:
        raise RefusedError(400, "image: cannot be blank")
    return Answer.json({"id": works.start(exchange, "png").id})


async def state(exchange: Exchange) -> Answer:
    """Give the picture once it is there."""
    job = works.find(exchange)
    if job.ending is None:
        return Answer.json({"id": job.id, "status": "in-progress"}, status=202)
    if job.ending == "failed":
        return Answer.json({"id": job.id, "name": "internal_error", "errors": ["It failed"]})
    if job.ending != "done":
        return Answer.json({"finish_reason": "CONTENT_FILTERED", "seed": 7})
    made = pictures.encoded(job.makes[0])
    return Answer.json({"result": made, "finish_reason": "SUCCESS", "seed": 7})


AT_ONCE = (
    "stable-image/generate/ultra",
    "stable-image/generate/sd3",
    "stable-image/upscale/conservative",
    "stable-image/upscale/fast",
    "audio/stable-audio-2/text-to-audio",
    "audio/stable-audio-2/audio-to-audio",
    "audio/stable-audio-2/inpaint",
)
STABILITY = Vendor(
    name="stability",
    credential=in_header("authorization", prefix="Bearer "),
    refuse=works.refusing(SAYS, _shape),
    failures=OF_JOB - {"cost"} | OF_POLL - {"poll_inside"},
    routes=(
        *(Route("POST", f"/v2beta/{path}", Kind.SUBMIT, make) for path in AT_ONCE),
        Route("POST", "/v2beta/stable-image/upscale/creative", Kind.SUBMIT, submit),
        Route("GET", "/v2beta/results/{id}", Kind.POLL, state),
    ),
)
