"""Krea 2: three models that draw, an upload for pictures of style.

    POST /generate/image/krea/krea-2/<model> -> {"job_id", "status", "created_at"}
    GET  /jobs/<id>                          -> {"job_id", "status", "result": {"urls"}}
    POST /assets                             -> {"id", "image_url", "uploaded_at"}, a form in

An error is a sentence in `error`.
"""

import uuid
from datetime import UTC, datetime

from sandbox import forms, works
from sandbox.failures import OF_JOB, OF_POLL
from sandbox.jobs import Job
from sandbox.vendor import Answer, Exchange, Kind, RefusedError, Route, Vendor, in_header

MODELS = ("large", "medium", "medium-turbo")
MOST_STYLES, MOST_BOARDS = 10, 1
WORDS = {None: "processing", "done": "completed"}


async def draw(exchange: Exchange) -> Answer:
    """Accept a picture."""
    body = works.asked(exchange)
    if exchange.request.match_info["model"] not in MODELS:
        raise RefusedError(404, "Model not found")
    works.text(body, "prompt")
    works.one_of(body, "resolution", ("1K",), default="1K")
    for name, most in (("image_style_references", MOST_STYLES), ("moodboards", MOST_BOARDS)):
        given = body.get(name) or []
        if not isinstance(given, list) or len(given) > most:
            raise RefusedError(400, f"{name} must be at most {most}")
    return Answer.json(_told(works.start(exchange, "png"), "queued"))


def _told(job: Job, word: str) -> dict[str, object]:
    created = datetime.fromtimestamp(job.created_at, UTC).isoformat()
    return {"job_id": job.id, "status": word, "created_at": created}


async def state(exchange: Exchange) -> Answer:
    """Tell where a job stands."""
    job = works.find(exchange)
    ending = job.ending
    told = _told(job, WORDS.get(ending, "failed"))
    if ending == "done":
        told["result"] = {"urls": works.addresses(exchange, "krea", job)}
    elif ending is not None:
        told["error"] = "Content moderation" if ending != "failed" else "The job failed"
    return Answer.json(told)


async def assets(exchange: Exchange) -> Answer:
    """Keep a picture, and say where."""
    try:
        form = forms.read(exchange.request.headers.get("content-type", ""), exchange.raw)
    except forms.InvalidFormError as invalid:
        raise RefusedError(400, f"The form cannot be read: {invalid}") from None
    if len(form.files.get("file", [])) != 1:
        raise RefusedError(400, "file is required")
    name = uuid.uuid4()
    url = f"{exchange.public}/krea/uploads/{name}.png"
    now = datetime.now(UTC).isoformat()
    return Answer.json({"id": f"{name}", "image_url": url, "uploaded_at": now})


KREA = Vendor(
    name="krea",
    credential=in_header("authorization", prefix="Bearer "),
    refuse=works.refusing(
        {402: "Insufficient compute credits", 429: "Too many concurrent jobs"},
        lambda _, sentence: {"error": sentence},
    ),
    failures=OF_JOB - {"cost"} | OF_POLL - {"poll_inside"},
    ids=frozenset({"job_id"}),
    routes=(
        Route("POST", "/generate/image/krea/krea-2/{model}", Kind.SUBMIT, draw),
        Route("GET", "/jobs/{id}", Kind.POLL, state),
        Route("POST", "/assets", Kind.FREE, assets),
        works.FILES,
    ),
)
