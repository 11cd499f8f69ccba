"""Tripo: models, textures, skeletons. Clients speak v2, which ended on 2026-10-31; Tripo v3.

Going out, the `type` of a v2 task becomes a path, files become `input`, and names change; coming
back, `model_url` becomes what v2 called it, and a time is a number again. An input of v3 may be an
address, a file's token or a task: here only public addresses and the workspace's own tasks are. An
import costs nothing; it is polled as a job is, and looked up by whose it is.
Source: tripo3d 1.0.0 and its release notes; codes of errors beside 1004 and 2002 are from
knowledge.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

from common.errors import InvalidRequest
from proxy.along import Uploaded, filename
from proxy.catalogue import Job, Kind, Named, Operation, Vendor
from proxy.credentials import bearer
from proxy.dialect import DELIVERING, Judged, Verdict
from proxy.pricing.shapes import Ruled, choice_of
from proxy.vendors import tripo_prices as prices
from proxy.vendors.states import States, assets_at, by_words, id_at, ids_at, text_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.asked import Asked
    from proxy.catalogue import Use
    from proxy.dialect import Said

VERSION = "tripo-2026-08"
PATHS = {
    "text_to_model": "/v3/generation/text-to-model",
    "image_to_model": "/v3/generation/image-to-model",
    "multiview_to_model": "/v3/generation/multiview-to-model",
    "texture_model": "/v3/models/texture",
    "convert_model": "/v3/models/convert",
    "animate_rig": "/v3/animations/rig",
    "animate_retarget": "/v3/animations/retarget",
}
VIEWS = 4
ADDRESS = re.compile(r"https?://[^\s/]+/\S*")


# --- v2 to v3 ------------------------------------------------------------------------------------


def _path(asked: Asked) -> str:
    return PATHS[choice_of(asked.body, "type", PATHS)]


def _as_v3(asked: Asked, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return a task of v2 as v3 has it, without what neither needs."""
    gone = ("type", "style", "file", "files", "bake_animation", "model_version", "face_limit",
            "original_model_task_id")  # fmt: skip
    body = {k: v for k, v in asked.body.items() if k not in gone and v is not None}
    if "model" in inputs:
        body["model"] = inputs["model"]
    elif asked.body.get("model_version") is not None:
        body["model"] = prices.RIGS[choice_of(asked.body, "model_version", prices.RIGS)]
    if (faces := prices.faces(asked.body)) > 0:
        body["face_limit"] = faces
    if inputs["kind"] == "image_to_model":
        body["input"] = _address(asked.body.get("file"), "file")
    elif inputs["kind"] == "multiview_to_model":
        body["inputs"] = _views(asked.body.get("files"))
    elif inputs["kind"] != "text_to_model":
        body["input"] = asked.text("original_model_task_id")
    if inputs["kind"] == "convert_model":
        body["format"] = choice_of(asked.body, "format", prices.FORMATS).upper()
        if body.get("export_orientation") == "default":
            del body["export_orientation"]
    return body


def _address(file: Any, name: str) -> str:
    url = file.get("url") if isinstance(file, dict) else None
    if not isinstance(url, str) or not ADDRESS.fullmatch(url):
        raise InvalidRequest(f"{name} must have a url that begins with http.")
    return url


def _views(files: Any) -> list[str | None]:
    """Return the views: front, left, back, right; None for one that is not there."""
    if not isinstance(files, list) or not 1 <= len(files) <= VIEWS:
        raise InvalidRequest(f"files must be a list of at most {VIEWS}.")
    views = [None if file in (None, {}) else _address(file, "files") for file in files]
    if views[0] is None:
        raise InvalidRequest("files must begin with the front view.")
    return views


def _imported(asked: Asked, inputs: Mapping[str, Any]) -> dict[str, Any]:
    choice_of(asked.body, "format", ("glb", "fbx", "obj", "stl"))
    return {"input": _address(asked.body, "The import")}


# --- What Tripo says -----------------------------------------------------------------------------

CODES = {
    **dict.fromkeys((1003, 1004, 2002, 2003, 2004, 2006, 2007, 2015, 2018), Verdict.REJECTED),
    2000: Verdict.BUSY,
    2008: Verdict.MODERATED,
    2010: Verdict.OPERATOR,
}
"""Others are about Tripo itself."""
STATES = States(
    at="data.status",
    done=("success",),
    failed=("failed", "cancelled", "expired"),
    moderated=("banned",),
    running=("running", "queued", "unknown"),
    foreign=("unknown",),  # Clients of v2 would take it for an end.
    results=("data.output.model_url", "data.output.model", "data.output.pbr_model"),
    why=("data.error_message", "data.error_msg"),
)
_says = text_at("message")
_by_words = by_words(_says)


def _judge(said: Said) -> Judged | None:
    code = said.object.get("code")
    if isinstance(code, int) and code in CODES:
        return Judged(CODES[code])
    if said.status in DELIVERING:
        return Judged(Verdict.UNKNOWN) if code not in (None, 0) else None
    return _by_words(said)


def _as_v2(answer: Any) -> Any:
    """Return a task of v3 as clients of v2 read it, without what it took of our credits."""
    answer = STATES.reply(answer)
    data = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(data, dict):
        return answer
    told = {k: v for k, v in data.items() if k not in ("credits_consumed", "consumed_credit")}
    for name in ("input", "output"):
        told[name] = data[name] if isinstance(data.get(name), dict) else {}
    output = told["output"]
    if model := output.get("pbr_model_url") or output.get("model_url"):
        told["output"] = output = {**output, "model": model, "pbr_model": model}
    if picture := output.get("rendered_image_url"):
        told["output"] = {**output, "rendered_image": picture}
    told["create_time"] = _seconds(data.get("create_time", data.get("created_at")))
    progress: Any = data.get("progress")
    is_number = isinstance(progress, (int, float)) and not isinstance(progress, bool)
    told["progress"] = int(min(100, max(0, progress))) if is_number else 0
    return {"code": 0, **answer, "data": told}


def _seconds(value: Any) -> int:
    """Return a time as the number of v2; 0 for what is none."""
    try:
        return int(datetime.fromisoformat(value).timestamp() if isinstance(value, str) else value)
    except (TypeError, ValueError, OverflowError):
        return 0


UPLOAD = Uploaded(
    at="/v3/files/presign",
    asks=lambda ours: {"format": filename(ours).rpartition(".")[2]},
    put=("data.presigned_url", "data.upload_url"),
    called="data.file_token",
    most_bytes=150 << 20,
)


def _told(task_id: str, word: str, **more: Any) -> dict[str, Any]:
    return {"code": 0, "data": {"task_id": task_id, "status": word, "progress": 0, "input": {},
                                "output": {}, "create_time": 0, **more}}  # fmt: skip


JOB = Job(
    poll="tripo/v2/openapi/task/{task_id}",
    job_id=id_at("data.task_id"),
    judge=STATES.judge,
    pending=lambda task_id: _told(task_id, "running"),
    failed=lambda task_id, why: _told(task_id, "failed", error_msg=why),
    results=STATES.made,
    interval_seconds=3.0,
    deadline_seconds=3 * 3600,
)


def _polled(asked: Asked) -> list[Use]:
    """Return whose a task must be that is no job: only an import is none."""
    return [("import", asked.parts["task_id"])]


TRIPO = Vendor(
    name="tripo",
    display="Tripo",
    base_url="https://openapi.tripo3d.ai",
    credential=bearer(),
    operations=(
        Operation(
            "POST",
            "tripo/v2/openapi/task",
            "/v3",
            Ruled(prices.task),
            Kind.SUBMIT,
            job=JOB,
            upstream_of=_path,
            prepare=_as_v3,
            uses=ids_at(("task", "original_model_task_id")),
            timeout_seconds=300,
            price_version=VERSION,
            title="Tripo Model",
        ),
        Operation(
            "POST",
            "tripo/v2/openapi/import",
            "/v3/models/import",
            kind=Kind.UPLOAD,
            prepare=_imported,
            makes=assets_at(("task", "data.task_id"), ("import", "data.task_id")),
            timeout_seconds=300,
        ),
        Operation(
            "GET",
            "tripo/v2/openapi/task/{task_id}",
            "/v3/tasks/{task_id}",
            kind=Kind.POLL,
            names=Named("path", "task_id"),
            public=True,
            uses=_polled,
            reply=_as_v2,
            timeout_seconds=60,
        ),
    ),
    along={"image": UPLOAD, "model": UPLOAD},
    judge=_judge,
    says=_says,
)
