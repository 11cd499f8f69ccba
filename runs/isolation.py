"""What keeps workspaces apart on a worker that several share: names of files, and the cache.

    what a member writes                 what the worker reads
    image: "cat.png"                     "mc/<token>/<16 of its sha256>/cat.png"
    filename_prefix: "out/a"             "mc/<token>/out/a"
    (no such input)                      _workspace: "<token>"

The token is the workspace's alone, and nobody can guess it. An input that a node does not know does
nothing, but it parts the worker's cache: nobody is given what another's graph computed. What would
name a file that is not the run's own is refused before it is queued (`check`), also where a link
would bring the name only later. Names do not stop the code of a custom node: for strangers an
operator reserves workers.
"""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from django.utils.crypto import salted_hmac

from common import rotating
from common.errors import InvalidWorkflow
from runs import graph as graphs

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    Declared = tuple[Any, dict[str, Any], bool]

HOME: Final = "mc"
CACHE_INPUT: Final = "_workspace"
PREFIX: Final = "filename_prefix"
USUAL_PREFIX: Final = "ComfyUI"
CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
"""What is in no name: headers, logs and terminals take it for something else."""
OURS: Final = re.compile(rf"[./\\]*{HOME}(?:[/\\]|$)")
"""What lies in our folders of a worker, however that is written."""
FOLDER: Final = re.compile(rf"{HOME}/[0-9a-f]{{32}}/(?:[0-9a-f]{{16}}/)?")
"""Anybody's: equal files of two workspaces may be one, under the name that came first (proxied)."""
ANNOTATED: Final = re.compile(r"\s*\[(input|output|temp)\]\s*$")
LOADED: Final = frozenset(
    {"MODEL", "CLIP", "VAE", "CLIP_VISION", "CONTROL_NET", "UPSCALE_MODEL", "STYLE_MODEL", "GLIGEN"}
)
"""What a pure loader gives: the same for everybody, and too large to be loaded twice."""


def token(workspace_id: UUID) -> str:
    """Return by what a workspace's files are told apart on workers."""
    return tokens(workspace_id)[0]


def tokens(workspace_id: UUID) -> list[str]:
    """Return it under each SECRET_KEY that is known: a run may be older than the newest."""
    return [
        salted_hmac(
            "runs.isolation", str(workspace_id), secret=key, algorithm="sha256"
        ).hexdigest()[:32]
        for key in rotating.secret_keys()
    ]


def is_safe(path: str) -> bool:
    """Whether a relative path stays where it begins."""
    parts = path.split("/")
    return bool(path) and not (
        "\\" in path
        or CONTROL.search(path)
        or ":" in path
        or any(each in ("", ".", "..") for each in parts)
    )


def is_name(said: object) -> bool:
    """Whether a machine may call a file so: wherever it is kept by that name, it stays there."""
    return isinstance(said, str) and not (
        said in ("", ".", "..") or "/" in said or "\\" in said or CONTROL.search(said)
    )


def common(choices: Iterable[Any]) -> list[Any]:
    """Return what of a worker's choices is there for everybody: no file that a run brought."""
    return [each for each in choices if not (isinstance(each, str) and OURS.match(each))]


def wanted_files(graph: graphs.Graph, info: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield node, input and name of each file that a graph names."""
    for node_id, name, value, declared in _strings(graph, info):
        if _names_a_file(declared):
            yield node_id, name, ANNOTATED.sub("", value)


def names_in(graph: graphs.Graph) -> set[str]:
    """Return each text of a graph's inputs that may be the name of a file."""
    given = (value for node in graph.values() for value in node.get("inputs", {}).values())
    return {ANNOTATED.sub("", text) for value in given for text in _texts(value)}


def check(graph: graphs.Graph, info: Mapping[str, Any]) -> None:
    """Raise InvalidWorkflow for what would reach a file that is not the run's own."""
    for node_id, node in graph.items():
        declared = graphs.inputs_of(info[node["class_type"]])
        for name, value in node.get("inputs", {}).items():
            if why := _reaches(name, value, declared.get(name)):
                raise refusal(node_id, node, name, why)


def _reaches(name: str, value: Any, declared: Declared | None) -> str:
    """Return how an input's value could reach a file that is not the run's own; empty: not.

    A worker takes what is wrapped (`{"__value__": …}`) for the value itself.
    """
    is_file = _names_a_file(declared)
    if name == CACHE_INPUT:
        return "this name is the platform's own"
    if (is_file or name == PREFIX) and not isinstance(value, str):
        return "a file is named by a text, not by a link or anything else"
    for text in _texts(value):
        place = ANNOTATED.search(text)
        plain = ANNOTATED.sub("", text)
        is_elsewhere = place and (place[1] != "input" or not is_file)
        is_unsafe = (is_file or name == PREFIX) and not is_safe(plain)
        if is_elsewhere or is_unsafe or OURS.match(plain):
            return f"Invalid file: {text[:100]}"
    return ""


def _texts(value: Any) -> Iterator[str]:
    """Yield every text within a value, however deep."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            yield each
        elif isinstance(each, dict):
            waiting += [*each.keys(), *each.values()]
        elif isinstance(each, list) and not graphs.is_link(each):
            waiting += each


def refusal(node_id: str, node: Mapping[str, Any], name: str, why: str) -> InvalidWorkflow:
    """Return the refusal of an input, as ComfyUI says that a node's own check failed."""
    details = f"{name} - {why}"
    error = {
        "type": "custom_validation_failed",
        "message": "Custom validation failed for node",
        "details": details,
        "extra_info": {"input_name": name},
    }
    return InvalidWorkflow(
        f"Node '{node_id}' ({node['class_type']}): {details}",
        kind="prompt_outputs_failed_validation",
        node_errors={
            node_id: {
                "errors": [error],
                "dependent_outputs": [],
                "class_type": node["class_type"],
            }
        },
    )


def prepared(
    graph: graphs.Graph,
    info: Mapping[str, Any],
    *,
    workspace: str,
    staged: Mapping[str, Any],
) -> graphs.Graph:
    """Return a graph as its worker gets it; `staged` is how its files are named there."""
    made = copy.deepcopy(graph)
    for node in made.values():
        given = node.setdefault("inputs", {})
        declared = graphs.inputs_of(info.get(node["class_type"], {}))
        if PREFIX in declared or PREFIX in given:
            given[PREFIX] = f"{HOME}/{workspace}/{given.get(PREFIX, USUAL_PREFIX)}"
        for name, value in given.items():
            if isinstance(value, str) and name != PREFIX:
                given[name] = staged.get(ANNOTATED.sub("", value), value)
        if not _is_loader(node, info):
            given[CACHE_INPUT] = workspace
    return made


def staged_path(workspace: str, sha256: str, name: str) -> str:
    """Return where a file lies in a worker's input folder; equal files are one."""
    return f"{HOME}/{workspace}/{sha256[:16]}/{name}"


def seen_folder(subfolder: str, workspace: str) -> str:
    """Return a worker's folder as its member knows it."""
    own = f"{HOME}/{workspace}"
    if subfolder == own:
        return ""
    return subfolder.removeprefix(f"{own}/")


def without_token(text: str, workspace: str) -> str:
    """Return a text that names no folder of the worker's."""
    own = text.replace(f"{HOME}/{workspace}/", "").replace(workspace, "")
    return FOLDER.sub("", own)


def is_own(subfolder: str, workspace: str, shared: Collection[str] = ()) -> bool:
    """Whether a file that a worker reports lies in the workspace's own folder."""
    own = f"{HOME}/{workspace}"
    is_inside = subfolder.startswith(f"{own}/") and is_safe(subfolder)
    return subfolder == own or is_inside or subfolder in shared


def _names_a_file(declared: Declared | None) -> bool:
    return declared is not None and any(declared[1].get(each) for each in graphs.UPLOADS)


def _strings(
    graph: graphs.Graph, info: Mapping[str, Any]
) -> Iterator[tuple[str, str, str, Declared | None]]:
    for node_id, node in graph.items():
        declared = graphs.inputs_of(info[node["class_type"]])
        for name, value in node.get("inputs", {}).items():
            if isinstance(value, str):
                yield node_id, name, value, declared.get(name)


def _is_loader(node: Mapping[str, Any], info: Mapping[str, Any]) -> bool:
    gives = info.get(node["class_type"], {}).get("output") or []
    has_links = any(graphs.is_link(value) for value in node["inputs"].values())
    return (
        bool(gives)
        and not has_links
        and all(isinstance(each, str) and each in LOADED for each in gives)
    )
