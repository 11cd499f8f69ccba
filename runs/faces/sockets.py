"""`/ws` of ComfyUI's own dialect: what happens to runs, told as a ComfyUI tells it.

A client hears of the runs that it handed over under its clientId, and of those that were handed
over by its credential under none. Everything is read from rows, twice a second: a process that
ends loses nothing, and no connection to the database is kept between two looks. The end of a run
is told once its files can be fetched and its charge is booked.

aiohttp speaks the websocket; config/wire hands a connection over that asks for one here.
"""

from __future__ import annotations

import asyncio
import logging
import re
import struct
import time
import uuid
from datetime import timedelta
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any, Final

import orjson
from aiohttp import WSCloseCode, WSMsgType, web
from django.db.models import Max, Q
from django.db.models.fields.json import KT
from django.utils import timezone

from apikeys import keys
from apikeys.authentication import allowed_to
from common import db
from common.errors import AccessDisabled, InvalidRequest, PlatformError, Unauthorized
from runs import address, books, core
from runs.faces import asking, entries, streams
from runs.models import ENDED, Preview, Run, RunEvent, State

if TYPE_CHECKING:
    from uuid import UUID

    from apikeys.models import ApiKey

log = logging.getLogger("runs")
PATH: Final = re.compile(r"/(?:comfy|run/(?P<token>[^/]{1,200}))(?:/api)?/ws/?")
LOOK_SECONDS: Final = 0.5
STATUS_SECONDS: Final = 5
"""How often it is said how many runs there are, while there are some: some clients take a silent
connection for a dead one after ten seconds, and a run may wait much longer."""
STILL_SECONDS: Final = 30
"""How often it is looked whether the credential is one still."""
BEAT_SECONDS: Final = 30
MOST_MESSAGE: Final = 1 << 16
MOST_NEWS: Final = 500
ENDED_KEY: Final = 4401
"""By which code a client hears that its key ended: as a 401, where there is no status."""
LONGEST_ID: Final = 200
JUST_NOW: Final = timedelta(seconds=30)
FORMATS: Final = {"image/jpeg": 1, "image/png": 2}
_open: dict[tuple[UUID, str], web.WebSocketResponse] = {}

Frames = list[str | bytes]


async def serve(request: web.BaseRequest, *, client: str) -> web.StreamResponse:
    """Answer a connection that asks for a websocket; `client` is the address that it is from."""
    try:
        if not PATH.fullmatch(request.path) or not web.WebSocketResponse().can_prepare(request):
            raise InvalidRequest("Connect to /ws as a websocket, of version 13.")
        key = await books.aside(_authenticated, request, client)
        place = streams.take(str(key.family))
    except PlatformError as refusal:
        return _refused(refusal)
    client_id = request.query.get("clientId", "")[:LONGEST_ID].replace("\0", "") or uuid.uuid4().hex
    socket = web.WebSocketResponse(heartbeat=BEAT_SECONDS, max_msg_size=MOST_MESSAGE)
    mine = (key.workspace_id, client_id)
    ear = Ear(key, client_id)
    try:
        await socket.prepare(request)
        before, _open[mine] = _open.get(mine), socket
        if before is not None:
            await before.close()
        telling = asyncio.create_task(_tell(socket, ear, key))
        try:
            async for message in socket:
                if message.type == WSMsgType.TEXT:
                    await _hear(socket, ear, message.data)
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
    finally:
        place.leave()
        if _open.get(mine) is socket:
            del _open[mine]
    return socket


async def _hear(socket: web.WebSocketResponse, ear: Ear, text: str) -> None:
    """Take what a client says: only that it reads pictures with facts."""
    try:
        said = orjson.loads(text)
    except ValueError:
        return
    if isinstance(said, dict) and said.get("type") == "feature_flags":
        data = said.get("data")
        flags = data if isinstance(data, dict) else {}
        ear.with_facts = flags.get("supports_preview_metadata") is True
        await socket.send_str(_frame("feature_flags", {"supports_preview_metadata": True}))


async def _tell(socket: web.WebSocketResponse, ear: Ear, key: ApiKey) -> None:
    """Tell what is new until the client is gone, or its credential has ended."""
    checked = time.monotonic()
    try:
        while not socket.closed:
            await _send(socket, await _looked(ear))
            if time.monotonic() - checked > STILL_SECONDS:
                checked = time.monotonic()
                if not await books.aside(address.is_living, key):
                    ended = b"The key of this connection has ended."
                    await socket.close(code=ENDED_KEY, message=ended)
            await asyncio.sleep(LOOK_SECONDS)
    except ConnectionError:
        return  # The client is gone.
    except Exception:
        log.exception("a socket of runs ends by our own mistake")
        await socket.close(code=WSCloseCode.INTERNAL_ERROR)


async def _looked(ear: Ear) -> Frames:
    """Return what is new; nothing while the database is away."""
    try:
        return await books.aside(ear.look)
    except Exception as exc:
        if not db.is_passing(exc):
            raise
        log.warning("a socket of runs waits for the database: %s", type(exc).__name__)
        return []


async def _send(socket: web.WebSocketResponse, frames: Frames) -> None:
    for frame in frames:
        if isinstance(frame, bytes):
            await socket.send_bytes(frame)
        else:
            await socket.send_str(frame)


class Ear:
    """What one client has been told, and what it has not."""

    def __init__(self, key: ApiKey, client_id: str) -> None:
        self.with_facts = False
        self._workspace, self._key = key.workspace_id, key.pk
        self._client = client_id
        self._since = timezone.now()
        self._after: dict[UUID, int] = {}
        """Of each run that is followed, the last event that was told."""
        self._over: dict[UUID, float] = {}
        """Those whose end was told lately, and when."""
        self._seen: dict[UUID, Any] = {}
        self._remaining = -1
        self._counted = time.monotonic()

    def look(self) -> Frames:
        """Return what is new, as frames."""
        frames: Frames = [] if self._remaining >= 0 else self._hello()
        # Of one that waits there is nothing to tell.
        begun = [run.pk for run in self._runs() if run.state != State.QUEUED and self._is_mine(run)]
        for run_id in begun:
            self._after.setdefault(run_id, 0)
        if begun:
            frames += [*self._news(begun), *self._pictures(begun)]
        return frames + self._status()

    def _runs(self) -> list[Run]:
        """Return what may be told of, without what is large: it is read twice a second."""
        long_ago = time.monotonic() - 2 * JUST_NOW.total_seconds()
        self._over = {run_id: at for run_id, at in self._over.items() if at > long_ago}
        lately = Q(ended_at__gte=max(self._since, timezone.now() - JUST_NOW))
        followed = Q(ended_at=None) | Q(pk__in=list(self._after)) | lately
        found = Run.objects.filter(followed, workspace_id=self._workspace)
        found = found.exclude(pk__in=list(self._over)).only("state", "key_id", "progress")
        return list(found.annotate(client=KT(f"extra__{entries.CLIENT}")).order_by("created_at"))

    def _is_mine(self, run: Run) -> bool:
        client: str | None = run.client  # type: ignore[attr-defined]  # As it is looked up with it.
        return client == self._client if client else run.key_id == self._key

    def _hello(self) -> Frames:
        """Say how many runs there are, and where those stand that work already."""
        frames = self._status(sid=self._client)
        for run in self._runs():
            if self._is_mine(run):
                last = RunEvent.objects.filter(run=run).aggregate(last=Max("pk"))["last"]
                self._after[run.pk] = last or 0
                node = (run.progress or {}).get("current_node")
                if node:
                    frames.append(_frame("executing", {"node": node}))
        return frames

    def _status(self, sid: str = "") -> Frames:
        """Say how many runs have not ended: where the number is another, and now and then."""
        there, now = core.remaining(self._workspace), time.monotonic()
        is_due = there > 0 and now - self._counted >= STATUS_SECONDS
        if there == self._remaining and not sid and not is_due:
            return []
        self._remaining, self._counted = there, now
        said: dict[str, Any] = {"status": {"exec_info": {"queue_remaining": there}}}
        return [_frame("status", {**said, "sid": sid} if sid else said)]

    def _news(self, begun: list[UUID]) -> Frames:
        frames: Frames = []
        new = [Q(run_id=run_id, pk__gt=self._after[run_id]) for run_id in begun]
        for event in RunEvent.objects.filter(reduce(or_, new)).order_by("pk")[:MOST_NEWS]:
            self._after[event.run_id] = event.pk
            if event.kind == "message":
                frames.append(_frame(str(event.data.get("type")), event.data.get("data") or {}))
            elif event.kind == "status" and event.data.get("status") in ENDED:
                frames += self._end(event.run_id)
        return frames

    def _end(self, run_id: UUID) -> Frames:
        """Say how a run ended; it may have ended after it was read."""
        run = Run.objects.filter(pk=run_id).first()
        self._over[run_id] = time.monotonic()
        self._after.pop(run_id, None)
        self._seen.pop(run_id, None)
        if run is None:
            return []  # Its person was deleted meanwhile.
        name, data = entries.last(run)
        self._remaining = -2  # What is told next is how many are left, whatever that is.
        last = {"node": None, "display_node": None, "prompt_id": run.name}
        return [_frame(name, data), *self._status(), _frame("executing", last)]

    def _pictures(self, begun: list[UUID]) -> Frames:
        frames: Frames = []
        works = [run_id for run_id in begun if run_id not in self._over]
        for run_id, at in Preview.objects.filter(run__in=works).values_list("run_id", "at"):
            if at == self._seen.get(run_id):
                continue
            if found := Preview.objects.select_related("run").filter(run_id=run_id).first():
                self._seen[run_id] = found.at
                frames.append(_binary(found, with_facts=self.with_facts))
        return frames


def _binary(preview: Preview, *, with_facts: bool) -> bytes:
    """Return a picture as ComfyUI sends it: with facts to who said that they read them."""
    data = bytes(preview.data)
    if not with_facts:
        return struct.pack(">II", 1, FORMATS.get(preview.content_type, 1)) + data
    node = preview.node_id
    facts = orjson.dumps(
        {
            "node_id": node,
            "display_node_id": node,
            "parent_node_id": node,
            "real_node_id": node,
            "prompt_id": preview.run.name,
            "image_type": preview.content_type,
        }
    )
    return struct.pack(">II", 4, len(facts)) + facts + data


def _frame(kind: str, data: dict[str, Any]) -> str:
    return orjson.dumps({"type": kind, "data": data}).decode()


def _authenticated(request: web.BaseRequest, client: str) -> ApiKey:
    """Return the key of a header, of the address, or of `?token=`: browsers send no header here."""
    headers = request.headers
    given = headers.get("X-API-KEY", "").strip() or asking.of_header(headers)
    given = given or request.query.get("token", "")
    found = PATH.fullmatch(request.path)
    token = found["token"] if found else None
    if given:
        key = keys.authenticate(given, address=client)
    elif token:
        key = address.authenticate(token, address=client)
    else:
        raise Unauthorized("Show a key (X-API-KEY, or ?token=), or use the address of one.")
    role: str = key.role  # type: ignore[attr-defined]  # As it is looked up with the key.
    if asking.SCOPE not in key.scopes or asking.SCOPE not in allowed_to(role):
        raise AccessDisabled(f"This key may not do that (scope {asking.SCOPE}). Use another.")
    return key


def _refused(refusal: PlatformError) -> web.Response:
    error = {"type": asking.word(refusal), "message": str(refusal), "details": "", "extra_info": {}}
    body = {"error": error, "node_errors": {}}
    headers = {**refusal.headers, **asking.named_answer("sockets", refusal.status)}
    answer = web.json_response(body, status=refusal.status, headers=headers)
    answer.force_close()
    return answer
