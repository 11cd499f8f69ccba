"""Comfy API v2 as comfy-api-proxy speaks it before a ComfyUI: one more wire of a worker.

    POST /api/v2/jobs    GET /api/v2/jobs/<id>, /api/v2/jobs    POST /api/v2/jobs/<id>/cancel
    GET /api/v2/jobs/<id>/events    POST /api/v2/assets    GET /api/v2/assets/<id>/content

It is asked and answers as `Native` does, so whoever carries a run need not know which it is. What
that proxy does not tell, nobody knows here: its nodes are those that the operator handed over, and
nothing can be wiped there. How far a job is comes by its stream of events (streamed.py). It names
no times: a run is measured from when it was first seen to work to when it was first seen to have
ended, which is never too much. What was never seen to work costs no time at all.

It says that something came from its memory (`outputs_reused`), and not which nodes: a checkpoint
that was loaded before is enough. So a file is an old one where a run had it before, by its name.

A try is known there by its label (`metadata`), so that it is found again after a lost answer, or by
the next runner. The id of an output says where its file lies: by that a workspace's own are told.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import math
import time
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import orjson

from runs import streamed
from runs.native import (
    ANSWER_SECONDS,
    CONNECT_SECONDS,
    FILE_LIMIT,
    FILE_SECONDS,
    MOST_ANSWER,
    MOST_FILE,
    Away,
    Missing,
    Queued,
    Rejected,
    bring,
)
from runs.reading import MOST_FILES, OBSERVED, REMEMBERS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path
    from uuid import UUID

    from runs.digests import Measured

log = logging.getLogger("runs")
JOBS: Final = "/api/v2/jobs"
ASSETS: Final = "/api/v2/assets"
KEY: Final = "api_key_comfy_org"
ENDS: Final = {
    "succeeded": "execution_success",
    "failed": "execution_error",
    "canceled": "execution_interrupted",
}
MOST_LISTED: Final = 100
MOST_KNOWN: Final = 1000
MOST_PLACES: Final = 100_000
"""Files whose ids are known: more than all runs make that a machine may have at once."""
MOST_MS: Final = 86_400_000
"""More than a run may take: it pays for no more than what passed here in any case."""
MISSES: Final = 5
"""So often in a row it may say that a job is gone, which it does for a moment of a living one."""
MOST_HEARD: Final = 1000
AGAIN_SECONDS: Final = 5.0
FRESH_SECONDS: Final = 0.5
"""Who follows a run asks for all of them, each second: so long what was heard holds for others."""
SILENT_SECONDS: Final = 60
"""Without a word for so long, a stream of events is given up: it beats each 15 seconds."""
Place = tuple[str, str, str]


@dataclass(slots=True)
class _Job:
    """One try, as the proxy knows it."""

    id: str
    began: float | None = None
    ended: float | None = None
    status: str = "queued"
    misses: int = 0
    looked: float = -math.inf
    """When it was looked at last."""
    asked: float = -math.inf
    """When its stream was opened last."""
    over: float | None = None
    """When its stream said that it is over, before it was looked at."""


class Proxied:
    """One worker, by its address. Everything raises Away where it does not answer."""

    def __init__(self, base_url: str, authorization: str) -> None:
        headers = {"Authorization": authorization} if authorization else {}
        limits = aiohttp.ClientTimeout(total=ANSWER_SECONDS, connect=CONNECT_SECONDS)
        self.inputs = asyncio.Lock()
        """Held while a file is put among its inputs."""
        self._base = base_url.rstrip("/")
        self._session = aiohttp.ClientSession(
            headers=headers, timeout=limits, cookie_jar=aiohttp.DummyCookieJar()
        )
        self._jobs: dict[str, _Job] = {}
        self._files: dict[Place, str] = {}
        self._streams: dict[str, asyncio.Task[None]] = {}
        self._heard: asyncio.Queue[streamed.Heard] = asyncio.Queue(MOST_HEARD)

    async def close(self) -> None:
        """Leave no connection open."""
        streams = list(self._streams.values())
        for stream in streams:
            stream.cancel()
        await asyncio.gather(*streams, return_exceptions=True)
        await self._session.close()

    async def stats(self) -> dict[str, Any]:
        """Return nothing, if it answers and so does the ComfyUI behind it."""
        status, _ = await self._ask("GET", f"{JOBS}/{uuid.uuid4()}")  # Its health asks nobody.
        if status not in (200, 404):
            raise Away(f"{JOBS} answered {status}")
        return {}

    async def object_info(self) -> dict[str, Any]:
        """Return nothing: it does not tell of its nodes."""
        return {}

    async def folders(self) -> dict[str, list[str]]:
        """Return nothing: it does not tell of its models."""
        return {}

    async def queue(self) -> Queued:
        """Return what it has to do of what came from here."""
        found: dict[str, set[str]] = {"running": set(), "queued": set()}
        for attempt, job in list(self._jobs.items()):
            if job.ended is None and await self._is_there(attempt, job):
                self._follow(attempt, job)
                found["queued" if job.status == "queued" else "running"].add(attempt)
        return Queued(frozenset(found["running"]), frozenset(found["queued"]))

    async def history(self, prompt_id: UUID) -> dict[str, Any] | None:
        """Return how a try ended, in ComfyUI's words; None if it did not, or is not known."""
        job = self._jobs.get(str(prompt_id)) or await self._found(prompt_id)
        said = await self._looked(str(prompt_id), job) if job else None
        return self._entry(job, said) if job and said and job.status in ENDS else None

    async def prompt(self, prompt_id: UUID, graph: dict[str, Any], extra: dict[str, Any]) -> None:
        """Have it run a graph under a label; raise Rejected if it will not."""
        body = {"workflow": graph, "metadata": str(prompt_id)}
        if extra.get(KEY):
            body["extra_data"] = {KEY: extra[KEY]}
        once = {"Idempotency-Key": str(prompt_id)}
        status, said = await self._ask("POST", JOBS, body, headers=once)
        if status == 201 and isinstance(said.get("id"), str):
            self._know(prompt_id, said["id"])
            return
        given = said.get("error")
        error = given if isinstance(given, dict) else {}
        if status == 422 and error.get("code") in ("invalid_workflow", "workflow_format_ui"):
            details = error.get("details")
            nodes = details.get("node_errors") if isinstance(details, dict) else {}
            raise Rejected({"error": error, "node_errors": nodes or {}})
        raise Away(f"{JOBS} answered {status}")  # Perhaps it has it: it is looked for.

    async def stop(self, prompt_id: UUID) -> None:
        """Have it run no more of a try, whether it waits or works."""
        job = self._jobs.get(str(prompt_id)) or await self._found(prompt_id)
        if job is not None:
            await self._ask("POST", f"{JOBS}/{job.id}/cancel", {})

    async def upload(self, path: str, content: Path) -> dict[str, Any]:
        """Put a file among its inputs; return how a graph names it there.

        Equal bytes are one file there, under the name that came first.
        """
        with content.open("rb") as opened:
            form = aiohttp.FormData()
            form.add_field("file_path", f"input/{path}")
            form.add_field("file", opened, filename=path.rpartition("/")[2])
            status, said = await self._ask("POST", ASSETS, form=form, seconds=FILE_SECONDS)
        if status not in (200, 201) or not isinstance(said.get("id"), str):
            raise Away(f"{ASSETS} answered {status}")
        return {"__type": "core/ASSET", "info": {"id": said["id"]}}

    async def blank(self, kind: str, subfolder: str, name: str) -> None:
        """Do nothing: nothing can be written over there."""

    async def forget(self, prompt_id: UUID) -> None:
        """Know nothing here any more of a try that ended."""
        self._jobs.pop(str(prompt_id), None)
        if (stream := self._streams.get(str(prompt_id))) is not None:
            stream.cancel()

    async def free(self) -> None:
        """Do nothing: it is not asked to forget what it computed."""

    async def view(
        self, name: str, subfolder: str, kind: str, into: Path, *, most: int = MOST_FILE
    ) -> tuple[str, Measured]:
        """Bring a file; return the media type that it has there. Raises Missing, TooLarge."""
        asset_id = self._files.get((kind, subfolder, name))
        if asset_id is None:
            raise Missing(name)
        asked = self._session.get(
            f"{self._base}{ASSETS}/{asset_id}/content", timeout=FILE_LIMIT, allow_redirects=False
        )
        return await bring(asked, ASSETS, name, into, most)

    async def messages(self) -> AsyncIterator[dict[str, Any] | bytes]:
        """Yield what it tells of its jobs, in ComfyUI's words, for ever."""
        while True:
            yield await self._heard.get()

    def _follow(self, attempt: str, job: _Job) -> None:
        """Hear what it tells of a job from now on; a stream that ended is opened anew soon."""
        now = time.monotonic()
        if attempt in self._streams or now - job.asked < AGAIN_SECONDS:
            return
        job.asked = now
        self._streams[attempt] = stream = asyncio.create_task(self._listened(attempt, job))
        stream.add_done_callback(lambda _: self._streams.pop(attempt, None))

    async def _listened(self, attempt: str, job: _Job) -> None:
        told = streamed.Job(attempt)
        limit = aiohttp.ClientTimeout(connect=CONNECT_SECONDS, sock_read=SILENT_SECONDS)
        url, headers = f"{self._base}{JOBS}/{job.id}/events", {"Accept": "text/event-stream"}
        try:
            async with self._session.get(
                url, headers=headers, timeout=limit, allow_redirects=False
            ) as answer:
                if answer.status != 200:
                    return
                async for name, said in streamed.events(answer.content.iter_any()):
                    if name == "progress" and job.began is None:
                        job.began = time.monotonic()
                    has_ended = name == "status" and str(said.get("status")) in ENDS
                    if has_ended and job.over is None:
                        job.over = time.monotonic()
                    self._tell(told.messages(name, said))
        except (aiohttp.ClientError, TimeoutError, OSError, streamed.TooLong) as exc:
            log.info("the events of a job at a proxy broke off: %s", type(exc).__name__)

    def _tell(self, heard: list[streamed.Heard]) -> None:
        for each in heard:
            if not self._heard.full():  # Who watches misses some; nothing else depends on it.
                self._heard.put_nowait(each)

    def _know(self, prompt_id: UUID, job_id: str) -> _Job:
        while len(self._jobs) >= MOST_KNOWN:  # What ended first: of what works, its time is known.
            over = (each for each, job in self._jobs.items() if job.ended is not None)
            self._jobs.pop(next(over, next(iter(self._jobs))))
        return self._jobs.setdefault(str(prompt_id), _Job(job_id))

    async def _found(self, prompt_id: UUID) -> _Job | None:
        """Return a try that is there and is not known here, by its label."""
        _, said = await self._ask("GET", f"{JOBS}?limit={MOST_LISTED}", status=200)
        jobs = said.get("jobs")
        for each in jobs if isinstance(jobs, list) else ():
            if isinstance(each, dict) and each.get("metadata") == str(prompt_id):
                return self._know(prompt_id, str(each.get("id")))
        return None

    async def _is_there(self, attempt: str, job: _Job) -> bool:
        if time.monotonic() - job.looked < FRESH_SECONDS:
            return attempt in self._jobs and not job.misses
        return await self._looked(attempt, job) is not None

    async def _looked(self, attempt: str, job: _Job) -> dict[str, Any] | None:
        """Return what it says of a job, and note when it began and ended; None: it is gone."""
        job.looked = time.monotonic()
        status, said = await self._ask("GET", f"{JOBS}/{job.id}")
        if status == 404:
            self._jobs.pop(attempt, None)
            return None
        if status != 200:
            raise Away(f"{JOBS} answered {status}")
        job.status = str(said.get("status"))
        if job.status in ("running", "canceling") and job.began is None:
            job.began = time.monotonic()
        if job.status in ENDS and job.ended is None:
            job.ended = job.over or time.monotonic()
        # For a moment it says so of what has just ended: only what stays so is gone.
        job.misses = job.misses + 1 if job.status == "expired" else 0
        if job.misses >= MISSES:
            self._jobs.pop(attempt, None)
        return None if job.misses else said

    def _note(self, place: Place, asset_id: str) -> None:
        """Know where a file is to be fetched, for as long as its run is being collected."""
        self._files.pop(place, None)
        self._files[place] = asset_id
        while len(self._files) > MOST_PLACES:
            self._files.pop(next(iter(self._files)))

    def _entry(self, job: _Job, said: dict[str, Any]) -> dict[str, Any]:
        """Return a job that ended as `/history` has it."""
        end = int(time.time() * 1000)
        outputs: dict[str, dict[str, list[Any]]] = {}
        named = said.get("outputs")
        for each in named[:MOST_FILES] if isinstance(named, list) else ():
            place = _place(each)
            if place is not None:
                kind, subfolder, name = place
                self._note(place, str(each["id"]))
                files = outputs.setdefault(str(each.get("node_id")), {}).setdefault("images", [])
                files.append({"filename": name, "subfolder": subfolder, "type": kind})
        spent, is_seen = _spent_ms(job, said)
        messages = [
            ["execution_start", {"timestamp": end - spent}],
            ["execution_cached", {"nodes": [], "timestamp": end}],
            [ENDS[job.status], {"timestamp": end, **_error(said.get("error"))}],
        ]
        status = {"messages": messages}
        remembers = said.get("outputs_reused") is True
        return {
            "prompt": [], "outputs": outputs, "status": status, OBSERVED: is_seen,
            REMEMBERS: remembers,
        }  # fmt: skip

    async def _ask(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        form: aiohttp.FormData | None = None,
        headers: dict[str, str] | None = None,
        seconds: float = ANSWER_SECONDS,
        status: int | None = None,
    ) -> tuple[int, dict[str, Any]]:
        """Return status and JSON object of an answer; raise Away for another than is wanted."""
        limit = aiohttp.ClientTimeout(total=seconds, connect=CONNECT_SECONDS)
        kind = {"Content-Type": "application/json"} if body is not None else {}
        try:
            async with self._session.request(
                method,
                f"{self._base}{path}",
                data=form if body is None else orjson.dumps(body),
                headers={**kind, **(headers or {})},
                timeout=limit,
                allow_redirects=False,
            ) as answer:
                text = await answer.content.read(MOST_ANSWER)
                while rest := await answer.content.read(MOST_ANSWER):
                    text += rest
                    if len(text) > MOST_ANSWER:
                        raise Away(f"{path} answered too much")
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise Away(f"{path}: {type(exc).__name__}") from exc
        if status is not None and answer.status != status:
            raise Away(f"{path} answered {answer.status}")
        return answer.status, _object(text)


def _object(text: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(text) if text else {}
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Away("it answered what is no JSON object")
    return found


def _place(output: Any) -> Place | None:
    """Return of which folder a file is, below it where, and its name, as its id says."""
    asset_id = output.get("id") if isinstance(output, dict) else None
    if not isinstance(asset_id, str):
        return None
    payload = asset_id.partition(".")[0]
    try:
        said = orjson.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except ValueError:
        return None
    if not isinstance(said, dict):
        return None
    kind, subfolder, name = (said.get(each) for each in ("t", "s", "f"))
    if isinstance(kind, str) and isinstance(subfolder, str) and isinstance(name, str):
        return kind, subfolder, name
    return None


def _spent_ms(job: _Job, said: dict[str, Any]) -> tuple[int, bool]:
    """Return how long it took, and whether that is only as it was seen from here."""
    metrics = said.get("metrics")
    told = metrics.get("execution_ms") if isinstance(metrics, dict) else None
    if isinstance(told, int) and not isinstance(told, bool):
        return min(max(told, 0), MOST_MS), False
    try:
        start, end = (datetime.fromisoformat(said[each]) for each in ("started_at", "completed_at"))
        return min(max(int((end - start).total_seconds() * 1000), 0), MOST_MS), False
    except (KeyError, TypeError, ValueError):
        pass
    if job.began is None or job.ended is None:
        return 0, True
    return int((job.ended - job.began) * 1000), True


def _error(said: Any) -> dict[str, Any]:
    if not isinstance(said, dict):
        return {}
    return {
        "exception_message": str(said.get("message") or ""),
        "exception_type": str(said.get("code") or ""),
        "node_id": str(said.get("node_id") or ""),
        "node_type": str(said.get("class_type") or ""),
    }
