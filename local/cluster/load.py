"""Callers: each makes one ask after the other, tries it until it has its answer, and notes it.

They come in where everybody does, at HAProxy, by https. One of eight asks is a job that nobody
polls, which the workers settle; of the others a third takes the vendor a second. A file goes into
the bucket now and then.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import ssl
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp

from local.cluster.ledger import Ask, Try

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CALLERS = 12
PATIENCE_SECONDS = 120
"""So long an ask is tried."""
ANSWER_SECONDS = 50
"""So long a caller waits for one answer: longer than the platform lets a repeat wait."""
IMAGE = "/proxy/sandbox/v1/image"
JOB = "/proxy/bfl/flux-pro-1.1-ultra/generate"
EACH_JOB = 8
EACH_SLOW = 3
SLOW = "sandbox:slow=1"
"""How the vendor is asked to take a second: there is always a call in the middle."""
FILE_SECONDS = 3
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


@dataclass(frozen=True, slots=True)
class Payer:
    """Whose credits are spent."""

    wallet: str
    api_key: str


@dataclass(slots=True)
class File:
    """One that was put into the bucket, with a 200."""

    address: str
    content: bytes


@dataclass
class Load:
    """What callers want and were told, so far."""

    url: str
    authority: Path
    payers: Sequence[Payer]
    rate: float
    asks: list[Ask] = field(default_factory=list)
    files: list[File] = field(default_factory=list)
    scene: str = ""
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _error: BaseException | None = None

    def start(self) -> None:
        """Begin, beside whoever called."""
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise what ended the callers, if something of ours did."""
        if self._error is not None:
            raise self._error

    def finish(self) -> None:
        """Begin no more asks; `is_over` when each has its answer, or was tried for long enough."""
        self._stop.set()

    @property
    def is_over(self) -> bool:
        """Whether nobody asks any more."""
        return self._thread is None or not self._thread.is_alive()

    def successes(self) -> list[float]:
        """Return when answers with 200 were there."""
        return [
            each.at for ask in list(self.asks) for each in list(ask.tries) if each.status == 200
        ]

    def _run(self) -> None:
        try:
            asyncio.run(self._callers())
        except BaseException as error:
            self._error = error
            raise

    async def _callers(self) -> None:
        trust = ssl.create_default_context(cafile=str(self.authority))
        # A connection for each caller, as each is a ComfyUI of its own.
        connector = aiohttp.TCPConnector(ssl=trust, limit=0)
        limits = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        async with aiohttp.ClientSession(connector=connector, timeout=limits) as http:
            callers = [self._caller(http, number) for number in range(CALLERS)]
            await asyncio.gather(*callers, self._putter(http))

    async def _caller(self, http: aiohttp.ClientSession, number: int) -> None:
        payer = self.payers[number % len(self.payers)]
        every = CALLERS / self.rate
        await asyncio.sleep(every * number / CALLERS)
        for count in itertools.count():
            if self._stop.is_set():
                return
            due = time.monotonic() + every
            ask = Ask(str(uuid.uuid4()), payer.wallet, self.scene, time.monotonic())
            self.asks.append(ask)
            await self._insist(http, ask, payer, is_job=count % EACH_JOB == number % EACH_JOB)
            await asyncio.sleep(max(0, due - time.monotonic()))

    async def _insist(
        self, http: aiohttp.ClientSession, ask: Ask, payer: Payer, *, is_job: bool
    ) -> None:
        """Try until the answer is final, or for as long as anybody would."""
        end = ask.began + PATIENCE_SECONDS
        while time.monotonic() < end:
            made, wait = await self._try(http, ask, payer, is_job=is_job)
            ask.tries.append(made)
            if ask.is_final:
                return
            await asyncio.sleep(wait)

    async def _try(
        self, http: aiohttp.ClientSession, ask: Ask, payer: Payer, *, is_job: bool
    ) -> tuple[Try, float]:
        """Make one request; return what came of it, and how long to wait before the next."""
        headers = {
            "X-API-KEY": payer.api_key,
            "Idempotency-Key": ask.name,
            "Comfy-Job-Id": ask.name,
        }
        is_slow = int(ask.name[:8], 16) % EACH_SLOW == 0 and not is_job
        body: dict[str, Any] = {"prompt": f"a lighthouse {ask.name} {SLOW if is_slow else ''}"}
        body |= {"aspect_ratio": "1:1"} if is_job else {"width": 8, "height": 8}
        path = JOB if is_job else IMAGE
        try:
            async with http.post(self.url + path, json=body, headers=headers) as answer:
                content = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError):
            return Try(time.monotonic(), 0), 0.2
        told = answer.headers
        made = Try(
            time.monotonic(),
            answer.status,
            code="" if answer.status == 200 else _code(content),
            call=told.get("Call-Id", ""),
            credits=told.get("X-Comfy-Credits-Used", ""),
        )
        return made, min(2.0, float(told.get("Retry-After") or 0.3))

    async def _putter(self, http: aiohttp.ClientSession) -> None:
        """Put a file now and then; what was taken with 200 must be there at the end."""
        headers = {"X-API-KEY": self.payers[0].api_key}
        asked = {"file_name": "a.png", "content_type": "image/png"}
        while not self._stop.is_set():
            content = PICTURE + uuid.uuid4().bytes
            try:
                place = f"{self.url}/customers/storage"
                async with http.post(place, json=asked, headers=headers) as answer:
                    made = await answer.json() if answer.status == 200 else None
                if made is not None:
                    sent = {"Content-Type": "image/png"}
                    async with http.put(made["upload_url"], data=content, headers=sent) as answer:
                        if answer.status == 200:
                            self.files.append(File(made["download_url"], content))
            except (aiohttp.ClientError, TimeoutError, OSError):
                pass  # Nothing was promised.
            await asyncio.sleep(FILE_SECONDS)


def _code(content: bytes) -> str:
    """Return the code of a refusal; "" of what HAProxy says itself."""
    try:
        return str(json.loads(content)["error"]["type"])
    except (ValueError, KeyError, TypeError):
        return ""
