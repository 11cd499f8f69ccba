"""Tripo of today (v3): a path for each kind of task, one poll, an import that costs nothing.

    POST /v3/<family>/<kind>  -> {"code": 0, "data": {"task_id"}}
    GET  /v3/tasks/<id>       -> {"code": 0, "data": {"task_id", "status", "output", ...}}
    POST /v3/files/presign {"format"} -> {"code": 0, "data": {"file_token", "presigned_url"}}

An error is {"code", "message", "suggestion", "request_id"}. Names of v2 are not known here.
"""

import uuid
from datetime import UTC, datetime

from sandbox import stores, works
from sandbox.failures import OF_JOB, OF_POLL, OF_STORED, OF_WORDS
from sandbox.vendor import Answer, Body, Exchange, Kind, RefusedError, Route, Vendor, in_header

MODELS = ("v2.5-20250123", "v3.0-20250812", "v3.1-20260211", "P1-20260311")
KINDS = {
    "generation/text-to-model": "prompt",
    "generation/image-to-model": "input",
    "generation/multiview-to-model": "inputs",
    "models/texture": "task",
    "models/convert": "task",
    "models/import": "input",
    "animations/rig": "task",
    "animations/retarget": "task",
}
OLD = (
    "type", "model_version", "file", "files", "original_model_task_id", "style", "bake_animation",
)  # fmt: skip
CODES = {400: 1004, 401: 1002, 402: 2010, 403: 1005, 404: 2001, 422: 2008, 429: 2000}
WORDS = {None: "running", "done": "success", "failed": "failed"}


def refuse(status: int, detail: object) -> Answer:
    """Refuse by a code and a sentence."""
    code, said = detail if isinstance(detail, tuple) else (CODES.get(status), detail)
    told: dict[str, object] = {
        "code": code or 1000,
        "message": f"{said or works.USUAL[status]}",
        "suggestion": "See the documentation",
        "request_id": f"{uuid.uuid4()}",
    }
    return Answer.json(told, status=status)


def _in_its_words(code: int | None) -> RefusedError:
    """Refuse by a code of Tripo's: unless told, that there are no credits."""
    return RefusedError(400, (code or 2010, "It is refused"))


def _check(exchange: Exchange, kind: str, body: Body) -> None:
    if old := body.keys() & set(OLD):
        raise RefusedError(400, f"unknown parameter {min(old)}")
    wanted = KINDS[kind]
    if kind.startswith("generation/"):
        works.one_of(body, "model", MODELS)
    if body.get("face_limit") is not None:
        works.one_of(body, "face_limit", range(1, 2_000_001))
    if wanted == "prompt":
        works.text(body, "prompt")
    elif wanted == "input":
        stores.address(exchange, "input")
    elif wanted == "inputs":
        _check_views(exchange, body)
    else:
        job = exchange.desk.jobs.find(works.text(body, "input"))
        if job is None or job.ending != "done":
            raise RefusedError(400, (2006, "The original task is not valid"))
    if kind == "models/convert":
        works.one_of(body, "format", ("GLTF", "USDZ", "FBX", "OBJ", "STL", "3MF"))


def _check_views(exchange: Exchange, body: Body) -> None:
    views = body.get("inputs")
    if not isinstance(views, list) or not 2 <= len([each for each in views if each]) <= 4:
        raise RefusedError(400, "inputs must hold two to four views")
    for view in views:
        if view is not None and exchange.desk.uploads.called(f"{view}") is None:
            works.address({"inputs": view}, "inputs")


def _submit(kind: str) -> Route:
    async def serve(exchange: Exchange) -> Answer:
        """Accept a task."""
        body = works.asked(exchange)
        _check(exchange, kind, body)
        job = works.start(exchange, "glb", "png", kind=kind.rpartition("/")[2].replace("-", "_"))
        return Answer.json({"code": 0, "data": {"task_id": job.id}})

    return Route("POST", f"/v3/{kind}", Kind.SUBMIT, serve)


async def task(exchange: Exchange) -> Answer:
    """Tell where a task stands."""
    job = works.find(exchange)
    ending = job.ending
    told: dict[str, object] = {
        "task_id": job.id,
        "type": job.facts["kind"],
        "status": WORDS.get(ending, "banned"),
        "progress": round(job.progress * 100),
        "created_at": datetime.fromtimestamp(job.created_at, UTC).isoformat(),
        "input": {},
        "output": {},
        "credits_consumed": 20.0,
    }
    if "never" in job.failures:
        told["status"] = "unknown"  # It is one that runs.
    if ending == "done":
        model, picture = works.addresses(exchange, "tripo", job)
        told["output"] = {"model_url": model, "rendered_image_url": picture}
    elif ending is not None:
        told["error_message"] = "It failed"
    return Answer.json({"code": 0, "data": told})


async def presign(exchange: Exchange) -> Answer:
    """Offer a place for a file."""
    works.one_of(works.asked(exchange), "format", ("png", "jpg", "jpeg", "webp", "glb", "fbx"))
    url, name = stores.offer(exchange, "tripo", name="file_{id}")
    data = {"file_token": name, "presigned_url": url, "expires_in": 3600}
    return Answer.json({"code": 0, "data": data})


TRIPO = Vendor(
    name="tripo",
    credential=in_header("authorization", prefix="Bearer "),
    refuse=refuse,
    in_its_words=_in_its_words,
    failures=OF_JOB - {"cost"} | OF_POLL - {"poll_inside"} | OF_WORDS | OF_STORED,
    ids=frozenset({"task_id"}),
    routes=(
        *(_submit(kind) for kind in KINDS),
        Route("GET", "/v3/tasks/{id}", Kind.POLL, task),
        Route("POST", "/v3/files/presign", Kind.UPLOAD, presign),
        stores.PUT,
        works.FILES,
    ),
)
