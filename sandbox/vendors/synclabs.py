"""sync.so: one submit, one poll; what comes out says how long it is.

    POST /v2/generate      -> 201 {"id", "status"}; JSON, or a form with the files themselves; with
                              an Idempotency-Key of before, the generation that it began then
    GET  /v2/generate/<id> -> {"id", "status"}, with "outputUrl" and "outputDuration", or with
                              "error" and "error_code"

An error is {"statusCode", "errorCode", "message", "error"}; its message may be a list.
"""

import orjson

from sandbox import pictures, works
from sandbox.failures import OF_JOB, OF_POLL
from sandbox.vendor import Answer, Body, Exchange, Kind, RefusedError, Route, Vendor, in_header

SECONDS = 5
MODELS = ("sync-3", "lipsync-2", "lipsync-2-pro", "lipsync-1.9.0-beta")
IN_JSON = ("input", "options")
"""Fields of a form that are no plain text."""
MODES = ("bounce", "cut_off", "loop", "silence", "remap")
WORDS = {
    None: "PROCESSING",
    "done": "COMPLETED",
    "failed": "FAILED",
    "moderated": "REJECTED",
    "content_moderated": "REJECTED",
}


async def generate(exchange: Exchange) -> Answer:
    """Accept a generation of one picture or video, and one sound."""
    files: list[str] = []
    body: Body
    if exchange.request.content_type == "multipart/form-data":
        form = pictures.form(exchange)
        files = [name for name in ("audio", "video") if form.files.get(name)]
        fields = pictures.fields(form)
        body = {n: orjson.loads(f"{v}") if n in IN_JSON else v for n, v in fields.items()}
    else:
        body = works.asked(exchange)
    works.one_of(body, "model", MODELS)
    works.one_of(body, "options.sync_mode", MODES, default="bounce")
    given = body.get("input") or []
    kinds = sorted(f"{works.at(each, 'type')}" for each in given) if isinstance(given, list) else []
    kinds = sorted([*kinds, *files])
    if kinds not in (["audio", "video"], ["audio", "image"]):
        raise RefusedError(400, "input must be one visual and one audio")
    key = exchange.request.headers.get("idempotency-key")
    job = exchange.desk.jobs.find_by_alias(key) if key else None
    job = job or works.start(exchange, "mp4", seconds=SECONDS, alias=key)
    return Answer.json({"id": job.id, "status": "PENDING"}, status=201)


async def generation(exchange: Exchange) -> Answer:
    """Tell where a generation stands."""
    job = works.find(exchange)
    told: dict[str, object] = {"id": job.id, "status": WORDS[job.ending]}
    if job.ending == "done":
        told["outputUrl"] = works.addresses(exchange, "synclabs", job)[0]
        told["outputDuration"] = job.failures.get("cost") or float(SECONDS)
    elif job.ending is not None:
        blocked = job.ending != "failed"
        told["error"] = "The content was moderated" if blocked else "It failed"
        told["error_code"] = "content_moderation" if blocked else "generation_pipeline_failed"
    return Answer.json(told)


SYNCLABS = Vendor(
    name="synclabs",
    credential=in_header("x-api-key"),
    refuse=works.refusing(
        {402: "Insufficient balance", 429: "Concurrency limit reached"},
        lambda status, sentence: {
            "statusCode": status,
            "errorCode": f"error_{status}",
            "message": [sentence],
            "error": "Error",
        },
    ),
    failures=OF_JOB | OF_POLL - {"poll_inside"},
    routes=(
        Route("POST", "/v2/generate", Kind.SUBMIT, generate),
        Route("GET", "/v2/generate/{id}", Kind.POLL, generation),
        works.FILES,
    ),
)
