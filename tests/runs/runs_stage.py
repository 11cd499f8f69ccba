"""A stage for runs: demo workers and the runner on a loop of their own, and members with credits.

Workers are reserved for the workspaces of their test: no other test's runs come here.
"""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from pathlib import Path

from aiohttp import web

WAIT_SECONDS = 180
"""Only what hangs takes so long: others work on the machine of a test, too."""


class Stage:
    """Workers and one runner, in a thread."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._sites: dict[str, web.AppRunner] = {}
        self._runner: asyncio.Task | None = None
        self.servers: dict[str, object] = {}
        self.proxies: dict[str, object] = {}
        self._dead: set[str] = set()
        self.workers: dict[str, object] = {}

    def do(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(WAIT_SECONDS)

    def worker(self, *members, per_second=1000, per_output=0, minimum=0, api_base="", **more):
        """Start a machine that is those members' alone, and register it."""
        from accounts.models import User
        from runs import workers

        name = f"w-{uuid.uuid4().hex[:12]}"
        port = self.do(self._serve(name, api_base=api_base))
        by = User.objects.create(email=f"{name}@example.org", is_staff=True)
        terms = workers.Terms(
            base_url=f"http://127.0.0.1:{port}",
            accelerator="cpu",
            micros_per_second=per_second,
            micros_per_output=per_output,
            minimum_micros=minimum,
            reserved_for=tuple(each.workspace_id for each in members),
            **more,
        )
        made = workers.add(name, terms, token="machine-token", by=by.pk, reason="test")
        from sandbox.comfy_worker.nodes import NODES

        workers.note_nodes(made, {each: said for each, (_, said) in NODES.items()})
        self.workers[name] = made
        return made

    def proxied(self, *members, address=None, per_second=1000, per_output=0, **more):
        """Start a machine behind a proxy that speaks Comfy API v2, and register that."""
        from accounts.models import User
        from runs import workers
        from sandbox.comfy_worker.nodes import NODES

        name = f"v-{uuid.uuid4().hex[:12]}"
        port = self.do(self._serve(name))
        address = address or self.do(self._serve_proxy(name, port))
        by = User.objects.create(email=f"{name}@example.org", is_staff=True)
        terms = workers.Terms(
            base_url=address,
            accelerator="cpu",
            micros_per_second=per_second,
            micros_per_output=per_output,
            dialect="v2",
            reserved_for=tuple(each.workspace_id for each in members),
            **more,
        )
        nodes = {each: said for each, (_, said) in NODES.items()}
        made = workers.add(name, terms, token="proxy-token", nodes=nodes, by=by.pk, reason="test")
        self.workers[name] = made
        return made

    async def _serve_proxy(self, name, port):
        from sandbox.comfy_worker.proxied import Proxy

        self.proxies[name] = proxy = Proxy(
            f"http://127.0.0.1:{port}", comfyui_token="machine-token", token="proxy-token"
        )
        runner = web.AppRunner(proxy.app(), shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self._sites[f"{name}-proxy"] = runner
        return f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"

    async def _serve(self, name, *, api_base="", port=0):
        from sandbox.comfy_worker.server import Server

        server = Server(self._home / name, api_base=api_base, token="machine-token")
        app = server.app()

        @web.middleware
        async def lives(request, handler):
            if name in self._dead:
                request.transport.abort()
                return web.Response()
            return await handler(request)

        app.middlewares.insert(0, lives)
        runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        self._sites[name], self.servers[name] = runner, server
        return site._server.sockets[0].getsockname()[1]

    def kill(self, worker):
        """Have a machine die: it forgets what it had."""
        self.do(self._sites.pop(worker.name).cleanup())

    def cut(self, worker):
        """Have nobody reach a machine, which works on."""
        self._dead.add(worker.name)

    def join(self, worker):
        self._dead.discard(worker.name)

    def die(self, worker):
        """Have a machine be gone at this moment, also from within the runner's own loop."""
        server = self.servers[worker.name]
        self._dead.add(worker.name)
        server.engine.pending.clear()
        server.engine.history.clear()
        server.engine.forget()
        server.engine.interrupt(None)

    def live(self, worker):
        """Have it be there again; it remembers nothing."""
        server = self.servers[worker.name]
        server.engine.pending.clear()
        server.engine.history.clear()
        server.engine.forget()
        self._dead.discard(worker.name)

    def revive(self, worker):
        self.do(self._serve(worker.name, port=int(worker.base_url.rpartition(":")[2])))

    def start(self, *, away_seconds=3.0):
        """Start the runner."""
        from runs.runner import Runner

        async def begin():
            return asyncio.create_task(Runner(away_seconds=away_seconds).run())

        self._runner = self.do(begin())

    def stop(self):
        """Stop it; what it carried is its follower's."""
        if self._runner is not None:

            async def end(task):
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

            self.do(end(self._runner))
            self._runner = None

    def close(self):
        from runs.models import Worker

        self.stop()
        for runner in list(self._sites.values()):
            self.do(runner.cleanup())
        Worker.objects.filter(name__in=self.workers).update(state="removed")
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


def by(member, *, key=True):
    from runs.core import By

    record = member.api_key_record if key else None
    return By(workspace_id=member.workspace_id, user_id=member.user.pk, key=record)


def picture(color=255, **more):
    """A graph that makes one picture at once."""
    return {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 32, "height": 32, "color": color}},
        "9": {
            "class_type": "SaveImage",
            "inputs": {"images": ["1", 0], "filename_prefix": "made"},
        },
        **more,
    }


def slow(seconds, *, steps=10, color=255):
    """One that takes so long."""
    return {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 32, "height": 32, "color": color}},
        "2": {
            "class_type": "DemoSleep",
            "inputs": {"image": ["1", 0], "seconds": seconds, "steps": steps},
        },
        "9": {
            "class_type": "SaveImage",
            "inputs": {"images": ["2", 0], "filename_prefix": "made"},
        },
    }


def submit(member, graph, **more):
    from runs import core

    return core.submit(by(member), core.Ask(graph=graph, **more))


def until(what, *, seconds=WAIT_SECONDS):
    """Return the first true answer, asked again and again."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.1)
    return found


def ended(run, *, seconds=WAIT_SECONDS):
    """Return a run once it has ended."""
    from runs.models import Run

    def look():
        now = Run.objects.get(pk=run.pk)
        return now if now.has_ended else None

    return until(look, seconds=seconds)


def reached(run, *states, seconds=WAIT_SECONDS):
    """Return a run once it is in one of those states."""
    from runs.models import Run

    def look():
        now = Run.objects.get(pk=run.pk)
        return now if now.state in states else None

    return until(look, seconds=seconds)
