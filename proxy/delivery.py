"""Giving a result to its client: whole, as it comes, or line by line; settled before its end.

A result is handed out only once what it costs is written durably; one that breaks off, or whose
hold had ended, is not. What passes is redacted: a vendor may echo our credential.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson

from common.errors import RateLimited, Unavailable
from common.money import Micros, credits_text
from proxy import answers, dialect, findings, memory, metered
from proxy.asked import Evidence
from proxy.books import HOLD_MARGIN_SECONDS
from proxy.catalogue import Gives
from proxy.credentials import Redactor
from proxy.dialect import Judged, Said, Verdict
from proxy.pricing import booked
from proxy.process import soon
from proxy.relay import Lost

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from proxy.credentials import Account
    from proxy.http import Headers, Request
    from proxy.memory import Reservation
    from proxy.metered import Call
    from proxy.process import Platform
    from proxy.relay import Reply

LINE_LIMIT_BYTES = 32 << 20
ERROR_LIMIT_BYTES = 64 << 10
ROOM_SECONDS = 30
"""So long an answer waits for memory that others have, at its vendor; then it is lost."""
CREDITS_USED = b"x-comfy-credits-used"


async def gather(reply: Reply, *, owner: str, limit: int, account: Account) -> Said:
    """Return an answer read whole, within the memory that all bodies share, redacted.

    Raises Lost if it breaks off, is larger than the limit, or finds no room: its vendor has worked,
    so nobody is told to try again. Of a refusal only the beginning is read. The memory is given
    back when this returns: what follows keeps the bytes a moment only.
    """
    limit = limit if reply.status < 300 else ERROR_LIMIT_BYTES
    with memory.held.reserve(owner) as taken:
        try:
            raw = await _whole(reply, taken, limit)
        except Lost:
            if reply.status < 300:
                raise
            raw = b""  # A refusal is one, whatever it says.
        body = account.redacted(raw)
    return Said(
        status=reply.status,
        body=body,
        content_type=reply.content_type,
        headers=[header for header in reply.headers if header[0] != b"content-length"],
        retry_after=reply.header(b"retry-after"),
    )


async def _whole(reply: Reply, taken: Reservation, limit: int) -> bytes:
    """Return a body within its limit, counted as it comes; at once, if its length was told."""
    length = reply.header(b"content-length")
    if length.isdigit() and not reply.is_compressed:
        if int(length) > limit:
            raise Lost("the answer is larger than any that we can hold")
        await _room(taken, int(length))
        return await reply.read(limit)
    if reply.coded:
        raise Lost("the answer is in a coding that nobody understands")
    parts: list[bytes] = []
    async for chunk in reply.chunks():
        await _room(taken, len(chunk))
        parts.append(chunk)
        if taken.size > limit:
            raise Lost("the answer is larger than any that we can hold")
    return b"".join(parts)


async def _room(taken: Reservation, size: int) -> None:
    """Hold so many bytes more, once there is room; the vendor is held back meanwhile."""
    end = time.monotonic() + ROOM_SECONDS
    while True:
        try:
            taken.add(size)
        except (RateLimited, Unavailable) as exc:
            if time.monotonic() >= end or taken.size + size > memory.held.share:
                raise Lost("there is no room for the answer") from exc
        else:
            return
        await asyncio.sleep(0.05)


async def _price(platform: Platform, call: Call, known: Evidence) -> tuple[Micros, dict[str, Any]]:
    """Return what a delivered call costs, and what is written of that.

    A figure of the vendor's that is absurd is a finding.
    """
    if call.fee is not None:
        return call.fee, {}
    rule, most = call.route.operation.price, call.quote.most
    settled = booked.settle(rule, call.quote.inputs, known, most=most)
    assert settled.price is not None, "what is final has a price"
    vendor, operation = call.route.vendor, call.route.operation
    if settled.absurd is not None:
        await findings.absurd(platform.books, vendor.name, call.id, settled.absurd)
    if not operation.reports(known.end):
        await findings.unreported(platform.books, vendor.name, operation.path, call.id)
    return settled.price, settled.details


def evidence(said: Said) -> Evidence:
    """Return what a whole answer tells of its price."""
    headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in said.headers}
    return Evidence(end=said.json if said.json is not None else {}, headers=headers)


async def whole(platform: Platform, request: Request, call: Call, reply: Reply, said: Said) -> None:
    """Answer with a result that was read whole: settle it, give it."""
    operation = call.route.operation
    price, details = await _price(platform, call, evidence(said))
    body = said.body
    if operation.reply is not None:
        body = orjson.dumps(operation.reply(said.json))
    headers = [*said.headers, *call.headers, _used(min(price, call.quote.most))]
    pending = call.pending_answer(request, reply.status, headers, body)
    settled = await metered.settle(
        platform,
        call,
        reply,
        "delivered",
        charged=price,
        pending=pending,
        bytes_out=len(body),
        details=details,
        assets=list(operation.makes(said.json)) if operation.makes else None,
    )
    if not settled:
        raise dialect.lost(call.route.vendor)
    await request.answer(reply.status, body, headers)
    await platform.books.keep(call.id, pending)


async def stream(platform: Platform, request: Request, call: Call, reply: Reply) -> None:
    """Pass a result through as it comes, and settle it before its last part.

    The price is known by its head; a result that breaks off is not charged.
    """
    head = {k.decode("latin-1"): v.decode("latin-1") for k, v in reply.headers}
    price, details = await _price(platform, call, Evidence(end={}, headers=head))
    passing = _Passing(platform, request, call, reply, price, details)
    try:
        async for chunk in reply.chunks():
            await passing.on(passing.redactor.feed(chunk))
        passing.add(passing.redactor.end())
        if not passing.size:
            judged, said = Judged(Verdict.UNKNOWN), Said(reply.status, b"")
            await metered.refuse(platform, request, call, judged, said, reply)
        await passing.settle_and_end()
    finally:
        passing.spool.close()


async def lines(platform: Platform, request: Request, call: Call, reply: Reply) -> None:
    """Pass JSON lines through one by one; the one that says the end settles, before it is given.

    What ends without such a line broke off. What comes after it is nobody's.
    """
    operation = call.route.operation
    assert operation.judge_line is not None, "an operation that gives lines can read them"
    passing = _Passing(platform, request, call, reply, Micros(0), {})
    noted: dict[str, Any] = {}
    try:
        async for line in _lines(reply.chunks(), call.account, owner=request.owner):
            parsed = _json(line)
            if parsed is None and not request.begun:
                raise Lost("the answer is no lines of JSON")
            noted |= operation.note_line(parsed)
            known = {**noted, **parsed} if isinstance(parsed, dict) else parsed
            judged = operation.judge_line(known)
            given = operation.reply_line(parsed)
            if given is not parsed:
                line = b"" if given is None else orjson.dumps(given) + b"\n"
            if judged is None or judged.verdict is Verdict.RUNNING:
                call.others.clear()  # The vendor works: from now on nobody else is asked.
                request.release()
                await passing.on(line, now=True)
            elif judged.verdict is Verdict.DONE:
                known = Evidence(end=known or {})
                passing.price, passing.details = await _price(platform, call, known)
                await passing.on(line)
                await passing.settle_and_end()
                return
            else:
                await _fail(passing, line, judged)
                return
        raise Lost("the lines ended before their result")
    finally:
        passing.spool.close()


async def _fail(passing: _Passing, line: bytes, judged: Judged) -> None:
    """End a stream whose line says that nothing comes: as a refusal, or as its last line."""
    call, reply = passing.call, passing.reply
    if not passing.request.begun:
        said = Said(422, line)
        await metered.refuse(passing.platform, passing.request, call, judged, said, reply)
    outcome = "moderated" if judged.verdict is Verdict.MODERATED else "failed"
    reason = str(dialect.refusal(call.route.vendor, judged, Said(422, line)))[:300]
    await metered.settle(passing.platform, call, reply, outcome, reason=reason)
    told = dialect.cleaned(call.route.vendor, _json(line))
    await passing.request.last(orjson.dumps(told) + b"\n")


class _Passing:
    """A result on its way through: its last part is kept back until it is paid for.

    What passes is written down meanwhile, for the case that the client leaves, or that it may ask
    again by its key. A result that takes long, or whose client reads slowly, keeps its hold for as
    long.
    """

    def __init__(
        self,
        platform: Platform,
        request: Request,
        call: Call,
        reply: Reply,
        price: Micros,
        details: dict[str, Any],
    ) -> None:
        self.platform, self.request, self.call, self.reply = platform, request, call, reply
        self.price, self.details = price, details
        self.redactor = Redactor(call.account)
        self.spool = answers.Spool(call.id)
        self.size = 0
        self.is_lines = call.route.operation.gives is Gives.LINES
        self._held_back = b""
        self._renew_at = call.placed_at + HOLD_MARGIN_SECONDS

    @property
    def headers(self) -> Headers:
        """The head of the answer; of lines the price is not known yet.

        A length stays what it was: secrets are covered, not cut out. Of lines some are told
        otherwise, and nobody knows how long they are.
        """
        used = [_used(min(self.price, self.call.quote.most))] if self.price else []
        return [*self._told, *self.call.headers, *used]

    @property
    def _told(self) -> Headers:
        if not self.is_lines:
            return self.reply.headers
        return [header for header in self.reply.headers if header[0] != b"content-length"]

    async def on(self, part: bytes, *, now: bool = False) -> None:
        """Pass a part on; the newest is kept back, unless it may go now."""
        if not part:
            return
        if time.perf_counter() > self._renew_at:
            soon(self.platform.books.renew(self.call.id, self.call.ttl))
            self._renew_at = time.perf_counter() + HOLD_MARGIN_SECONDS
        self.spool.write(part)
        self.size += len(part)
        before, self._held_back = self._held_back, b"" if now else part
        for each in (before, part) if now else (before,):
            if each:
                await self._start()
                await self.request.chunk(each)

    def add(self, part: bytes) -> None:
        """Keep back a further piece together with the newest part: nothing more comes."""
        self.spool.write(part)
        self.size += len(part)
        self._held_back += part

    async def _start(self) -> None:
        if not self.request.begun:
            await self.request.start(self.reply.status, self.headers)

    async def settle_and_end(self) -> None:
        """Write what it costs; then give the last part."""
        row = partial(
            self.spool.kept, self.call.intention, self.reply.status,
            [*self._told, *self.call.headers, _used(self.price)],
        )  # fmt: skip
        pending = answers.PendingAnswer(self.call.intention, self.request, row, self.spool.store)
        settled = await metered.settle(
            self.platform,
            self.call,
            self.reply,
            "delivered",
            charged=self.price,
            pending=pending,
            bytes_out=self.size,
            details=self.details,
        )
        if not settled:
            raise dialect.lost(self.call.route.vendor)
        await self._start()
        await self.request.last(self._held_back)
        await self.platform.books.keep(self.call.id, pending)


async def _lines(
    chunks: AsyncIterator[bytes], account: Account, *, owner: str
) -> AsyncIterator[bytes]:
    """Yield whole lines, each with its end, redacted; raise Lost for one that cannot be held.

    What there is of a line that goes on counts in the memory that all bodies share.
    """
    begun: list[bytes] = []
    with memory.held.reserve(owner) as taken:
        async for chunk in chunks:
            *ends, rest = chunk.split(b"\n")
            for end in ends:
                line = b"".join([*begun, end])
                begun.clear()
                taken.release()
                yield account.redacted(line) + b"\n"
            if rest:
                begun.append(rest)
                await _room(taken, len(rest))
            if taken.size > LINE_LIMIT_BYTES:
                raise Lost("a line is longer than any that we can hold")
        if (last := b"".join(begun)).strip():
            yield account.redacted(last) + b"\n"


def _json(line: bytes) -> Any:
    return Said(200, line).json


def _used(price: int) -> tuple[bytes, bytes]:
    return CREDITS_USED, credits_text(price).encode()
