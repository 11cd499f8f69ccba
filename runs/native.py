"""ComfyUI's own wire, as a client of ours speaks it with one worker.

    POST /prompt    GET /history/<id>    GET /queue    POST /queue, /interrupt
    POST /upload/image    GET /view    GET /object_info, /models, /system_stats    /ws
    POST /free    POST /history (to have it forget)

No address of a ComfyUI deletes a file, so `blank` writes nothing over it: its name stays.

Three outcomes, not two: what a worker certainly refused (`Rejected`), what it certainly has, and
what nobody heard (`Away`): then it is looked for before anything is sent again.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Final

import aiohttp
import orjson

from common.errors import PlatformError
from runs.digests import Measure

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path
    from uuid import UUID

    from runs.digests import Measured

CONNECT_SECONDS: Final = 5
ANSWER_SECONDS: Final = 20
FILE_SECONDS: Final = 300
FILE_LIMIT: Final = aiohttp.ClientTimeout(total=FILE_SECONDS, connect=CONNECT_SECONDS)
FOLDERS_SECONDS: Final = 60
MOST_FOLDERS: Final = 100
MOST_NAMES: Final = 10_000
LONGEST_NAME: Final = 300
"""Of one folder so many files are read, and none of a longer name: a machine may say anything."""
FOLDER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
MOST_FILE: Final = 2 << 30
MOST_ANSWER: Final = 64 << 20
MOST_MESSAGE: Final = 16 << 20
"""Bytes of one message at its websocket."""
BLOCK: Final = 1 << 20


class Away(Exception):
    """The worker did not answer, or not as one does."""


class Missing(Exception):
    """The worker has no such file."""


class Rejected(Exception):
    """The worker will not run that: its own words, as JSON."""

    def __init__(self, said: dict[str, Any]) -> None:
        super().__init__("the worker refused the workflow")
        self.said = said


class TooLarge(PlatformError):
    """A file is larger than one may be."""

    code = "output_lost"


@dataclass(frozen=True, slots=True)
class Queued:
    """What a worker has to do: prompts by their ids, and those that it did not get from us, too."""

    running: frozenset[str]
    pending: frozenset[str]

    def __contains__(self, prompt_id: object) -> bool:
        return str(prompt_id) in self.running or str(prompt_id) in self.pending


class Native:
    """One worker, by its address. Everything raises Away where it does not answer."""

    def __init__(self, base_url: str, authorization: str, client_id: str) -> None:
        headers = {"Authorization": authorization} if authorization else {}
        limits = aiohttp.ClientTimeout(total=ANSWER_SECONDS, connect=CONNECT_SECONDS)
        self.inputs = asyncio.Lock()
        """Held while a file is put among its inputs, or is wiped there."""
        self._base = base_url.rstrip("/")
        self._client = client_id
        # Its own addresses alone: no proxy of the environment's, and no cookies.
        self._session = aiohttp.ClientSession(
            headers=headers, timeout=limits, cookie_jar=aiohttp.DummyCookieJar()
        )

    async def close(self) -> None:
        """Leave no connection open."""
        await self._session.close()

    async def stats(self) -> dict[str, Any]:
        """Return what it says of itself."""
        return await self._json("GET", "/system_stats")

    async def object_info(self) -> dict[str, Any]:
        """Return its nodes."""
        return await self._json("GET", "/object_info")

    async def folders(self) -> dict[str, list[str]]:
        """Return its folders of models, and the names of the files in each; {} if it tells none."""
        found: dict[str, list[str]] = {}
        with contextlib.suppress(Away, TimeoutError):
            async with asyncio.timeout(FOLDERS_SECONDS):
                for folder in (await self._names("/models"))[:MOST_FOLDERS]:
                    if FOLDER.fullmatch(folder):
                        found[folder] = await self._names(f"/models/{folder}")
        return found

    async def queue(self) -> Queued:
        """Return what it has to do."""
        found = await self._json("GET", "/queue")
        return Queued(_ids(found.get("queue_running")), _ids(found.get("queue_pending")))

    async def history(self, prompt_id: UUID) -> dict[str, Any] | None:
        """Return how a prompt ended; None if it did not, or if nothing is known of it."""
        found = await self._json("GET", f"/history/{prompt_id}")
        entry = found.get(str(prompt_id))
        return entry if isinstance(entry, dict) else None

    async def prompt(self, prompt_id: UUID, graph: dict[str, Any], extra: dict[str, Any]) -> None:
        """Have it run a graph under an id; raise Rejected if it will not."""
        body = {
            "prompt": graph,
            "prompt_id": str(prompt_id),
            "client_id": self._client,
            "extra_data": extra,
        }
        await self._json("POST", "/prompt", body)

    async def stop(self, prompt_id: UUID) -> None:
        """Have it run no more of a prompt, whether it waits or works."""
        await self._send("/queue", {"delete": [str(prompt_id)]})
        await self._send("/interrupt", {"prompt_id": str(prompt_id)})

    async def upload(self, path: str, content: Path) -> None:
        """Put a file at a place in its input folder: graphs name it by that place."""
        folder, _, name = path.rpartition("/")
        with content.open("rb") as opened:
            await self._put(opened, name, folder, "input")

    async def blank(self, kind: str, subfolder: str, name: str) -> None:
        """Have a file of its folder for `input`, `output` or `temp` be empty."""
        await self._put(b"", name, subfolder, kind)

    async def _put(self, content: IO[bytes] | bytes, name: str, folder: str, kind: str) -> None:
        form = aiohttp.FormData()
        form.add_field("image", content, filename=name, content_type="application/octet-stream")
        form.add_field("type", kind)
        form.add_field("subfolder", folder)
        form.add_field("overwrite", "true")
        answer = await self._json("POST", "/upload/image", form=form, seconds=FILE_SECONDS)
        if (answer.get("subfolder"), answer.get("name")) != (folder, name):
            raise Away("it put a file elsewhere")

    async def forget(self, prompt_id: UUID) -> None:
        """Have it know nothing any more of a prompt that ended."""
        await self._send("/history", {"delete": [str(prompt_id)]})

    async def free(self) -> None:
        """Have it keep nothing that it computed; it does so between two prompts."""
        await self._send("/free", {"free_memory": True})

    async def view(
        self, name: str, subfolder: str, kind: str, into: Path, *, most: int = MOST_FILE
    ) -> tuple[str, Measured]:
        """Bring a file; return the media type that it has there. Raises Missing, TooLarge."""
        query = {"filename": name, "subfolder": subfolder, "type": kind}
        asked = self._session.get(
            f"{self._base}/view", params=query, timeout=FILE_LIMIT, allow_redirects=False
        )
        return await bring(asked, "/view", name, into, most)

    async def messages(self) -> AsyncIterator[dict[str, Any] | bytes]:
        """Yield what it tells of our prompts, until the connection ends."""
        try:
            async with self._session.ws_connect(
                f"{self._base}/ws",
                params={"clientId": self._client},
                heartbeat=20,
                max_msg_size=MOST_MESSAGE,
            ) as socket:
                hello = {"type": "feature_flags", "data": {"supports_preview_metadata": True}}
                await socket.send_json(hello)
                async for message in socket:
                    if message.type == aiohttp.WSMsgType.TEXT:
                        yield _object(_said(message.data))
                    elif message.type == aiohttp.WSMsgType.BINARY:
                        yield message.data
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise Away(f"/ws: {type(exc).__name__}") from exc

    async def _send(self, path: str, body: dict[str, Any]) -> None:
        try:
            async with self._session.post(
                f"{self._base}{path}", json=body, allow_redirects=False
            ) as answer:
                await answer.read()
        except (aiohttp.ClientError, TimeoutError) as exc:
            raise Away(f"{path}: {type(exc).__name__}") from exc

    async def _names(self, path: str) -> list[str]:
        found = await self._answer("GET", path)
        named = found if isinstance(found, list) else []
        known = (each for each in named if isinstance(each, str) and len(each) <= LONGEST_NAME)
        return list(itertools.islice(known, MOST_NAMES))

    async def _json(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        form: aiohttp.FormData | None = None,
        seconds: float = ANSWER_SECONDS,
    ) -> dict[str, Any]:
        return _object(await self._answer(method, path, body, form=form, seconds=seconds))

    async def _answer(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        form: aiohttp.FormData | None = None,
        seconds: float = ANSWER_SECONDS,
    ) -> Any:
        given: Any = form if body is None else orjson.dumps(body)
        headers = {"Content-Type": "application/json"} if body is not None else None
        limit = aiohttp.ClientTimeout(total=seconds, connect=CONNECT_SECONDS)
        try:
            async with self._session.request(
                method,
                f"{self._base}{path}",
                data=given,
                headers=headers,
                timeout=limit,
                allow_redirects=False,
            ) as answer:
                text = await answer.content.read(MOST_ANSWER)
                while rest := await answer.content.read(MOST_ANSWER):
                    text += rest
                    if len(text) > MOST_ANSWER:
                        raise Away(f"{path} answered too much")
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise Away(f"{path}: {type(exc).__name__}") from exc
        if status == 400 and path == "/prompt":
            raise Rejected(_object(_said(text)))
        if status != 200:
            raise Away(f"{path} answered {status}")
        return _said(text)


async def bring(
    asked: AbstractAsyncContextManager[aiohttp.ClientResponse],
    where: str,
    name: str,
    into: Path,
    most: int,
) -> tuple[str, Measured]:
    """Write a file that a worker is asked for to a place of ours; return its media type there.

    It is measured as it comes.

    Raises Missing, TooLarge, and Away, which says `where` it was asked for.
    """
    try:
        async with asked as answer:
            if answer.status in (400, 403, 404):
                raise Missing(name)
            if answer.status != 200:
                raise Away(f"{where} answered {answer.status}")
            return answer.content_type, await _written(answer, into, most)
    except (aiohttp.ClientError, TimeoutError) as exc:
        raise Away(f"{where}: {type(exc).__name__}") from exc


async def _written(answer: aiohttp.ClientResponse, into: Path, most: int) -> Measured:
    """Write what comes, block by block."""
    size, measure = 0, Measure()
    with into.open("wb") as kept:
        async for block in answer.content.iter_chunked(BLOCK):
            size += len(block)
            if size > most:
                raise TooLarge(
                    f"A file of a run has at most {MOST_FILE >> 30} GiB, or what is left."
                )
            await asyncio.to_thread(_take, block, kept, measure)
    return measure.whole()


def _take(block: bytes, kept: IO[bytes], measure: Measure) -> None:
    measure.add(block)
    kept.write(block)


def _said(text: str | bytes) -> Any:
    try:
        return orjson.loads(text)
    except ValueError:
        raise Away("it answered what is no JSON") from None


def _object(found: Any) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise Away("it answered what is no JSON object")
    return found


def _ids(items: Any) -> frozenset[str]:
    found = items if isinstance(items, list) else []
    return frozenset(str(each[1]) for each in found if isinstance(each, list) and len(each) > 1)
