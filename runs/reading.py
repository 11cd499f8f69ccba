"""What a worker's `/history` says of a prompt: how it ended, how long it took, what it made.

Time is the worker's own, from its words at the start and at the end; messages come in bunches, and
when they came means nothing. What was answered from its cache took no time and is nobody's to pay.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import orjson

from runs import graph as graphs
from runs import isolation

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ENDS: Final = ("execution_success", "execution_error", "execution_interrupted")
TOLD: Final = ("execution_start", "execution_cached", *ENDS)
MOST_FILES: Final = 1000
MOST_TEXT: Final = 1 << 20
MOST_NAMED: Final = 10_000
"""Nodes that one message names."""
LONGEST_WORD: Final = 200
LATEST_MS: Final = 1 << 53
"""Beyond it no clock is, and no JSON of ours has such a number."""
OBSERVED: Final = "observed"
REMEMBERS: Final = "remembers"
"""Under these names an entry says what a ComfyUI's own never does (proxied.py)."""
FOLDERS: Final = re.compile(r"""(?<![\w.:/\\])(?:[A-Za-z]:)?[/\\](?:[^\s/\\'"]+[/\\])+""")
"""The folders of a path from its root, on whatever system; of an address on the web nothing is."""


@dataclass(frozen=True, slots=True)
class Named:
    """A file that a node reported, or a text of it."""

    node_id: str
    section: str
    name: str
    subfolder: str = ""
    kind: str = "output"
    text: str | None = None
    origin: str = ""
    """A digest of its node and all before it, as the worker had them."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a prompt ended."""

    how: str
    """One of ENDS."""
    gpu_ms: int
    reused: bool
    """Whether every node of it came from the cache."""
    cached: frozenset[str]
    error: Mapping[str, Any] = field(default_factory=dict)
    messages: list[Any] = field(default_factory=list)
    files: list[Named] = field(default_factory=list)
    observed: bool = False
    """Whether its time is what was seen from here, as its worker names none."""
    remembers: bool = False
    """Whether some nodes came from the cache, and nobody says which."""


def read(entry: Mapping[str, Any], *, nodes: int, workspace: str, our_id: str) -> Ended | None:
    """Read an entry of `/history`; None if it does not say how it ended.

    `workspace` is the token of whose run it is, `our_id` what members call it.
    """
    messages = dict(_messages(entry.get("status")))
    how = next((each for each in ENDS if each in messages), None)
    if how is None:
        return None
    cached = _cached(messages.get("execution_cached"))
    reused = bool(nodes) and len(cached) >= nodes
    passed = _instant(messages[how]) - _instant(messages.get("execution_start"))
    known = _instant(messages[how]) and _instant(messages.get("execution_start"))
    told = [
        [name, _ours(body, our_id, workspace)] for name, body in messages.items() if name in TOLD
    ]
    return Ended(
        how=how,
        gpu_ms=0 if reused or not known else max(passed, 0),
        reused=reused,
        cached=cached,
        error=_ours(messages[how], our_id, workspace) if how == "execution_error" else {},
        messages=told,
        files=_with_origins(entry),
        observed=entry.get(OBSERVED) is True,
        remembers=entry.get(REMEMBERS) is True,
    )


def _messages(status: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    said = status.get("messages") if isinstance(status, dict) else None
    for each in said if isinstance(said, list) else ():
        if isinstance(each, list) and len(each) == 2 and isinstance(each[1], dict):
            yield str(each[0]), each[1]


def _with_origins(entry: Mapping[str, Any]) -> list[Named]:
    found = list(files(entry.get("outputs")))[:MOST_FILES]
    prompt = entry.get("prompt")
    graph = prompt[2] if isinstance(prompt, list) and len(prompt) > 2 else None
    made = origins(graph) if isinstance(graph, dict) else {}
    return [replace(each, origin=made.get(each.node_id, "")) for each in found]


def origins(graph: Mapping[str, Any]) -> dict[str, str]:
    """Return for each node a digest of it and of all before it, whatever its own id is.

    From equal ones a worker makes the same, or takes it from its cache. Of what is no graph of a
    worker's (a circle) there are none.
    """
    made: dict[str, str] = {}
    for first in graph:
        path = [first] if first not in made else []
        while path:
            node = graph[path[-1]]
            if not isinstance(node, dict) or len(path) > len(graph):
                return {}
            before = [each for each in graphs.sources(node) if each in graph]
            if waiting := next((each for each in before if each not in made), None):
                path.append(waiting)
            else:
                made[path.pop()] = _origin(node, made)
    return made


def _origin(node: Mapping[str, Any], made: Mapping[str, str]) -> str:
    inputs = {
        name: [made.get(value[0], value[0]), value[1]] if graphs.is_link(value) else value
        for name, value in node.get("inputs", {}).items()
    }
    said = orjson.dumps([node.get("class_type"), inputs], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(said).hexdigest()


def _cached(said: Any) -> frozenset[str]:
    nodes = said.get("nodes") if isinstance(said, dict) else None
    found = nodes if isinstance(nodes, list) else ()
    return frozenset(each for each in found if isinstance(each, str))


def _instant(said: Any) -> int:
    stamp = said.get("timestamp") if isinstance(said, dict) else None
    if not isinstance(stamp, (int, float)) or isinstance(stamp, bool):
        return 0
    return int(stamp) if abs(stamp) < LATEST_MS else 0


def files(outputs: Any) -> Iterator[Named]:
    """Yield what nodes reported of files and texts, in their order."""
    for node_id, of_node in outputs.items() if isinstance(outputs, dict) else ():
        for section, items in of_node.items() if isinstance(of_node, dict) else ():
            for place, item in enumerate(items if isinstance(items, list) else ()):
                node = _word(node_id)[:100]
                if isinstance(item, dict) and isolation.is_name(item.get("filename")):
                    kind = item.get("type")
                    yield Named(
                        node,
                        _word(section)[:50],
                        item["filename"],
                        str(item.get("subfolder") or ""),
                        kind if kind in ("output", "temp") else "input",
                    )
                elif section == "text" and isinstance(item, str):
                    name = f"{node}_{place}.txt".replace("/", "_").replace("\\", "_")
                    yield Named(node, "text", name, kind="text", text=item[:MOST_TEXT])


def _ours(body: Mapping[str, Any], our_id: str, workspace: str) -> dict[str, Any]:
    """Return one of its messages as a member may read it: our id, and nothing of the machine."""
    kept: dict[str, Any] = {}
    if "timestamp" in body:
        kept["timestamp"] = _instant(body)
    for name in ("node_id", "node_type", "exception_type"):
        if name in body:
            kept[name] = _word(body[name])
    for name in ("nodes", "executed"):
        if isinstance(body.get(name), list):
            kept[name] = [_word(each) for each in body[name][:MOST_NAMED]]
    if "exception_message" in body:
        kept["exception_message"] = plain(str(body["exception_message"]), workspace)
    return {**kept, "prompt_id": our_id}


def _word(said: Any) -> str:
    """Return a name as it can be kept, whatever was said."""
    return str(said).replace("\0", "")[:LONGEST_WORD]


def plain(text: str, workspace: str) -> str:
    """Return what a node said went wrong, without folders of the machine and of ours."""
    words = isolation.without_token(text.replace("\0", ""), workspace)
    return FOLDERS.sub("", words).strip()[:2000]
