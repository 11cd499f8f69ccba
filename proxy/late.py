"""What could not be written at once: tried again until the books are back, and joined meanwhile.

    owed --> written                                   its client gets its answer
        '--> LATE_SECONDS over: its client reads 503 --> written, and its answer is kept with it

So the next try of the same intention finds the answer of the first, which was paid for; while the
first is still owed, it waits for it here. Only the process that owes knows of it
(docs/decisions/0005 says what that leaves open).
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, TypeVar

from common.lanes import away

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from proxy.answers import PendingAnswer

Done = TypeVar("Done")

log = logging.getLogger("proxy")
LATE_SECONDS = 20
"""So long a client waits for the books. It is made to come again, but its result is not lost."""
CLOSE_SECONDS = 10
LONGEST_PAUSE_SECONDS = 1
"""Short: once the books are back, another process may take the next try before we wrote ours."""


class Late:
    """What one process owes its books, by the intention that each answers."""

    def __init__(self) -> None:
        self._owed: dict[asyncio.Task[Any], str] = {}

    @property
    def owes(self) -> bool:
        """Whether anything is owed now."""
        return bool(self._owed)

    async def insist(self, work: Coroutine[Any, Any, Done], pending: PendingAnswer | None) -> Done:
        """Return what the work does. If that takes too long it goes on, and Unavailable is raised.

        Then the answer is wanted by the client's next try. So it is if this try is cancelled.
        """
        task = self.owe(work, pending.intent if pending else "")
        try:
            await asyncio.wait({task}, timeout=LATE_SECONDS)
        finally:
            if pending is not None and not task.done():
                pending.postpone()
        if not task.done():
            raise away()
        return task.result()

    def owe(self, work: Coroutine[Any, Any, Done], intent: str) -> asyncio.Task[Done]:
        """Have the work done in the background; the next try of that intention waits for it."""
        task = asyncio.get_running_loop().create_task(work)
        self._owed[task] = intent
        task.add_done_callback(self._over)
        return task

    async def none_of(self, intent: str) -> None:
        """Return when nothing is owed of this intention; raise Unavailable if that lasts."""
        owed = {task for task, name in self._owed.items() if name == intent}
        if owed:
            _, left = await asyncio.wait(owed, timeout=LATE_SECONDS)
            if left:
                raise away()

    async def close(self) -> None:
        """Wait a little for what is owed."""
        if self._owed:
            await asyncio.wait(self._owed, timeout=CLOSE_SECONDS)

    def _over(self, task: asyncio.Task[Any]) -> None:
        del self._owed[task]
        if not task.cancelled() and (error := task.exception()):
            log.error("what was owed to the books cannot be written: %r", error)


async def pauses() -> AsyncIterator[None]:
    """Yield after 0.1 s, then after longer and longer; without end."""
    delay = 0.1
    while True:
        await asyncio.sleep(delay)
        delay = min(delay * 1.6, LONGEST_PAUSE_SECONDS)
        yield
