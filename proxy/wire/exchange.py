"""One request to a vendor and its answer, over one connection.

The reader's pace holds the vendor's back, and the vendor's pace who uploads: what is not taken
stays in the network. The request may still be on its way when the answer is there already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.wire.reading import Broken, Reader

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator

    from proxy.wire.connection import Connection
    from proxy.wire.pace import Limits

HIGH_WATER_BYTES = 64 << 10
"""Beyond this the vendor is held back; what one read brings comes on top."""
AT_ONCE_BYTES = 256 << 10
"""A body up to this is given to the network whole, a larger one in slices."""
SLICE_BYTES = 64 << 10


class Exchange:
    """A request that is on its way, and what came of its answer."""

    __slots__ = ("_connection", "_given", "_loop", "_pace", "_waiter", "_waits_for_body", "_writer",
                 "failure", "reader")  # fmt: skip

    def __init__(self, connection: Connection, method: str, limits: Limits) -> None:
        self.reader = Reader(method)
        self.failure: Broken | None = None
        """Why it has no answer, or not the rest of it."""
        self._connection: Connection | None = connection
        """None once it is over."""
        self._waiter: asyncio.Future[None] | None = None
        self._writer: asyncio.Task[None] | None = None
        self._waits_for_body = False
        self._given = 0
        connection.exchange = self
        self._loop = connection.loop
        self._pace = connection.pace
        self._pace.begin(self, limits)

    # --- the request ------------------------------------------------------------------------

    def send(self, head: bytes, body: bytes | AsyncIterator[bytes], length: int | None) -> None:
        """Write the request, or begin to; from then on its answer may come."""
        if isinstance(body, bytes) and len(body) <= AT_ONCE_BYTES:
            self._write(head + body)
            return
        if isinstance(body, bytes):
            length = len(body)
            body = _slices(body)
        self._write(head)
        self._writer = self._loop.create_task(self._write_all(body, length))

    async def _write_all(self, body: AsyncIterator[bytes], length: int | None) -> None:
        """Write the body as it comes, at the vendor's pace. What goes wrong ends the exchange."""
        try:
            await self._write_parts(body, length)
        except Exception as exc:
            broken = Broken(f"the body of the request broke off: {type(exc).__name__}")
            broken.__cause__ = exc
            self._writer = None
            self.fail(broken)
        self._writer = None

    async def _write_parts(self, body: AsyncIterator[bytes], length: int | None) -> None:
        """See `_write_all`. More than was announced is never written: it would be a request."""
        connection, left = self._connection, length
        self._waits_for_body = True
        async for part in body:
            if connection is not None:
                await connection.told()
            if connection is None or connection.exchange is not self:
                return
            self._waits_for_body = False
            self._pace.ours()
            if left is not None:
                left -= len(part)
                if left < 0:
                    raise Broken("the body is longer than was said")
                self._write(part)
            elif part:
                self._write(b"%x\r\n%b\r\n" % (len(part), part))
            await connection.drained()
            self._waits_for_body = True
        self._waits_for_body = False
        if left:
            raise Broken("the body is shorter than was said")
        if left is None:
            self._write(b"0\r\n\r\n")

    def _write(self, data: bytes) -> None:
        if self._connection is not None:
            self._given += len(data)
            self._connection.write(data)

    # --- the answer -------------------------------------------------------------------------

    async def head(self) -> None:
        """Wait until the head of the answer is here, or it failed. Who is cancelled gives it up."""
        try:
            while not self.reader.status and self.failure is None:
                self._waiter = self._loop.create_future()
                await self._waiter
        except BaseException:
            self.close()
            raise

    async def block(self) -> bytes:
        """Return what is there of the body, once there is something; empty at its end.

        Raises Broken, after what had come was returned.
        """
        while not self.reader.parts:
            if self.failure is not None:
                raise self.failure
            if self.reader.ended:
                return b""
            self._waiter = self._loop.create_future()
            await self._waiter
        block = self.reader.take()
        if self._connection is not None and self._connection.paused:
            self._connection.resume()
            self._pace.ours()
        return block

    def close(self) -> None:
        """Give up what is left of it, if anything is; its connection is closed then."""
        self.fail(Broken("it was given up"))

    # --- what the connection tells ----------------------------------------------------------

    def came(self, data: bytes) -> None:
        """Read on."""
        reader, connection = self.reader, self._connection
        assert connection is not None, "what is over hears nothing"
        try:
            reader.feed(data)
        except Broken as exc:
            self.fail(exc)
            return
        self._pace.heard_at = self._loop.time()
        if reader.ended:
            self._whole(connection)
        elif reader.status:
            if self._writer is not None and reader.status >= 300:
                self._stop_writing()
            if reader.size >= HIGH_WATER_BYTES:
                connection.pause()
            self._wake()

    def came_to_end(self) -> None:
        """Let the answer end with its connection, if it is one that does."""
        try:
            self.reader.end()
        except Broken as exc:
            self.fail(exc)
        else:
            if self._connection is not None:
                self._whole(self._connection)

    def fail(self, failure: Broken) -> None:
        """End it without the rest of its answer; it changes nothing if it is over."""
        connection = self._connection
        if connection is not None:
            self.failure = failure
            self._leave(connection)
            connection.abort()

    def _whole(self, connection: Connection) -> None:
        reader = self.reader
        keep = reader.reusable and not reader.surplus and self._writer is None
        connection.kept_for = reader.kept_for
        self._leave(connection)
        connection.done(keep=keep)

    def _stop_writing(self) -> None:
        """Spare the vendor the rest of a request that it does not take."""
        writer, self._writer = self._writer, None
        self.reader.reusable = False
        if writer is not None:
            writer.cancel()

    def _leave(self, connection: Connection) -> None:
        self._connection = connection.exchange = None
        self._pace.end()
        self._stop_writing()
        self._wake()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # --- what the pace looks at -------------------------------------------------------------

    @property
    def held_up(self) -> bool:
        """Whether it is we for whom things wait."""
        return self._waits_for_body or (self._connection is not None and self._connection.paused)

    def unwritten(self) -> int:
        """Return how many bytes of the request the vendor has still to take."""
        return 0 if self._connection is None else self._connection.unwritten()

    def written(self) -> int:
        """Return how many it took."""
        return self._given - self.unwritten()


async def _slices(body: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(body), SLICE_BYTES):
        yield body[at : at + SLICE_BYTES]
