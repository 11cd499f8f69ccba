"""One metered call: its hold, the vendor's answer, its end. What runs in between is its caller's.

    hold --> send --> settle     charged for what was delivered, or nothing, and written down
               |----> refuse     the vendor said no: nothing is charged
               |                 (of one account of ours only: sent again, under the next)
               '----> unknown    no readable answer came: the hold stays until its time is over

Whatever else happens between `hold` and the end (`guarded`), no hold is left behind: it is freed
where nothing was sent yet, and kept as unknown where something was.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import orjson
from django.utils.translation import gettext_noop

from apikeys import keys
from common import logs, metrics, tracing
from common.errors import ContentBlocked, PlatformError, Unavailable
from common.ids import uuid7
from common.money import Micros
from credits.books import limits
from proxy import again, answers, choosing, dialect, handing, health, replay
from proxy.books import HOLD_MARGIN_SECONDS
from proxy.catalogue import Kind
from proxy.dialect import Verdict
from proxy.http import JSON_TYPE
from proxy.phases import Place, Placed, Settle
from proxy.pricing import Quote
from proxy.process import soon
from proxy.relay import Lost, Outgoing, Refused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable

    from apikeys.callers import Caller
    from proxy.asked import Asked
    from proxy.catalogue import Route
    from proxy.credentials import Account
    from proxy.dialect import Judged, Said
    from proxy.http import Headers, Request
    from proxy.process import Platform
    from proxy.relay import Reply

Done = TypeVar("Done")

NO_RESULT = gettext_noop("The provider's answer is not a result.")
NOT_SENT = gettext_noop("Nothing was sent.")
NOT_REACHED = gettext_noop("No connection to the provider.")
NOT_FINISHED = gettext_noop("The upload was not finished.")
NO_FILE = gettext_noop("The provider did not take a file.")
UNDO_SECONDS = 15
LONGEST_STREAM_SECONDS = 24 * 3600
OWN_PRICE = "own-account"
"""The price version of what a workspace's own account pays for."""
TROUBLE = (*dialect.UNSERVED, Verdict.BROKEN)
"""What is no fault of the request."""
AGAIN = (Verdict.BUSY, Verdict.BROKEN)
"""Refusals that clients answer with the same request, up to sixteen times."""


class Elsewhere(Exception):
    """The vendor certainly did nothing under this account, and the call goes under its next one."""


@dataclass(slots=True)
class Call:
    """One metered call on its way."""

    route: Route
    account: Account
    asked: Asked
    quote: Quote
    intention: replay.Intention
    book: int = 0
    """The version of the price book that it is quoted by."""
    price_version: str = ""
    id: str = field(default_factory=uuid7)
    wallet: str = ""
    others: list[Account] = field(default_factory=list)
    """The accounts that it may still be sent under, where this one is not served."""
    request_bytes: int = 0
    placed_at: float = 0.0
    sent_at: float = 0.0
    answered_at: float = 0.0
    sent: bool = False
    """Whether the vendor may have something of it."""
    told: Headers = field(default_factory=list)
    """Of the limits that it is under, how it stands there."""
    asked_again: bool = False
    """Whether the vendor was asked what became of it, since no answer came."""
    over: bool = False
    """Whether its hold is another's to end: it ended, a job has it, or nobody knows."""

    @property
    def ttl(self) -> int:
        """For how many seconds the hold stands without an answer."""
        return self.route.operation.timeout_seconds + HOLD_MARGIN_SECONDS

    @property
    def unanswered(self) -> int:
        """For how many seconds the hold may stand before its answer is known: see `deliver`."""
        return self.ttl if self.route.operation.kind is Kind.SUBMIT else LONGEST_STREAM_SECONDS

    @property
    def fee(self) -> Micros | None:
        """What it costs whatever was delivered: its workspace pays the vendor. None: its price."""
        return self.quote.most if self.account.is_own else None

    def pending_answer(
        self, request: Request, status: int, headers: Headers, body: bytes
    ) -> answers.PendingAnswer:
        """Return a whole answer that is about to be given."""
        whole = answers.Whole(self.id, body)
        row = partial(whole.kept, self.intention, status, headers)
        return answers.PendingAnswer(self.intention, request, row, whole.store)

    @property
    def headers(self) -> Headers:
        """What every answer of this call carries."""
        return [(b"call-id", self.id.encode()), *self.told]


def quoted(account: Account, quote: Quote) -> Quote:
    """Return what is held: under a workspace's own account the stated fee, and not the price."""
    if not account.is_own:
        return quote
    return dataclasses.replace(quote, most=choosing.own_fee(account.vendor))


async def hold(platform: Platform, request: Request, call: Call, caller: Caller) -> bool:
    """Set the most it can cost aside; False if it was a repeat, and is answered.

    One statement checks the key and every limit. Raises what refuses it.
    """
    while (placed := await _place(platform, request, call, caller)).verdict != "placed":
        if await replay.answer(request, call.intention, platform.books):
            return False
        call.id = uuid7()  # The first try was released meanwhile: this one is new.
    call.wallet, request.call = placed.wallet, call.id
    if placed.slots is not None:
        call.told += wired(limits.headers(*placed.slots))
    call.told += wired(placed.pace)
    if tracing.tell is not None:
        tracing.tell(call=call.id, held_micros=call.quote.most)
    call.placed_at = time.perf_counter()
    if placed.key:
        keys.used.note(placed.key)
    if placed.old_pepper:
        soon(platform.books.query(keys.REPEPPER, *keys.repeppered(list(caller.digests))))
    return True


def wired(headers: dict[str, str]) -> Headers:
    """Return headers as the wire has them."""
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


async def _place(platform: Platform, request: Request, call: Call, caller: Caller) -> Placed:
    operation = call.route.operation
    facts = {
        "title": operation.title,
        "account": call.account.name,
        "inputs": call.quote.inputs,
        "bytes_in": call.request_bytes,
        "source": request.header(b"comfy-usage-source")[:100],
        "core": request.header(b"comfy-core-version")[:50],
        "env": request.header(b"comfy-env")[:100],
    }
    uses = list(operation.uses(call.asked)) if operation.uses else None
    ask = Place(
        hold=call.id,
        vendor=call.route.vendor.name,
        amount=call.quote.most,
        book=call.book,
        ttl=call.ttl,
        intent=call.intention.id,
        keyed=call.intention.keyed,
        assets=uses or None,
        memo={
            "vendor": call.route.vendor.name,
            "operation": operation.path,
            "run": request.header(b"comfy-job-id")[:64],
            "quoted": call.quote.most,
            "price": OWN_PRICE if call.account.is_own else call.price_version,
            "fingerprint": call.intention.fingerprint,
            "keyed": call.intention.keyed,
            "facts": {name: value for name, value in facts.items() if value},
        },
    )
    try:
        return await platform.books.place(ask, caller)
    except PlatformError as refusal:
        platform.refused.note(ask, refusal)
        raise


@asynccontextmanager
async def guarded(platform: Platform, call: Call) -> AsyncIterator[None]:
    """Leave no hold behind, whatever is raised within."""
    try:
        yield
    except BaseException:
        if not call.over and not call.sent:
            await settle(platform, call, None, "refused", reason=NOT_SENT)
        elif not call.over:
            await unknown(platform, call)
        raise


async def send(platform: Platform, request: Request, call: Call, outgoing: Outgoing) -> Reply:
    """Send it to the vendor; return what it answers, or end the call and raise what is told."""
    vendor = call.route.vendor
    if call.intention.whole and not call.intention.keyed:  # What has a key is kept anyway.
        _keep_for_who_leaves(platform, request, call)
    call.sent = request.sent = True
    call.sent_at = time.perf_counter()
    try:
        reply = await platform.relay.exchange(outgoing)
    except Refused as exc:
        served(platform, call, "unreachable", error="No connection came about.")
        await settle(platform, call, None, "refused", reason=NOT_REACHED)
        raise dialect.unreachable(vendor) from exc
    except (Lost, asyncio.CancelledError) as exc:
        if isinstance(exc, Lost) and request.broken is not None:
            # The client left, or sent too much: the vendor never had the whole request.
            await settle(platform, call, None, "refused", reason=NOT_FINISHED)
            raise request.broken from exc
        known = await again.ask(platform, call, outgoing) if isinstance(exc, Lost) else None
        if known is None:
            served(platform, call, "unknown", error="The answer was lost.")
            await unknown(platform, call)
            if isinstance(exc, Lost):
                raise dialect.lost(vendor, call.ttl) from exc
            raise
        reply = known
    finally:
        if not call.others:
            request.release()
    call.answered_at = time.perf_counter()
    return reply


def _keep_for_who_leaves(platform: Platform, request: Request, call: Call) -> None:
    request.watch()
    claim = platform.books.claim
    request.on_gone = lambda: soon(claim(call.id, call.intention.id, call.unanswered))
    if request.gone:  # It waited for an earlier try before, and left since.
        request.on_gone()


def served(platform: Platform, call: Call, outcome: str, *, error: str = "") -> None:
    """Count how the vendor served the account that the call goes under."""
    account = call.account
    took = call.answered_at - call.sent_at if call.answered_at else 0.0
    platform.health.note(account.vendor, account.name, outcome, seconds=took)
    if error:
        platform.health.error(account.vendor, account.name, error)


async def hand_over(platform: Platform, request: Request, call: Call) -> None:
    """Give the vendor the files that it takes by an upload, under the account of the call.

    Its hold begins anew after each. Where the vendor does not take one the call ends as refused:
    nothing of it was sent.
    """

    async def renew() -> None:
        if not await platform.books.move(call.id, call.ttl, account=call.account.name):
            raise Unavailable("The files took too long to be sent. Please try again.")

    try:
        await handing.over(platform, call.route, call.asked, call.account, renew)
    except Refused as exc:
        served(platform, call, "unreachable", error="It did not take a file.")
        await settle(platform, call, None, "refused", reason=NO_FILE)
        raise dialect.unreachable(call.route.vendor) from exc
    except handing.Unplaced as exc:
        await refuse(platform, request, call, exc.judged, exc.said, None)


async def undo(platform: Platform, call: Call) -> None:
    """Give back at the vendor what it set aside for a call that is refused here, if anything.

    Where it does not hear of it, its own time frees it: that is a line of the log.
    """
    route = call.route
    if route.operation.undo is None:
        return
    ask = route.operation.undo(call.asked)
    outgoing = Outgoing(
        ask.method,
        route.vendor.address(route.operation.base) + ask.url,
        {},
        silence_seconds=UNDO_SECONDS,
        total_seconds=UNDO_SECONDS,
        cover=call.account.redacted,
    )
    try:
        scheme = route.vendor.scheme(route.operation)
        await scheme.sign(outgoing, call.account, platform.relay.exchange)
        reply = await platform.relay.exchange(outgoing)
    except (Refused, Lost):
        status = 0
    else:
        status = reply.status
        reply.close()
    if not 200 <= status < 300:
        logs.line(level="error", event="not_undone", call=call.id, vendor=route.vendor.name)


async def refuse(
    platform: Platform,
    request: Request,
    call: Call,
    judged: Judged,
    said: Said,
    reply: Reply | None,
) -> None:
    """End a call that the vendor did not do, or did not say; raise what the member reads.

    Where only this account of ours is not served it does not end: Elsewhere is raised.
    """
    vendor = call.route.vendor
    # What refuses a question says nothing of the request, which may be at work.
    is_of_question = call.asked_again and judged.verdict is not Verdict.UNKNOWN
    if judged.verdict is Verdict.UNKNOWN or is_of_question:
        served(platform, call, "unknown", error=f"No result (status {said.status}).")
        if said.status >= 300 or is_of_question:
            await unknown(platform, call)
            raise dialect.lost(vendor, call.ttl)
        # It came, and cannot be read or given: nobody will ever be able to.
        await settle(platform, call, reply, "refused", reason=NO_RESULT)
        raise dialect.lost(vendor)
    named = judged.verdict.value if judged.verdict.value in health.PLACES else "rejected"
    error = f"{named} (status {said.status})" if judged.verdict in TROUBLE else ""
    served(platform, call, named, error=error)
    if judged.verdict in dialect.UNSERVED:
        await choosing.unserved(platform, call.account, judged.verdict, said, call=call.id)
        if not request.begun and await _moved(platform, call):
            raise Elsewhere
    refusal = dialect.refusal(vendor, judged, said, is_own=call.account.is_own)
    pending = None
    if call.intention.keyed and isinstance(refusal, (dialect.ProviderRejected, ContentBlocked)):
        told = orjson.dumps(refusal.proxy_body())
        pending = call.pending_answer(request, refusal.status, [JSON_TYPE], told)
    outcome = "moderated" if isinstance(refusal, ContentBlocked) else "refused"
    again = judged.verdict in AGAIN and call.intention.joinable
    counted = again and await platform.books.count_repeat(call.intention.id, call.id)
    await settle(
        platform,
        call,
        reply,
        outcome,
        reason=str(refusal)[:300],
        pending=pending,
        silent=counted,
    )
    raise refusal


async def _moved(platform: Platform, call: Call) -> bool:
    """Whether the call goes on under its next account, with a hold that begins anew.

    Never without one: whoever cannot say that the hold still stands sends nothing.
    """
    while call.others and platform.vault.is_resting(call.others[0]):
        call.others.pop(0)
    if not call.others:
        return False
    following = call.others[0]
    try:
        if not await platform.books.move(call.id, call.ttl, account=following.name):
            return False
    except Unavailable:
        return False
    call.others.pop(0)
    call.account, call.sent, call.answered_at = following, False, 0.0
    metrics.outcome(call.route.vendor.name, "moved")
    logs.line(event="moved", call=call.id, vendor=following.vendor, account=following.name)
    return True


async def unknown(platform: Platform, call: Call) -> None:
    """Keep the hold: the vendor may have done the work. The sweep frees it when its time is over.

    The intention is released, so that the member's next try is a new call and not a riddle.
    """
    call.over = True
    metrics.outcome(call.route.vendor.name, "unknown")
    if tracing.tell is not None:
        tracing.tell(outcome="unknown")
    logs.line(event="unknown", call=call.id, operation=call.route.name)
    if call.intention.joinable:
        await platform.books.release(call.id)


async def owed(call: Call, ending: Awaitable[Done]) -> Done:
    """Return what the end of a call's hold comes to; from now on that is the books' affair.

    Also where they are away, or who waits is sent away: then it is written later, and nobody must
    take the hold for one that nobody ends.
    """
    try:
        done = await ending
    except (Unavailable, asyncio.CancelledError):
        call.over = True
        raise
    call.over = True
    return done


async def settle(
    platform: Platform,
    call: Call,
    reply: Reply | None,
    outcome: str,
    *,
    charged: Micros = Micros(0),  # noqa: B008 - an int
    reason: str = "",
    pending: answers.PendingAnswer | None = None,
    bytes_out: int = 0,
    details: dict[str, Any] | None = None,
    assets: list[tuple[str, str]] | None = None,
    silent: bool = False,
) -> bool:
    """End the hold, write entry and call, durably, in one commit.

    False if the hold had ended before: that changes nothing, and what nobody pays for is not
    handed out. Raises Unavailable while the books are away: they are owed it then (late.py).
    """
    ending = platform.books.settle(
        Settle(
            hold=call.id,
            wallet=call.wallet,
            outcome=outcome,
            charged=charged,
            reason=reason,
            status=reply.status if reply else 0,
            vendor_request_id=reply.request_id if reply else "",
            details={**(details or {}), **({"bytes_out": bytes_out} if bytes_out else {})},
            vendor=call.route.vendor.name,
            account=call.account.name,
            assets=assets or None,
            silent=silent,
        ),
        pending=pending,
    )
    settled = await owed(call, ending)
    if settled is None:
        return False
    if call.answered_at:
        metrics.SETTLE_LAG.observe(time.perf_counter() - call.answered_at)
    metrics.outcome(call.route.vendor.name, outcome)
    if tracing.tell is not None:
        tracing.tell(outcome=outcome, charged_micros=settled.charged)
    if outcome == "delivered":
        served(platform, call, outcome)
    logs.line(
        event="call",
        call=call.id,
        operation=call.route.name,
        outcome=outcome,
        status=reply.status if reply else 0,
        charged=settled.charged,
        held=call.quote.most,
    )
    return True
