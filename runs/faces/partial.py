"""A workflow of which only a part can run: as ComfyUI, what can is run, and the rest is told."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from common.errors import InvalidWorkflow
from runs import core
from runs import graph as graphs

if TYPE_CHECKING:
    from collections.abc import Collection

    from runs.models import Run

TRIES: Final = 3
FAILED: Final = "prompt_outputs_failed_validation"


def submit(
    by: core.By, ask: core.Ask, *, targets: Collection[str] | None = None
) -> tuple[Run, dict[str, Any]]:
    """Hand over what can run of a workflow; return the run, and what is wrong with the rest.

    `targets` are the nodes for whose sake it runs; None: all. Raises what core.submit does where
    nothing is left that could run.
    """
    nodes = graphs.read(ask.graph)
    if targets is not None:
        wanted = [each for each in targets if each in nodes]
        if not wanted:
            raise InvalidWorkflow("The workflow has no such output node.", kind="prompt_no_outputs")
        nodes = _with_sources(nodes, wanted)
    wrong: dict[str, Any] = {}
    for left in reversed(range(TRIES)):
        try:
            return core.submit(by, replace(ask, graph=nodes)), wrong
        except InvalidWorkflow as refusal:
            rest = without(nodes, refusal.node_errors) if refusal.kind == FAILED else {}
            if not left or not rest or len(rest) == len(nodes):
                refusal.node_errors = {**wrong, **refusal.node_errors}
                raise
            wrong |= refusal.node_errors
            nodes = rest
    raise AssertionError("the last try returns or raises")


def without(nodes: graphs.Graph, bad: Collection[str]) -> graphs.Graph:
    """Return the nodes that are needed by ends that need none of the bad ones."""
    followers: dict[str, list[str]] = {}
    for node_id, node in nodes.items():
        for source in graphs.sources(node):
            followers.setdefault(source, []).append(node_id)
    spoilt, waiting = set(bad), list(bad)
    while waiting:
        more = [each for each in followers.get(waiting.pop(), ()) if each not in spoilt]
        spoilt |= set(more)
        waiting += more
    return _with_sources(nodes, [each for each in ends(nodes) if each not in spoilt])


def ends(nodes: graphs.Graph) -> list[str]:
    """Return the nodes that no other needs."""
    needed = {source for node in nodes.values() for source in graphs.sources(node)}
    return [each for each in nodes if each not in needed]


def _with_sources(nodes: graphs.Graph, wanted: Collection[str]) -> graphs.Graph:
    kept, waiting = set(wanted), list(wanted)
    while waiting:
        found = graphs.sources(nodes[waiting.pop()])
        more = {each for each in found if each in nodes} - kept
        kept |= more
        waiting += more
    return {node_id: node for node_id, node in nodes.items() if node_id in kept}
