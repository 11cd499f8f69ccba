"""A machine that lies: it says of prompts whatever its test has it say."""

from __future__ import annotations

import asyncio
import json
import time
import uuid

from aiohttp import web

NOW = "now"
"""In the place of a timestamp: when the prompt came."""


class Liar:
    """Speaks as a ComfyUI does, and means none of it."""

    def __init__(self, stage, *members, per_second=10_000, **more):
        from accounts.models import User
        from runs import workers
        from sandbox.comfy_worker.nodes import NODES

        self.info = {name: said for name, (_, said) in NODES.items()}
        self.stats = {"system": {"comfyui_version": "0.33.0"}}
        self.entry = told("execution_success")
        """What its history says of every prompt; None: that it works."""
        self.frames = []
        """What it tells once a prompt came, again and again if `floods`."""
        self.floods = False
        self.bodies = {}
        """Files by their names, or what gives each their next block; another one is a byte."""
        self.between = 0.0
        """Seconds between two blocks."""
        self.told = 0
        self.media = "image/png"
        self.prompts = []
        self._stage, self._sockets = stage, set()
        self._telling = set()
        port = stage.do(self._serve())
        self.name = f"liar-{uuid.uuid4().hex[:12]}"
        by = User.objects.create(email=f"{self.name}@example.org", is_staff=True)
        terms = workers.Terms(
            base_url=f"http://127.0.0.1:{port}",
            accelerator="cpu",
            micros_per_second=per_second,
            reserved_for=tuple(each.workspace_id for each in members),
            **more,
        )
        self.worker = workers.add(self.name, terms, by=by.pk, reason="test")
        workers.note_nodes(self.worker, self.info)
        stage.workers[self.name] = self.worker

    async def _serve(self):
        app = web.Application(client_max_size=1 << 30)
        app.add_routes(
            [
                web.get("/ws", self._ws),
                web.post("/prompt", self._prompt),
                web.get("/history/{id}", self._history),
                web.get("/queue", self._queue),
                web.post("/queue", self._nothing),
                web.post("/interrupt", self._nothing),
                web.post("/upload/image", self._nothing),
                web.get("/view", self._view),
                web.get("/object_info", self._info),
                web.get("/system_stats", self._stats),
            ]
        )
        runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self._stage._sites[str(id(self))] = runner
        return site._server.sockets[0].getsockname()[1]

    @property
    def listeners(self):
        return len(self._sockets)

    async def _ws(self, request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self._sockets.add(socket)
        async for _ in socket:
            pass
        self._sockets.discard(socket)
        return socket

    async def _prompt(self, request):
        asked = json.loads(await request.read())
        self.prompts.append(asked["prompt_id"])
        task = asyncio.create_task(self._tell(asked["prompt_id"]))
        self._telling.add(task)
        return web.json_response({"prompt_id": asked["prompt_id"], "number": 1, "node_errors": {}})

    async def _tell(self, prompt_id):
        while True:
            for frame in self.frames:
                self.told += 1
                for socket in list(self._sockets):
                    try:
                        if isinstance(frame, bytes):
                            await socket.send_bytes(frame.replace(b"PROMPT", prompt_id.encode()))
                        else:
                            await socket.send_str(frame.replace("PROMPT", prompt_id))
                    except ConnectionError:
                        self._sockets.discard(socket)
            if not self.floods:
                return
            await asyncio.sleep(0)

    async def _history(self, request):
        if self.entry is None:
            return web.json_response({})
        entry = self.entry() if callable(self.entry) else self.entry
        text = json.dumps({request.match_info["id"]: entry})
        text = text.replace('"now"', str(int(time.time() * 1000)))
        return web.Response(text=text, content_type="application/json")

    async def _queue(self, _):
        running = [[1, each, {}, {}, []] for each in self.prompts] if self.entry is None else []
        return web.json_response({"queue_running": running, "queue_pending": []})

    async def _info(self, _):
        return web.json_response(self.info)

    async def _stats(self, _):
        return web.json_response(self.stats)

    async def _nothing(self, _):
        return web.json_response({})

    async def _view(self, request):
        body = self.bodies.get(request.query["filename"], b"x")
        if isinstance(body, bytes):
            return web.Response(body=body, headers={"Content-Type": self.media})
        answer = web.StreamResponse(headers={"Content-Type": self.media})
        await answer.prepare(request)
        try:
            number = 0
            while block := body(number):
                await answer.write(block)
                await asyncio.sleep(self.between)
                number += 1
        except ConnectionError:
            pass
        return answer


def told(how, *, start=NOW, end=NOW, cached=(), outputs=None, more=()):
    """An entry of a history."""
    messages = [
        ["execution_start", {"timestamp": start}],
        ["execution_cached", {"nodes": list(cached), "timestamp": start}],
        *more,
        [how, {"timestamp": end}],
    ]
    status = {"status_str": "success", "completed": True, "messages": messages}
    return {"prompt": [], "outputs": outputs or {}, "status": status, "meta": {}}


def files(workspace_id, *names, section="images", node="9", subfolder=None, kind="output"):
    """Outputs that name files in a workspace's own folder."""
    from runs import isolation

    own = f"mc/{isolation.token(workspace_id)}" if subfolder is None else subfolder
    named = [{"filename": each, "subfolder": own, "type": kind} for each in names]
    return {node: {section: named}}
