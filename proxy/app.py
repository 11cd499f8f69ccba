"""What happens when a node calls: route, quote, hold, relay, settle, record.

    request -> route -> quote -> hold -----> relay ----> settle + record -> answer
                 |        |        |           |
                404      400   401 402 403   refused: void, nothing is charged
                                             lost:    the hold stays until its time is over
                                             a job:   the hold stays until the job ends (jobs.py)

Nothing is sent before the most it can cost is set aside; nothing is answered with success before
what it did cost is written durably. The client may leave at any moment: that changes nothing
here, except that the answer is kept for its next try (replay.py). No database connection is held
while a vendor works.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson

from apikeys import keys
from common import logs, metrics
from common.errors import ContentBlocked
from common.ids import uuid7
from common.money import Micros, credits_text
from proxy import dialect, jobs, replay
from proxy.books import Accept, Place, Placed, Settle
from proxy.catalogue import Kind
from proxy.http import JSON_TYPE
from proxy.process import soon
from proxy.relay import Lost, Refused
from proxy.vendors import catalogue

if TYPE_CHECKING:
    from proxy.catalogue import Route
    from proxy.http import Headers, Request
    from proxy.pricing import Quote
    from proxy.process import Platform
    from proxy.relay import Reply

log = logging.getLogger("proxy")
HOLD_MARGIN_SECONDS = 60
"""A hold outlives its vendor's time limit by this; then the sweep frees it."""
LONGEST_STREAM_SECONDS = 24 * 3600
FIRST_POLL_SECONDS = 5
"""Our follower lets the member's own polls come first."""
SUBMIT_ANSWER_LIMIT_BYTES = 1 << 20


@dataclass(slots=True)
class Call:
    """One metered call on its way."""

    route: Route
    quote: Quote
    intention: replay.Intention
    id: str = field(default_factory=uuid7)
    wallet: str = ""
    request_bytes: int = 0
    placed_at: float = 0.0
    answered_at: float = 0.0

    @property
    def ttl(self) -> int:
        """For how many seconds the hold stands without an answer."""
        return self.route.operation.timeout_seconds + HOLD_MARGIN_SECONDS

    @property
    def unanswered(self) -> int:
        """For how many seconds the hold may stand before its answer is known: see `deliver`."""
        return self.ttl if self.route.operation.kind is Kind.SUBMIT else LONGEST_STREAM_SECONDS

    def outgoing(
        self, request: Request, status: int, headers: Headers, body: bytes
    ) -> replay.Outgoing:
        """Return a whole answer that is about to be given."""
        row = partial(self.intention.kept, status, headers, body)
        return replay.Outgoing(self.intention, request, row)

    @property
    def headers(self) -> Headers:
        """What every answer of this call carries."""
        return [(b"call-id", self.id.encode())]


async def call(platform: Platform, request: Request) -> None:
    """Answer what a node asks: only what is in the catalogue, each by its kind."""
    route = catalogue().find(request.method, request.path)
    if route.operation.kind is Kind.POLL:
        await jobs.poll(platform, request, route)
    elif route.operation.kind is Kind.FREE:
        await free(platform, request, route)
    else:
        await meter(platform, request, route)


async def meter(platform: Platform, request: Request, route: Route) -> None:
    """Make one metered call on a vendor, and answer it."""
    route.vendor.key()  # Refused here, before anything is read, if the vendor is switched off.
    digests = keys.digests(request.credential())
    if request.is_large and route.operation.json_body:
        await platform.books.may_call(route.vendor.name, digests)
        request.owner = f"key {digests[0].hex()}"
    asked = await read(request, route)
    quote = route.operation.price.quote(asked)
    intention = replay.Intention(request, digests[0], whole=route.operation.json_body)

    made = Call(route, quote, intention, request_bytes=len(request.body))
    while (placed := await hold(platform, request, made, digests)).verdict != "placed":
        if await replay.answer(request, intention, platform.books):
            return
        made.id = uuid7()  # The first try was released meanwhile: this one is new.
    made.wallet, request.call = placed.wallet, made.id
    made.placed_at = time.perf_counter()
    keys.used.note(placed.key)
    if placed.old_pepper:
        soon(platform.books.query(keys.REPEPPER, *keys.repeppered(digests)))

    if intention.whole and not intention.keyed:  # What has a key is kept, whoever leaves.
        request.watch()
        request.on_gone = lambda: soon(platform.books.claim(made.id, intention.id, made.unanswered))
        if request.gone:  # It waited for an earlier try before, and left since.
            request.on_gone()
    reply = await relay(platform, request, made)
    try:
        if route.operation.kind is Kind.SUBMIT:
            await accept(platform, request, made, reply)
        elif route.operation.price.reads_answer:
            await deliver_whole(platform, request, made, reply)
        else:
            await deliver(platform, request, made, reply)
    except Lost as exc:
        # The vendor answered 200 and broke off: nothing that can be given was delivered.
        await settle(platform, made, reply, "refused", reason="The provider's answer broke off.")
        raise dialect.lost(route.vendor) from exc
    finally:
        reply.close()


async def read(request: Request, route: Route) -> dict[str, Any]:
    """Read what the price depends on: a JSON body whole, a streamed one not at all."""
    if not route.operation.json_body:
        request.check_stream_length()
        return {}
    await request.read()
    return request.json() if route.operation.price.reads_body else {}


async def hold(platform: Platform, request: Request, made: Call, digests: list[bytes]) -> Placed:
    """Set the most it can cost aside, in the statement that checks the key and every limit."""
    operation = made.route.operation
    facts = {
        "title": operation.title,
        "inputs": made.quote.inputs,
        "bytes_in": made.request_bytes,
        "source": request.header(b"comfy-usage-source")[:100],
        "core": request.header(b"comfy-core-version")[:50],
        "env": request.header(b"comfy-env")[:100],
    }
    ask = Place(
        hold=made.id,
        digest="",
        vendor=made.route.vendor.name,
        amount=made.quote.most,
        ttl=made.ttl,
        intent=made.intention.id,
        keyed=made.intention.keyed,
        memo={
            "vendor": made.route.vendor.name,
            "operation": operation.path,
            "run": request.header(b"comfy-job-id")[:64],
            "quoted": made.quote.most,
            "price": operation.price_version,
            "fingerprint": made.intention.fingerprint,
            "keyed": made.intention.keyed,
            "facts": {name: value for name, value in facts.items() if value},
        },
    )
    return await platform.books.place(ask, digests)


async def relay(platform: Platform, request: Request, made: Call) -> Reply:
    """Send it to the vendor; return a success, or end the call and raise what the member reads."""
    vendor = made.route.vendor
    body = request.body if made.route.operation.json_body else request.stream()
    try:
        reply = await platform.relay.send(made.route, request, body)
    except Refused as exc:
        await settle(platform, made, None, "refused", reason="No connection to the provider.")
        raise dialect.unreachable(vendor) from exc
    except (Lost, asyncio.CancelledError) as exc:
        if isinstance(exc, Lost) and request.broken is not None:
            # The client left, or sent too much: the vendor never had the whole request.
            await settle(platform, made, None, "refused", reason="The upload was not finished.")
            raise request.broken from exc
        metrics.outcome(vendor.name, "unknown")
        await unknown(platform, made)
        if isinstance(exc, Lost):
            raise dialect.lost(vendor) from exc
        raise
    finally:
        request.release()
    made.answered_at = time.perf_counter()
    if reply.status < 300:
        return reply
    await refuse(platform, request, made, reply)
    raise AssertionError("a refusal was raised")


async def refuse(platform: Platform, request: Request, made: Call, reply: Reply) -> None:
    """End a call that the vendor did not take; raise what the member reads."""
    vendor = made.route.vendor
    try:
        body = await reply.read(64 << 10)
    except Lost:
        body = b""
    reply.close()
    refusal = dialect.refusal(vendor, reply.status, body, reply.header(b"retry-after"))
    if reply.status in dialect.UNKNOWN_STATUSES:
        metrics.outcome(vendor.name, "unknown")
        await unknown(platform, made)
        raise refusal
    outgoing = None
    if made.intention.keyed and isinstance(refusal, (dialect.ProviderRejected, ContentBlocked)):
        told = orjson.dumps(refusal.proxy_body())
        outgoing = made.outgoing(request, refusal.status, [JSON_TYPE], told)
    outcome = "moderated" if isinstance(refusal, ContentBlocked) else "refused"
    await settle(platform, made, reply, outcome, reason=str(refusal)[:300], outgoing=outgoing)
    raise refusal


async def unknown(platform: Platform, made: Call) -> None:
    """Keep the hold: the vendor may have done the work. The sweep frees it when its time is over.

    The intention is released, so that the member's next try is a new call and not a riddle.
    """
    logs.line(event="unknown", call=made.id, operation=made.route.name)
    if made.intention.joinable:
        await platform.books.release(made.id)


async def settle(
    platform: Platform,
    made: Call,
    reply: Reply | None,
    outcome: str,
    *,
    charged: Micros = Micros(0),  # noqa: B008 - an int
    reason: str = "",
    outgoing: replay.Outgoing | None = None,
    bytes_out: int = 0,
) -> bool:
    """End the hold, write entry and call, durably, in one commit.

    False if the hold had ended before: that changes nothing, and what nobody pays for is not
    handed out.
    """
    settled = await platform.books.settle(
        Settle(
            hold=made.id,
            wallet=made.wallet,
            outcome=outcome,
            charged=charged,
            reason=reason,
            status=reply.status if reply else 0,
            vendor_request_id=reply.request_id if reply else "",
            details={"bytes_out": bytes_out} if bytes_out else {},
        ),
        outgoing=outgoing,
    )
    if settled is None:
        return False
    if made.answered_at:
        metrics.SETTLE_LAG.observe(time.perf_counter() - made.answered_at)
    metrics.outcome(made.route.vendor.name, outcome)
    logs.line(
        event="call",
        call=made.id,
        operation=made.route.name,
        outcome=outcome,
        status=reply.status if reply else 0,
        charged=settled.charged,
        held=made.quote.most,
    )
    return True


async def accept(platform: Platform, request: Request, made: Call, reply: Reply) -> None:
    """Remember the job that the vendor took, durably; then give its id and our polling URL."""
    vendor, operation, shape = made.route.vendor, made.route.operation, made.route.vendor.job
    assert shape is not None, "a vendor with a submit has jobs"
    answer = _parsed(await reply.read(SUBMIT_ANSWER_LIMIT_BYTES))
    job_id = shape.job_id(answer) if answer is not None else None
    if answer is None or job_id is None:
        await settle(platform, made, reply, "refused", reason="The provider named no job.")
        raise dialect.unreadable(vendor)
    price = operation.price.settle(made.quote.inputs, answer)
    poll = next(each for each in vendor.operations if each.kind is Kind.POLL)
    url = jobs.polling_url(request, poll, vendor, job_id, made.id)
    body = orjson.dumps(shape.rewrite(answer, url))
    headers = [h for h in reply.headers if h[0] != b"content-length"] + made.headers
    if price is not None:
        # Clients do not read it on an absolute polling URL (client-behaviour C2).
        headers.append(
            (b"x-comfy-credits-used", credits_text(min(price, made.quote.most)).encode())
        )
    outgoing = made.outgoing(request, reply.status, headers, body)
    accepted = await platform.books.accept(
        Accept(
            hold=made.id,
            ttl=operation.deadline_seconds + jobs.MARGIN_SECONDS,
            vendor=vendor.name,
            operation=made.route.name,
            vendor_job_id=job_id,
            vendor_request_id=reply.request_id,
            poll_url=shape.poll_url(made.route, answer),
            price=price,
            inputs=made.quote.inputs,
            deadline=operation.deadline_seconds,
            first_poll=FIRST_POLL_SECONDS,
        ),
        outgoing=outgoing,
    )
    if not accepted:
        # The hold ended meanwhile, or the job is another call's: not handed out, not paid for.
        await settle(platform, made, reply, "refused", reason="The provider's job is not its own.")
        raise dialect.lost(vendor)
    metrics.outcome(vendor.name, "accepted")
    logs.line(event="accepted", call=made.id, operation=made.route.name, held=made.quote.most)
    await request.answer(reply.status, body, headers)
    await platform.books.keep(made.id, outgoing)


async def free(platform: Platform, request: Request, route: Route) -> None:
    """Pass through what costs nothing: it needs a key that may, no credits, and nothing is kept."""
    digests = keys.digests(request.credential())
    await platform.books.may_call(route.vendor.name, digests)
    request.owner = f"key {digests[0].hex()}"
    await read(request, route)
    body = request.body if route.operation.json_body else request.stream()
    try:
        reply = await platform.relay.send(route, request, body)
        try:
            raw = await reply.read()
        finally:
            reply.close()
    except Refused as exc:
        raise dialect.unreachable(route.vendor) from exc
    except Lost as exc:
        raise dialect.lost(route.vendor) from exc
    if reply.status >= 300:
        raise dialect.refusal(route.vendor, reply.status, raw, reply.header(b"retry-after"))
    headers = [header for header in reply.headers if header[0] != b"content-length"]
    await request.answer(reply.status, raw, headers)


async def deliver_whole(platform: Platform, request: Request, made: Call, reply: Reply) -> None:
    """Answer with a result whose JSON decides the price: read it, settle it, give it."""
    raw = await reply.read()
    answer = _parsed(raw)
    if answer is None:
        await settle(platform, made, reply, "refused", reason="The provider's answer is not JSON.")
        raise dialect.unreadable(made.route.vendor)
    price = made.route.operation.price.settle(made.quote.inputs, answer)
    assert price is not None, "only a job is measured at its end"
    headers = [h for h in reply.headers if h[0] != b"content-length"] + made.headers
    headers.append((b"x-comfy-credits-used", credits_text(min(price, made.quote.most)).encode()))
    outgoing, size = made.outgoing(request, reply.status, headers, raw), len(raw)
    if not await settle(
        platform, made, reply, "delivered", charged=price, outgoing=outgoing, bytes_out=size
    ):
        raise dialect.lost(made.route.vendor)
    await request.answer(reply.status, raw, headers)
    await platform.books.keep(made.id, outgoing)


async def deliver(platform: Platform, request: Request, made: Call, reply: Reply) -> None:
    """Pass a result through as it comes, and settle it before its last part.

    The price is known before; a result that breaks off is not charged. What passes is written
    down meanwhile, for the case that the client leaves, or that it may ask again by its key. A
    result that takes long, or whose client reads slowly, keeps its hold for as long.
    """
    price = made.route.operation.price.settle(made.quote.inputs, {})
    assert price is not None, "a price that needs the answer is delivered whole"
    headers = [*reply.headers, *made.headers]
    headers.append((b"x-comfy-credits-used", credits_text(price).encode()))
    spool, held_back, size = replay.Spool(made.id), b"", 0
    row = partial(spool.kept, made.intention, reply.status, headers)
    outgoing = replay.Outgoing(made.intention, request, row)
    renew_at = made.placed_at + HOLD_MARGIN_SECONDS
    try:
        async for chunk in reply.chunks():
            if time.perf_counter() > renew_at:
                soon(platform.books.renew(made.id, made.ttl))
                renew_at = time.perf_counter() + HOLD_MARGIN_SECONDS
            spool.write(chunk)
            size += len(chunk)
            if held_back and not request.begun:
                await request.start(reply.status, headers)
            if held_back:
                await request.chunk(held_back)
            held_back = chunk
        if not size:
            reason = "The provider's answer is empty."
            await settle(platform, made, reply, "refused", reason=reason)
            raise dialect.unreadable(made.route.vendor)
        if not await settle(
            platform, made, reply, "delivered", charged=price, outgoing=outgoing, bytes_out=size
        ):
            raise dialect.lost(made.route.vendor)
        if not request.begun:
            await request.start(reply.status, headers)
        await request.last(held_back)
        await platform.books.keep(made.id, outgoing)
    finally:
        spool.close()


def _parsed(body: bytes) -> dict[str, Any] | None:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return answer if isinstance(answer, dict) else None
