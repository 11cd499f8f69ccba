"""WaveSpeed: predictions, each answer an envelope {"code", "message", "data"}.

    POST /api/v3/wavespeed-ai/<model>    -> {"code": 200, "data": {"id", "status", "urls"}}
    GET  /api/v3/predictions/<id>/result -> the same with "outputs", or "error"
    POST /api/v3/media/uploads           -> {"code": 200, "data": {"upload", "download_url"}}

The code repeats the status; under `inside` it stands in a 200.
"""

from sandbox import stores, works
from sandbox.failures import OF_JOB, OF_POLL, OF_STORED, OF_WORDS
from sandbox.jobs import Job
from sandbox.vendor import Answer, Exchange, Kind, RefusedError, Route, Vendor, in_header

VIDEO_SECONDS = 5
SIZES = {
    "flashvsr": ("720p", "1080p", "2k", "4k"),
    "seedvr2/image": ("2k", "4k", "8k"),
    "ultimate-image-upscaler": ("2k", "4k", "8k"),
}
WORDS = {
    None: "processing",
    "done": "completed",
    "failed": "failed",
    "moderated": "deleted",
    "content_moderated": "failed",
}
ERRORS = {"failed": "The worker failed", "content_moderated": "NSFW content was detected"}


def _in_its_words(code: int | None) -> RefusedError:
    return RefusedError(code if code in works.USUAL else 402)


def _submit(model: str) -> Route:
    async def serve(exchange: Exchange) -> Answer:
        """Accept a prediction."""
        body = works.asked(exchange)
        works.address(body, "video" if model == "flashvsr" else "image")
        said = body.get("target_resolution")
        if not isinstance(said, str) or said.lower() not in SIZES[model]:
            raise RefusedError(400, "target_resolution is not known")
        if body.get("enable_sync_mode") or body.get("enable_base64_output"):
            raise RefusedError(400, "The sandbox answers nothing at once")
        format_, seconds = ("mp4", VIDEO_SECONDS) if model == "flashvsr" else ("png", 0)
        job = works.start(exchange, format_, seconds=seconds)
        return _envelope(exchange, job, "created")

    return Route("POST", f"/api/v3/wavespeed-ai/{model}", Kind.SUBMIT, serve)


def _envelope(exchange: Exchange, job: Job, word: str) -> Answer:
    done = word == "completed"
    data = {
        "id": job.id,
        "status": word,
        "outputs": works.addresses(exchange, "wavespeed", job) if done else [],
        "urls": {"get": f"{exchange.here}/wavespeed/api/v3/predictions/{job.id}/result"},
        "error": ERRORS.get(job.ending or "", ""),
    }
    return Answer.json({"code": 200, "message": "success", "data": data})


async def result(exchange: Exchange) -> Answer:
    """Tell where a prediction stands."""
    job = works.find(exchange)
    return _envelope(exchange, job, WORDS[job.ending])


async def upload(exchange: Exchange) -> Answer:
    """Offer a place for a file."""
    body = works.asked(exchange)
    works.text(body, "filename")
    if not isinstance(body.get("size"), int):
        raise RefusedError(400, "size is required")
    kind = f"{body.get('content_type') or ''}"
    url, name = stores.offer(exchange, "wavespeed", content_type=kind)
    how = {"method": "PUT", "url": url, "headers": {"Content-Type": kind} if kind else {}}
    return Answer.json({"code": 200, "data": {"upload": how, "download_url": name}})


WAVESPEED = Vendor(
    name="wavespeed",
    credential=in_header("authorization", prefix="Bearer "),
    refuse=works.refusing(
        {402: "Insufficient credits. Please top up."},
        lambda status, sentence: {"code": status, "message": sentence},
    ),
    in_its_words=_in_its_words,
    failures=OF_JOB - {"cost"} | OF_POLL | OF_WORDS | OF_STORED,
    routes=(
        *(_submit(model) for model in SIZES),
        Route("GET", "/api/v3/predictions/{id}/result", Kind.POLL, result),
        Route("POST", "/api/v3/media/uploads", Kind.UPLOAD, upload),
        stores.PUT,
        works.FILES,
    ),
)
