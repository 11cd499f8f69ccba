"""Reading a workflow in API format, and saying what is wrong with it in ComfyUI's own words.

    {"6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a cat", "clip": ["4", 1]}}, ...}

What is found here is refused before anything is held or queued. Nodes whose inputs follow from
their other inputs (dynamic ones) are left to the worker, which looks again in any case.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from django.utils.translation import gettext

from common.errors import InvalidWorkflow, WorkflowFormatUi

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

Graph = dict[str, Any]
MOST_NODES: Final = 5_000
MOST_ID: Final = 100
MOST_CLASS: Final = 200
NUMBERS: Final[dict[str, type[int] | type[float]]] = {"INT": int, "FLOAT": float}
DYNAMIC: Final = ("COMFY_DYNAMICCOMBO_V3", "COMFY_AUTOGROW_V3", "COMFY_DYNAMICSLOT_V3")
UPLOADS: Final = ("image_upload", "audio_upload", "video_upload", "file_upload")
"""By which an input says that its value is the name of a file."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What was found in a workflow that can run."""

    classes: tuple[str, ...]
    output_nodes: int
    uses_api_nodes: bool


@dataclass(slots=True)
class _Wrong:
    """What is wrong, by node, as ComfyUI tells it."""

    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)

    def note(
        self, node_id: str, class_type: str, kind: str, message: str, details: str, **extra: Any
    ) -> None:
        """Add one thing that is wrong with a node."""
        of_node = self.nodes.setdefault(
            node_id, {"errors": [], "dependent_outputs": [], "class_type": class_type}
        )
        of_node["errors"].append(
            {"type": kind, "message": message, "details": details, "extra_info": extra}
        )


def read(given: object) -> Graph:
    """Return a workflow in API format, its nodes by id.

    Raises WorkflowFormatUi for one that was saved and not exported, and InvalidWorkflow for what
    is none.
    """
    if not isinstance(given, dict):
        raise InvalidWorkflow(gettext("A workflow is a JSON object: its nodes, by their ids."))
    if isinstance(given.get("nodes"), list) and "links" in given:
        raise WorkflowFormatUi(
            gettext(
                "This workflow was saved for ComfyUI's own page. Export it for programs: in the "
                "menu, Workflow, Export (API), and send that file's content."
            )
        )
    if not given:
        raise InvalidWorkflow(gettext("The workflow has no nodes."), kind="no_prompt")
    if len(given) > MOST_NODES:
        raise InvalidWorkflow(
            gettext("A workflow has at most %(most)s nodes.") % {"most": MOST_NODES}
        )
    for node_id, node in given.items():
        _look_at_shape(node_id, node)
    return given


def holds_nul(given: object) -> bool:
    """Whether a text in it, wherever, holds the character NUL: no database keeps that."""
    waiting: list[Any] = [given]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str) and "\0" in each:
            return True
        if isinstance(each, dict):
            waiting += [*each.keys(), *each.values()]
        elif isinstance(each, list):
            waiting += each
    return False


def _look_at_shape(node_id: str, node: object) -> None:
    if len(node_id) > MOST_ID or "\0" in node_id:
        raise InvalidWorkflow(
            gettext("A node's id has at most %(most)s characters.") % {"most": MOST_ID}
        )
    if not isinstance(node, dict) or not isinstance(node.get("inputs", {}), dict):
        raise InvalidWorkflow(
            gettext("Node '%(node_id)s' is no JSON object with `class_type` and `inputs`.")
            % {"node_id": node_id}
        )
    name = node.get("class_type")
    if not isinstance(name, str) or not 0 < len(name) <= MOST_CLASS or "\0" in name:
        raise InvalidWorkflow(
            gettext(
                "Node '%(node_id)s' has no class_type. Export the workflow for programs: Export "
                "(API)."
            )
            % {"node_id": node_id},
            kind="missing_node_type",
            details={"node_id": node_id},
        )


def overridden(graph: Graph, inputs: object, *, replace_links: bool = False) -> Graph:
    """Return a workflow with other values in its inputs.

    Raises InvalidWorkflow for a node or an input that is not there.

    They are given by node: `{"6": {"text": "…"}}`, `{"6": {"inputs": {"text": "…"}}}`, or
    `{"6.text": "…"}`. A link gives way to a value only where that is asked for.
    """
    if not isinstance(inputs, dict):
        raise InvalidWorkflow(gettext("inputs: a JSON object, by the ids of nodes."))
    changed = copy.deepcopy(graph)
    for node_id, name, value in _overrides(graph, inputs):
        if node_id not in changed:
            raise InvalidWorkflow(
                gettext("inputs: there is no node '%(node_id)s'.") % {"node_id": node_id}
            )
        known = changed[node_id].setdefault("inputs", {})
        if name not in known:
            raise InvalidWorkflow(
                gettext("inputs: node '%(node_id)s' has no input '%(name)s'.")
                % {"node_id": node_id, "name": name}
            )
        if is_link(known[name]) and not is_link(value) and not replace_links:
            raise InvalidWorkflow(
                gettext(
                    "inputs: '%(name)s' of node '%(node_id)s' comes from another node. Say "
                    '"replace_links": true if the value shall take its place.'
                )
                % {"name": name, "node_id": node_id}
            )
        known[name] = value
    return changed


def _overrides(graph: Graph, inputs: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    for key, value in inputs.items():
        if key not in graph and "." in key:
            node_id, _, name = key.partition(".")
            yield node_id, name, value
            continue
        if not isinstance(value, dict):
            raise InvalidWorkflow(
                gettext("inputs: for node '%(key)s' a JSON object of its inputs.") % {"key": key}
            )
        whole = value.get("inputs")
        for name, each in (whole if isinstance(whole, dict) else value).items():
            yield key, name, each


def is_link(value: object) -> bool:
    """Whether a worker takes an input's value for another node's output.

    That one takes `true` and `1.0` for a number of an output, too.
    """
    return (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], str)
        and isinstance(value[1], (int, float))
    )


def sources(node: Mapping[str, Any]) -> list[str]:
    """Return the nodes whose outputs a node takes, also such as are not there."""
    return [value[0] for value in node.get("inputs", {}).values() if is_link(value)]


def classes(graph: Graph) -> tuple[str, ...]:
    """Return the names of its nodes' classes, each once, in order."""
    return tuple(sorted({node["class_type"] for node in graph.values()}))


def look(graph: Graph, known: Mapping[str, Any], *, names: Collection[str] = frozenset()) -> Looked:
    """Return what a workflow needs; raise InvalidWorkflow with all that is wrong with it.

    `known` is the `/object_info` of a worker that has all of its classes; `names` are those of
    files that the run brings, which that does not list.
    """
    wrong = _Wrong()
    outputs = [
        node_id for node_id, node in graph.items() if known[node["class_type"]].get("output_node")
    ]
    if not outputs:
        raise InvalidWorkflow(gettext("The workflow has no output node."), kind="prompt_no_outputs")
    for node_id in graph:
        _look_at_inputs(graph, node_id, known, wrong, names)
    if not wrong.nodes and (turning := _in_a_circle(graph)):
        wrong.note(
            turning,
            graph[turning]["class_type"],
            "dependency_cycle",
            "Dependency cycle detected",
            "Nodes are linked in a circle.",
        )
    if wrong.nodes:
        raise InvalidWorkflow(
            _first_of(wrong), kind="prompt_outputs_failed_validation", node_errors=wrong.nodes
        )
    return Looked(
        classes=classes(graph),
        output_nodes=len(outputs),
        uses_api_nodes=any(known[node["class_type"]].get("api_node") for node in graph.values()),
    )


def unknown_classes(graph: Graph, missing: set[str]) -> InvalidWorkflow:
    """Return the refusal of a workflow for which no worker has all nodes."""
    node_id, node = next(
        (node_id, node) for node_id, node in graph.items() if node["class_type"] in missing
    )
    name, rest = node["class_type"], sorted(missing - {node["class_type"]})
    also = f" Nor are: {', '.join(rest[:10])}." if rest else ""
    title = (node.get("_meta") or {}).get("title") if isinstance(node.get("_meta"), dict) else None
    return InvalidWorkflow(
        gettext("Node '%(name)s' not found. The custom node may not be installed.%(also)s")
        % {"name": name, "also": also},
        kind="missing_node_type",
        details={"node_id": node_id, "class_type": name, "node_title": title or name},
        node_errors={
            each: {
                "errors": [
                    {
                        "type": "missing_node_type",
                        "message": "Node not found",
                        "details": node["class_type"],
                        "extra_info": {},
                    }
                ],
                "dependent_outputs": [],
                "class_type": node["class_type"],
            }
            for each, node in graph.items()
            if node["class_type"] in missing
        },
    )


def inputs_of(info: Mapping[str, Any]) -> dict[str, tuple[Any, dict[str, Any], bool]]:
    """Return each input that a class declares: its type, its options, whether it must be there."""
    found: dict[str, tuple[Any, dict[str, Any], bool]] = {}
    for part in ("optional", "required"):
        for name, said in ((info.get("input") or {}).get(part) or {}).items():
            if isinstance(said, (list, tuple)) and said:
                options = said[1] if len(said) > 1 and isinstance(said[1], dict) else {}
                found[name] = (said[0], options, part == "required")
    return found


def choices_of(kind: object, options: Mapping[str, Any]) -> list[Any] | None:
    """Return what an input of that type may be one of; None where it may be anything."""
    said = options.get("options") if kind == "COMBO" else kind
    return said if isinstance(said, list) else None


def _look_at_inputs(
    graph: Graph,
    node_id: str,
    known: Mapping[str, Any],
    wrong: _Wrong,
    names: Collection[str],
) -> None:
    node = graph[node_id]
    name, given = node["class_type"], node.get("inputs", {})
    declared = inputs_of(known[name])
    if any(kind in DYNAMIC for kind, _, _ in declared.values() if isinstance(kind, str)):
        declared = {}
    for each, value in given.items():
        if is_link(value):
            _look_at_link(graph, node_id, each, declared.get(each), known, wrong)
        elif each in declared and not (isinstance(value, str) and value in names):
            kind, options, _ = declared[each]
            if problem := _problem(kind, options, value):
                wrong.note(
                    node_id,
                    name,
                    problem[0],
                    problem[1],
                    f"{each}: {problem[2]}",
                    input_name=each,
                    received_value=value if isinstance(value, (int, float, bool)) else None,
                )
    for each, (_, _, is_required) in declared.items():
        if is_required and each not in given:
            wrong.note(
                node_id,
                name,
                "required_input_missing",
                "Required input is missing",
                each,
                input_name=each,
            )


def _look_at_link(
    graph: Graph,
    node_id: str,
    name: str,
    declared: tuple[Any, dict[str, Any], bool] | None,
    known: Mapping[str, Any],
    wrong: _Wrong,
) -> None:
    source, place = graph[node_id]["inputs"][name]
    own = graph[node_id]["class_type"]
    if source not in graph:
        wrong.note(
            node_id,
            own,
            "bad_linked_input",
            "Bad linked input, must be a length-2 list of [node_id, slot_index]",
            f"{name}: there is no node '{source}'",
            input_name=name,
        )
        return
    gives = known[graph[source]["class_type"]].get("output") or []
    if type(place) is not int or not 0 <= place < len(gives):
        details = f"{name}: node '{source}' has no output {place}"
        wrong.note(node_id, own, "bad_linked_input", "Bad linked input", details, input_name=name)
    elif declared and not _fits(gives[place], declared[0]):
        details = f"{name}, received_type({gives[place]}) mismatch input_type({declared[0]})"
        wrong.note(
            node_id,
            own,
            "return_type_mismatch",
            "Return type mismatch between linked nodes",
            details,
            input_name=name,
        )


def _fits(given: object, wanted: object) -> bool:
    """Whether an output may go there; what is no plain word is the worker's to judge."""
    if not isinstance(given, str) or not isinstance(wanted, str):
        return True
    if "*" in (given, wanted) or wanted == "COMBO" or wanted.startswith("COMFY_"):
        return True
    return bool(
        {each.strip() for each in given.split(",")} & {w.strip() for w in wanted.split(",")}
    )


def _problem(kind: object, options: Mapping[str, Any], value: Any) -> tuple[str, str, str] | None:
    """Return what is wrong with a value: type, message and details; None: nothing that we see."""
    if isinstance(kind, str) and kind in NUMBERS:
        return _number_problem(kind, options, value)
    choices = choices_of(kind, options)
    if choices is None:
        return None
    if any(options.get(each) for each in UPLOADS) or options.get("remote"):
        return None  # The names of files are ours to know (isolation.py), or nobody's.
    if value not in choices and not options.get("multiselect"):
        return "value_not_in_list", "Value not in list", f"{str(value)[:100]!r} is not among them"
    return None


def _number_problem(
    kind: str, options: Mapping[str, Any], value: Any
) -> tuple[str, str, str] | None:
    try:
        number = NUMBERS[kind](value)
        is_number = not isinstance(number, float) or math.isfinite(number)
    except (TypeError, ValueError, OverflowError):
        is_number = False
    if not is_number:
        message = f"Failed to convert an input value to a {kind} value"
        return "invalid_input_type", message, f"{str(value)[:100]!r} is no {kind}"
    least, most = options.get("min"), options.get("max")
    if isinstance(least, (int, float)) and number < least:
        message = f"Value {number} smaller than min of {least}"
        return "value_smaller_than_min", message, f"at least {least}"
    if isinstance(most, (int, float)) and number > most:
        message = f"Value {number} bigger than max of {most}"
        return "value_bigger_than_max", message, f"at most {most}"
    return None


def _in_a_circle(graph: Graph) -> str | None:
    """Return a node that is among its own sources, if there is one."""
    done: set[str] = set()
    for first in graph:
        path: dict[str, Iterator[str]] = (
            {first: _sources(graph, first)} if first not in done else {}
        )
        while path:
            last = next(reversed(path))
            source = next((each for each in path[last] if each not in done), None)
            if source is None:
                path.pop(last)
                done.add(last)
            elif source in path:
                return source
            else:
                path[source] = _sources(graph, source)
    return None


def _sources(graph: Graph, node_id: str) -> Iterator[str]:
    return iter([each for each in sources(graph[node_id]) if each in graph])


def _first_of(wrong: _Wrong) -> str:
    node_id, said = next(iter(wrong.nodes.items()))
    first = said["errors"][0]
    more = len(wrong.nodes) - 1
    rest = f" {more} more nodes have errors." if more else ""
    return (
        f"Node '{node_id}' ({said['class_type']}): {first['message']}: {first['details']}.{rest}"[
            :1000
        ]
    )
