"""A web process says that it lives, on a lane of its own; its holds are in its name."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from typing import TYPE_CHECKING

import psycopg

from common.db import rows
from common.errors import Unavailable
from common.lanes import Lane
from credits.books import processes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from common.db import Db

log = logging.getLogger("proxy")
FRESH_SECONDS = 2 * processes.BEAT_SECONDS
"""So long after it was heard may a process hold in its name: far from being taken for dead."""


class Alive:
    """One process, from now until `close`."""

    def __init__(self) -> None:
        self._id = str(uuid.uuid4())
        self._heard = -float("inf")
        self._lane: Lane[str, None] = Lane("alive", self._say)
        self._task = asyncio.get_running_loop().create_task(self._keep_saying())

    @property
    def name(self) -> str | None:
        """The name for a new hold. None while it may not be heard: that hold waits for its time."""
        return self._id if time.monotonic() - self._heard < FRESH_SECONDS else None

    async def close(self) -> None:
        """Say that it ends: nothing that it holds will be ended by it."""
        self._heard = -float("inf")
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        with contextlib.suppress(Unavailable, psycopg.Error):  # Then it is just silent.
            await self._lane.ask(processes.LEAVE)
        await self._lane.close()

    async def _keep_saying(self) -> None:
        while True:
            now = time.monotonic()
            try:
                await self._lane.ask(processes.BEAT)
                self._heard = now
            except (Unavailable, psycopg.Error) as exc:
                log.warning("cannot say that this process lives: %s", type(exc).__name__)
            await asyncio.sleep(processes.BEAT_SECONDS)

    async def _say(self, db: Db, asks: Sequence[str]) -> list[None]:
        for statement in asks:
            await rows(db, statement, self._id)
        return [None] * len(asks)
