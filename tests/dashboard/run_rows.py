"""Runs as rows, for pages that only read them: no machine is asked."""

from __future__ import annotations

import uuid
from datetime import timedelta

from django.utils import timezone

from runs.models import Output, Preview, Run, Worker, WorkerNodes

GRAPH = {
    "1": {
        "class_type": "EmptyImage",
        "inputs": {"width": 64, "height": 64, "color": 7},
        "_meta": {"title": "Ground"},
    },
    "9": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "made"}},
}


def machine_of(workspace_id, **fields):
    """A machine that is that workspace's alone, with the nodes of the demonstration."""
    from sandbox.comfy_worker.nodes import NODES

    name = uuid.uuid4().hex[:12]
    about = {
        "base_url": f"http://{name}.test:8188", "accelerator": "T4", "micros_per_second": 400,
        "micros_per_output": 2000, "reserved_for": [workspace_id], "health": "up",
    }  # fmt: skip
    made = Worker.objects.create(name=name, **(about | fields))
    info = {each: said for each, (_, said) in NODES.items()}
    WorkerNodes.objects.create(worker=made, classes=sorted(info), object_info=info, digest=name)
    return made


def run_of(workspace_id, user_id, *, state="succeeded", **fields):
    """A run in that state; one that ended took two seconds and made one file."""
    now = timezone.now()
    worker = machine_of(workspace_id) if state != "queued" else None
    about = {
        "fingerprint": "x", "graph": GRAPH, "classes": ["EmptyImage", "SaveImage"],
        "hold_id": uuid.uuid4(), "max_micros": 280_000, "held_micros": 26_000,
        "micros_per_second": 400, "micros_per_output": 2000, "state": state, "worker": worker,
    }  # fmt: skip
    if worker is not None:
        about |= {"prompt_id": uuid.uuid4(), "claimed_at": now, "attempts": 1, "started_at": now}
    if state in ("succeeded", "failed", "canceled", "expired"):
        about |= {"ended_at": now, "gpu_ms": 2000, "expires_at": now + timedelta(days=7)}
    if state == "succeeded":
        about |= {"charged_micros": 2800, "paid_outputs": 1}
    elif state in ("failed", "canceled", "expired"):
        about |= {"error_code": "node_execution_error", "error_message": "No such <b>model</b>."}
    return Run.objects.create(
        id=uuid.uuid4(), workspace_id=workspace_id, user_id=user_id, **(about | fields)
    )


def output_of(run, **fields):
    """A picture of a run; its bytes lie nowhere."""
    about = {
        "position": 0, "node_id": "9", "section": "images", "name": "made_00001_.png",
        "kind": "output", "is_paid": True, "content_type": "image/png", "size_bytes": 321,
        "sha256": "0" * 64, "expires_at": timezone.now() + timedelta(days=7),
    }  # fmt: skip
    return Output.objects.create(
        id=uuid.uuid4(), run=run, workspace_id=run.workspace_id, **(about | fields)
    )


def preview_of(run):
    return Preview.objects.create(
        run=run, node_id="1", content_type="image/jpeg", data=b"\xff\xd8\xff picture"
    )
