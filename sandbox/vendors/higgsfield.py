"""Higgsfield: one submit under the name of its model, a poll, a key of two parts.

    POST /higgsfield/genjutsu/motion-transfer/v1.0 -> {"request_id", "status", "status_url", ...}
    GET  /requests/<id>/status                     -> the same, with "video" or "error"
    POST /files/generate-upload-url {"content_type"} -> {"public_url", "upload_url", ...}

An error is a `detail`. Out of credit is a 403, too much at once (`code=429`) a 400, a model that is
blocked for a while a 423.
"""

from sandbox import stores, works
from sandbox.failures import OF_JOB, OF_POLL, OF_STORED, OF_WORDS
from sandbox.jobs import Job
from sandbox.vendor import Answer, Exchange, Kind, RefusedError, Route, Vendor, in_header

VIDEO_SECONDS = 5
MOST_PICTURES = 8
WORDS = {
    None: "in_progress",
    "done": "completed",
    "failed": "failed",
    "moderated": "nsfw",
    "content_moderated": "nsfw",
}


def _in_its_words(code: int | None) -> RefusedError:
    """Refuse for what belongs to a code: too much at once, a blocked model, or no credit."""
    if code == 429:
        return RefusedError(400, "Maximum number of concurrent requests reached")
    if code == 423:
        return RefusedError(423, "The model is blocked")
    return RefusedError(403, "Not enough credits")


async def submit(exchange: Exchange) -> Answer:
    """Accept a transfer."""
    body = works.asked(exchange, wrong=422)
    works.address(body, "video_url", wrong=422)
    works.one_of(body, "resolution", ("480p", "720p", "1080p"), wrong=422)
    pictures = body.get("image_urls")
    if not isinstance(pictures, list) or not 1 <= len(pictures) <= MOST_PICTURES:
        raise RefusedError(422, f"image_urls must be 1 to {MOST_PICTURES}")
    job = works.start(exchange, "mp4", seconds=VIDEO_SECONDS)
    return Answer.json(_told(exchange, job, "queued"))


def _told(exchange: Exchange, job: Job, word: str) -> dict[str, object]:
    here = f"{exchange.here}/higgsfield/requests/{job.id}"
    told: dict[str, object] = {
        "request_id": job.id,
        "status": word,
        "status_url": f"{here}/status",
        "cancel_url": f"{here}/cancel",
    }
    if word == "completed":
        told["video"] = {"url": works.addresses(exchange, "higgsfield", job)[0]}
    elif word == "failed":
        told["error"] = "The generation failed"
    return told


async def status(exchange: Exchange) -> Answer:
    """Tell where a request stands."""
    job = works.find(exchange)
    return Answer.json(_told(exchange, job, WORDS[job.ending]))


async def upload(exchange: Exchange) -> Answer:
    """Offer a place for a file."""
    kind = works.text(works.asked(exchange, wrong=422), "content_type", wrong=422)
    url, name = stores.offer(exchange, "higgsfield", content_type=kind)
    told = {"public_url": name, "upload_url": url, "upload_headers": {"Content-Type": kind}}
    return Answer.json(told)


HIGGSFIELD = Vendor(
    name="higgsfield",
    credential=in_header("authorization", prefix="Key "),
    refuse=works.refusing({}, lambda _, sentence: {"detail": sentence}),
    in_its_words=_in_its_words,
    failures=OF_JOB - {"cost"} | OF_POLL - {"poll_inside"} | OF_WORDS | OF_STORED,
    ids=frozenset({"request_id"}),
    routes=(
        Route("POST", "/higgsfield/genjutsu/motion-transfer/v1.0", Kind.SUBMIT, submit),
        Route("GET", "/requests/{id}/status", Kind.POLL, status),
        Route("POST", "/files/generate-upload-url", Kind.UPLOAD, upload),
        stores.PUT,
        works.FILES,
    ),
)
