"""What a worker tells of a run while it works: written down in order, as members may read it.

It is for people who watch. How the run ended, and what it costs, is read from the worker's history.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

from runs import books, isolation

if TYPE_CHECKING:
    from collections.abc import Callable

    from runs.frames import Picture
    from runs.models import Run

BETWEEN_SECONDS: Final = 0.5
"""How often at most progress and pictures are written."""
PASSED_ON: Final = ("execution_start", "execution_cached", "executing", "executed", "progress")
MOST_WAITING: Final = 1000


class Hearing:
    """One run's messages, on their way into rows."""

    def __init__(self, run: Run) -> None:
        self.ended = asyncio.Event()
        """Set where the worker says that it works no more of it."""
        self.files = 0
        """How many files of type output were made so far: what came from the cache is nobody's."""
        self._run = run
        self._workspace = isolation.token(run.workspace_id)
        self._queue: asyncio.Queue[tuple[Callable[..., Any], tuple[Any, ...]]] = asyncio.Queue(
            MOST_WAITING
        )
        self._done: set[str] = set()
        self._cached: frozenset[str] = frozenset()
        self._node = ""
        self._told = self._pictured = -BETWEEN_SECONDS
        self._progress: dict[str, Any] = {"value": 0.0, "nodes_total": len(run.graph or {})}

    async def write(self) -> None:
        """Write what comes, until cancelled."""
        while True:
            work, args = await self._queue.get()
            try:
                await books.aside(work, *args)
            finally:
                self._queue.task_done()

    async def heard_all(self) -> None:
        """Return once all that was heard is written."""
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
            self._put(books.told, self._run, name, self._ours(data))

    def picture(self, found: Picture) -> None:
        """Hear a picture."""
        now = time.monotonic()
        if now - self._pictured >= BETWEEN_SECONDS:
            self._pictured = now
            node = found.node_id or self._node
            self._put(books.previewed, self._run, node, found.content_type, found.data)

    def _note(self, name: str, data: dict[str, Any]) -> None:
        if name == "execution_cached":
            nodes = data.get("nodes") or ()
            self._cached = frozenset(each for each in nodes if isinstance(each, str))
            self._done |= self._cached
        if name == "executing":
            if self._node:
                self._done.add(self._node)
            self._node = str(data.get("display_node") or data.get("node") or "")
            self._progress |= {"step": None, "steps": None}
        if name == "executed" and data.get("node") not in self._cached:
            output = data.get("output")
            self.files += _files(output if isinstance(output, dict) else {})
        if name == "progress":
            self._progress |= {"step": data.get("value"), "steps": data.get("max")}
        total = max(self._progress["nodes_total"], 1)
        node = (self._run.graph or {}).get(self._node)
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
        if not self._queue.full():  # Who watches misses some; nothing else depends on it.
            self._queue.put_nowait((work, args))

    def _ours(self, data: dict[str, Any]) -> dict[str, Any]:
        kept = {name: value for name, value in data.items() if name != "sid"}
        if isinstance(kept.get("output"), dict):
            kept["output"] = {
                section: [self._file(each) for each in items] if isinstance(items, list) else items
                for section, items in kept["output"].items()
            }
        return {**kept, "prompt_id": str(self._run.pk)}

    def _file(self, item: Any) -> Any:
        if not isinstance(item, dict) or "subfolder" not in item:
            return item
        folder = isolation.seen_folder(str(item["subfolder"]), self._workspace)
        return {**item, "subfolder": folder}


def _files(output: dict[str, Any]) -> int:
    return sum(
        isinstance(each, dict) and each.get("type") == "output"
        for items in output.values()
        if isinstance(items, list)
        for each in items
    )
