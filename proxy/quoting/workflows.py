"""A workflow in ComfyUI's API format: what each of its API nodes would cost.

What another node makes (a link) is not known before. If the price depends on it, the node is told
with the range of what there is to choose from. A node that is an API node but whose request nobody
knows how to make is told with the range of its operations; of an unknown one only the name is told.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from common.errors import InvalidRequest, PlatformError
from common.money import Micros
from proxy.quoting import facts, listing, requests
from proxy.quoting.estimates import Estimate, estimate
from proxy.quoting.nodes import LONGEST_TEXTS, SHORTEST_TEXT, has_unknown_text, requests_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from prices.terms import Book

MOST_NODES = 2_000
MOST_PRICED = 200


@dataclass(frozen=True, slots=True)
class Quoted:
    """A node of a workflow, or a single request (then without a node)."""

    node: str
    name: str
    title: str
    vendor: str
    operations: tuple[str, ...]
    estimate: Estimate | None
    """None where it has no price: `problem` says why."""
    is_exact: bool
    """Whether the request is known as its node would make it."""
    problem: str = ""


async def quote(workflow: Mapping[str, Any], book: Book) -> list[Quoted]:
    """Return what every API node of a workflow would cost; raise InvalidRequest for none."""
    if not workflow or len(workflow) > MOST_NODES:
        raise InvalidRequest(f"prompt must hold 1 to {MOST_NODES} nodes, in the API format.")
    found: list[Quoted] = []
    for number, told in workflow.items():
        if not isinstance(told, dict) or not isinstance(told.get("class_type"), str):
            raise InvalidRequest(
                f"Node {number[:50]} has no class_type: please export the workflow in the API "
                "format."
            )
        node = facts.nodes().get(told["class_type"])
        if node is None or not (node.routes or node.calls):
            continue  # It runs on one's own machine, or only helps another.
        if len(found) == MOST_PRICED:
            raise InvalidRequest(f"prompt holds more than {MOST_PRICED} API nodes.")
        inputs = told.get("inputs", {})
        found.append(await _node(number, node, inputs if isinstance(inputs, dict) else {}, book))
    return found


async def _node(number: str, node: facts.Node, inputs: Mapping[str, Any], book: Book) -> Quoted:
    found, problems = await _priced(node, inputs, book)
    if found:
        names = tuple(dict.fromkeys(name for name, _ in found))
        usual = span(each for _, each in found)
        spread = await _of_any_text(usual, node, inputs, book)
        is_exact = (spread.least, spread.most) == (usual.least, usual.most)
        return _quoted(number, node, names, spread, is_exact=is_exact)
    if problems:
        return _quoted(number, node, node.routes, None, problem=problems[0])
    return await _by_operations(number, node, book)


async def _priced(
    node: facts.Node, inputs: Mapping[str, Any], book: Book, **how: str
) -> tuple[list[tuple[str, Estimate]], list[str]]:
    """Return what each request of a node would cost, by its operation, and why others have none."""
    found: list[tuple[str, Estimate]] = []
    problems: list[str] = []
    for told in requests_of(node, inputs, **how):
        try:
            wanted = requests.read(told)
            found.append((wanted.route.name, await estimate(wanted, book)))
        except PlatformError as exc:
            problems.append(str(exc))
    return found, problems


async def _of_any_text(
    usual: Estimate, node: facts.Node, inputs: Mapping[str, Any], book: Book
) -> Estimate:
    """Return the range from the shortest text to the longest, where another node makes one."""
    if not has_unknown_text(node, inputs):
        return usual
    short, _ = await _priced(node, inputs, book, text=SHORTEST_TEXT)
    found = [usual, *(each for _, each in short)]
    for characters in LONGEST_TEXTS:
        text = ("a word " * (characters // len("a word ") + 1))[:characters]
        long, _ = await _priced(node, inputs, book, text=text)
        if long:
            found += [each for _, each in long]
            break
    least, most = min(each.least for each in found), max(each.most for each in found)
    return replace(usual, least=least, most=most)


async def _by_operations(number: str, node: facts.Node, book: Book) -> Quoted:
    """Return the range of what a node may ask for, where that is told, or of its operations.

    No request of the operations is held for more than the most of it.
    """
    found = []
    varied = (told for name in node.routes for _, told in listing.varied(name))
    for told in node.may_ask or varied:
        try:
            found.append(await estimate(requests.read(told), book))
        except PlatformError:
            continue
    problem = "" if found else f"What {node.name} costs is not known here."
    spread = span(found) if found else None
    if spread is not None and not node.may_ask:
        spread = await _up_to_the_most(spread, node, book)
    return _quoted(number, node, node.routes, spread, is_exact=False, problem=problem)


async def _up_to_the_most(found: Estimate, node: facts.Node, book: Book) -> Estimate:
    """Return a range that ends where the operations of a node cost the most."""
    most = found.most
    for told in filter(None, map(listing.dearest, node.routes)):
        with suppress(PlatformError):  # What the vendor alone can tell has no such request.
            most = max(most, (await estimate(requests.read(told), book)).most)
    return replace(found, most=most)


def _quoted(
    number: str,
    node: facts.Node,
    operations: tuple[str, ...],
    found: Estimate | None,
    *,
    is_exact: bool = True,
    problem: str = "",
) -> Quoted:
    return Quoted(
        number[:50], node.name, node.title, node.vendor, operations, found, is_exact, problem
    )


def span(found: Iterable[Estimate]) -> Estimate:
    """Return the range over several."""
    rows = list(found)
    first = rows[0]
    return Estimate(
        min(row.least for row in rows),
        sorted(row.likely for row in rows)[len(rows) // 2],
        max(row.most for row in rows),
        first.inputs if len(rows) == 1 else {},
    )


def total(found: Iterable[Estimate]) -> Estimate:
    """Return the sum of several."""
    rows = list(found)
    return Estimate(
        Micros(sum(row.least for row in rows)),
        Micros(sum(row.likely for row in rows)),
        Micros(sum(row.most for row in rows)),
        {},
    )
