"""What is known of nodes and of requests: read once from the files in `facts/`.

- `nodes.json`: every API node, its vendor, the routes that its price comes from, and (`calls`) how
  its inputs become the request.
- `examples.json`: a request of each operation, what of it the price varies by (`varies`), and what
  makes one of it that costs the most (`dearest`; without, that is among the variations).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

FOLDER = Path(__file__).parent / "facts"


@dataclass(frozen=True, slots=True)
class Node:
    """An API node."""

    name: str
    title: str
    vendor: str
    routes: tuple[str, ...]
    """Paths below `/proxy/` that it makes metered calls on; of a helper none."""
    calls: dict[str, Any] = field(default_factory=dict)
    may_ask: tuple[dict[str, Any], ...] = ()
    """Of one whose inputs are not known in full: its cheapest request, and its dearest."""


@functools.cache
def nodes() -> dict[str, Node]:
    """Return every API node by its class."""
    read = orjson.loads((FOLDER / "nodes.json").read_bytes())
    return {
        name: Node(
            name,
            told["title"],
            told["vendor"],
            tuple(told["routes"]),
            told.get("calls", {}),
            tuple(told.get("may_ask", ())),
        )
        for name, told in read.items()
    }


@functools.cache
def nodes_of() -> dict[str, list[str]]:
    """Return the nodes of each route."""
    found: dict[str, list[str]] = {}
    for node in nodes().values():
        for route in node.routes:
            found.setdefault(route, []).append(node.name)
    return found


@functools.cache
def examples() -> dict[str, dict[str, Any]]:
    """Return an example of each operation, by its name."""
    found: dict[str, dict[str, Any]] = orjson.loads((FOLDER / "examples.json").read_bytes())
    return found
