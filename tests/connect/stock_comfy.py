"""What a ComfyUI is to its page, without the ComfyUI: it serves the page, unmodified, by https.

The answers are those that ComfyUI 0.33.0 gave to frontend 1.58.1, of an installation without models
and workflows, that has clients/comfyui-credits and two nodes: one of ours and one that saves.
What the page asks beside that is refused, and written down (`surprises`).
"""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web

CLIENTS = Path(__file__).resolve().parents[2] / "clients" / "comfyui-credits"
PAID = "FluxProUltraImageNode"
SETTINGS = {"Comfy.TutorialCompleted": True, "Comfy.InstalledVersion": "1.58.1"}
"""Of somebody who was here before: a first visit shows templates over everything."""
STATS = {
    "system": {
        "os": "linux",
        "ram_total": 16_000_000_000,
        "ram_free": 8_000_000_000,
        "comfyui_version": "0.33.0",
        "required_frontend_version": "1.49.6",
        "installed_templates_version": "0.11.44",
        "required_templates_version": "0.11.44",
        "python_version": "3.11.7",
        "pytorch_version": "2.13.0+cpu",
        "embedded_python": False,
        "deploy_environment": "local-git",
        "argv": ["main.py"],
    },
    "devices": [
        {
            "name": "cpu",
            "type": "cpu",
            "index": None,
            "vram_total": 16_000_000_000,
            "vram_free": 8_000_000_000,
            "torch_vram_total": 16_000_000_000,
            "torch_vram_free": 8_000_000_000,
        }
    ],
}
EMPTY: dict[str, Any] = {
    "users": {"storage": "server", "migrated": True},
    "i18n": {},
    "global_subgraphs": {},
    "node_replacements": {},
    "workflow_templates": {},
    "experiment/models": [],
    "queue": {"queue_running": [], "queue_pending": []},
    "jobs": {
        "jobs": [],
        "pagination": {"offset": 0, "limit": 200, "total": 0, "has_more": False},
    },
}


@dataclass
class StockComfy:
    """What was asked of it, and where it is."""

    page: Path
    features: dict[str, Any]
    address: str = ""
    settings: dict[str, Any] = field(default_factory=lambda: dict(SETTINGS))
    prompts: list[dict[str, Any]] = field(default_factory=list)
    surprises: list[str] = field(default_factory=list)

    def app(self) -> web.Application:
        """Return it as a server."""
        app = web.Application()
        app.router.add_get("/", self._index)
        app.router.add_get("/ws", self._socket)
        for name, said in EMPTY.items():
            app.router.add_get(f"/api/{name}", self._saying(said))
        app.router.add_get("/api/features", self._saying(self.features))
        app.router.add_get("/api/system_stats", self._saying(STATS))
        app.router.add_get("/api/object_info", self._saying(nodes()))
        script = "/extensions/comfyui-credits/credits.js"
        app.router.add_get("/api/extensions", self._saying([script]))
        app.router.add_get(script, self._script)
        app.router.add_get("/api/settings", self._settings)
        app.router.add_post("/api/settings/{name}", self._set)
        app.router.add_get("/api/userdata", self._no_folder)
        app.router.add_get("/api/userdata/{file}", self._nothing)
        app.router.add_get("/templates/{file}", self._saying([]))
        app.router.add_get("/user.css", self._nothing)
        app.router.add_post("/api/prompt", self._prompt)
        app.router.add_route("*", "/{rest:.*}", self._file)
        return app

    def _saying(self, said: Any) -> Any:
        async def answer(request: web.Request) -> web.Response:
            return web.json_response(said)

        return answer

    async def _index(self, request: web.Request) -> web.FileResponse:
        return web.FileResponse(self.page / "index.html", headers={"Cache-Control": "no-store"})

    async def _file(self, request: web.Request) -> web.StreamResponse:
        found = (self.page / request.match_info["rest"]).resolve()
        if request.method == "GET" and found.is_relative_to(self.page) and found.is_file():
            return web.FileResponse(found)
        self.surprises.append(f"{request.method} {request.rel_url.path}")
        return web.Response(status=404)

    async def _script(self, request: web.Request) -> web.FileResponse:
        return web.FileResponse(CLIENTS / "web" / "credits.js")

    async def _settings(self, request: web.Request) -> web.Response:
        return web.json_response(self.settings)

    async def _set(self, request: web.Request) -> web.Response:
        self.settings[request.match_info["name"]] = await request.json()
        return web.Response()

    async def _no_folder(self, request: web.Request) -> web.Response:
        return web.Response(status=404, text="Directory not found")

    async def _nothing(self, request: web.Request) -> web.Response:
        return web.Response(status=404)

    async def _prompt(self, request: web.Request) -> web.Response:
        self.prompts.append(await request.json())
        told = {"prompt_id": f"{len(self.prompts):032x}", "number": 1, "node_errors": {}}
        return web.json_response(told)

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        idle = {"exec_info": {"queue_remaining": 0}}
        await socket.send_json({"type": "status", "data": {"status": idle, "sid": "a" * 32}})
        async for said in socket:
            if said.type is WSMsgType.TEXT and json.loads(said.data)["type"] == "feature_flags":
                await socket.send_json({"type": "feature_flags", "data": self.features})
        return socket


def nodes() -> dict[str, Any]:
    """Return what ComfyUI says of the two nodes, as far as the page reads it."""
    paid: dict[str, Any] = {
        "prompt": ["STRING", {"default": "a fox", "multiline": True}],
        "seed": ["INT", {"default": 0, "min": 0, "max": 2**32, "control_after_generate": True}],
        "aspect_ratio": ["STRING", {"default": "1:1"}],
    }
    saved = {"images": ["IMAGE", {}], "filename_prefix": ["STRING", {"default": "ComfyUI"}]}
    badge = {"widgets": [], "inputs": [], "input_groups": []}
    price = {"engine": "jsonata", "depends_on": badge, "expr": '{"type":"usd","usd":0.06}'}
    return {
        PAID: _node(PAID, paid, ["IMAGE"], api_node=True, price_badge=price),
        "SaveImage": _node("SaveImage", saved, [], output_node=True),
    }


def _node(name: str, inputs: dict[str, Any], outputs: list[str], **more: Any) -> dict[str, Any]:
    return {
        "input": {"required": inputs},
        "input_order": {"required": list(inputs)},
        "output": outputs,
        "output_is_list": [False] * len(outputs),
        "output_name": outputs,
        "name": name,
        "display_name": name,
        "description": "",
        "python_module": "nodes",
        "category": "image",
        "output_node": False,
        "api_node": False,
        **more,
    }


@contextmanager
def serving(comfy: StockComfy, *, port: int, context: ssl.SSLContext) -> Iterator[StockComfy]:
    """Serve it from a thread, for as long as the block lasts."""
    begun, stop = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        runner = web.AppRunner(comfy.app(), access_log=None, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, ssl_context=context).start()
        loops.append(asyncio.get_running_loop())
        begun.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert begun.wait(10), "it does not listen"
    comfy.address = f"https://127.0.0.1:{port}"
    try:
        yield comfy
    finally:
        loops[0].call_soon_threadsafe(stop.set)
        thread.join(10)
