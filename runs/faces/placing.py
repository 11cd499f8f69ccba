"""Assets in a graph of Comfy API v2: each gives way to its name, and is among the run's files.

{"image": {"__type": "core/ASSET", "info": {"id": "…"}}}  -->  {"image": "cat.png"}
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runs import assets, inputs

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from runs.models import Asset


def placed(
    workspace_id: UUID, workflow: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, dict[str, str]]]:
    """Return a graph that names files where it held assets, and those files.

    Raises InvalidWorkflow, naming all that are none of this workspace's.
    """
    graph: dict[str, Any] = {}
    found: dict[str, dict[str, str]] = {}
    missing: list[str] = []
    for node_id, node in workflow.items():
        given = node.get("inputs") if isinstance(node, dict) else None
        if not isinstance(given, dict) or not any(map(_is_asset, given.values())):
            graph[node_id] = node
            continue
        changed = dict(given)
        for name, value in given.items():
            if _is_asset(value):
                asset = assets.find(workspace_id, _id_in(value))
                if asset is None:
                    missing.append(_id_in(value))
                    continue
                changed[name] = _called(asset, found)
        graph[node_id] = {**node, "inputs": changed}
    if missing:
        raise inputs.missing(missing)
    return graph, found


def _called(asset: Asset, found: dict[str, dict[str, str]]) -> str:
    """Return by which name the graph has it; of two with one name, the second has its id before."""
    source = {"asset": str(asset.pk)}
    name = asset.file_path
    if found.get(f"/input/{name}", source) != source:
        name = f"{asset.pk}/{name}"
    found[f"/input/{name}"] = source
    return name


def _is_asset(value: object) -> bool:
    return isinstance(value, dict) and value.get("__type") == "core/ASSET"


def _id_in(value: Mapping[str, Any]) -> str:
    info = value.get("info")
    return str(info.get("id") if isinstance(info, dict) else "")
