"""Files that are sent page by page, each page read when the client takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asgiref.sync import sync_to_async

from common import db

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


async def streamed(pages: Iterator[str]) -> AsyncIterator[bytes]:
    """Send each page as the client takes it; no connection waits while it does."""
    while (page := await sync_to_async(_page)(pages)) is not None:
        yield page.encode()


def _page(pages: Iterator[str]) -> str | None:
    page = next(pages, None)
    db.give_back()
    return page
