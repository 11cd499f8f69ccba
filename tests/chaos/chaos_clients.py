"""Members who call without a pause, and repeat after a lost answer as stock clients do.

Each call is one intention: its name goes along as Idempotency-Key, and as Comfy-Job-Id, by which
its rows are found. It ends answered (a whole result came), refused (by the first word that came, so
nothing was done), or unknown: then it was charged once, or not at all.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import aiohttp

REPEATED = (408, 429, 500, 502, 503, 504)
PAUSES = (1.0, 2.0, 4.0)
COMES_BACK = 0.7
"""How many of those who gave up try once more, later."""
TRY_SECONDS = 120
POLLS = 25
NAMELESS = 0
"""The status of a connection that broke."""
FAULTS = ("drop_after", "cut", "nonjson", "status=500", "slow=1", "slow=5", "drop_before")
FAULTY = 0.03


@dataclass
class Member:
    """Somebody with a wallet; `key` calls, `manager` makes and ends keys."""

    email: str
    user_id: str
    workspace_id: str
    key: str
    key_id: str
    manager: str
    given: int
    """Micros that were there at the beginning."""


@dataclass
class Intention:
    """What somebody wants once, and what became of it."""

    member: Member
    kind: str
    seed: int
    fault: str
    name: str = field(default_factory=lambda: f"chaos-{uuid.uuid4()}")
    tries: int = 0
    state: str = "open"
    call: str = ""
    credits: str = ""
    """What the answer said that it cost."""
    micros: int = 0
    """What its row says, once that was compared."""
    first: int | None = None
    """The status of the first answer."""


@dataclass
class Ledger:
    """All that the clients saw."""

    intentions: list[Intention] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    """Answers that nobody may ever get."""
    timeouts: int = 0

    def of(self, *states: str) -> list[Intention]:
        return [each for each in self.intentions if each.state in states]


class Broken(Exception):
    """The answer did not come whole; whatever was meant may have been done."""


class Clients:
    """So many callers, each with its own dice: what they ask for follows from the seed."""

    def __init__(
        self, urls: list[str], members: list[Member], seed: int, callers: int, *, pause: float = 0
    ) -> None:
        """`pause` is how many seconds a caller waits before its next wish."""
        self.urls, self.members, self.ledger = urls, members, Ledger()
        self._pause = pause
        self.over = asyncio.Event()
        self._dice = [random.Random(f"{seed}/{n}") for n in range(callers)]

    async def press(self) -> None:
        """Call until it is over, and let what is on its way come to its end."""
        connector = aiohttp.TCPConnector(limit=0)
        limit = aiohttp.ClientTimeout(total=TRY_SECONDS)
        async with aiohttp.ClientSession(connector=connector, timeout=limit) as session:
            await asyncio.gather(*(self._caller(session, dice) for dice in self._dice))

    async def _caller(self, session: aiohttp.ClientSession, dice: random.Random) -> None:
        while not self.over.is_set():
            wish = Intention(
                dice.choice(self.members),
                dice.choices(("image", "echo", "lines", "job", "stream"), (70, 12, 4, 10, 0.5))[0],
                dice.randrange(1 << 30),
                dice.choice(FAULTS) if dice.random() < FAULTY else "",
            )
            self.ledger.intentions.append(wish)
            await self._want(session, wish, dice)
            await asyncio.sleep(self._pause)

    async def _want(
        self, session: aiohttp.ClientSession, wish: Intention, dice: random.Random
    ) -> None:
        """Try as a stock client does; of those who got nothing, most come back with the same."""
        url = dice.randrange(2)
        leaves, comes_back = dice.random() < 0.01, dice.random() < COMES_BACK
        for n, pause in enumerate((*PAUSES, None)):
            if await self._try(session, wish, self.urls[(url + n) % 2], leaves=leaves and n == 0):
                return
            if pause is not None:
                await asyncio.sleep(pause)
        if comes_back:
            await asyncio.sleep(dice.uniform(2, 12))
            if await self._try(session, wish, self.urls[url], leaves=False):
                return
        wish.state = "unknown"

    async def _try(
        self, session: aiohttp.ClientSession, wish: Intention, url: str, *, leaves: bool
    ) -> bool:
        """Ask once; whether that was the end of it. Who leaves is gone before the answer."""
        wish.tries += 1
        try:
            async with asyncio.timeout(0.03 if leaves else TRY_SECONDS + 10):
                status = await self._ask(session, wish, url)
        except (aiohttp.ClientError, OSError, Broken):
            status = NAMELESS
        except TimeoutError:
            status, self.ledger.timeouts = NAMELESS, self.ledger.timeouts + (not leaves)
        self.ledger.statuses[status] += 1
        if wish.first is None:
            wish.first = status
        if status == 200:
            wish.state = "answered"
        elif status not in REPEATED and status != NAMELESS:
            clear = wish.tries == 1 and status not in (409, 422)
            wish.state = "refused" if clear else "unknown"
        return wish.state != "open"

    async def _ask(self, session: aiohttp.ClientSession, wish: Intention, url: str) -> int:
        path, body = asked(wish)
        headers = {
            "X-API-KEY": wish.member.key, "Idempotency-Key": wish.name, "Comfy-Job-Id": wish.name,
        }  # fmt: skip
        async with session.post(url + path, json=body, headers=headers) as answer:
            content = await answer.read()
            if answer.status == 500:
                self.ledger.faults.append(f"500 of {path}: {content[:300]!r}")
            if answer.status != 200:
                return answer.status
            wish.call = answer.headers.get("Call-Id", "")
            wish.credits = answer.headers.get("X-Comfy-Credits-Used", "")
            self._must_be_whole(wish, content)
        return await self._poll(session, wish, content) if wish.kind == "job" else 200

    def _must_be_whole(self, wish: Intention, content: bytes) -> None:
        if wish.kind == "lines" and content.count(b"\n") != 10:
            raise Broken
        if wish.kind == "image" and not content.startswith(b"\x89PNG"):
            self.ledger.faults.append(f"a 200 that is no picture: {content[:100]!r}")

    async def _poll(self, session: aiohttp.ClientSession, wish: Intention, content: bytes) -> int:
        """Ask for a job until it ends; a result is an answer, its failure a refusal."""
        place = json.loads(content)["polling_url"]
        path = "/" + place.split("/", 3)[3]
        for n in range(POLLS):
            await asyncio.sleep(0.4)
            with contextlib.suppress(aiohttp.ClientError, OSError):
                async with session.get(self.urls[n % 2] + path) as answer:
                    said = await answer.read()
                    self.ledger.statuses[answer.status] += 1
                    if answer.status == 500:
                        self.ledger.faults.append(f"500 of a poll: {said[:300]!r}")
                    if answer.status != 200:
                        continue
                    status = json.loads(said)["status"]
                    if status == "Ready":
                        wish.credits = answer.headers.get("X-Comfy-Credits-Used", wish.credits)
                        return 200
                    if status != "Pending":
                        raise Broken
        raise Broken


def asked(wish: Intention) -> tuple[str, dict[str, Any]]:
    """Return where and what: the same for each try."""
    prompt = f"{wish.seed}" + (f" sandbox:{wish.fault}" if wish.fault else "")
    sandbox = "/proxy/sandbox/v1/"
    if wish.kind == "image":
        return sandbox + "image", {"prompt": prompt, "width": 8, "height": 8}
    if wish.kind == "echo":
        most = 2 + wish.seed % 20
        return sandbox + "echo", {"prompt": prompt, "most_units": most, "units": most // 2}
    if wish.kind == "lines":
        return sandbox + "lines", {"prompt": prompt}
    if wish.kind == "stream":
        return sandbox + "stream?bytes=300000&seconds=0.2", {"prompt": prompt}
    return "/proxy/bfl/flux-pro-1.1-ultra/generate", {"prompt": prompt, "aspect_ratio": "1:1"}
