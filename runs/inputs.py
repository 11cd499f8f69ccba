"""The files that a run needs: said with it, kept by its workspace, or the worker's own to share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from django.utils import timezone

from common import ids
from common.errors import InvalidRequest, InvalidWorkflow
from runs import isolation
from runs.models import Asset

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runs.graph import Graph
    from runs.models import Worker

MOST_FILES: Final = 20
MOST_PATH: Final = 300
INPUT: Final = "input/"


def read(workspace_id: UUID, given: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """Return the files of a run by their paths, like `input/cat.png`.

    Raises InvalidRequest for a path that is none, and InvalidWorkflow for an asset that is not the
    workspace's.
    """
    if len(given) > MOST_FILES:
        raise InvalidRequest(f"files: at most {MOST_FILES}.")
    found = {}
    for path, source in given.items():
        place = path.removeprefix("/")
        if len(path) > MOST_PATH or not place.startswith(INPUT) or not isolation.is_safe(place):
            raise InvalidRequest(f"files: {path[:100]!r} is no path like /input/cat.png.")
        if set(source) != {"asset"}:
            raise InvalidRequest(
                "files: a file is one that was uploaded here before, by its id. Files by address "
                "are not fetched here."
            )
        found[place] = {"asset": str(_asset(workspace_id, source["asset"]).pk)}
    return found


def _asset(workspace_id: UUID, asset_id: str) -> Asset:
    wanted = ids.read(asset_id)
    living = Asset.objects.filter(workspace_id=workspace_id, expires_at__gt=timezone.now())
    found = living.filter(pk=wanted).first() if wanted else None
    if found is None:
        raise InvalidWorkflow(
            "There is no such file here, or its time is over. Upload it again.",
            kind="missing_asset",
            details={"missing_ids": [str(asset_id)[:100]]},
        )
    return found


def check_references(
    graph: Graph,
    info: Mapping[str, Any],
    files: dict[str, dict[str, str]],
    worker: Worker,
    workspace_id: UUID,
) -> None:
    """Have each file that a graph names be among `files`, or one that the worker shares.

    What the workspace uploaded under that name before is added. Raises InvalidWorkflow for a name
    that is nobody's.
    """
    isolation.check(graph, info)
    for node_id, name, value in isolation.wanted_files(graph, info):
        path = f"{INPUT}{value}"
        if path in files or value in worker.shared_inputs:
            continue
        living = Asset.objects.filter(workspace_id=workspace_id, expires_at__gt=timezone.now())
        own = living.filter(file_path=value).order_by("-created_at").first()
        if own is None:
            why = f"Invalid image file: {value[:100]}"
            raise isolation.refusal(node_id, graph[node_id], name, why)
        files[path] = {"asset": str(own.pk)}
