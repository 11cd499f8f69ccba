"""What lives as long as the process: the lanes to the books, the connections to vendors."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common import logs
from proxy.books import Books
from proxy.price_book import PriceBook
from proxy.recent import Recent
from proxy.relay import Relay

if TYPE_CHECKING:
    from proxy.alive import Alive

log = logging.getLogger("proxy")


@dataclass(slots=True)
class Platform:
    """What lives as long as the process."""

    books: Books
    relay: Relay
    recent: Recent
    prices: PriceBook


async def start(*, alive: Alive | None = None) -> Platform:
    """Open what the proxy needs; the database need not be there yet.

    Who takes calls is `alive`: should it die, its holds are freed soon.
    """
    return Platform(Books(alive), Relay(), Recent(), PriceBook())


async def stop(platform: Platform) -> None:
    """Finish what is in flight, then close."""
    if _background:
        await asyncio.wait(_background, timeout=5)
    await platform.books.close()
    await platform.relay.close()
    logs.flush()


_background: set[asyncio.Future[Any]] = set()


def soon(work: Any) -> None:
    """Run something that nobody waits for; a failure of it is logged."""
    task = asyncio.ensure_future(work)
    _background.add(task)

    def done(task: asyncio.Future[Any]) -> None:
        _background.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.warning("background work failed: %s", type(error).__name__)

    task.add_done_callback(done)
