"""xAI Grok Imagine: pictures at once, videos as jobs.

    POST /v1/images/generations   -> {"data": [{"url", "respect_moderation"}], "usage"}
    POST /v1/images/edits         the same; one picture in `image`, several in `images`
    POST /v1/videos/<generations|edits|extensions> -> {"request_id"}
    GET  /v1/videos/{id}          -> 202 without a body, or the video, or {"status": "failed"}

Cost is told in ticks, of which ten thousand million are a dollar. Errors: {"code", "error"}, a
sentence each; of some {"error": {"message", "code"}}.
"""

from sandbox import pictures, works
from sandbox.failures import OF_JOB, OF_POLL
from sandbox.jobs import Job
from sandbox.media import Media, look
from sandbox.vendor import (
    Answer,
    Body,
    Exchange,
    Kind,
    RefusedError,
    Route,
    Vendor,
    in_header,
)

TICKS = 10_000_000_000
LENGTH = 5
"""Seconds of a video that is given."""
SAYS = {
    401: "Incorrect API key provided",
    402: "Your team has used all available credits",
    403: "Your team has either used all available credits or reached its monthly spending limit",
    429: "Too many requests",
}


def _shape(status: int, sentence: str) -> object:
    if status == 404:
        return {"error": {"message": sentence, "type": "invalid_request_error", "code": None}}
    return {"code": "The caller has an error", "error": sentence}


def _no_seed(body: Body) -> None:
    if "seed" in body:
        raise RefusedError(400, "seed is not supported")


async def draw(exchange: Exchange) -> Answer:
    """Make pictures; of several a prompt that says "partly" loses one to moderation."""
    body = works.asked(exchange)
    _no_seed(body)
    prompt = works.text(body, "prompt")
    if exchange.request.path.endswith("/edits"):
        _check_shown(body)
    elif body.keys() & {"image", "images"}:
        raise RefusedError(400, "nothing is edited here")
    count = pictures.number(body, "n", least=1, most=10, default=1)
    urls = pictures.hung(exchange, "xai", *["png"] * count)
    data = [
        {"url": url, "respect_moderation": n > 0 or "partly" not in prompt}
        for n, url in enumerate(urls)
    ]
    if "refused" in prompt:
        data = [{"respect_moderation": False}]
    usage = {"cost_in_usd_ticks": count * TICKS // 20}
    return Answer.json({"data": data, "usage": usage})


def _check_shown(body: Body) -> None:
    several = body.get("images")
    shown = several if isinstance(several, list) and len(several) > 1 else [body.get("image")]
    if several is not None and "image" in body:
        raise RefusedError(400, "image and images exclude each other")
    for each in shown:
        works.address({"image": each}, "image.url")
        works.one_of({"image": each}, "image.type", ("image_url",))


async def submit(exchange: Exchange) -> Answer:
    """Accept a video."""
    body = works.asked(exchange)
    _no_seed(body)
    works.text(body, "prompt")
    work = exchange.request.path.rpartition("/")[2]
    seconds = LENGTH
    if work != "generations":
        works.address(body, "video.url")
    if work != "edits":
        added = pictures.number(body, "duration", least=1, most=15, default=6)
        seconds = added if work == "generations" else LENGTH + added
    made = Media("mp4", look(exchange.seen.sha256), 64, 64, float(seconds))
    job = exchange.desk.jobs.start(made, failures=exchange.failures)
    return Answer.json({"request_id": job.id})


async def state(exchange: Exchange) -> Answer:
    """Give the video once it is there."""
    job = works.find(exchange)
    ending = job.ending
    if ending is None:
        return Answer(b"", status=202)
    if ending == "failed":
        error = {"code": "internal_error", "message": "The video could not be made"}
        told: dict[str, object] = {"status": "failed", "error": error, "video": {"duration": 0}}
        return Answer.json(told)
    return Answer.json(_made(exchange, job, respects=ending == "done"))


def _made(exchange: Exchange, job: Job, *, respects: bool) -> dict[str, object]:
    seconds = job.makes[0].seconds
    video: dict[str, object] = {"duration": int(seconds), "respect_moderation": respects}
    if respects:
        video["url"] = works.addresses(exchange, "xai", job)[0]
    usage = {"cost_in_usd_ticks": int(seconds * TICKS // 20)}
    return {"status": "done", "video": video, "model": "grok-imagine-video", "usage": usage}


WORKS = ("generations", "edits", "extensions")
XAI = Vendor(
    name="xai",
    credential=in_header("authorization", prefix="Bearer "),
    refuse=works.refusing(SAYS, _shape),
    failures=OF_JOB - {"cost"} | OF_POLL - {"poll_inside"},
    ids=frozenset({"request_id"}),
    routes=(
        Route("POST", "/v1/images/generations", Kind.SUBMIT, draw),
        Route("POST", "/v1/images/edits", Kind.SUBMIT, draw),
        *(Route("POST", f"/v1/videos/{work}", Kind.SUBMIT, submit) for work in WORKS),
        Route("GET", "/v1/videos/{id}", Kind.POLL, state),
        works.FILES,
    ),
)
