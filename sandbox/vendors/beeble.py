"""Beeble SwitchX: one submit, one poll.

    POST /v1/switchx/generations      -> 201 {"id", "status"}
    GET  /v1/switchx/generations/<id> -> {"id", "status", "progress", "output" | "error"}

An error is {"error": {"code", "message"}}. The same idempotency_key is answered as before. A video
has 120 frames here.
"""

from sandbox import works
from sandbox.failures import OF_JOB, OF_POLL
from sandbox.vendor import Answer, Exchange, Kind, RefusedError, Route, Vendor, in_header
from sandbox.video import FRAMES_PER_SECOND

FRAMES = 120
CODES = {
    401: "INVALID_API_KEY",
    402: "INSUFFICIENT_BALANCE",
    429: "CONCURRENT_LIMIT_EXCEEDED",
}
WORDS = {None: "processing", "done": "completed"}


async def generate(exchange: Exchange) -> Answer:
    """Accept a generation."""
    body = works.asked(exchange)
    kind = works.one_of(body, "generation_type", ("image", "video"))
    works.one_of(body, "max_resolution", (720, 1080), default=1080)
    works.one_of(body, "alpha_mode", ("auto", "fill", "select", "custom"))
    works.address(body, "source_uri")
    if not body.get("prompt") and not body.get("reference_image_uri"):
        raise RefusedError(400, "prompt or reference_image_uri is required")
    key = body.get("idempotency_key")
    job = exchange.desk.jobs.find_by_alias(f"{key}") if key else None
    if job is None:
        format_ = "png" if kind == "image" else "mp4"
        seconds = FRAMES / FRAMES_PER_SECOND
        job = works.start(exchange, format_, seconds=seconds, alias=f"{key}" if key else None)
    return Answer.json({"id": job.id, "status": "in_queue"}, status=201)


async def generation(exchange: Exchange) -> Answer:
    """Tell where a generation stands."""
    job = works.find(exchange)
    told: dict[str, object] = {
        "id": job.id,
        "status": WORDS.get(job.ending, "failed"),
        "progress": round(100 * job.progress),
        "error": None,
    }
    if job.ending == "done":
        url = works.addresses(exchange, "beeble", job)[0]
        told["output"] = {"render": url, "source": url, "alpha": url}
    elif job.ending is not None:
        told["error"] = "Blocked by content policy" if job.ending != "failed" else "Render error"
    return Answer.json(told)


BEEBLE = Vendor(
    name="beeble",
    credential=in_header("x-api-key"),
    refuse=works.refusing(
        {},
        lambda status, sentence: {
            "error": {"code": CODES.get(status, "ERROR"), "message": sentence}
        },
    ),
    failures=OF_JOB - {"cost"} | OF_POLL - {"poll_inside"},
    routes=(
        Route("POST", "/v1/switchx/generations", Kind.SUBMIT, generate),
        Route("GET", "/v1/switchx/generations/{id}", Kind.POLL, generation),
        works.FILES,
    ),
)
