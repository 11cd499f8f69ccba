"""The price list: every operation with its rule, and what it comes to for usual parameters.

It is worked out from the catalogue, under the version of the price book that holds now: a request
that is known to be good, varied by what its price depends on.
"""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common.errors import PlatformError
from prices import terms
from proxy.catalogue import Kind
from proxy.pricing import ranges
from proxy.quoting import facts, requests
from proxy.quoting.estimates import estimate
from proxy.vendors import catalogue

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prices.terms import Book
    from proxy.catalogue import Operation, Vendor
    from proxy.quoting.estimates import Estimate

MOST_ROWS = 60
"""Of one operation, beyond which a list is no help; the rule in words stands beside it."""
WIDE_CHARACTER = "\N{FOX FACE}"
"""Four bytes: some vendors charge by characters, some by bytes."""
UNITS = {
    "characters": "character", "bytes": "byte", "rates": "token", "rate": "second",
    "seconds": "second", "megapixels": "megapixel", "pictures": "image", "n": "image",
    "frames": "frame",
}  # fmt: skip
"""What a price is by, told by the first of these that is among its inputs."""


@dataclass(frozen=True, slots=True)
class Row:
    """What is asked for some parameters."""

    parameters: dict[str, Any]
    retail: Estimate
    asked: Estimate


@dataclass(frozen=True, slots=True)
class Listed:
    """An operation of the list."""

    vendor: Vendor
    operation: Operation
    nodes: list[str]
    unit: str
    rule: str
    term: str
    rows: list[Row]


def listed(book: Book) -> list[Listed]:
    """Return all operations that cost something."""
    return asyncio.run(_listed(book))


async def _listed(book: Book) -> list[Listed]:
    found = []
    for vendor in catalogue().vendors.values():
        for operation in vendor.operations:
            if operation.kind in (Kind.SYNC, Kind.SUBMIT):
                rows = await _rows(operation.path, book)
                term = book.term(vendor.name, operation.path)
                found.append(
                    Listed(
                        vendor,
                        operation,
                        sorted(facts.nodes_of().get(operation.path, [])),
                        _unit(rows),
                        ranges.words(operation.price),
                        term.words if term else "",
                        rows,
                    )
                )
    return found


async def _rows(name: str, book: Book) -> list[Row]:
    rows: list[Row] = []
    seen = set()
    for parameters, told in varied(name):
        try:
            wanted = requests.read(told)
            retail = await estimate(wanted, terms.PUBLISHED)
            asked = await estimate(wanted, book) if book.terms else retail
        except PlatformError:
            continue  # These do not go together.
        key = (tuple(parameters.items()), retail.least, retail.most)
        if key not in seen:
            seen.add(key)
            rows.append(Row(parameters, retail, asked))
    if len({(row.retail.least, row.retail.most) for row in rows}) == 1:
        return [Row({}, rows[0].retail, rows[0].asked)]  # It is the same whatever is varied.
    return rows[:MOST_ROWS]


def _unit(rows: list[Row]) -> str:
    inputs = rows[0].retail.inputs if rows else {}
    return next((unit for name, unit in UNITS.items() if name in inputs), "call")


def varied(name: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield the example of an operation in each of its variations, with what was varied."""
    example = facts.examples().get(name)
    if example is None:
        return
    varies: dict[str, list[Any]] = example.get("varies", {})
    told = _told(example)
    for values in itertools.product(*varies.values()):
        parameters = dict(zip(varies, values, strict=True))
        made = told
        for at, value in parameters.items():
            made = put(made, at.split("."), value)
        yield parameters, made


def varies(name: str) -> dict[str, list[Any]]:
    """Return by which parameters the price of an operation differs, and what each may be."""
    example = facts.examples().get(name) or {}
    found: dict[str, list[Any]] = example.get("varies", {})
    return found


def with_parameters(name: str, chosen: dict[str, Any]) -> dict[str, Any] | None:
    """Return the example of an operation with some parameters; None without an example."""
    example = facts.examples().get(name)
    if example is None:
        return None
    made = _told(example)
    for at, value in chosen.items():
        made = put(made, at.split("."), value)
    return made


def dearest(name: str) -> dict[str, Any] | None:
    """Return a request of an operation that costs as much as one can; None without an example."""
    example = facts.examples().get(name)
    if example is None:
        return None
    made = _told(example)
    for at, value in example.get("dearest", {}).items():
        made = put(made, at.split("."), _spelled(value))
    return made


def _told(example: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in example.items() if key not in ("varies", "dearest")}


def _spelled(value: Any) -> Any:
    """Return a value with its long texts, which an example only tells the length of."""
    if isinstance(value, list):
        return [_spelled(each) for each in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"characters"}:
        return WIDE_CHARACTER * value["characters"]
    return {name: _spelled(each) for name, each in value.items()}


def put(held: Any, at: list[str], value: Any) -> Any:
    """Return an object with a value at a place; of a list, in its first entry, or that numbered."""
    if not at:
        return value
    if isinstance(held, list):
        place, rest = (int(at[0]), at[1:]) if at[0].isdecimal() else (0, at)
        inner = held[place] if place < len(held) else {}
        return [*held[:place], put(inner, rest, value), *held[place + 1 :]]
    inner = held if isinstance(held, dict) else {}
    return {**inner, at[0]: put(inner.get(at[0]), at[1:], value)}
