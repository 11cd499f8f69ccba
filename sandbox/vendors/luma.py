"""Luma, both products: Dream Machine, and the agents at another address with another key.

    POST /dream-machine/v1/generations/video, .../image -> 201, the generation
    GET  /dream-machine/v1/generations/<id>             -> {"id", "state", "assets", "request", ...}
    POST /v1/generations                                -> 201, the generation of an agent
    GET  /v1/generations/<id>                           -> {"id", "state", "output", "type", ...}

An error is a `detail`. A generation repeats what was asked. The old path of videos is gone.
"""

from datetime import UTC, datetime

from sandbox import works
from sandbox.failures import OF_JOB, OF_POLL
from sandbox.jobs import Job
from sandbox.vendor import Answer, Exchange, Kind, RefusedError, Route, Vendor, in_header

SECONDS = {"5s": 5, "9s": 9, "10s": 10}
SOURCE_SECONDS = 5
REASONS = {
    "failed": ("generation_failed", "The generation failed"),
    "moderated": ("content_moderated", "400: prompt failed moderation"),
    "content_moderated": ("content_moderated", "The output was moderated"),
}
MOST_PROMPT = 6000
refuse = works.refusing(
    {402: "Insufficient credits", 429: "Too many jobs at once"},
    lambda _, sentence: {"detail": sentence},
)


def _state(job: Job, running: str) -> str:
    ending = job.ending
    return running if ending is None else "completed" if ending == "done" else "failed"


def _created(job: Job) -> str:
    return datetime.fromtimestamp(job.created_at, UTC).isoformat()


# --- Dream Machine ------------------------------------------------------------------------------


async def video(exchange: Exchange) -> Answer:
    """Accept a video by Ray."""
    body = works.asked(exchange)
    works.one_of(body, "model", ("ray-2", "ray-flash-2"))
    works.one_of(body, "resolution", ("540p", "720p", "1080p", "4k"), default="720p")
    seconds = works.one_of(body, "duration", ("5s", "9s"), default="5s")
    return _accepted(exchange, "video", "mp4", SECONDS[f"{seconds}"])


async def image(exchange: Exchange) -> Answer:
    """Accept a picture by Photon."""
    body = works.asked(exchange)
    works.one_of(body, "model", ("photon-1", "photon-flash-1"), default="photon-1")
    works.text(body, "prompt")
    if body.get("sync"):
        raise RefusedError(400, "sync is not for this client")
    return _accepted(exchange, "image", "png", 0)


def _accepted(exchange: Exchange, kind: str, format_: str, seconds: int) -> Answer:
    body = works.asked(exchange)
    if "callback_url" in body:
        raise RefusedError(400, "callback_url cannot be reached")
    job = works.start(exchange, format_, seconds=seconds, kind=kind, request=dict(body))
    return Answer.json(_generation(exchange, job), status=201)


def _generation(exchange: Exchange, job: Job) -> dict[str, object]:
    told: dict[str, object] = {
        "id": job.id,
        "generation_type": job.facts["kind"],
        "state": _state(job, "dreaming"),
        "failure_reason": None,
        "created_at": _created(job),
        "assets": None,
        "model": works.at(job.facts, "request.model"),
        "request": job.facts["request"],
    }
    if job.ending == "done":
        told["assets"] = {f"{job.facts['kind']}": works.addresses(exchange, "luma", job)[0]}
    elif job.ending is not None:
        told["failure_reason"] = REASONS[job.ending][1]
    return told


async def generation(exchange: Exchange) -> Answer:
    """Tell where a generation stands."""
    return Answer.json(_generation(exchange, works.find(exchange)))


LUMA = Vendor(
    name="luma",
    credential=in_header("authorization", prefix="Bearer "),
    refuse=refuse,
    failures=OF_JOB - {"cost"} | OF_POLL - {"poll_inside"},
    routes=(
        Route("POST", "/dream-machine/v1/generations/video", Kind.SUBMIT, video),
        Route("POST", "/dream-machine/v1/generations/image", Kind.SUBMIT, image),
        Route("GET", "/dream-machine/v1/generations/{id}", Kind.POLL, generation),
        works.FILES,
    ),
)

# --- The agents ---------------------------------------------------------------------------------


async def agent(exchange: Exchange) -> Answer:
    """Accept a work of any type."""
    body = works.asked(exchange)
    kinds = ("image", "image_edit", "video", "video_edit", "video_reframe")
    kind = f"{works.one_of(body, 'type', kinds, default='image')}"
    if len(works.text(body, "prompt")) > MOST_PROMPT:
        raise RefusedError(400, "prompt is too long")
    seconds = 0
    if kind.startswith("image"):
        works.one_of(body, "model", ("uni-1", "uni-1-max"), default="uni-1")
    else:
        works.one_of(body, "model", ("ray-3.2",))
        sizes = ("360p", "540p", "720p", "1080p")
        works.one_of(body, "video.resolution", sizes, default="720p")
        said = works.one_of(body, "video.duration", ("5s", "10s"), default="5s")
        seconds = SECONDS[f"{said}"] if kind == "video" else SOURCE_SECONDS
    format_ = "png" if kind.startswith("image") else "mp4"
    job = works.start(exchange, format_, seconds=seconds, kind=kind, model=body.get("model"))
    return Answer.json(_work(exchange, job), status=201)


def _work(exchange: Exchange, job: Job) -> dict[str, object]:
    told: dict[str, object] = {
        "id": job.id,
        "type": job.facts["kind"],
        "model": job.facts["model"],
        "state": _state(job, "processing"),
        "created_at": _created(job),
        "output": [],
    }
    if job.ending == "done":
        kind = "image" if job.makes[0].format == "png" else "video"
        urls = works.addresses(exchange, "luma_2", job)
        told["output"] = [{"type": kind, "url": url} for url in urls]
    elif job.ending is not None:
        told["failure_code"], told["failure_reason"] = REASONS[job.ending]
    return told


async def work(exchange: Exchange) -> Answer:
    """Tell where a work stands."""
    return Answer.json(_work(exchange, works.find(exchange)))


LUMA_AGENTS = Vendor(
    name="luma_2",
    credential=in_header("authorization", prefix="Bearer "),
    refuse=refuse,
    failures=OF_JOB - {"cost"} | OF_POLL - {"poll_inside"},
    routes=(
        Route("POST", "/v1/generations", Kind.SUBMIT, agent),
        Route("GET", "/v1/generations/{id}", Kind.POLL, work),
        works.FILES,
    ),
)
