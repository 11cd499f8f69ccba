"""What happens when a node calls: route, quote, hold, relay, settle, record.

    request -> route -> quote -> hold -----> relay ----> settle + record -> answer
                 |        |        |           |
                404      400   401 402 403   refused: nothing is charged
                                             lost:    the hold stays until its time is over
                                             a job:   the hold stays until the job ends (jobs.py)

Nothing is sent before the most it can cost is set aside; nothing is answered with success before
what it did cost is written durably. The client may leave at any moment: that changes nothing
here, except that the answer is kept for its next try (replay.py). No database connection is held
while a vendor works.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from common import tracing
from common.errors import ProviderDisabled
from common.money import Micros
from proxy import (
    again,
    choosing,
    delivery,
    dialect,
    jobs,
    looking,
    metered,
    origin,
    passing,
    reading,
    replay,
)
from proxy.catalogue import Gives, Kind, Takes
from proxy.dialect import Verdict
from proxy.metered import Call, Elsewhere
from proxy.phases import Repriced
from proxy.pricing import Quote, booked
from proxy.relay import Lost
from proxy.vendors import catalogue

if TYPE_CHECKING:
    from apikeys.callers import Caller
    from proxy.catalogue import Route
    from proxy.http import Request
    from proxy.process import Platform
    from proxy.relay import Outgoing, Reply

NO_FILE = ("application/json", "text/html")
"""What no vendor's file is: JSON says what became of the request; a page, who stands between."""


async def call(platform: Platform, request: Request) -> None:
    """Answer what a node asks: only what is in the catalogue, each by its kind."""
    route = catalogue().find(request.method, request.path)
    if tracing.tell is not None:
        tracing.tell(vendor=route.vendor.name, operation=route.name)
    match route.operation.kind:
        case Kind.SYNC | Kind.SUBMIT:
            await meter(platform, request, route)
        case Kind.POLL:
            await jobs.poll(platform, request, route)
        case Kind.RESULT:
            await jobs.result(platform, request, route)
        case _:
            await passing.free(platform, request, route)


async def meter(platform: Platform, request: Request, route: Route) -> None:
    """Make one metered call on a vendor, and answer it."""
    operation = route.operation
    await platform.vault.ready(platform.books)
    platform.vault.require_on(route)
    platform.vault.require_any(route)
    caller = await reading.caller_of(platform, request)
    if operation.job is not None and operation.job.rewrite is not None and origin.problem(request):
        await platform.books.may_call(route.vendor.name, caller)
        request.require_pollable_origin()
    asked = await reading.read(platform, request, route, caller)
    uses = list(operation.uses(asked)) if operation.uses else []
    account, *others = await choosing.candidates(platform, route, caller, uses)
    if operation.names is not None:
        await looking.before(platform, route, asked, caller, account)
    intention = replay.Intention(request, caller.name, whole=operation.takes is not Takes.STREAM)
    made = Call(route, account, asked, Quote(Micros(0)), intention, request_bytes=len(request.body))
    if operation.takes is not Takes.STREAM:  # What streams through is there once.
        made.others = others
    outgoing = await _priced(platform, request, made)
    while (held := await _held(platform, request, made, caller)) is None:
        await platform.prices.renew(platform.books)
        outgoing = await _priced(platform, request, made)
    if not held:
        return  # It was a repeat, and is answered.
    request.owner = caller.label  # Known now: its answer counts in its own share.
    async with metered.guarded(platform, made):
        while True:
            try:
                outgoing = await _handed(platform, request, made, outgoing)
                await _exchange(platform, request, made, outgoing)
            except Elsewhere:
                request.sent = False  # What was sent came to nothing, certainly.
                outgoing = await _signed(platform, request, made)
            else:
                return


async def _priced(platform: Platform, request: Request, made: Call) -> Outgoing:
    """Quote it by the price book that this process knows; return what the vendor would be sent."""
    vendor, operation, book = made.route.vendor, made.route.operation, platform.prices.now
    if made.account.is_own:  # The published price decides nothing: its workspace pays the vendor.
        made.asked.available = None
        made.quote = metered.quoted(made.account, await operation.price.quote(made.asked))
    else:
        made.quote = await booked.quote(
            operation.price, made.asked, book=book, vendor=vendor.name, operation=operation.path
        )
    made.book, made.price_version = book.number, book.version(operation.price_version)
    return await _signed(platform, request, made)


async def _held(platform: Platform, request: Request, made: Call, caller: Caller) -> bool | None:
    """Whether its money is set aside (see `metered.hold`); None if it must be priced anew."""
    try:
        return await metered.hold(platform, request, made, caller)
    except Repriced:
        return None


async def _signed(platform: Platform, request: Request, made: Call) -> Outgoing:
    """Return the request to the vendor, under the first account that can sign it."""
    while True:
        try:
            return await reading.outgoing(
                platform, request, made.route, made.asked,
                account=made.account, priced=made.quote.inputs, name=made.id,
            )  # fmt: skip
        except ProviderDisabled:  # Who gives tokens does not know it.
            nothing = dialect.Said(403, b"")
            await choosing.unserved(platform, made.account, Verdict.OPERATOR, nothing)
            if not made.others:
                raise
            made.account = made.others.pop(0)
            if made.placed_at:
                await platform.books.move(made.id, made.ttl, account=made.account.name)


async def _handed(platform: Platform, request: Request, made: Call, outgoing: Outgoing) -> Outgoing:
    """Return what is sent once the vendor has the files that it must be given first, if any.

    Each account is given them anew; raises Elsewhere where one is not served.
    """
    while made.asked.uploads and made.asked.given_to != made.account.name:
        await metered.hand_over(platform, request, made)
        outgoing = await _signed(platform, request, made)
    return outgoing


async def _exchange(platform: Platform, request: Request, made: Call, outgoing: Outgoing) -> None:
    """Send it, and answer with what came; raise Elsewhere if another account is to be tried."""
    reply: Reply | None = await metered.send(platform, request, made, outgoing)
    while reply is not None:
        reply = await _answered(platform, request, made, outgoing, reply)


async def _answered(
    platform: Platform, request: Request, made: Call, outgoing: Outgoing, reply: Reply
) -> Reply | None:
    """Answer with what came; or return what the vendor says when it is asked again."""
    try:
        return await _answer(platform, request, made, outgoing, reply)
    except Lost as exc:
        if (known := await again.ask(platform, made, outgoing)) is not None:
            return known
        # The vendor answered 200 and broke off: nothing that can be given was delivered.
        reason = "The provider's answer broke off."
        metered.served(platform, made, "unknown", error=reason)
        await metered.settle(platform, made, reply, "refused", reason=reason)
        raise dialect.lost(made.route.vendor) from exc
    finally:
        reply.close()


async def _answer(
    platform: Platform, request: Request, made: Call, outgoing: Outgoing, reply: Reply
) -> Reply | None:
    """Read and judge what can be read; pass the rest on as it comes."""
    operation = made.route.operation
    is_delivery = reply.status in dialect.DELIVERING
    if is_delivery and operation.gives is Gives.LINES:
        await delivery.lines(platform, request, made, reply)
        return None
    if is_delivery and operation.gives is Gives.BYTES and reply.content_type not in NO_FILE:
        refused = operation.judge_head(reply.header) if operation.judge_head else None
        if refused is not None:
            nothing = dialect.Said(reply.status, b"")
            await metered.refuse(platform, request, made, refused, nothing, reply)
        request.release()
        await delivery.stream(platform, request, made, reply)
        return None
    limit = operation.answer_limit_bytes
    said = await delivery.gather(reply, owner=request.owner, limit=limit, account=made.account)
    judged = dialect.judge(made.route.vendor, said)
    is_result = judged.verdict is Verdict.DONE and operation.kind is Kind.SYNC
    if is_result and not operation.delivers(said.json):
        judged = dialect.nothing(made.route.vendor, said)
    if judged.verdict is not Verdict.DONE:
        is_lost = judged.verdict is Verdict.UNKNOWN and not is_delivery
        if is_lost and (known := await again.ask(platform, made, outgoing)) is not None:
            return known
        if is_delivery and judged.verdict is Verdict.REJECTED:
            await metered.undo(platform, made)
        await metered.refuse(platform, request, made, judged, said, reply)
    elif operation.kind is Kind.SUBMIT:
        await jobs.accept(platform, request, made, reply, said)
    else:
        await delivery.whole(platform, request, made, reply, said)
    return None
