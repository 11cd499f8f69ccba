"""How a node's inputs become its request, by the data in `facts/nodes.json`.

    "calls": {"path": "/proxy/...", "body": {...}, "headers": {...}, "files": [...],
              "inputs": {"duration": {"default": 5, "choices": [5, 10]}, ...},
              "set": [{"input": "duration", "at": "body.duration", "as": "text"},
                      {"input": "mode", "is": {"pro": {"body.mode": "pro"}}}],
              "by": "model", "variants": {"kling-v3": {...}, ...}}

`path` and `body` are what it sends with every input at its default. `set` says what an input
changes: a place that gets its value (as it is, or as a text), or what is put where it has one of
the values (`is`), is there at all (`given`, `missing`, `filled`), or comes so many times (`count`).
With `by`, each choice of that input has its own of all this, or is `like` another but for its
`changes`. A text stands where its input's name is in mathematical brackets. All this was recorded
from the nodes themselves (docs/decisions/0031).
An input that is a link is asked for each of its choices; a value that was never seen is unknown.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any

from proxy.quoting.listing import put

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from proxy.quoting.facts import Node

MOST_CHOICES = 32
LINK = 2
"""A link is [the other node, which of its outputs]."""
MARKED = re.compile("\u27e6([^\u27e7]*)\u27e7")
UNKNOWN_TEXT = "a word " * 150
"""What is taken for a text that another node makes, as a usual one."""
SHORTEST_TEXT = "a"
LONGEST_TEXTS = (40_000, 10_000, 5_000, 3_000, 2_000, 1_000, 500)
"""Characters of the longest that is reckoned with: the first of these that the operation takes."""
REQUEST = ("path", "method", "body", "headers", "files")


MODELS = ("model", "model_name")
"""A node that had models to choose from once, and now has one (then that is no input of the
recording), still stands in workflows of that time."""


class Unknown(Exception):
    """Nobody knows what the node makes of a value."""


def requests_of(
    node: Node, inputs: Mapping[str, Any], *, text: str = UNKNOWN_TEXT
) -> list[dict[str, Any]]:
    """Return the requests that a node may make: one, or one for each choice that is not known.

    None at all, where nobody knows how it makes them, or where they are too many to ask for each.
    `text` stands where another node makes one.
    """
    if not node.calls:
        return []
    made: list[dict[str, Any]] = []
    by = set(_chosen_by(node.calls))
    for calls in _variants(node.calls, inputs):
        unknown = {
            name: choices
            for name, told in calls.get("inputs", {}).items()
            if is_link(inputs.get(name)) and (choices := _choices(told)) and _sets(calls, name)
        }
        for values in itertools.product(*unknown.values()):
            if len(made) == MOST_CHOICES:
                return []  # The dearest may be among the others.
            given = {**inputs, **dict(zip(unknown, values, strict=True))}
            try:
                told = {**calls, **_of_another_time(calls, inputs, by)}
                made.append(_request(told, given, text))
            except Unknown:
                return []
    return made


def _variants(calls: Mapping[str, Any], inputs: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if "by" not in calls:
        return [calls]
    value, variants = inputs.get(calls["by"]), calls["variants"]
    if value is None:
        value = calls.get("default")
    wanted = list(variants) if is_link(value) else [f"{value}"]
    found = [_alike(variants, name) for name in wanted if name in variants]
    return [each for one in found for each in _variants(one, inputs)]


def _alike(variants: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a variant; one that is like another but for some places is made of that."""
    variant: Mapping[str, Any] = variants[name]
    if "like" not in variant:
        return variant
    other = variants[variant["like"]]
    changed = {"input": "", "always": variant["changes"]}
    return {**other, "set": [changed, *other.get("set", ())]}


def is_link(value: Any) -> bool:
    """Whether an input is what another node makes."""
    return isinstance(value, list) and len(value) == LINK and isinstance(value[1], int)


def _choices(told: Mapping[str, Any]) -> list[Any]:
    if "choices" in told:
        return list(told["choices"])
    return [told[name] for name in ("min", "default", "max") if name in told]


def _sets(calls: Mapping[str, Any], name: str) -> bool:
    return any(each["input"] == name for each in calls.get("set", ()))


def has_unknown_text(node: Node, inputs: Mapping[str, Any]) -> bool:
    """Whether another node makes a text that this one sends."""
    return any(
        is_link(inputs.get(name))
        for calls in (_variants(node.calls, inputs) if node.calls else ())
        for name in _marked(calls)
    )


def _marked(held: Any) -> Iterator[str]:
    """Yield the inputs whose texts stand somewhere in a recording."""
    if isinstance(held, str):
        yield from MARKED.findall(held)
    elif isinstance(held, (list, dict)):
        for each in held.values() if isinstance(held, dict) else held:
            yield from _marked(each)


def _request(calls: Mapping[str, Any], inputs: Mapping[str, Any], unknown: str) -> dict[str, Any]:
    made: dict[str, Any] = {name: calls[name] for name in REQUEST if name in calls}
    for rule in calls.get("set", ()):
        for at, value in _changes(rule, calls, inputs).items():
            made = put(made, at.split("."), value)
    body = made.get("body")
    if isinstance(body, dict):
        made["body"] = {name: value for name, value in body.items() if value is not None}
    texts = {name: _text(name, calls, inputs, unknown) for name in calls.get("inputs", {})}
    filled: dict[str, Any] = _filled(made, texts)
    return filled


def _chosen_by(calls: Mapping[str, Any]) -> Iterator[str]:
    """Yield the inputs by which variants are chosen, at whatever depth."""
    if "by" in calls:
        yield calls["by"]
        for each in calls["variants"].values():
            yield from _chosen_by(each)


def _of_another_time(
    calls: Mapping[str, Any], inputs: Mapping[str, Any], by: Collection[str]
) -> dict[str, Any]:
    """Return the recorded body with the model that a workflow names, where none was to choose."""
    body = calls.get("body")
    if not isinstance(body, dict):
        return {}
    known = {*by, *calls.get("inputs", {}), *(each["input"] for each in calls.get("set", ()))}
    told = {name: inputs.get(name) for name in MODELS if name in body and name not in known}
    return {"body": {**body, **{n: value for n, value in told.items() if isinstance(value, str)}}}


def _text(name: str, calls: Mapping[str, Any], inputs: Mapping[str, Any], unknown: str) -> str:
    value = inputs.get(name, calls["inputs"][name].get("default", ""))
    return unknown if is_link(value) else f"{value}"


def _filled(held: Any, texts: Mapping[str, str]) -> Any:
    """Return what is held with the texts of inputs where their names stand in brackets."""
    if isinstance(held, str):
        if "\u27e6" not in held:
            return held
        return MARKED.sub(lambda found: texts.get(found[1], ""), held)
    if isinstance(held, list):
        return [_filled(each, texts) for each in held]
    if isinstance(held, dict):
        return {name: _filled(each, texts) for name, each in held.items()}
    return held


def _is_there(calls: Mapping[str, Any], at: str) -> bool:
    """Whether a node sends something at a place when all its inputs are at their defaults."""
    held: Any = calls
    for name in at.split("."):
        if not isinstance(held, dict) or name not in held:
            return False
        held = held[name]
    return True


def _changes(
    rule: Mapping[str, Any], calls: Mapping[str, Any], inputs: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what an input has changed in the request: by place, the value there."""
    name = rule["input"]
    if "always" in rule:
        return dict(rule["always"])
    if "count" in rule:
        found = sum(1 for each in inputs if each.startswith(f"{name}."))
        counted = rule["count"]
        changes = counted[found] if found < len(counted) else None
        if changes is None:
            raise Unknown
        return dict(changes)
    if "filled" in rule:
        return dict(rule["filled"]) if inputs.get(name) not in (None, "") else {}
    if "given" in rule:
        return dict(rule["given"]) if inputs.get(name) is not None else {}
    if "missing" in rule:
        return dict(rule["missing"]) if inputs.get(name) is None else {}
    default = calls.get("inputs", {}).get(name, {}).get("default")
    value = inputs.get(name, default)
    if value is None or is_link(value):
        return {}
    if "is" not in rule:
        is_left_out = value == default and not _is_there(calls, rule["at"])
        return {} if is_left_out else {rule["at"]: f"{value}" if rule.get("as") else value}
    if f"{value}" not in rule["is"]:
        raise Unknown
    return dict(rule["is"][f"{value}"])
