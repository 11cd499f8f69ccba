"""JSON objects from strangers: read once, in one way only.

A body with one name twice means one thing to us and another to the vendor it is sent on to, who may
take the first where we took the last: a price could be of one, the picture of the other. Python's
parsers keep the last and say nothing. Finding a doubled name by looking at every name would cost
more than the parsing; it is found by counting colons instead: each name has one, and what is left
stands in strings. Only where the count differs is the text looked at name by name.
"""

from __future__ import annotations

import json
from typing import Any

import orjson

from common.errors import InvalidRequest

LONG, MANY = 4096, 1000
"""From this length on it is worth to go from one find to the next, but only so often."""
MOST_VALUES = 200_000
"""So many commas and brackets a body may hold: one of its bytes can become 60 of memory."""
DEEPEST = 100


def loads(raw: bytes) -> dict[str, Any]:
    """Return the object that the text says; an empty text says `{}`. Raise InvalidRequest.

    NaN, numbers beyond all bounds, halves of surrogates and deep nesting are no JSON here.
    """
    if not raw.strip():
        return {}
    if len(raw) > MOST_VALUES:
        values = sum(_count(raw, mark) for mark in (b",", b"[", b"{"))
        if values > MOST_VALUES:
            raise InvalidRequest("The body holds too many values.")
    try:
        parsed = orjson.loads(raw)
    except orjson.JSONDecodeError as exc:
        raise InvalidRequest(f"The body is not JSON: {exc}.") from exc
    if not isinstance(parsed, dict):
        raise InvalidRequest("The body must be a JSON object.")
    if is_deep(raw, parsed):
        raise InvalidRequest("The body is nested too deeply.")
    if _may_escape_a_colon(raw) or _count(raw, b":") != _colons(parsed):
        _refuse_doubled(raw)
    return parsed


def _count(text: Any, mark: Any) -> int:
    """Return what `text.count(mark)` does: sooner for megabytes of base64, where there are few."""
    if len(text) < LONG:
        return int(text.count(mark))
    found, at = 0, text.find(mark)
    while at >= 0:
        found += 1
        if found == MANY:
            return found + int(text.count(mark, at + 1))
        at = text.find(mark, at + 1)
    return found


def _may_escape_a_colon(raw: bytes) -> bool:
    """Whether JSON holds one that is written as an escape, and would be counted once only."""
    if len(raw) < LONG:
        return b"\\u003" in raw
    at = raw.find(b"\\")
    for _ in range(MANY):
        if at < 0:
            return False
        if raw.startswith(b"\\u003", at):
            return True
        at = raw.find(b"\\", at + 2)
    return raw.find(b"\\u003", at) >= 0


def is_deep(raw: bytes, parsed: Any) -> bool:
    """Whether lists and objects stand in each other more than DEEPEST times.

    What is deeper can be read, and not be written again, nor be looked through by any function
    that calls itself.
    """
    if _count(raw, b"[") + _count(raw, b"{") <= DEEPEST:
        return False
    level = [parsed]
    for _ in range(DEEPEST):
        inside = [each.values() if isinstance(each, dict) else each for each in level]
        level = [part for each in inside for part in each if isinstance(part, (dict, list))]
        if not level:
            return False
    return True


def _colons(parsed: Any) -> int:
    """Return how many colons the text must hold if no name came twice, and none is escaped."""
    found, waiting = 0, [parsed]
    while waiting:
        each = waiting.pop()
        kind = type(each)
        if kind is str:
            found += each.count(":") if len(each) < LONG else _count(each, ":")
        elif kind is dict:
            found += len(each) + "".join(each).count(":")
            waiting += each.values()
        elif kind is list:
            waiting += each
    return found


def _refuse_doubled(raw: bytes) -> None:
    """Raise InvalidRequest if an object of the text has one name twice."""

    def look(pairs: list[tuple[str, Any]]) -> None:
        names: set[str] = set()
        for name, _ in pairs:
            if name in names:
                raise InvalidRequest(f"The body has {json.dumps(name[:100])} twice.")
            names.add(name)

    try:
        json.loads(raw, object_pairs_hook=look)
    except (ValueError, RecursionError) as exc:
        raise InvalidRequest("The body is nested too deeply, or has too long a number.") from exc
