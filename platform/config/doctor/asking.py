"""Ask an address, within seconds and without following anybody elsewhere."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp

if TYPE_CHECKING:
    from collections.abc import Mapping

SECONDS = 10
MOST_BYTES = 64 << 10


class NoAnswer(Exception):
    """Nobody answered; it says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came; of a long body only the beginning."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        """Return the body if it is a JSON object, else an empty one."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


def get(url: str) -> Answer:
    """Ask once; raise NoAnswer."""
    return asyncio.run(_get(url))


async def _get(url: str) -> Answer:
    limit = aiohttp.ClientTimeout(total=SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=limit) as session,
            session.get(url, allow_redirects=False) as answer,
        ):
            return Answer(answer.status, answer.headers, await answer.content.read(MOST_BYTES))
    except TimeoutError:
        raise NoAnswer(f"no answer within {SECONDS} s") from None
    except (aiohttp.ClientError, OSError, ValueError) as exc:
        raise NoAnswer(str(exc).splitlines()[0] if str(exc) else type(exc).__name__) from exc
