"""Comfy API v2 before this machine, as comfy-api-proxy 0.1.6 speaks it, with what it leaves out.

It names no times and no metrics, the label of a job is one text, a file is known by its bytes (so a
second upload of them has the first one's name), and the id of an output says where it lies.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import uuid
from typing import TYPE_CHECKING, Any

from aiohttp import ClientError, ClientSession, FormData, WSMsgType, web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

KINDS = {"images": "image", "gifs": "video", "audio": "audio", "text": "text", "files": "file"}
MOST_BODY = 128 << 20
ENDS = ("execution_success", "execution_error", "execution_interrupted")
WITH_FACTS = 4


class Proxy:
    """One proxy before one ComfyUI."""

    def __init__(self, comfyui: str, *, comfyui_token: str, token: str) -> None:
        self._comfyui, self._shown = comfyui, {"Authorization": f"Bearer {comfyui_token}"}
        self._token = token
        self.jobs: dict[str, str] = {}
        """Their labels, the oldest first."""
        self._keys: set[str] = set()
        self._assets: dict[str, str] = {}
        self._by_hash: dict[str, str] = {}
        self._session: ClientSession

    def app(self) -> web.Application:
        """Return the application."""
        made = web.Application(client_max_size=MOST_BODY, middlewares=[self._guard])
        made.add_routes(
            [
                web.post("/api/v2/jobs", self._submit),
                web.get("/api/v2/jobs", self._list),
                web.get("/api/v2/jobs/{id}", self._one),
                web.get("/api/v2/jobs/{id}/events", self._events),
                web.post("/api/v2/jobs/{id}/cancel", self._cancel),
                web.post("/api/v2/assets", self._upload),
                web.get("/api/v2/assets/{id}/content", self._content),
            ]
        )
        made.cleanup_ctx.append(self._connected)
        return made

    async def _connected(self, _: web.Application) -> AsyncIterator[None]:
        async with ClientSession(headers=self._shown) as self._session:
            yield

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if self._token and request.headers.get("Authorization") != f"Bearer {self._token}":
            return _wrong(401, "unauthorized")
        try:
            answer: web.StreamResponse = await handler(request)
        except ClientError:
            return _wrong(503, "upstream_unreachable")
        return answer

    async def _submit(self, request: web.Request) -> web.Response:
        asked = await request.json()
        key = request.headers.get("Idempotency-Key", "")
        if key in self._keys:
            return _wrong(422, "idempotency_key_reuse")
        if not isinstance(asked.get("metadata"), str):
            return _wrong(422, "invalid_request")
        extra = asked.get("extra_data") or {}
        if set(extra) - {"api_key_comfy_org"}:
            return _wrong(400, "invalid_request")
        missing: list[str] = []
        graph = self._resolved(asked["workflow"], missing)
        if missing:
            return _wrong(422, "missing_asset", missing_ids=missing)
        job_id = str(uuid.uuid4())
        body = {"prompt": graph, "prompt_id": job_id, "client_id": job_id, "extra_data": extra}
        async with self._session.post(f"{self._comfyui}/prompt", json=body) as answer:
            if answer.status != 200:
                said = await answer.json()
                return _wrong(422, "invalid_workflow", node_errors=said.get("node_errors"))
        self._keys |= {key} - {""}
        self.jobs[job_id] = asked["metadata"]
        return web.json_response(self._job(job_id, {"status": "queued"}), status=201)

    def _resolved(self, value: Any, missing: list[str]) -> Any:
        if isinstance(value, dict) and value.get("__type") == "core/ASSET":
            found = self._assets.get(value["info"]["id"])
            return found if found is not None else missing.append(value["info"]["id"])
        if isinstance(value, dict):
            return {name: self._resolved(each, missing) for name, each in value.items()}
        if isinstance(value, list):
            return [self._resolved(each, missing) for each in value]
        return value

    async def _list(self, _: web.Request) -> web.Response:
        newest = list(self.jobs)[::-1][:100]
        return web.json_response(
            {"jobs": [self._job(each, await self._state(each)) for each in newest]}
        )

    async def _one(self, request: web.Request) -> web.Response:
        job_id = request.match_info["id"]
        state = await self._state(job_id)
        if job_id not in self.jobs:
            return _wrong(404, "not_found")
        return web.json_response(self._job(job_id, state))

    async def _cancel(self, request: web.Request) -> web.Response:
        job_id = request.match_info["id"]
        if job_id not in self.jobs:
            return _wrong(404, "not_found")
        for path, body in (("queue", {"delete": [job_id]}), ("interrupt", {"prompt_id": job_id})):
            async with self._session.post(f"{self._comfyui}/{path}", json=body):
                pass
        state = await self._state(job_id)
        state["status"] = {"running": "canceling"}.get(state["status"], state["status"])
        return web.json_response(self._job(job_id, state))

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """Pass on what the ComfyUI tells of one job: progress, pictures, and its end, the last."""
        job_id = request.match_info["id"]
        if job_id not in self.jobs:
            return _wrong(404, "not_found")
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        state = await self._state(job_id)
        await answer.write(_frame("status", {"status": state["status"]}))
        if state["status"] in ("running", "queued"):
            url = f"{self._comfyui}/ws?clientId={job_id}"
            async with self._session.ws_connect(url) as socket:
                flags = {"supports_preview_metadata": True}
                await socket.send_json({"type": "feature_flags", "data": flags})
                async for message in socket:
                    if message.type == WSMsgType.BINARY:
                        await answer.write(_preview(message.data))
                    elif message.type == WSMsgType.TEXT:
                        said = json.loads(message.data)
                        if said["data"].get("prompt_id") not in (None, job_id):
                            continue
                        if said["type"] == "progress":
                            await answer.write(_frame("progress", _progress(said["data"])))
                        if said["type"] in ENDS:
                            break
            state = await self._state(job_id)
            await answer.write(_frame("status", {"status": state["status"]}))
        return answer

    async def _state(self, job_id: str) -> dict[str, Any]:
        async with self._session.get(f"{self._comfyui}/history/{job_id}") as answer:
            entry = (await answer.json()).get(job_id)
        if entry:
            return _ended(job_id, entry)
        async with self._session.get(f"{self._comfyui}/queue") as answer:
            queue = await answer.json()
        for name, word in (("queue_running", "running"), ("queue_pending", "queued")):
            if job_id in [each[1] for each in queue[name]]:
                return {"status": word}
        return {"status": "expired"}

    def _job(self, job_id: str, state: dict[str, Any]) -> dict[str, Any]:
        label = self.jobs.get(job_id)
        times = {"started_at": None, "completed_at": None}
        usual: dict[str, Any] = {"outputs": [], "error": None, "outputs_reused": False}
        return {"id": job_id, "metadata": label, **times, **usual, **state}

    async def _upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        file = form["file"]
        assert isinstance(file, web.FileField)
        with file.file as content:
            whole = content.read()
        digest = hashlib.sha256(whole).hexdigest()
        if digest in self._by_hash:
            return web.json_response({"id": self._by_hash[digest], "created_new": False})
        folder, _, name = str(form["file_path"]).removeprefix("input/").rpartition("/")
        sent = FormData()
        sent.add_field("image", whole, filename=name)
        sent.add_field("type", "input")
        sent.add_field("subfolder", folder)
        async with self._session.post(f"{self._comfyui}/upload/image", data=sent) as answer:
            said = await answer.json()
        asset_id = str(uuid.uuid4())
        self._assets[asset_id] = f"{said['subfolder']}/{said['name']}".lstrip("/")
        self._by_hash[digest] = asset_id
        return web.json_response({"id": asset_id, "created_new": True}, status=201)

    async def _content(self, request: web.Request) -> web.StreamResponse:
        said = _said(request.match_info["id"])
        query = {"filename": said["f"], "subfolder": said["s"], "type": said["t"]}
        async with self._session.get(f"{self._comfyui}/view", params=query) as answer:
            whole, media = await answer.read(), answer.content_type
            return web.Response(body=whole, status=answer.status, content_type=media)


def _frame(name: str, said: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(said)}\n\n".encode()


def _progress(data: dict[str, Any]) -> dict[str, Any]:
    return {
        "value": data["value"] / data["max"], "nodes_done": 0, "nodes_total": 0,
        "current_node": data["node"], "step": data["value"], "steps": data["max"],
    }  # fmt: skip


def _preview(frame: bytes) -> bytes:
    kind, length = struct.unpack_from(">II", frame)
    facts = json.loads(frame[8 : 8 + length]) if kind == WITH_FACTS else {}
    picture = frame[8 + length :] if kind == WITH_FACTS else frame[8:]
    said = {
        "node_id": facts.get("node_id", ""), "content_type": facts.get("image_type", "image/jpeg"),
        "data_base64": base64.b64encode(picture).decode(),
    }  # fmt: skip
    return _frame("preview", said)


def _ended(job_id: str, entry: dict[str, Any]) -> dict[str, Any]:
    said = dict(entry["status"]["messages"])
    word = "succeeded" if "execution_success" in said else "failed"
    error = said.get("execution_error")
    return {
        "status": "canceled" if "execution_interrupted" in said else word,
        "outputs_reused": bool(said.get("execution_cached", {}).get("nodes")),
        "outputs": [
            {"id": _id_of(job_id, each), "node_id": node, "name": each["filename"], "type": kind}
            for node, sections in entry["outputs"].items()
            for section, items in sections.items()
            if (kind := KINDS.get(section))
            for each in items
            if isinstance(each, dict) and "filename" in each
        ],
        "error": {
            "code": "node_execution_error",
            "message": error.get("exception_message"),
            "node_id": error.get("node_id"),
            "class_type": error.get("node_type"),
        }
        if error
        else None,
    }


def _id_of(job_id: str, file: dict[str, Any]) -> str:
    said = {"j": job_id, "f": file["filename"], "s": file["subfolder"], "t": file["type"]}
    return base64.urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip("=") + ".signed"


def _said(asset_id: str) -> dict[str, str]:
    payload = asset_id.partition(".")[0]
    found: dict[str, str] = json.loads(base64.urlsafe_b64decode(payload + "==="))
    return found


def _wrong(status: int, code: str, **details: Any) -> web.Response:
    error = {"code": code, "message": code.replace("_", " "), "details": details or None}
    return web.json_response({"error": error}, status=status)
