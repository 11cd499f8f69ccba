"""A run as dialects tell it, to who asks, to webhooks and to the addresses that runs name.

    v2           outputs of a job: [{"id", "node_id", "name", "url", …}]
    icu          {"id", "status", "output": [{"filename", "url", "thumbnail_url"}], …}
    modelslab    {"status", "id", "output": [url, …], "generationTime", "track_id", "meta"}

Only files of type output count in the last two. Their addresses hold until the files are deleted.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

import orjson
from django.conf import settings
from django.utils import timezone
from django.utils.crypto import salted_hmac

from common import rotating
from common.money import credits_text
from runs import digests
from runs.models import ENDED, Output, State
from webhooks import events as webhooks

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from uuid import UUID

    from runs.models import Asset, Run

ICU: Final = "icu"
MODELSLAB: Final = "modelslab"
BASE: Final = "base"
"""Under this name a run's `extra` has where its client reaches us."""
WORKFLOW: Final = "workflow_id"
TRACK: Final = "track_id"
ICU_WORDS: Final = {State.QUEUED: "QUEUED", State.STAGING: "QUEUED", State.SUCCEEDED: "COMPLETED"}
FAILED: Final = (State.FAILED, State.CANCELED, State.EXPIRED)
ETA_SECONDS: Final = 10
"""What a client is told to wait before it asks again; nobody knows when it ends."""
AN_HOUR: Final = 3600
"""For so long an address of a job's output holds."""
MOST_TOLD: Final = 20_000
"""Bytes of a message; of a run that made more files it names them by their ids."""


def signatures(file_id: UUID, until: int) -> list[str]:
    """Return what proves that an address of a file is ours, by each secret; by the newest first."""
    said = f"{file_id}\n{until}"
    return [
        salted_hmac("runs.files", said, secret=key, algorithm="sha256").hexdigest()
        for key in rotating.secret_keys()
    ]


def address(base: str, kept: Asset | Output, *, seconds: int | None = None) -> tuple[str, int]:
    """Return where anybody may fetch a file, and until when; None: as long as it is here."""
    end = int(kept.expires_at.timestamp())
    until = end if seconds is None else min(end, int(time.time()) + seconds)
    name = quote(path_of(kept).rpartition("/")[2] or "file", safe="")
    query = urlencode({"e": until, "s": signatures(kept.pk, until)[0]})
    return f"{base}/files/{kept.pk}/{name}?{query}", until


def path_of(kept: Asset | Output) -> str:
    """Return what a file is called, with its folder."""
    if isinstance(kept, Output):
        return f"{kept.subfolder}/{kept.name}" if kept.subfolder else kept.name
    return kept.file_path


def made(run: Run) -> list[Output]:
    """Return the files of type output of a run that has ended, and that are here still."""
    if run.state not in ENDED:
        return []
    now = timezone.now()
    found = Output.objects.filter(run=run, kind=Output.Kind.OUTPUT, expires_at__gt=now)
    return list(found.order_by("position"))


def icu(run: Run, base: str, workflow_id: str, files: Iterable[Output]) -> dict[str, Any]:
    """Return a run with its files as ComfyICU has it: canceled and expired are errors there."""
    return {
        "id": run.name,
        "status": "ERROR" if run.state in FAILED else ICU_WORDS.get(State(run.state), "STARTED"),
        "workflow_id": workflow_id,
        "accelerator": run.accelerator or None,
        "created_at": run.created_at.isoformat(),
        "started_at": run.started_at.isoformat() if run.started_at else None,
        "completed_at": run.ended_at.isoformat() if run.ended_at else None,
        "output": [
            _icu_file(each, run, base, workflow_id)
            for each in files
            if each.kind == Output.Kind.OUTPUT
        ],
        "error": {"code": run.error_code, "message": run.error_message} if run.error_code else None,
        "credits": credits_text(run.charged_micros),
    }


def _icu_file(output: Output, run: Run, base: str, workflow_id: str) -> dict[str, Any]:
    url, is_picture = address(base, output)[0], output.content_type.startswith("image/")
    return {
        "filename": f"/workflows/{workflow_id}/output/{run.name}/{output.name}",
        "url": url,
        "thumbnail_url": f"{url}&small=1" if is_picture else None,
    }


def modelslab(run: Run, base: str) -> dict[str, Any]:
    """Return a run as ModelsLab has it: done, failed, or on its way."""
    track = run.extra.get(TRACK)
    if run.state in FAILED:
        failed = {"status": "failed", "id": run.name, "message": run.error_message}
        return {**failed, "code": run.error_code, "output": [], "track_id": track}
    if run.state != State.SUCCEEDED:
        return {
            "status": "processing",
            "id": run.name,
            "eta": ETA_SECONDS,
            "fetch_result": f"{base}/api/v7/comfyui/fetch/{run.name}",
            "output": [],
            "track_id": track,
        }
    return {
        "status": "success",
        "id": run.name,
        "output": [address(base, each)[0] for each in made(run)],
        "generationTime": round((run.gpu_ms or 0) / 1000, 3),
        "track_id": track,
        "meta": {"credits": credits_text(run.charged_micros)},
    }


def job_output(output: Output, run: Run, base: str) -> dict[str, Any]:
    """Return a file of a run as a job of Comfy API v2 has it, with an address for an hour."""
    url, until = address(base, output, seconds=AN_HOUR)
    return {
        "id": str(output.pk),
        "node_id": output.node_id,
        "name": output.name,
        "type": _kind(output),
        "content_type": output.content_type,
        "size_bytes": output.size_bytes,
        "hash": digests.told(output.sha256, output.blake3),
        "url": url,
        "url_expires_at": instant_of(until),
        "job_id": run.name,
    }


def _kind(output: Output) -> str:
    """Return what a file is, by itself and not by the word of its node."""
    first = output.content_type.partition("/")[0]
    if first in ("image", "video", "audio", "text"):
        return first
    return "latent" if output.name.endswith(".latent") else "file"


def instant_of(seconds: int) -> str:
    """Return a moment of the clock as text."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def job_outputs(run: Run) -> list[dict[str, Any]] | list[str]:
    """Return all files of a run as webhooks are told of them: of very many their ids alone."""
    if run.state not in ENDED:
        return []
    found = Output.objects.filter(run=run, expires_at__gt=timezone.now()).order_by("position")
    told = [job_output(each, run, settings.PUBLIC_URL) for each in found]
    return told if len(orjson.dumps(told)) <= MOST_TOLD else [each["id"] for each in told]


def message(run: Run, name: str, data: Mapping[str, Any]) -> str | None:
    """Return what the address that a run names is told of it; None: nothing at this step."""
    base = str(run.extra.get(BASE) or settings.PUBLIC_URL)
    if run.face == ICU:
        workflow_id = str(run.extra.get(WORKFLOW, ""))
        return _fitting(icu(run, base, workflow_id, made(run)), run)
    if run.face == MODELSLAB:
        return None if name == "run.started" else _fitting(modelslab(run, base), run)
    return webhooks.message(name, data)


def _fitting(body: dict[str, Any], run: Run) -> str:
    whole = orjson.dumps(body)
    if len(whole) > MOST_TOLD:
        whole = orjson.dumps({**body, "output": [str(each.pk) for each in made(run)]})
    return whole.decode()
