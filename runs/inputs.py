"""The files that a run needs: said with it, kept by its workspace, or the worker's own to share.

    files: {"/input/cat.png": {"asset": id}, "/input/dog.png": {"url": "https://…"}}

Here they are only read, and looked up among what the workspace has. What is named by an address is
fetched later, by whoever carries the run (staging.py): never in a web process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from common.errors import InvalidFileUrl, InvalidRequest, InvalidWorkflow
from runs import assets, isolation
from runs.fetching import targets

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runs.graph import Graph
    from runs.models import Asset, Worker

MOST_FILES: Final = 20
MOST_PATH: Final = 300
INPUT: Final = "input/"


def read(workspace_id: UUID, given: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """Return the files of a run by their paths, like `input/cat.png`.

    Raises InvalidRequest for a path that is none, InvalidFileUrl for an address that is not asked
    or a place where nothing may go, and InvalidWorkflow for an asset that is not the workspace's.
    """
    if len(given) > MOST_FILES:
        raise InvalidRequest(f"files: at most {MOST_FILES}.")
    found: dict[str, dict[str, str]] = {}
    for path, source in given.items():
        if set(source) == {"url"}:
            continue
        place = path.removeprefix("/")
        if len(path) > MOST_PATH or not place.startswith(INPUT) or not isolation.is_safe(place):
            raise InvalidRequest(f"files: {path[:100]!r} is no path like /input/cat.png.")
        if set(source) != {"asset"}:
            raise InvalidRequest("files: a file is an asset, by its id, or an address.")
        found[place] = {"asset": str(_asset(workspace_id, source["asset"]).pk)}
    urls = {path: source["url"] for path, source in given.items() if set(source) == {"url"}}
    for wanted in targets.read(urls):
        found["/".join(wanted.names)] = {"url": wanted.target.url}
    if len(found) < len(given) or len(names(found)) < len(found):
        raise InvalidFileUrl(
            "files: two of them have one name, and nodes could not tell them apart. Give one of "
            "them another name."
        )
    return found


def named(path: str) -> tuple[str, str]:
    """Return a file's folder of models, empty if it is an input, and its name in the graph."""
    first, _, rest = path.partition("/")
    if f"{first}/" == INPUT:
        return "", rest
    folder, _, name = rest.partition("/")
    return folder, name


def with_models(files: Mapping[str, object]) -> bool:
    """Whether a run brings files of models, beside inputs."""
    return any(not path.removeprefix("/").startswith(INPUT) for path in files)


def names(files: Mapping[str, object]) -> frozenset[str]:
    """Return by which names graphs know the files of a run."""
    return frozenset(named(path)[1] for path in files)


def missing(asset_ids: Sequence[str]) -> InvalidWorkflow:
    """Return the refusal of files that are none of the workspace's, or whose time is over."""
    return InvalidWorkflow(
        "There is no such file here, or its time is over. Upload it again.",
        kind="missing_asset",
        details={"missing_ids": [str(each)[:100] for each in asset_ids]},
    )


def _asset(workspace_id: UUID, asset_id: str) -> Asset:
    found = assets.find(workspace_id, asset_id)
    if found is None:
        raise missing([asset_id])
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
        own = assets.named(workspace_id, value)
        if own is None:
            why = f"Invalid image file: {value[:100]}"
            raise isolation.refusal(node_id, graph[node_id], name, why)
        files[path] = {"asset": str(own.pk)}
