"""The four dialects, as a script speaks them: each hands a workflow over and says how it ended."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import aiohttp
from yarl import URL

PATIENCE_SECONDS = 180
PAUSE_SECONDS = 0.3
READY = (429, 503)
"""What is said while the runner has not seen the machine yet."""
FACES = ("v2", "icu", "modelslab", "native")


class Wrong(Exception):
    """It was not as it must be; the message says how."""


@dataclass
class Ended:
    """A run that is over, as a dialect tells it."""

    id: str
    is_good: bool
    said: Any
    files: list[str] = field(default_factory=list)
    """Where each can be fetched."""


class Platform:
    """A platform with a member's key."""

    def __init__(self, session: aiohttp.ClientSession, base: str, key: str) -> None:
        self.session, self.base, self.key = session, base.rstrip("/"), key
        self.server = f"{self.base}/comfy"
        """What stands in the place of a ComfyUI's own address."""

    async def ask(self, method: str, url: str, *, fine: int = 200, **more: Any) -> Any:
        """Ask with the key; return what came, as JSON where it is that. Raises Wrong."""
        headers = {"X-API-KEY": self.key, **more.pop("headers", {})}
        where = url if url.startswith("http") else self.base + url
        end = time.monotonic() + PATIENCE_SECONDS
        while True:
            async with self.session.request(method, where, headers=headers, **more) as answer:
                is_json = answer.content_type == "application/json"
                said = await (answer.json() if is_json else answer.read())
                if answer.status == fine:
                    return said
                if answer.status not in READY or time.monotonic() > end:
                    raise Wrong(f"{method} {url}: {answer.status} {str(said)[:300]}")
            await asyncio.sleep(PAUSE_SECONDS)

    async def refused(self, method: str, url: str, **more: Any) -> str:
        """Ask for what must be refused; return the answer as text. Raises Wrong if it was taken."""
        headers = {"X-API-KEY": self.key}
        async with self.session.request(method, self.base + url, headers=headers, **more) as answer:
            said = await answer.text()
            if not 400 <= answer.status < 500:
                raise Wrong(f"{method} {url}: {answer.status} {said[:300]}")
            return said

    async def fetch(self, url: str) -> tuple[bytes, str]:
        """Return a file and its media type, asked for without a credential unless it is native."""
        headers = {"X-API-KEY": self.key} if url.startswith(self.server) else {}
        async with self.session.get(url, headers=headers) as answer:
            content = await answer.read()
            if answer.status != 200:
                raise Wrong(f"a file: {answer.status} {content[:200]!r}")
            return content, answer.content_type

    async def job(self, job_id: str) -> Any:
        """Return a run as v2 tells it, whoever handed it over."""
        return await self.ask("GET", f"/api/v2/jobs/{job_id}")

    async def over(self, job_id: str) -> Any:
        """Return that once it has ended."""
        return await until(lambda: self.job(job_id), lambda job: job["completed_at"])

    async def give(self, graph: Any, *, most: int = 500) -> str:
        """Hand a workflow over by v2; return its id."""
        headers = {"Run-Max-Credits": f"{most}"}
        body = {"workflow": graph}
        made = await self.ask("POST", "/api/v2/jobs", fine=201, json=body, headers=headers)
        return str(made["id"])

    async def run(self, face: str, graph: Any) -> Ended:
        """Hand a workflow over in a dialect, and return how it ended."""
        done: Ended = await getattr(self, f"_{face}")(graph)
        return done

    async def _v2(self, graph: Any) -> Ended:
        job = await self.over(await self.give(graph))
        urls = [each["url"] for each in job["outputs"]]
        return Ended(job["id"], job["status"] == "succeeded", job, urls)

    async def _icu(self, graph: Any) -> Ended:
        named = {"name": f"Proof {uuid4().hex[:8]}", "prompt": graph, "max_credits": 500}
        workflow = await self.ask("POST", "/v1/workflows", fine=201, json=named)
        runs = f"/api/v1/workflows/{workflow['id']}/runs"
        run = await self.ask("POST", runs, json={"prompt": graph})
        run = await until(
            lambda: self.ask("GET", f"{runs}/{run['id']}"),
            lambda now: now["status"] in ("COMPLETED", "ERROR"),
        )
        urls = [each["url"] for each in run["output"]]
        return Ended(run["id"], run["status"] == "COMPLETED", run, urls)

    async def _modelslab(self, graph: Any) -> Ended:
        body = {"key": self.key, "workflow": graph, "max_credits": 500, "wait": 60}
        said = await self.ask("POST", "/api/v7/comfyui/execute", json=body)
        if said["status"] == "processing":
            said = await until(
                lambda: self.ask("POST", said["fetch_result"], json={"key": self.key}),
                lambda now: now["status"] != "processing",
            )
        is_good = said["status"] == "success"
        return Ended(str(said["id"]), is_good, said, said.get("output") or [])

    async def _native(self, graph: Any) -> Ended:
        body = {"prompt": graph, "extra_data": {"max_credits": 500}}
        given = await self.ask("POST", f"{self.server}/prompt", json=body)
        prompt_id = given["prompt_id"]
        told = await until(
            lambda: self.ask("GET", f"{self.server}/history/{prompt_id}"), lambda now: now
        )
        entry = told[prompt_id]
        urls = [
            str(URL(f"{self.server}/view").with_query(item))
            for of_node in entry["outputs"].values()
            for items in of_node.values()
            for item in items
            if isinstance(item, dict) and "filename" in item
        ]
        return Ended(prompt_id, entry["status"]["status_str"] == "success", entry, urls)


async def until(ask: Any, is_it: Any) -> Any:
    """Return the first answer that is what one waits for. Raises Wrong if none is."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not is_it(found := await ask()):
        if time.monotonic() > end:
            raise Wrong(f"it did not come about in {PATIENCE_SECONDS} seconds: {str(found)[:200]}")
        await asyncio.sleep(PAUSE_SECONDS)
    return found
