"""What a worker tells of a run while it works: written down in order, as members may read it.

It is for people who watch. How the run ended, and what it costs, is read from the worker's history.
So what no database keeps, what is too long and what comes too often is lost, and nothing waits for
it: a node's own text is in these words, and code of others writes on that socket.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import orjson
from django.db import Error

from runs import books, isolation

if TYPE_CHECKING:
    from collections.abc import Callable

    from runs.frames import Picture
    from runs.models import Run

log = logging.getLogger("runs")
BETWEEN_SECONDS: Final = 0.5
"""How often at most progress and pictures are written."""
PASSED_ON: Final = ("execution_start", "execution_cached", "executing", "executed", "progress")
MOST_WAITING: Final = 1000
MOST_TOLD: Final = 20_000
"""Messages of one run that are written down; a graph of 5,000 nodes has half as many."""
MOST_MESSAGE: Final = 256 << 10
LONGEST_NODE: Final = 100
HEARD_SECONDS: Final = 10
"""So long an end waits for what was heard before it to be written."""


class Hearing:
    """One run's messages, on their way into rows."""

    def __init__(self, run: Run) -> None:
        self.ended = asyncio.Event()
        """Set where the worker says that it works no more of it."""
        self.files = 0
        """How many files of type output were made so far: what came from the cache is nobody's."""
        self._run = run
        self._workspace = isolation.token(run.workspace_id)
        self._nodes = run.graph or {}
        self._is_over = False
        self._written = 0
        self._queue: asyncio.Queue[tuple[Callable[..., Any], tuple[Any, ...]]] = asyncio.Queue(
            MOST_WAITING
        )
        self._done: set[str] = set()
        self._cached: frozenset[str] = frozenset()
        self._node = ""
        self._told = self._pictured = -BETWEEN_SECONDS
        self._progress: dict[str, Any] = {"value": 0.0, "nodes_total": len(self._nodes)}

    async def write(self) -> None:
        """Write what comes, until cancelled."""
        while True:
            work, args = await self._queue.get()
            try:
                await books.aside(work, *args)
            except Error as exc:  # Who watches misses that, and hears what comes next.
                log.warning("a message of run %s is lost: %s", self._run.pk, type(exc).__name__)
            finally:
                self._queue.task_done()

    async def heard_all(self) -> None:
        """Hear no more, and return once what was heard is written, or after a while."""
        self._is_over = True
        with suppress(TimeoutError):
            async with asyncio.timeout(HEARD_SECONDS):
                await self._queue.join()

    def message(self, name: str, data: dict[str, Any]) -> None:
        """Hear one message of the worker's about this run."""
        if name == "executing" and data.get("node") is None:
            self.ended.set()
            return
        if name in ("execution_success", "execution_error", "execution_interrupted"):
            self.ended.set()
            return
        if name not in PASSED_ON:
            return
        is_soon = self._is_soon()
        self._note(name, data)
        if name != "progress" or not is_soon:
            self._tell(name, self._ours(data))

    def picture(self, found: Picture) -> None:
        """Hear a picture."""
        now = time.monotonic()
        if now - self._pictured >= BETWEEN_SECONDS:
            self._pictured = now
            node = found.node_id or self._node
            self._put(books.previewed, self._run, node, found.content_type, found.data)

    def _tell(self, name: str, ours: dict[str, Any]) -> None:
        if self._written < MOST_TOLD and len(orjson.dumps(ours)) <= MOST_MESSAGE:
            self._written += 1
            self._put(books.told, self._run, name, ours)

    def _note(self, name: str, data: dict[str, Any]) -> None:
        if name == "execution_cached":
            nodes = data.get("nodes")
            nodes = nodes if isinstance(nodes, list) else ()
            self._cached = frozenset(each for each in nodes if isinstance(each, str))
            self._done |= self._cached & self._nodes.keys()
        if name == "executing":
            if self._node in self._nodes:
                self._done.add(self._node)
            self._node = str(data.get("display_node") or data.get("node") or "")[:LONGEST_NODE]
            self._progress |= {"step": None, "steps": None}
        if name == "executed" and str(data.get("node")) not in self._cached:
            output = data.get("output")
            self.files += _files(output if isinstance(output, dict) else {})
        if name == "progress":
            self._progress |= {
                "step": _number(data.get("value")),
                "steps": _number(data.get("max")),
            }
        total = max(self._progress["nodes_total"], 1)
        node = self._nodes.get(self._node)
        self._progress |= {
            "nodes_done": len(self._done),
            "value": round(min(len(self._done) / total, 1.0), 4),
            "current_node": self._node or None,
            "current_node_class": node["class_type"] if node else None,
        }
        if not self._is_soon():
            self._told = time.monotonic()
            self._put(books.progressed, self._run, dict(self._progress))

    def _is_soon(self) -> bool:
        return time.monotonic() - self._told < BETWEEN_SECONDS

    def _put(self, work: Callable[..., Any], *args: Any) -> None:
        # Who watches misses some; nothing else depends on it.
        if not self._is_over and not self._queue.full():
            self._queue.put_nowait((work, args))

    def _ours(self, data: dict[str, Any]) -> dict[str, Any]:
        kept = {name: value for name, value in data.items() if name != "sid"}
        if isinstance(kept.get("output"), dict):
            kept["output"] = {
                section: [self._file(each) for each in items] if isinstance(items, list) else items
                for section, items in kept["output"].items()
            }
        return {**kept, "prompt_id": self._run.name}

    def _file(self, item: Any) -> Any:
        if not isinstance(item, dict) or "subfolder" not in item:
            return item
        folder = isolation.seen_folder(str(item["subfolder"]), self._workspace)
        return {**item, "subfolder": folder}


def _number(said: Any) -> int | float | None:
    return said if isinstance(said, (int, float)) else None


def _files(output: dict[str, Any]) -> int:
    return sum(
        isinstance(each, dict) and each.get("type") == "output"
        for items in output.values()
        if isinstance(items, list)
        for each in items
    )
