"""Meshy: six kinds of task, each asked for where it was given; a task is made from an earlier one.

    POST /openapi/<version>/<kind>       -> 202 {"result": "<id>"}
    GET  /openapi/<version>/<kind>/<id>  -> {"id", "type", "status", "model_urls" or "result", ...}

An error is {"message"}.
"""

from sandbox import works
from sandbox.failures import OF_JOB, OF_POLL
from sandbox.vendor import Answer, Body, Exchange, Kind, RefusedError, Route, Vendor, in_header

MODELS = ("latest", "meshy-6", "meshy-5")
KINDS = (
    "v2/text-to-3d",
    "v1/image-to-3d",
    "v1/multi-image-to-3d",
    "v1/retexture",
    "v1/rigging",
    "v1/animations",
)
IN_RESULT = {"rigging": "rigged_character", "animations": "animation"}
CREDITS = 20
WORDS = {None: "IN_PROGRESS", "done": "SUCCEEDED"}
ENDS = {
    "failed": "Internal error",
    "moderated": "The input was flagged by content moderation",
    "content_moderated": "The output was flagged by content moderation",
}

refuse = works.refusing({402: "Insufficient funds"}, lambda _, sentence: {"message": sentence})


def _earlier(exchange: Exchange, body: Body, name: str, *kinds: str) -> None:
    """See that a task that is named has ended well, and is of a kind that can be used."""
    job = exchange.desk.jobs.find(works.text(body, name))
    if job is None or job.ending != "done" or job.facts["kind"] not in kinds:
        raise RefusedError(404, f"{name}: Task not found")


def _check(exchange: Exchange, kind: str, body: Body) -> None:
    shapes = ("text-to-3d", "image-to-3d", "multi-image-to-3d", "retexture")
    works.one_of(body, "ai_model", MODELS, default="latest")
    if kind == "text-to-3d":
        if works.one_of(body, "mode", ("preview", "refine")) == "preview":
            works.text(body, "prompt")
        else:
            _earlier(exchange, body, "preview_task_id", "text-to-3d")
    elif kind == "image-to-3d":
        works.address(body, "image_url")
    elif kind == "multi-image-to-3d":
        pictures = body.get("image_urls")
        if not isinstance(pictures, list) or not 1 <= len(pictures) <= 4:
            raise RefusedError(400, "image_urls must hold one to four")
    elif kind == "animations":
        _earlier(exchange, body, "rig_task_id", "rigging")
    elif "model_url" not in body:
        _earlier(exchange, body, "input_task_id", *shapes)


def _routes(path: str) -> tuple[Route, Route]:
    kind = path.rpartition("/")[2]

    async def submit(exchange: Exchange) -> Answer:
        """Accept a task."""
        _check(exchange, kind, works.asked(exchange))
        job = works.start(exchange, "glb", "png", kind=kind)
        return Answer.json({"result": job.id}, status=202)

    async def task(exchange: Exchange) -> Answer:
        """Tell where a task of this kind stands."""
        job = works.find(exchange)
        if job.facts["kind"] != kind:
            raise RefusedError(404)
        ending = job.ending
        told: dict[str, object] = {
            "id": job.id,
            "type": kind,
            "status": WORDS.get(ending, "FAILED"),
            "progress": round(job.progress * 100),
            "created_at": round(job.created_at * 1000),
            "consumed_credits": CREDITS if ending == "done" else 0,
            "task_error": {"message": ENDS.get(ending or "", "")},
        }
        model, picture = works.addresses(exchange, "meshy", job) if ending == "done" else ("", "")
        if kind in IN_RESULT:
            names = (f"{IN_RESULT[kind]}_{each}_url" for each in ("glb", "fbx"))
            told["result"] = dict.fromkeys(names, model) if model else None
        else:
            told |= {"model_urls": {"glb": model, "fbx": model}, "thumbnail_url": picture}
            told["texture_urls"] = [{"base_color": picture}] if picture else []
        return Answer.json(told)

    return (
        Route("POST", f"/openapi/{path}", Kind.SUBMIT, submit),
        Route("GET", f"/openapi/{path}/{{id}}", Kind.POLL, task),
    )


MESHY = Vendor(
    name="meshy",
    credential=in_header("authorization", prefix="Bearer "),
    refuse=refuse,
    failures=OF_JOB - {"cost"} | OF_POLL - {"poll_inside"},
    ids=frozenset({"result"}),
    routes=(*(route for path in KINDS for route in _routes(path)), works.FILES),
)
