"""Two sets of lanes to the same books, as two web processes have them, without any HTTP."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from proxy_stage import connect

from apikeys import callers
from common.errors import PlatformError
from common.ids import uuid7
from proxy.books import Books
from proxy.phases import Accept, Place, Placed, Settle, Settled


@asynccontextmanager
async def two_sets() -> AsyncIterator[tuple[Books, Books]]:
    both = Books(), Books()
    try:
        yield both
    finally:
        for books in both:
            await books.close()


def an_ask(amount: int = 10_000, *, intent: str = "", **more: Any) -> Place:
    """An ask for money; one with an intent takes that for itself."""
    memo = {"vendor": "bfl", "fingerprint": "", **({"keyed": True} if intent else {})}
    given: dict[str, Any] = {
        "hold": uuid7(),
        "vendor": "bfl",
        "amount": amount,
        "ttl": 60,
        "intent": intent or uuid.uuid4().hex,
        "keyed": bool(intent),
        "memo": memo,
    }
    return Place(**{**given, **more})


async def place(books: Books, member: Any, ask: Place) -> Placed:
    return await books.place(ask, callers.by_key(member.key, "127.0.0.1"))


async def settle(
    books: Books, member: Any, hold: str, charged: int = 10_000, **more: Any
) -> Settled | None:
    wallet = str(member.workspace_id)
    return await books.settle(Settle(hold, wallet, "delivered", charged, **more))


def an_accept(hold: str, job: str, **more: Any) -> Accept:
    return Accept(
        hold=hold,
        ttl=100,
        vendor="bfl",
        operation="flux-pro-1.1",
        scope="task",
        vendor_job_id=job,
        vendor_request_id="",
        poll_url="",
        poll_method="GET",
        poll_body=None,
        price=10_000,
        most=10_000,
        inputs={},
        deadline=100,
        first_poll=60,
        kept_seconds=60,
        **more,
    )


def an_answer(intent: str, **more: Any) -> dict[str, Any]:
    given = {
        "intent": intent,
        "fingerprint": "",
        "status": 200,
        "headers": {},
        "text": "{}",
        "spool": "",
        "once": False,
        "seconds": 60,
    }
    return {**given, **more}


def sums(member: Any) -> tuple[int, int]:
    """Return what is in the wallet, and what of it is held."""
    wallet = "SELECT balance_micros, held_micros FROM credits_account WHERE id = %s"
    with connect() as db:
        (row,) = db.execute(wallet, [member.workspace_id]).fetchall()
    return row["balance_micros"], row["held_micros"]


async def verdicts(asks: Iterable[Awaitable[Placed]]) -> list[str]:
    """Return what came of each: a verdict, or the code of a refusal. Anything else is raised."""
    told = []
    for came in await asyncio.gather(*asks, return_exceptions=True):
        if isinstance(came, PlatformError):
            told.append(came.code)
        elif isinstance(came, BaseException):
            raise came
        else:
            told.append(came.verdict)
    return told
