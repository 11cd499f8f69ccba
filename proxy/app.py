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

from proxy import delivery, dialect, jobs, metered, origin, passing, reading, replay
from proxy.catalogue import Gives, Kind, Takes
from proxy.dialect import Verdict
from proxy.metered import Call
from proxy.relay import Lost
from proxy.vendors import catalogue

if TYPE_CHECKING:
    from proxy.catalogue import Route
    from proxy.http import Request
    from proxy.process import Platform
    from proxy.relay import Reply

JSON = "application/json"


async def call(platform: Platform, request: Request) -> None:
    """Answer what a node asks: only what is in the catalogue, each by its kind."""
    route = catalogue().find(request.method, request.path)
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
    account = route.vendor.account(operation)  # Refused here if the vendor is switched off.
    caller = await reading.caller_of(platform, request)
    if operation.job is not None and operation.job.rewrite is not None and origin.problem(request):
        await platform.books.may_call(route.vendor.name, caller)
        request.require_pollable_origin()
    asked = await reading.read(platform, request, route, caller)
    quote = await operation.price.quote(asked)
    intention = replay.Intention(request, caller.name, whole=operation.takes is not Takes.STREAM)
    made = Call(route, account, asked, quote, intention, request_bytes=len(request.body))
    outgoing = await reading.outgoing(
        platform, request, route, asked, account=account, priced=quote.inputs
    )

    if not await metered.hold(platform, request, made, caller):
        return  # It was a repeat, and is answered.
    request.owner = caller.label  # Known now: its answer counts in its own share.
    async with metered.guarded(platform, made):
        reply = await metered.send(platform, request, made, outgoing)
        try:
            await _answer(platform, request, made, reply)
        except Lost as exc:
            # The vendor answered 200 and broke off: nothing that can be given was delivered.
            reason = "The provider's answer broke off."
            await metered.settle(platform, made, reply, "refused", reason=reason)
            raise dialect.lost(route.vendor) from exc
        finally:
            reply.close()


async def _answer(platform: Platform, request: Request, made: Call, reply: Reply) -> None:
    """Read and judge what can be read; pass the rest on as it comes."""
    operation = made.route.operation
    is_delivery = reply.status in dialect.DELIVERING
    if is_delivery and operation.gives is Gives.LINES:
        await delivery.lines(platform, request, made, reply)
        return
    if is_delivery and operation.gives is Gives.BYTES and reply.content_type != JSON:
        refused = operation.judge_head(reply.header) if operation.judge_head else None
        if refused is not None:
            nothing = dialect.Said(reply.status, b"")
            await metered.refuse(platform, request, made, refused, nothing, reply)
        await delivery.stream(platform, request, made, reply)
        return
    limit = operation.answer_limit_bytes
    said = await delivery.gather(reply, owner=request.owner, limit=limit, account=made.account)
    judged = dialect.judge(made.route.vendor, said)
    if judged.verdict is not Verdict.DONE:
        await metered.refuse(platform, request, made, judged, said, reply)
    elif operation.kind is Kind.SUBMIT:
        await jobs.accept(platform, request, made, reply, said)
    else:
        await delivery.whole(platform, request, made, reply, said)
