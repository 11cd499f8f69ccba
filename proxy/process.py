"""What lives as long as the process: the lanes to the books, the connections to vendors."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from common import logs
from proxy.books import Books
from proxy.health import FLUSH_SECONDS, Health
from proxy.price_book import PriceBook
from proxy.recent import Recent
from proxy.refused import Refused
from proxy.relay import Relay
from proxy.vault import Vault

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
    vault: Vault = field(default_factory=Vault)
    health: Health = field(default_factory=Health)
    refused: Refused = field(default_factory=Refused)
    chores: list[asyncio.Task[None]] = field(default_factory=list)
    """What goes on for as long as the process lives."""


async def start(*, alive: Alive | None = None) -> Platform:
    """Open what the proxy needs; the database need not be there yet.

    Who takes calls is `alive`: should it die, its holds are freed soon.
    """
    platform = Platform(Books(alive), Relay(), Recent(), PriceBook())
    if alive is not None:
        for chore in (platform.vault.keep(platform.books), _keep_writing(platform)):
            platform.chores.append(asyncio.get_running_loop().create_task(chore))
    return platform


async def stop(platform: Platform) -> None:
    """Finish what is in flight, then close."""
    for chore in platform.chores:
        chore.cancel()
    if _background:
        await asyncio.wait(_background, timeout=5)
    await platform.health.finish(platform.books)
    await platform.refused.write(platform.books)
    await platform.books.close()
    await platform.relay.close()
    logs.flush()


async def _keep_writing(platform: Platform) -> None:
    while True:
        await asyncio.sleep(FLUSH_SECONDS)
        await platform.health.write(platform.books)
        soon(platform.refused.write(platform.books))


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
