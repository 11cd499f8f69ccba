r"""One connection to a vendor, as asyncio's transport sees it: an exchange at a time, or none.

    idle -- ask --> busy -- request and answer are whole --> idle again
     |                \-- anything else -----------------> closed
     \-- anything comes, or ends ------------------------> closed

So what comes when no answer is due is never read as an answer, whoever's it would be.
"""

from __future__ import annotations

import asyncio
import select
import ssl
from typing import TYPE_CHECKING

from proxy.wire.pace import Pace
from proxy.wire.reading import Ended

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.wire.exchange import Exchange


class Connection(asyncio.Protocol):
    """A connection to an origin; `back` is called when it is idle again, `gone` when it ended."""

    def __init__(
        self,
        origin: str,
        *,
        back: Callable[[Connection], None],
        gone: Callable[[Connection], None],
    ) -> None:
        self.origin = origin
        self.loop = asyncio.get_running_loop()
        self.pace = Pace(self.loop)
        self.exchange: Exchange | None = None
        self.idle_since = self.idle_until = 0.0
        self.kept_for: int | None = None
        """For how many seconds the vendor says that it keeps it."""
        self.paused = False
        """Whether the vendor is held back, because what it sent was not taken yet."""
        self._back, self._gone = back, gone
        self._transport: asyncio.Transport | None = None
        self._kernel = select.poll()
        self._writable: asyncio.Future[None] | None = None

    def alive(self) -> bool:
        """Whether it is open, and nothing is asked on it."""
        transport = self._transport
        return transport is not None and not transport.is_closing() and self.exchange is None

    def idle(self) -> bool:
        """Whether, beside this, nothing came since the last answer, not even unread.

        A new one may have something unread: TLS sends tickets behind its handshake.
        """
        return self.alive() and not self._kernel.poll(0)

    async def told(self) -> None:
        """Let the loop read what came, if anything did and nobody holds it back.

        Who writes to a vendor that has hung up loses what it said before.
        """
        for _ in range(2):  # A turn in which it is found, and one in which it is told.
            if self.paused or self._transport is None or not self._kernel.poll(0):
                return
            await asyncio.sleep(0)

    def write(self, data: bytes) -> None:
        """Give this to the network, behind what it has."""
        assert self._transport is not None, "who writes has seen that it is alive"
        self._transport.write(data)

    async def drained(self) -> None:
        """Wait until the network takes more."""
        if self._writable is not None:
            await self._writable
        elif self._transport is None or self._transport.is_closing():
            await asyncio.sleep(0)  # Its end is told in the next turn.

    def unwritten(self) -> int:
        """Return how many bytes the network did not take yet."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def pause(self) -> None:
        """Hold the vendor back."""
        if not self.paused and self._transport is not None:
            self.paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """Let the vendor go on."""
        if self.paused and self._transport is not None:
            self.paused = False
            self._transport.resume_reading()

    def done(self, *, keep: bool) -> None:
        """Be idle again, or closed, if it is not to be kept or something is unwritten."""
        if not keep or self.unwritten():
            self.abort()
        elif self.paused:
            self.resume()
            # Under TLS something may be read but not told. It is, before this call, and closes it.
            self.loop.call_soon(self._back, self)
        else:
            self._back(self)

    def abort(self) -> None:
        """Close now, whatever is on its way."""
        if self._transport is not None:
            self._transport.abort()

    # --- what asyncio tells -----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        self._transport = transport  # type: ignore[assignment]
        self._kernel.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        """Read on, if an answer is due; else never use this connection again."""
        if self.exchange is None:
            self.abort()
        else:
            self.exchange.came(data)

    def eof_received(self) -> None:
        """See asyncio. The transport closes itself behind this."""
        if self.exchange is None or self._transport is None:
            return
        if _is_the_vendors(self._transport.get_extra_info("ssl_object")):
            self.exchange.came_to_end()
        else:
            self.exchange.fail(Ended("the connection was cut"))

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        self._transport = None
        self.pace.stop()
        if self.exchange is not None:
            why = type(exc).__name__ if exc else "the vendor closed it"
            self.exchange.fail(Ended(f"the connection broke: {why}"))
        self._gone(self)

    def pause_writing(self) -> None:
        """Let who writes wait."""
        self._writable = self.loop.create_future()

    def resume_writing(self) -> None:
        """Let who writes go on."""
        writable, self._writable = self._writable, None
        if writable is not None and not writable.done():
            writable.set_result(None)


def _is_the_vendors(secured: ssl.SSLObject | None) -> bool:
    """Whether an end is told under TLS, if there is TLS: else anybody between could have cut it."""
    if secured is None:
        return True
    try:
        return not secured.read(1)
    except ssl.SSLZeroReturnError:
        return True
    except ssl.SSLError:
        return False
