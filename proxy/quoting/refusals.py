"""What would refuse a call that is quoted: what its hold would say at this moment.

The statement that places holds judges (`sql.JUDGE` is PLACE without its locks and writes), and the
sentence is a hold's own. Of a workflow's nodes each is asked when the one before it has ended, as
ComfyUI does: their sum must be in the wallet and in the budgets, and each needs a slot alone.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import TYPE_CHECKING, Any

from django.db import connection

from apikeys import budgets, callers, me
from apikeys.authentication import Token
from apikeys.callers import Asked
from apikeys.models import ApiKey
from common import addresses
from common import db as databases
from common.errors import (
    InsufficientCredits,
    InvalidRequest,
    Maintained,
    PlatformError,
    RateLimited,
    Unauthorized,
)
from common.ids import uuid7
from common.money import MICROS_PER_USD, credits_text
from credits.books import elsewhere, turns
from desk import maintenance
from proxy import phases, sql
from proxy.phases import Place
from proxy.vendors import catalogue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rest_framework.request import Request

    from credits.models import Account
    from prices.terms import Book
    from proxy.quoting.estimates import Estimate
    from proxy.quoting.workflows import Quoted

Refused = dict[str, Any]


def dollars(micros: int) -> str:
    """Return micros as plain dollars: 60000 -> "0.06"."""
    sign, (whole, part) = "-" * (micros < 0), divmod(abs(micros), MICROS_PER_USD)
    return f"{sign}{whole}.{part:06d}".rstrip("0").rstrip(".")


def amount(micros: int) -> dict[str, str]:
    """Return an amount as the wire has it: micros as a text, dollars, credits."""
    return {"micros": f"{micros}", "usd": dollars(micros), "credits": credits_text(micros)}


def first(
    request: Request, wallet: Account, book: Book, rows: Sequence[Quoted], total: Estimate
) -> Refused | None:
    """Return the first thing that would refuse one of the calls, in the order in which they come.

    With `limit` where it is one: which, how large it is, what is left of it, and when it resets.
    """
    if wallet.frozen_reason:
        paused = elsewhere.refusal(wallet.frozen_reason)
        return {"code": paused.code, "message": wallet.frozen_reason}
    available = wallet.balance_micros - wallet.held_micros
    judged = _judged(request, book, rows)
    for row in rows:
        refused = _of_catalogue(row) or judged.get(row.node)
        if refused is not None and refused["code"] == InsufficientCredits.code:
            break
        if refused is not None:
            return {**refused, "node": row.node}
    if total.most <= available:
        return None
    return {
        "code": InsufficientCredits.code,
        "message": f"It can cost ${dollars(total.most)}, and ${dollars(available)} of your "
        "credits are available.",
        "limit": {"kind": "balance", "left": amount(available)},
    }


def _of_catalogue(row: Quoted) -> Refused | None:
    """Return why nobody could make that call: its vendor is off, or it has no price."""
    try:
        for name in row.operations:
            vendor = catalogue().vendors.get(row.vendor)
            found = [each for each in vendor.operations if each.path == name] if vendor else []
            if vendor is not None and found:
                vendor.account(found[0])
        if row.estimate is None:
            raise InvalidRequest(row.problem)
    except PlatformError as exc:
        return {"code": exc.code, "message": f"{exc}"}
    return None


def _judged(request: Request, book: Book, rows: Sequence[Quoted]) -> dict[str, Refused]:
    """Return the refusals of the holds that these calls would place, by node."""
    told: dict[str, Refused] = {}
    priced = [row for row in rows if row.estimate is not None]
    ways = _ways(request) if priced else []
    for way in ways:
        asks = [_ask(row, book, way) for row in priced]
        answers = turns.one_by_one(asks, _ask_books(asks))
        told = {
            row.node: refused
            for row, ask, answer in zip(priced, asks, answers, strict=True)
            if (refused := _refused(request, ask, answer)) is not None
        }
        if not any(each["code"] == Unauthorized.code for each in told.values()):
            break
    return told


def _ways(request: Request) -> Sequence[Asked]:
    """Return how the books know who asks; nothing of who is signed in at our own pages."""
    address = request.META.get("REMOTE_ADDR", "")
    if isinstance(request.auth, ApiKey):
        return callers.by_key(request.headers["X-API-KEY"].strip(), address).asked()
    if isinstance(request.auth, Token):
        sid, workspace = str(request.auth.sid), str(request.auth.workspace_id)
        plain = addresses.plain(address)
        return [Asked(digest=None, address=plain, sid=sid, workspace=workspace)]
    return []


def _ask(row: Quoted, book: Book, way: Asked) -> Place:
    assert row.estimate is not None
    return Place(
        hold=uuid7(),
        vendor=row.vendor,
        amount=row.estimate.most,
        ttl=0,
        intent=uuid.uuid4().hex,
        keyed=False,
        memo={},
        book=book.number,
        paced=True,  # Looked at by itself, below: nothing of the minute is taken here.
        **way,
    )


def _ask_books(asks: Sequence[Place]) -> list[turns.Answer]:
    """Return what they say; the budgets that the caller is under are looked up first, if needed."""
    for _ in range(phases.RENEWALS):
        for n, ask in enumerate(asks):
            ask.n = n
        with connection.cursor() as cursor:
            cursor.execute(sql.JUDGE, [phases.document(asks)])
            # Django's connections leave a document of JSON a text.
            answers = [
                turns.Answer(*row)._replace(budgets=json.loads(row[-1]) if row[-1] else None)
                for row in cursor.fetchall()
            ]
        if all(answer.verdict != "renew" for answer in answers):
            break
        asyncio.run(_renew(asks[0].way))
    return answers


async def _renew(way: Asked) -> None:
    async with await databases.connect() as db:
        await budgets.renew(db, [way])


def _refused(request: Request, ask: Place, answer: turns.Answer) -> Refused | None:
    came: object = phases.came_to(ask, answer)
    if isinstance(came, Maintained):
        came = _maintained() or came
    if isinstance(came, PlatformError):
        limit = _limit(request, answer)
        return {"code": came.code, "message": f"{came}", **({"limit": limit} if limit else {})}
    pace = me.pace(request.auth) if isinstance(request.auth, ApiKey) else None
    if pace is None or pace["remaining"]:
        return None
    return {
        "code": RateLimited.code,
        "message": f"This key may begin {pace['limit']} calls in a minute, and 0 are left.",
        "limit": {
            "kind": "requests_per_minute",
            "most": pace["limit"],
            "left": 0,
            "resets_at": pace["resets_at"],
        },
    }


def _maintained() -> PlatformError | None:
    """Return what staff say of the maintenance that is under way."""
    try:
        maintenance.require_none()
    except Maintained as told:
        return told
    return None


def _limit(request: Request, answer: turns.Answer) -> dict[str, Any] | None:
    """Return the limit that refused it, as the wire has it."""
    told = answer.told or {}
    if answer.verdict == "call_limit" and isinstance(request.auth, ApiKey):
        return {"kind": "per_call", "most": amount(request.auth.call_limit_micros or 0)}
    if told.get("limit") == "budget":
        return {
            "kind": "budget",
            "of": told["kind"],
            "most": amount(told["most"]),
            "left": amount(max(told["left"], 0)),
            "resets_at": told["resets_at"],
        }
    if told.get("limit") == "concurrency":
        left = max(told["most"] - told["open"], 0)
        return {"kind": "concurrency", "most": told["most"], "left": left, "large": told["large"]}
    return None
