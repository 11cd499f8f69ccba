"""Send a call on to its vendor under our credential, and bring the answer back.

What crosses is named, both ways; everything else stays here. So no key, cookie, address or
`Comfy-*` header of a member reaches a vendor, and no credential of ours reaches a member.

Three outcomes: an answer came; `Refused`, it certainly was not done; `Lost`, nobody knows. Beneath
is `proxy/wire/`: HTTP/1.1 as a vendor may speak it, of which nothing but these three comes up.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.wire import codings
from proxy.wire.dialing import target
from proxy.wire.exchange import Exchange
from proxy.wire.pace import Limits
from proxy.wire.pool import NotOpened, Pool
from proxy.wire.reading import Broken, Ended

if TYPE_CHECKING:
    from proxy.http import Headers
    from proxy.wire.connection import Connection
    from proxy.wire.dialing import Target

PASSED_BACK = (b"content-type", b"content-disposition", b"etag", b"last-modified")
REQUEST_IDS = (b"x-request-id", b"request-id", b"x-correlation-id")
OWN = frozenset(("host", "content-length", "transfer-encoding", "accept-encoding", "connection"))
"""Headers of a request that nobody else sets."""
ANSWER_LIMIT_BYTES = 64 << 20
VALUE_LIMIT_BYTES = 8 << 10
REPEATABLE = ("GET", "HEAD")
_UNCLEAN = bytes(byte for byte in range(256) if byte != 9 and not 32 <= byte < 127)


class Refused(Exception):
    """The vendor certainly did not get the call: nothing of it was written."""


class Lost(Exception):
    """It may have arrived, and no answer came that can be relied on."""


@dataclass(slots=True)
class Outgoing:
    """A request to a vendor, decided and signed."""

    method: str
    url: str
    """Absolute; it is sent as it stands."""
    headers: dict[str, str]
    """Names in lower case; none of `OWN`."""
    body: bytes | AsyncIterator[bytes] = b""
    length: int | None = None
    """Bytes of a body that is streamed, if they are known; else it goes in chunks."""
    silence_seconds: float = 600
    """The longest wait for the head, and between two parts of the answer."""
    total_seconds: float = 3600
    """From the connect to the last byte of the answer."""
    least_rate: int = 1024
    """Bytes a second that the answer, once begun, and the taking of the body come to; 0: any."""
    name: str = ""
    """What the vendor knows it by, where it knows requests again (again.py)."""
    cover: Callable[[bytes], bytes] = bytes
    """Hides what signed it wherever an answer's headers say it back; the length stays."""


class Reply:
    """A vendor's answer: its head is here, its body comes when asked for."""

    def __init__(self, exchange: Exchange, cover: Callable[[bytes], bytes]) -> None:
        self._exchange, self._cover = exchange, cover
        reader = exchange.reader
        self.status = reader.status
        self._fields = reader.fields
        self._content_codings = content = reader.content_codings
        self.coded = not codings.understood([*content, *reader.codings])
        """Whether the body is in a coding that we cannot undo: it can be passed on only."""
        self._undone = reader.codings if self.coded else [*content, *reader.codings]

    @property
    def headers(self) -> Headers:
        """What a client may see: each once, clean, without our secrets, true of the body given."""
        names = PASSED_BACK if self._undone else (*PASSED_BACK, b"content-length")
        fields = self._fields
        found = [(name, value) for name in names if name in fields and (value := self._clean(name))]
        if self.coded:
            found.append((b"content-encoding", b", ".join(self._content_codings)))
        # All at once: to look for secrets costs by the number of looks.
        covered = self._cover(b"\n".join(value for _, value in found)).split(b"\n")
        return [(name, value) for (name, _), value in zip(found, covered, strict=False)]

    @property
    def is_compressed(self) -> bool:
        """Whether the body becomes another length than was told."""
        return bool(self._undone)

    @property
    def content_type(self) -> str:
        """The type in lower case, without parameters; empty if none was given."""
        return self.header(b"content-type").partition(";")[0].strip().lower()

    @property
    def request_id(self) -> str:
        """The vendor's name for this exchange, empty if it gave none."""
        for name in REQUEST_IDS:
            if name in self._fields and (found := self.header(name)):
                return self._cover(found.encode()).decode()[:200]
        return ""

    def header(self, name: bytes) -> str:
        """Return a header of the vendor's, clean, for our own use; empty if it gave none."""
        return self._clean(name).decode("ascii")

    def _clean(self, name: bytes) -> bytes:
        value = self._fields.get(name, b"")
        return value.translate(None, _UNCLEAN) if len(value) <= VALUE_LIMIT_BYTES else b""

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes, its coding undone if it can be; raise Lost if it breaks."""
        undoing = codings.Undoing(self._undone) if self._undone else None
        try:
            while block := await self._exchange.block():
                for piece in (block,) if undoing is None else undoing.feed(block):
                    yield piece
            if undoing is not None:
                undoing.end()
        except Broken as exc:
            self.close()
            raise Lost(str(exc)) from exc

    async def read(self, limit: int = ANSWER_LIMIT_BYTES) -> bytes:
        """Return the whole body; raise Lost if it breaks off, or cannot be read or held."""
        if self.coded:
            self.close()
            raise Lost("the answer is in a coding that was not asked for")
        if not self._undone and self._exchange.reader.ended:
            whole = self._exchange.reader.take()
            return self._within(limit, whole, len(whole))
        parts, size = [], 0
        async for chunk in self.chunks():
            parts.append(chunk)
            size += len(chunk)
            self._within(limit, chunk, size)
        return b"".join(parts)

    def _within(self, limit: int, part: bytes, size: int) -> bytes:
        if size > limit:
            self.close()
            raise Lost("the answer is larger than any that we can hold")
        return part

    def close(self) -> None:
        """Give up what was not read, if anything; the connection is closed then."""
        self._exchange.close()


class Relay:
    """The process's connections to vendors."""

    def __init__(self) -> None:
        self._pool = Pool()

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.close()

    async def exchange(self, outgoing: Outgoing) -> Reply:
        """Make a request and return the answer, whatever its status. Raises Refused or Lost.

        Never twice, but for one that has no body and changes nothing, when the connection that
        was kept for it turns out to be closed. A body that breaks off is Lost, because of that.
        """
        deadline = asyncio.get_running_loop().time() + outgoing.total_seconds
        try:
            there = target(outgoing.url)
            head = _head(outgoing, there)
        except ValueError as exc:
            raise Refused(f"the request cannot be written: {exc}") from exc
        repeatable = outgoing.method in REPEATABLE and outgoing.body == b""
        connection = self._pool.take(there, repeatable=repeatable)
        if connection is not None:
            kept = _begin(connection, outgoing, head, deadline)
            await kept.head()
            if not (repeatable and isinstance(kept.failure, Ended) and not kept.reader.begun):
                return _reply(kept, outgoing.cover)
        try:
            connection = await self._pool.open(there, deadline=deadline)
        except NotOpened as exc:
            raise Refused(str(exc)) from exc
        new = _begin(connection, outgoing, head, deadline)
        await new.head()
        return _reply(new, outgoing.cover)


def _begin(connection: Connection, outgoing: Outgoing, head: bytes, deadline: float) -> Exchange:
    """Write a request, or begin to."""
    limits = Limits(outgoing.silence_seconds, deadline, outgoing.least_rate)
    exchange = Exchange(connection, outgoing.method, limits)
    exchange.send(head, outgoing.body, outgoing.length)
    return exchange


def _reply(exchange: Exchange, cover: Callable[[bytes], bytes]) -> Reply:
    """Return the answer if its head came, or raise Lost."""
    reader = exchange.reader
    if not reader.status:
        raise Lost(str(exchange.failure)) from exchange.failure
    if not codings.understood(reader.codings) or not codings.named(reader.content_codings):
        exchange.close()
        raise Lost("the answer is in a coding that cannot even be passed on")
    return Reply(exchange, cover)


def _head(outgoing: Outgoing, there: Target) -> bytes:
    """Return the head of a request; raise ValueError if a header could end it, or begin another."""
    assert OWN.isdisjoint(outgoing.headers), "the framing of a request is the relay's own"
    head = f"{outgoing.method} {there.path} HTTP/1.1\r\nhost: {there.authority}\r\n"
    head += "accept-encoding: identity\r\n"
    for name, value in outgoing.headers.items():
        head += f"{name}: {value}\r\n"
    lines = 3 + len(outgoing.headers)
    if head.count("\n") != lines or head.count("\r") != lines or "\0" in head:
        raise ValueError("a header holds a line break")
    if not isinstance(outgoing.body, bytes):
        known = outgoing.length is not None
        head += f"content-length: {outgoing.length}" if known else "transfer-encoding: chunked"
        head += "\r\n"
    elif outgoing.body or outgoing.method not in REPEATABLE:
        head += f"content-length: {len(outgoing.body)}\r\n"
    return f"{head}\r\n".encode("latin-1")
