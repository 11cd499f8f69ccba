"""Its doors: those of a ComfyUI that runs of ours need."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web
from PIL import Image

from sandbox.comfy_worker.engine import Engine, Prompt, outputs_of
from sandbox.comfy_worker.nodes import NODES, Room

VERSION = "0.33.0"
MOST_BODY = 128 << 20


class Server:
    """One machine: its folders, its queue, and who listens."""

    def __init__(self, home: Path, *, api_base: str, token: str) -> None:
        self.folders = {kind: home / kind for kind in ("input", "output", "temp")}
        for folder in self.folders.values():
            folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 64), (200, 120, 40)).save(self.folders["input"] / "example.png")
        self.models = home / "models"
        for name in ("checkpoints", "embeddings", "loras", "vae"):
            (self.models / name).mkdir(parents=True, exist_ok=True)
        self.authorization = f"Bearer {token}" if token else ""
        self._numbers = 0
        self._sockets: dict[str, web.WebSocketResponse] = {}
        self._with_facts: set[str] = set()
        room = Room(self.folders, {}, "", {}, api_base.rstrip("/"), _nothing)
        self.engine = Engine(self, room)

    async def tell(self, client_id: str | None, kind: str, data: dict[str, Any]) -> None:
        """Tell one client something; progress and status without one go to everybody."""
        everybody = client_id is None and kind in ("status", "progress")
        for each, socket in list(self._sockets.items()):
            if (everybody or each == client_id) and not socket.closed:
                with contextlib.suppress(ConnectionError):  # Who is gone does not stop the work.
                    await socket.send_json({"type": kind, "data": data})

    async def show(self, client_id: str | None, frame: bytes, plain: bytes) -> None:
        """Show a picture, with its facts to who said that they read them."""
        for each, socket in list(self._sockets.items()):
            if client_id in (None, each) and not socket.closed:
                with contextlib.suppress(ConnectionError):
                    await socket.send_bytes(frame if each in self._with_facts else plain)

    def app(self) -> web.Application:
        """Return the application."""
        made = web.Application(client_max_size=MOST_BODY, middlewares=[self._guard])
        made.add_routes(
            [
                web.get("/ws", self._ws),
                web.get("/prompt", self._remaining),
                web.post("/prompt", self._prompt),
                web.get("/queue", self._queue),
                web.post("/queue", self._delete),
                web.post("/interrupt", self._interrupt),
                web.post("/free", self._free),
                web.get("/history", self._histories),
                web.post("/history", self._forget),
                web.get("/history/{id}", self._history),
                web.get("/view", self._view),
                web.post("/upload/image", self._upload),
                web.get("/object_info", self._info),
                web.get("/models", self._models),
                web.get("/models/{folder}", self._models_in),
                web.get("/system_stats", self._stats),
            ]
        )
        made.cleanup_ctx.append(self._works)
        return made

    async def _works(self, _: web.Application) -> Any:
        task = asyncio.create_task(self.engine.work())
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        shown = request.headers.get("Authorization")
        if self.authorization and shown != self.authorization:
            return web.Response(status=401)
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _ws(self, request: web.Request) -> web.WebSocketResponse:
        client = request.query.get("clientId") or uuid.uuid4().hex
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self._sockets[client] = socket
        info = {"exec_info": {"queue_remaining": self.engine.remaining}}
        await socket.send_json({"type": "status", "data": {"status": info, "sid": client}})
        async for message in socket:
            if message.type == WSMsgType.TEXT and "supports_preview_metadata" in message.data:
                self._with_facts.add(client)
        if self._sockets.get(client) is socket:
            del self._sockets[client]
        return socket

    async def _remaining(self, _: web.Request) -> web.Response:
        return web.json_response({"exec_info": {"queue_remaining": self.engine.remaining}})

    async def _prompt(self, request: web.Request) -> web.Response:
        asked = await request.json(loads=_loads)
        graph = asked.get("prompt")
        if not graph:
            return _wrong("no_prompt", "No prompt provided")
        for node_id, node in graph.items():
            if node.get("class_type") not in NODES:
                words = f"Node '{node.get('class_type')}' not found."
                return _wrong("missing_node_type", words, {"node_id": node_id})
        if not outputs_of(graph):
            return _wrong("prompt_no_outputs", "Prompt has no outputs")
        for node_id, node in graph.items():
            if node["class_type"] == "LoadImage" and not self._is_there(node["inputs"]):
                name = node["inputs"].get("image")
                return _invalid(node_id, node, f"image - Invalid image file: {name}")
        self._numbers += 1
        prompt = Prompt(
            self._numbers,
            str(asked.get("prompt_id") or uuid.uuid4()),
            graph,
            asked.get("extra_data") or {},
            asked.get("client_id"),
        )
        self.engine.add(prompt)
        await self.engine.status()
        answer = {"prompt_id": prompt.id, "number": prompt.number, "node_errors": {}}
        return web.json_response(answer)

    def _is_there(self, inputs: dict[str, Any]) -> bool:
        path = (self.folders["input"] / str(inputs.get("image"))).resolve()
        return path.is_relative_to(self.folders["input"].resolve()) and path.is_file()

    async def _queue(self, _: web.Request) -> web.Response:
        running = [self.engine.running.item] if self.engine.running else []
        pending = [each.item for each in self.engine.pending]
        return web.json_response({"queue_running": running, "queue_pending": pending})

    async def _delete(self, request: web.Request) -> web.Response:
        asked = await request.json(loads=_loads)
        self.engine.delete(asked.get("delete") or [])
        await self.engine.status()
        return web.Response()

    async def _interrupt(self, request: web.Request) -> web.Response:
        asked = await request.json(loads=_loads) if request.can_read_body else {}
        self.engine.interrupt(asked.get("prompt_id"))
        return web.Response()

    async def _free(self, _: web.Request) -> web.Response:
        self.engine.forget()
        return web.Response()

    async def _history(self, request: web.Request) -> web.Response:
        wanted = request.match_info["id"]
        entry = self.engine.history.get(wanted)
        return web.json_response({wanted: entry} if entry else {})

    async def _histories(self, _: web.Request) -> web.Response:
        return web.json_response(self.engine.history)

    async def _forget(self, request: web.Request) -> web.Response:
        asked = await request.json(loads=_loads)
        for each in list(self.engine.history) if asked.get("clear") else asked.get("delete") or []:
            self.engine.history.pop(each, None)
        return web.Response()

    async def _view(self, request: web.Request) -> web.StreamResponse:
        folder = self.folders.get(request.query.get("type", "output"))
        name, subfolder = request.query.get("filename", ""), request.query.get("subfolder", "")
        if folder is None or not name or ".." in name:
            return web.Response(status=400)
        path = (folder / subfolder / name).resolve()
        if not path.is_relative_to(folder.resolve()):
            return web.Response(status=403)
        return web.FileResponse(path) if path.is_file() else web.Response(status=404)

    async def _upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        image = form.get("image")
        if not isinstance(image, web.FileField):
            return web.Response(status=400)
        kind, subfolder = str(form.get("type") or "input"), str(form.get("subfolder") or "")
        folder = (self.folders[kind] / subfolder).resolve()
        if not folder.is_relative_to(self.folders[kind].resolve()):
            return web.Response(status=400)
        folder.mkdir(parents=True, exist_ok=True)
        name = Path(image.filename).name
        with image.file as content:
            (folder / name).write_bytes(content.read())
        return web.json_response({"name": name, "subfolder": subfolder, "type": kind})

    async def _info(self, _: web.Request) -> web.Response:
        return web.json_response({name: said for name, (_, said) in NODES.items()})

    async def _models(self, _: web.Request) -> web.Response:
        return web.json_response(sorted(each.name for each in self.models.iterdir()))

    async def _models_in(self, request: web.Request) -> web.Response:
        folder = self.models / Path(request.match_info["folder"]).name
        if not folder.is_dir():
            return web.Response(status=404)
        found = (each for each in folder.rglob("*") if each.is_file())
        return web.json_response(sorted(str(each.relative_to(folder)) for each in found))

    async def _stats(self, _: web.Request) -> web.Response:
        return web.json_response({"system": {"comfyui_version": VERSION}, "devices": []})


async def _nothing(_: int, __: int, ___: Image.Image | None) -> None:
    """Tell nobody."""


def _loads(text: str) -> dict[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise web.HTTPBadRequest
    return found


def _wrong(kind: str, words: str, extra: dict[str, Any] | None = None) -> web.Response:
    error = {"type": kind, "message": words, "details": words, "extra_info": extra or {}}
    return web.json_response({"error": error, "node_errors": {}}, status=400)


def _invalid(node_id: str, node: dict[str, Any], details: str) -> web.Response:
    kind = "prompt_outputs_failed_validation"
    words = "Prompt outputs failed validation"
    error = {"type": kind, "message": words, "details": "", "extra_info": {}}
    of_node = {
        "type": "custom_validation_failed",
        "message": "Custom validation failed for node",
        "details": details,
        "extra_info": {},
    }
    found = {"errors": [of_node], "dependent_outputs": [], "class_type": node["class_type"]}
    return web.json_response({"error": error, "node_errors": {node_id: found}}, status=400)
