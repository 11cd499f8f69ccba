"""Beeble SwitchX: one submit, one poll.

    POST /v1/switchx/generations      -> 201 {"id", "status"}
    GET  /v1/switchx/generations/<id> -> {"id", "status", "progress", "output" | "error"}
    POST /v1/uploads {"filename"}     -> {"id", "upload_url", "beeble_uri"}

An error is {"error": {"code", "message"}}. The same idempotency_key is answered as before. A video
has 120 frames here.
"""

import re

from sandbox import stores, works
from sandbox.failures import OF_JOB, OF_POLL, OF_STORED
from sandbox.vendor import Answer, Exchange, Kind, RefusedError, Route, Vendor, in_header
from sandbox.video import FRAMES_PER_SECOND

FRAMES = 120
FILE_NAME = re.compile(r"(?=.{3,255}$).+\.(mp4|mov|png|jpg|jpeg|webp)")
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
    stores.address(exchange, "source_uri")
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


async def upload(exchange: Exchange) -> Answer:
    """Offer a place for a file."""
    called = works.text(works.asked(exchange), "filename")
    if not FILE_NAME.fullmatch(called):
        raise RefusedError(400, "filename must have 3 to 255 characters and a known extension")
    url, name = stores.offer(exchange, "beeble", name=f"beeble://uploads/{{id}}/{called}")
    return Answer.json({"id": name.split("/")[3], "upload_url": url, "beeble_uri": name})


BEEBLE = Vendor(
    name="beeble",
    credential=in_header("x-api-key"),
    refuse=works.refusing(
        {},
        lambda status, sentence: {
            "error": {"code": CODES.get(status, "ERROR"), "message": sentence}
        },
    ),
    failures=OF_JOB - {"cost"} | OF_POLL - {"poll_inside"} | OF_STORED,
    routes=(
        Route("POST", "/v1/switchx/generations", Kind.SUBMIT, generate),
        Route("GET", "/v1/switchx/generations/{id}", Kind.POLL, generation),
        Route("POST", "/v1/uploads", Kind.UPLOAD, upload),
        stores.PUT,
        works.FILES,
    ),
)
