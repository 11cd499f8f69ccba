"""Prompts in a queue, worked on one at a time; what was computed once comes from the cache.

It tells what a ComfyUI tells, in its order: `execution_start`, `execution_cached`, for each node
`executing`, `progress`, `executed`, then the end, `status`, and `executing` of no node.
"""

from __future__ import annotations

import asyncio
import io
import json
import struct
import time
from dataclasses import dataclass, field
from typing import Any, Protocol

from PIL import Image

from sandbox.comfy_worker.nodes import NODES, Made, Room, Step


class Ears(Protocol):
    """Whoever listens at `/ws`."""

    async def tell(self, client_id: str | None, kind: str, data: dict[str, Any]) -> None:
        """Tell one client something, or all of them."""

    async def show(self, client_id: str | None, frame: bytes, plain: bytes) -> None:
        """Show one a picture, with facts or without."""


@dataclass(slots=True)
class Prompt:
    """What somebody wants."""

    number: int
    id: str
    graph: dict[str, Any]
    extra: dict[str, Any]
    client_id: str | None

    @property
    def item(self) -> list[Any]:
        """As `/queue` and `/history` show it; keys are in neither."""
        shown = {name: value for name, value in self.extra.items() if "comfy_org" not in name}
        return [self.number, self.id, self.graph, shown, outputs_of(self.graph)]


class Interrupted(Exception):
    """Somebody does not want it any more."""


@dataclass(slots=True)
class _Told:
    messages: list[list[Any]] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)


class Engine:
    """Works, until cancelled."""

    def __init__(self, ears: Ears, room: Room) -> None:
        self.pending: list[Prompt] = []
        self.running: Prompt | None = None
        self.history: dict[str, dict[str, Any]] = {}
        self._ears, self._room = ears, room
        self._cache: dict[str, Made] = {}
        self._more = asyncio.Event()
        self._stop = False

    def add(self, prompt: Prompt) -> None:
        """Have a prompt wait."""
        self.pending.append(prompt)
        self._more.set()

    def delete(self, ids: list[str]) -> None:
        """Have waiting prompts be none: nobody hears of it."""
        self.pending = [each for each in self.pending if each.id not in ids]

    def interrupt(self, prompt_id: str | None) -> None:
        """Stop what runs at its next step, if it is that."""
        if self.running is not None and prompt_id in (None, self.running.id):
            self._stop = True

    def forget(self) -> None:
        """Empty the cache."""
        self._cache.clear()

    @property
    def remaining(self) -> int:
        """How many prompts have not ended."""
        return len(self.pending) + (self.running is not None)

    async def status(self, client_id: str | None = None) -> None:
        """Tell how many that are."""
        said = {"status": {"exec_info": {"queue_remaining": self.remaining}}}
        await self._ears.tell(client_id, "status", said)

    async def work(self) -> None:
        """Work on one after the other."""
        while True:
            await self._more.wait()
            if not self.pending:
                self._more.clear()
                continue
            self.running, self._stop = self.pending.pop(0), False
            prompt = self.running
            entry = await self._execute(prompt)
            self.history[prompt.id] = entry
            self.running = None
            await self.status()
            client, last = prompt.client_id, {"node": None, "prompt_id": prompt.id}
            await self._ears.tell(client, "executing", last)

    async def _execute(self, prompt: Prompt) -> dict[str, Any]:
        told = _Told()
        order = _order(prompt.graph)
        names = {node_id: _signature(prompt.graph, node_id) for node_id in order}
        cached = [node_id for node_id in order if names[node_id] in self._cache]
        await self._say(prompt, told, "execution_start", {})
        await self._say(prompt, told, "execution_cached", {"nodes": cached})
        node_id, how, more = "", "execution_success", {}
        try:
            for node_id in order:
                await self._one(prompt, told, node_id, names)
        except Interrupted:
            how, more = "execution_interrupted", _where(prompt, told, node_id)
        except Exception as exc:  # As ComfyUI: whatever a node raises is told, and nothing ends.
            how = "execution_error"
            more = {
                **_where(prompt, told, node_id),
                "exception_message": f"{exc}\n",
                "exception_type": type(exc).__name__,
                "traceback": ["/opt/comfy/execution.py, in a line"],
                "current_inputs": {},
                "current_outputs": [],
            }
        await self._say(prompt, told, how, more)
        status = {
            "status_str": "success" if how == "execution_success" else "error",
            "completed": how == "execution_success",
            "messages": told.messages,
        }
        return {"prompt": prompt.item, "outputs": told.outputs, "status": status, "meta": {}}

    async def _one(self, prompt: Prompt, told: _Told, node_id: str, names: dict[str, str]) -> None:
        name, client = names[node_id], prompt.client_id
        node = prompt.graph[node_id]
        about = {"node": node_id, "display_node": node_id, "prompt_id": prompt.id}
        if name not in self._cache:
            if self._stop:
                raise Interrupted
            await self._ears.tell(client, "executing", about)
            work, declared = NODES[node["class_type"]]
            known = {**declared["input"]["required"], **declared["input"]["optional"]}
            given = {
                key: self._value(prompt.graph, value, names)
                for key, value in node.get("inputs", {}).items()
                if key in known
            }
            room = Room(
                self._room.folders,
                prompt.extra,
                prompt.id,
                prompt.graph,
                self._room.api_base,
                self._step(prompt, node_id),
            )
            self._cache[name] = await work(given, room)
        made = self._cache[name]
        told.done.append(node_id)
        if made.ui is not None:
            told.outputs[node_id] = made.ui
            await self._ears.tell(client, "executed", {**about, "output": made.ui})

    def _value(self, graph: dict[str, Any], value: Any, names: dict[str, str]) -> Any:
        if isinstance(value, list) and len(value) == 2 and value[0] in graph:
            return self._cache[names[value[0]]].outputs[value[1]]
        return value

    def _step(self, prompt: Prompt, node_id: str) -> Step:
        async def step(value: int, most: int, picture: Image.Image | None) -> None:
            about = {"value": value, "max": most, "prompt_id": prompt.id, "node": node_id}
            await self._ears.tell(prompt.client_id, "progress", about)
            if picture is not None:
                await self._ears.show(prompt.client_id, *_frames(picture, prompt.id, node_id))
            if self._stop:
                raise Interrupted

        return step

    async def _say(self, prompt: Prompt, told: _Told, kind: str, more: dict[str, Any]) -> None:
        data = {**more, "prompt_id": prompt.id, "timestamp": int(time.time() * 1000)}
        told.messages.append([kind, data])
        await self._ears.tell(prompt.client_id, kind, data)


def outputs_of(graph: dict[str, Any]) -> list[str]:
    """Return the nodes for whose sake the others work."""
    return [
        node_id for node_id, node in graph.items() if NODES[node["class_type"]][1]["output_node"]
    ]


def _order(graph: dict[str, Any]) -> list[str]:
    """Return what must be done, sources first."""
    order: list[str] = []

    def visit(node_id: str) -> None:
        for value in graph[node_id].get("inputs", {}).values():
            if isinstance(value, list) and len(value) == 2 and value[0] in graph:
                visit(value[0])
        if node_id not in order:
            order.append(node_id)

    for node_id in outputs_of(graph):
        visit(node_id)
    return order


def _signature(graph: dict[str, Any], node_id: str) -> str:
    """Return what is the same where a node would make the same: all of its inputs, known or not."""
    node = graph[node_id]
    inputs = {
        name: [_signature(graph, value[0]), value[1]]
        if isinstance(value, list) and len(value) == 2 and value[0] in graph
        else value
        for name, value in node.get("inputs", {}).items()
    }
    return json.dumps([node["class_type"], inputs], sort_keys=True)


def _where(prompt: Prompt, told: _Told, node_id: str) -> dict[str, Any]:
    kind = prompt.graph[node_id]["class_type"]
    return {"node_id": node_id, "node_type": kind, "executed": list(told.done)}


def _frames(picture: Image.Image, prompt_id: str, node_id: str) -> tuple[bytes, bytes]:
    picture.thumbnail((64, 64))
    into = io.BytesIO()
    picture.save(into, "JPEG")
    facts = {
        "node_id": node_id,
        "display_node_id": node_id,
        "prompt_id": prompt_id,
        "image_type": "image/jpeg",
    }
    said = json.dumps(facts).encode()
    with_facts = struct.pack(">II", 4, len(said)) + said + into.getvalue()
    return with_facts, struct.pack(">II", 1, 1) + into.getvalue()
