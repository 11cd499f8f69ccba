"""What costs nothing by itself: uploads, steps of a job, cancels, look-ups.

It needs a key that may call the vendor, no credits, and nothing is recorded; but the ids that it
names must be its workspace's own, and the ids that it makes are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from proxy import choosing, delivery, dialect, handing, reading
from proxy.catalogue import Gives, Takes
from proxy.credentials import Redactor
from proxy.dialect import Verdict
from proxy.relay import Lost, Refused

if TYPE_CHECKING:
    from common.errors import PlatformError
    from proxy.asked import Asked
    from proxy.catalogue import Route
    from proxy.credentials import Account
    from proxy.http import Request
    from proxy.process import Platform
    from proxy.relay import Reply


class Unserved(Exception):
    """The vendor does not serve the account, and certainly did nothing; the refusal says so."""

    def __init__(self, refusal: PlatformError) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


async def free(platform: Platform, request: Request, route: Route) -> None:
    """Pass it through: a request within the limits, an answer that was judged and redacted."""
    await platform.vault.ready(platform.books)
    platform.vault.require_on(route)
    platform.vault.require_any(route)
    caller = await reading.caller_of(platform, request)
    asked = await reading.read(platform, request, route, caller)
    uses = list(route.operation.uses(asked)) if route.operation.uses else []
    workspace = await platform.books.may_call(route.vendor.name, caller, uses)
    accounts = await choosing.candidates(platform, route, caller, uses)
    if route.operation.takes is Takes.STREAM:
        accounts = accounts[:1]  # What streams through is there once.
    for account in accounts:
        if refusal := await _unplaced(platform, route, asked, account):
            if account is accounts[-1]:
                raise refusal
            continue
        reply = await _exchange(platform, request, route, asked, account)
        try:
            await give(platform, request, route, account=account, reply=reply, workspace=workspace)
        except Lost as exc:
            raise dialect.lost(route.vendor) from exc
        except Unserved as exc:
            if account is accounts[-1]:
                raise exc.refusal from exc
        else:
            return
        finally:
            reply.close()


async def _unplaced(
    platform: Platform, route: Route, asked: Asked, account: Account
) -> PlatformError | None:
    """Give the vendor the files that it takes by an upload, if any; return why not under this one.

    Raises what no other account would change.
    """

    async def nothing() -> None:
        """There is no hold to be renewed."""

    try:
        await handing.over(platform, route, asked, account, nothing)
    except Refused as exc:
        raise dialect.unreachable(route.vendor) from exc
    except handing.Unplaced as exc:
        refusal = dialect.refusal(route.vendor, exc.judged, exc.said, is_own=account.is_own)
        if exc.judged.verdict not in dialect.UNSERVED:
            raise refusal from exc
        await choosing.unserved(platform, account, exc.judged.verdict, exc.said)
        return refusal
    return None


async def _exchange(
    platform: Platform, request: Request, route: Route, asked: Asked, account: Account
) -> Reply:
    """Send it under an account, and return what the vendor answers."""
    outgoing = await reading.outgoing(platform, request, route, asked, account=account, priced={})
    try:
        return await platform.relay.exchange(outgoing)
    except Refused as exc:
        raise dialect.unreachable(route.vendor) from exc
    except Lost as exc:
        if request.broken is not None:
            raise request.broken from exc
        raise dialect.lost(route.vendor) from exc


async def give(
    platform: Platform,
    request: Request,
    route: Route,
    *,
    account: Account,
    reply: Reply,
    workspace: str,
) -> None:
    """Give an answer that nobody pays for now: judged and whole, or as it comes.

    Raises Unserved where another account may be served.
    """
    operation = route.operation
    if reply.status in dialect.DELIVERING and operation.gives is not Gives.JSON:
        await _pass(request, account, reply)
        return
    limit = operation.answer_limit_bytes
    said = await delivery.gather(reply, owner=request.owner, limit=limit, account=account)
    judged = dialect.judge(route.vendor, said)
    if judged.verdict is Verdict.UNKNOWN:
        raise dialect.lost(route.vendor)
    if judged.verdict is not Verdict.DONE:
        refusal = dialect.refusal(route.vendor, judged, said, is_own=account.is_own)
        if judged.verdict not in dialect.UNSERVED:
            raise refusal
        await choosing.unserved(platform, account, judged.verdict, said)
        raise Unserved(refusal)
    if operation.makes is not None:
        made = list(operation.makes(said.json))
        if not await platform.books.own(route.vendor.name, workspace, made, account=account.name):
            raise dialect.lost(route.vendor)  # The vendor named an id that is another's.
    body = said.body if operation.reply is None else orjson.dumps(operation.reply(said.json))
    await request.answer(reply.status, body, list(said.headers))


async def _pass(request: Request, account: Account, reply: Reply) -> None:
    """Pass bytes through as they come, redacted."""
    redactor = Redactor(account)
    await request.start(reply.status, reply.headers)
    async for chunk in reply.chunks():
        if part := redactor.feed(chunk):
            await request.chunk(part)
    await request.last(redactor.end())
