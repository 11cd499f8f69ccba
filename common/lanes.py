"""Group commit: many callers, one statement, one commit, each its own answer.

A lane owns one connection. While its statement runs, whoever comes waits; when it is back, all
that wait go together in the next one. There is no timer: an idle lane sends at once, a busy one
gathers. So a burst costs few commits, and nobody waits for company.

One bad row never fails its neighbours: a batch that raises is run again one by one, and only the
culprit gets the error. A database that is away fails them all at once: nobody waits for it in turn.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Generic, TypeVar

from common import db, metrics
from common.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

Ask = TypeVar("Ask")
Answer = TypeVar("Answer")

log = logging.getLogger(__name__)

BATCH = 256
TELL_SECONDS = 60
"""So often is it said why there is no connection."""


class Lost(Unavailable):
    """The connection broke meanwhile: whether what was asked took effect is not known."""


class Lane(Generic[Ask, Answer]):
    """One queue before one connection. `work` answers a list of asks, in their order.

    It raises only if nothing of the list took effect, or if the connection broke.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[db.Db, Sequence[Ask]], Awaitable[Sequence[Answer]]],
    ) -> None:
        self._work = work
        self._waiting: list[tuple[Ask, asyncio.Future[Answer]]] = []
        self._wake = asyncio.Event()
        self._db: db.Db | None = None
        self._opening = asyncio.Lock()
        self._connecting: asyncio.Task[db.Db] | None = None
        self._sizes = metrics.BATCH_SIZE.labels(name)
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._run(), name=f"lane-{name}")

    async def ask(self, ask: Ask) -> Answer:
        """Return the answer to this ask alone, or raise what it alone deserves.

        Raises Unavailable when the database can do nothing just now, and Lost, which is one, when
        it was lost meanwhile: then it is not known whether the ask took effect, so an ask must be
        safe to repeat.
        """
        future: asyncio.Future[Answer] = self._loop.create_future()
        self._waiting.append((ask, future))
        self._wake.set()
        return await future

    async def connected(self) -> bool:
        """Return whether it has a connection, or got one now.

        Who stops waiting for that leaves the attempt as it is, for the next who asks: of several
        hosts the first may be gone without a word, and to find that out takes longer than a
        balancer waits.
        """
        if self._waiting and self._db is not None:  # It is being used.
            return not self._db.closed
        if self._db is not None and not await self._forget_stale():
            return True
        if self._connecting is None or self._connecting.done():
            self._connecting = self._loop.create_task(self._have_one())
            self._connecting.add_done_callback(_heard_of)
        try:
            await asyncio.shield(self._connecting)
        except Exception:
            return False  # The log has said why (`_open`).
        return True

    async def close(self) -> None:
        """Answer all that wait, then give the connection back."""
        while self._waiting:  # noqa: ASYNC110 - once, when the process stops
            await asyncio.sleep(0.01)
        tasks = [task for task in (self._task, self._connecting) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._db is not None:
            await self._db.close()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            # All of a crowd together: most of what a statement costs it costs whatever its size.
            batch = self._waiting[:BATCH]
            try:
                await self._answer(batch)
            finally:
                # Taken out only now, so that `close` can see what is not yet answered.
                del self._waiting[: len(batch)]
                if not self._waiting:
                    self._wake.clear()

    async def _answer(self, batch: list[tuple[Ask, asyncio.Future[Answer]]]) -> None:
        self._sizes.observe(len(batch))
        try:
            connection = await self._connect()
            answers = await self._work(connection, [ask for ask, _ in batch])
        except Exception as exc:
            # Not only the database's: an ask that cannot be sent at all is a bad row as well.
            await self._one_by_one(batch, exc)
        except BaseException:
            self._fail(batch, Lost(AWAY))
            raise
        else:
            for (_, future), answer in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(answer)

    async def _connect(self) -> db.Db:
        """Return the connection, a new one if need be; never called while another uses it."""
        if self._db is not None and not await self._forget_stale():
            return self._db
        return await self._have_one()

    async def _forget_stale(self) -> bool:
        """Return whether the connection was of no use, and is forgotten."""
        # Where nothing is asked, what a server says is that it hangs up: a first ask need not fail.
        if self._db is None or not (self._db.closed or db.has_said(self._db)):
            return False
        # Forgotten before it is replaced: while there is none, an error means "away".
        stale, self._db = self._db, None
        await stale.close()
        return True

    async def _have_one(self) -> db.Db:
        """Return the connection that there is, in whatever use, or a new one."""
        async with self._opening:
            if self._db is None:
                self._db = await _open()
            return self._db

    async def _one_by_one(
        self, batch: list[tuple[Ask, asyncio.Future[Answer]]], error: Exception
    ) -> None:
        if self._db is None:
            self._fail(batch, away())
        elif self._db.closed or self._db.broken:
            self._db = None
            self._fail(batch, Lost(AWAY))
        elif db.is_away(error):
            self._fail(batch, away())
            if db.is_read_only(error):  # Another server is the primary now.
                connection, self._db = self._db, None
                await connection.close()
        elif len(batch) > 1:
            for one in batch:
                await self._answer([one])
            return
        else:
            self._fail(batch, deserved(error))
            return
        await asyncio.sleep(0.05)  # Do not spin on a database that is away.

    @staticmethod
    def _fail(batch: list[tuple[Ask, asyncio.Future[Answer]]], error: Exception) -> None:
        for _, future in batch:
            if not future.done():
                future.set_exception(error)


def deserved(error: Exception, *, lost: bool = False) -> Exception:
    """Return what who asked reads: a bad moment of the database is one to try again."""
    if lost:
        return Lost(AWAY)
    return away() if db.is_passing(error) else error


_told = -float("inf")


async def _open() -> db.Db:
    """Open a connection, or say why there is none, once a minute and not for each ask."""
    global _told
    try:
        return await db.connect()
    except Exception as exc:
        if time.monotonic() - _told >= TELL_SECONDS:
            _told = time.monotonic()
            log.warning("no connection to the database: %s: %s", type(exc).__name__, exc)
        raise


def _heard_of(attempt: asyncio.Task[db.Db]) -> None:
    """Take note of why it failed, which the log has said: nobody need wait for it any more."""
    if not attempt.cancelled():
        attempt.exception()


AWAY = "The platform cannot reach its books right now. Please try again."


def away() -> Unavailable:
    """Return what everybody reads whose ask the database cannot answer just now."""
    return Unavailable(AWAY)
