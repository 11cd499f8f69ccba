"""ASGI, as the proxy needs it: read a request within limits, answer it, know if the client left."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import orjson
from django.conf import settings

from common import strict_json
from common.addresses import household
from common.cached import from_settings
from common.errors import BodyTooLarge, InvalidRequest, Unauthorized, UnsupportedCoding
from proxy import coding, memory, origin

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping

    from common.errors import PlatformError
    from proxy.coding import Decoder
    from proxy.forms import Form
    from proxy.memory import Reservation

    Message = MutableMapping[str, Any]
    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    Headers = list[tuple[bytes, bytes]]

LARGE_BYTES = 256 << 10
COUNTED_BYTES = 64 << 10
"""Up to this a body that came at once counts for nothing: its connection's buffer was as large."""
JSON_TYPE = (b"content-type", b"application/json")
NOSNIFF = (b"x-content-type-options", b"nosniff")


@from_settings
def _limit(name: str) -> int:
    return int(getattr(settings, name))


ANY_ORIGIN = (b"access-control-allow-origin", b"*")


@from_settings
def _exposed() -> tuple[bytes, bytes]:
    """Return what names the headers that a browser's page may read beside the answer."""
    return b"access-control-expose-headers", ", ".join(settings.CORS_EXPOSE_HEADERS).encode()


def parameters(query: str) -> dict[str, str]:
    """Return a query's parameters, or raise InvalidRequest; the last of equal names counts."""
    try:
        return dict(parse_qsl(query, max_num_fields=50))
    except ValueError as exc:
        raise InvalidRequest("The query has more than 50 parameters.") from exc


class Left(Exception):
    """The client went away before its request was whole."""


class Request:
    """One request: its parts, its body once, and one answer."""

    def __init__(self, scope: Message, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        """The last of equal names counts; of those that matter the wire lets one through."""
        self.body = b""
        self.gone = False
        """Whether the client left before its answer was whole."""
        self.on_gone: Callable[[], None] | None = None
        self.broken: Left | BodyTooLarge | None = None
        """Why the body that was streamed through did not become whole."""
        self.begun = False
        self.call = ""
        """The id of the metered call that it became, for its refusal."""
        self.sent = False
        """Whether the vendor may have something of that call."""
        self._receive = receive
        self._send = send
        self._finished = False
        self._watching = False
        self.form: Form | None = None
        """The body, where it is a form that was read."""
        self._owner = ""
        self._memory: Reservation | None = None

    def header(self, name: bytes) -> str:
        """Return a header as text, empty if absent."""
        return self.headers.get(name, b"").decode("latin-1").strip()

    @property
    def query(self) -> dict[str, str]:
        """The query's parameters; the last of equal names counts."""
        return parameters(self.scope["query_string"].decode("latin-1"))

    def key(self) -> str:
        """Return the API key, or raise Unauthorized."""
        key = self.header(b"x-api-key")
        if not key:
            raise Unauthorized("Please sign in, or send your API key in the header X-API-KEY.")
        return key

    def origin(self) -> str:
        """Return where the client reached us, like https://credits.example.org."""
        return origin.origin(self)

    def require_pollable_origin(self) -> None:
        """Raise Misconfigured if the client could not reach us at `origin`: see proxy/origin.py."""
        origin.require_pollable(self)

    # --- the body ---------------------------------------------------------------------------

    @property
    def has_body(self) -> bool:
        """Whether a body comes with it, an empty one included."""
        return b"content-length" in self.headers or b"transfer-encoding" in self.headers

    @property
    def is_large(self) -> bool:
        """Whether the body is, or may become, so large that only a known key may have it read."""
        if b"transfer-encoding" in self.headers or b"content-encoding" in self.headers:
            return True
        return int(self.headers.get(b"content-length", 0)) > LARGE_BYTES

    @property
    def owner(self) -> str:
        """Whose share of the memory the body takes: its key's, once that is known, or its address'.

        Setting it moves what was taken already.
        """
        return self._owner or f"address {household(self.client)}"

    @owner.setter
    def owner(self, owner: str) -> None:
        self._owner = owner
        if self._memory is not None:
            self._memory.owner = owner

    @property
    def client(self) -> str:
        """The address that asks, as far as our own proxies tell it."""
        return str((self.scope.get("client") or ("",))[0])

    async def read(self, limit: int = 0) -> bytes:
        """Read the whole body, up to the limit, and undo its Content-Encoding.

        Raises BodyTooLarge, UnsupportedCoding, InvalidRequest, RateLimited, Unavailable or Left.
        """
        limit = limit or min(_limit("JSON_BODY_LIMIT_BYTES"), memory.held.share)
        self._check_length(limit)
        coded = b"content-encoding" in self.headers
        decoder = coding.decoder(self.header(b"content-encoding")) if coded else None
        message = await self._receive()
        body: bytes = message.get("body", b"")
        if message.get("more_body") or decoder is not None or len(body) > COUNTED_BYTES:
            body = await self._gather(message, limit, decoder)
        elif message["type"] == "http.disconnect":
            raise Left
        elif len(body) > limit:
            raise self._too_large(limit)
        self.body = body
        return body

    async def _gather(self, message: Message, limit: int, decoder: Decoder | None) -> bytes:
        """Return the whole of a body that comes in parts; each is counted before the next."""
        self._memory = taken = memory.held.reserve(self.owner)
        parts: list[bytes] = []
        more = True
        while more:
            if message["type"] == "http.disconnect":
                raise Left
            more = message.get("more_body", False)
            body = message.get("body", b"")
            for part in decoder.feed(body) if decoder else (body,):
                if taken.size + len(part) > limit:
                    raise self._too_large(limit)
                taken.add(len(part))
                parts.append(part)
                if decoder:
                    await asyncio.sleep(0)
            if more:
                message = await self._receive()
        if decoder:
            decoder.finish()
        return b"".join(parts)

    async def stream(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes; the vendor's pace holds the client's back."""
        limit, size, more = _limit("STREAM_BODY_LIMIT_BYTES"), 0, True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self.gone = True
                self.broken = Left()
            part = message.get("body", b"")
            size += len(part)
            if size > limit:
                self.broken = self._too_large(limit)
            if self.broken is not None:
                raise self.broken
            more = message.get("more_body", False)
            if part:
                yield part
        self.watch()

    def json(self) -> dict[str, Any]:
        """Return the body as a JSON object; an empty one is `{}`; raise InvalidRequest."""
        return strict_json.loads(self.body)

    def fingerprint(self) -> str:
        """Return 128 bits of a digest of method, path, query and body, in hex.

        It is equal for a byte-identical repeat, and for nothing else.
        """
        head = f"{self.method} {self.path}?".encode() + self.scope["query_string"] + b"\n"
        if self.form is not None:
            return self.form.fingerprint(head)
        return hashlib.sha256(head + self.body).hexdigest()[:32]

    def check_stream_length(self) -> None:
        """Raise BodyTooLarge before anything is set aside, if the length is known to be.

        What streams through is not undone: raise UnsupportedCoding, because no vendor is told.
        """
        self._check_length(_limit("STREAM_BODY_LIMIT_BYTES"))
        if not coding.is_plain(self.header(b"content-encoding")):
            raise UnsupportedCoding("This body cannot be sent compressed (Content-Encoding).")

    def _check_length(self, limit: int) -> None:
        if int(self.headers.get(b"content-length", 0)) > limit:
            raise self._too_large(limit)

    def holds(self, size: int) -> None:
        """Count so many bytes more that are held because of this request; raises as `read`."""
        if self._memory is None:
            self._memory = memory.held.reserve(self.owner)
        self._memory.add(size)

    def sent_as(self, size: int) -> None:
        """Let the body go for what was made of it, which holds so many bytes in its place."""
        self.body = b""
        if self._memory is not None:
            self._memory.release()
            self._memory.add(size)
        elif size > COUNTED_BYTES:
            self._memory = memory.held.reserve(self.owner, size)

    def release(self) -> None:
        """Give back what the body took; its bytes are not needed any more."""
        if self._memory is not None:
            self._memory.release()
        self.body = b""

    def close(self) -> None:
        """Leave nothing of the request behind, in memory or on disk."""
        self.release()
        if self.form is not None:
            self.form.close()

    @staticmethod
    def _too_large(limit: int) -> BodyTooLarge:
        size = f"{limit >> 20} MiB" if limit >= 1 << 20 else f"{limit >> 10} KiB"
        return BodyTooLarge(f"The request's body is larger than {size}.")

    # --- the client -------------------------------------------------------------------------

    def watch(self) -> None:
        """From now on, notice when the client leaves: `gone` is set and `on_gone` is called.

        Only once the body was read: what comes next is the end.
        """
        if not self._watching:
            self._watching = True
            asyncio.get_running_loop().create_task(self._watch())

    async def _watch(self) -> None:
        message = await self._receive()
        if message["type"] == "http.disconnect" and not self._finished:
            self.gone = True
            if self.on_gone is not None:
                self.on_gone()

    # --- the answer -------------------------------------------------------------------------

    async def start(self, status: int, headers: Headers) -> None:
        """Send the head of the answer, which a browser's page may read."""
        self.begun = True
        headers = [*headers, NOSNIFF, ANY_ORIGIN]
        if b"origin" in self.headers:
            headers.append(_exposed())
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def chunk(self, body: bytes) -> None:
        """Send a part; waits while the client is slow."""
        await self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def last(self, body: bytes = b"") -> None:
        """Send the last part; returns when the client has nearly all, or has left."""
        await self._send({"type": "http.response.body", "body": body})
        self._finished = not self.gone

    async def answer(self, status: int, body: bytes, headers: Headers) -> None:
        """Send a whole answer."""
        length = (b"content-length", str(len(body)).encode())
        await self.start(status, [*headers, length])
        await self.last(body)

    async def refuse(self, refusal: PlatformError, headers: Headers) -> None:
        """Send a refusal in the combined shape (contract 3.1)."""
        own = [(k.lower().encode(), v.encode()) for k, v in refusal.headers.items()]
        body = orjson.dumps(refusal.proxy_body())
        await self.answer(refusal.status, body, [JSON_TYPE, *own, *headers])
