"""ASGI, as the proxy needs it: read a request within limits, answer it, know if the client left."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import orjson
from django.conf import settings

from common.cached import from_settings
from common.errors import BodyTooLarge, InvalidRequest, PlatformError, Unauthorized, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping

    Message = MutableMapping[str, Any]
    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    Headers = list[tuple[bytes, bytes]]

JSON_TYPE = (b"content-type", b"application/json")
NOSNIFF = (b"x-content-type-options", b"nosniff")


@from_settings
def _limit(name: str) -> int:
    return int(getattr(settings, name))


def parameters(query: str) -> dict[str, str]:
    """Return a query's parameters, or raise InvalidRequest; the last of equal names counts."""
    try:
        return dict(parse_qsl(query, max_num_fields=50))
    except ValueError as exc:
        raise InvalidRequest("The query has more than 50 parameters.") from exc


class Left(Exception):
    """The client went away before its request was whole."""


class _Memory:
    """Bytes of request bodies that this process holds."""

    taken = 0


class Request:
    """One request: its parts, its body once, and one answer."""

    def __init__(self, scope: Message, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.body = b""
        self.gone = False
        """Whether the client left before its answer was whole."""
        self.on_gone: Callable[[], None] | None = None
        self.broken: Left | BodyTooLarge | None = None
        """Why the body that was streamed through did not become whole."""
        self.begun = False
        self.call = ""
        """The id of the metered call that it became, for its refusal."""
        self._receive = receive
        self._send = send
        self._finished = False
        self._watching = False
        self._reserved = 0

    def header(self, name: bytes) -> str:
        """Return a header as text, empty if absent."""
        return self.headers.get(name, b"").decode("latin-1").strip()

    @property
    def query(self) -> dict[str, str]:
        """The query's parameters; the last of equal names counts."""
        return parameters(self.scope["query_string"].decode("latin-1"))

    def credential(self) -> str:
        """Return the API key, or raise Unauthorized. A bearer token wins over a key (2.1)."""
        if b"authorization" in self.headers:
            raise Unauthorized("This platform does not know that token. Sign in, or send a key.")
        key = self.header(b"x-api-key")
        if not key:
            raise Unauthorized("Please sign in, or send your API key in the header X-API-KEY.")
        return key

    def origin(self) -> str:
        """Return where the client reached us, like https://credits.example.org."""
        if settings.PUBLIC_URL:
            return str(settings.PUBLIC_URL)
        return f"{self.scope['scheme']}://{self.header(b'host')}"

    # --- the body ---------------------------------------------------------------------------

    async def read(self) -> bytes:
        """Read the whole body, up to the limit; raise BodyTooLarge, Unavailable or Left."""
        limit = _limit("JSON_BODY_LIMIT_BYTES")
        self._check_length(limit)
        message = await self._receive()
        body: bytes = message.get("body", b"")
        if len(body) > limit:
            raise self._too_large(limit)
        if message.get("more_body"):
            parts, size = [body], len(body)
            while message.get("more_body"):
                message = await self._receive()
                part = message.get("body", b"")
                self._reserve(len(part))
                parts.append(part)
                size += len(part)
                if size > limit:
                    raise self._too_large(limit)
            body = b"".join(parts)
        if message["type"] == "http.disconnect":
            raise Left
        self.body = body
        return body

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
        if not self.body.strip():
            return {}
        try:
            parsed = orjson.loads(self.body)
        except orjson.JSONDecodeError as exc:
            raise InvalidRequest(f"The body is not JSON: {exc}.") from exc
        if not isinstance(parsed, dict):
            raise InvalidRequest("The body must be a JSON object.")
        return parsed

    def fingerprint(self) -> str:
        """Return 128 bits of a digest of method, path, query and body, in hex.

        It is equal for a byte-identical repeat, and for nothing else.
        """
        head = f"{self.method} {self.path}?".encode() + self.scope["query_string"] + b"\n"
        return hashlib.sha256(head + self.body).hexdigest()[:32]

    def check_stream_length(self) -> None:
        """Raise BodyTooLarge before anything is set aside, if the length is known to be."""
        self._check_length(_limit("STREAM_BODY_LIMIT_BYTES"))

    def _check_length(self, limit: int) -> None:
        text = self.header(b"content-length")
        if text.isdigit() and int(text) > limit:
            raise self._too_large(limit)

    def _reserve(self, size: int) -> None:
        if _Memory.taken + size > _limit("BODY_MEMORY_BYTES"):
            raise Unavailable("The platform is reading too much at once. Please try again.")
        _Memory.taken += size
        self._reserved += size

    def release(self) -> None:
        """Give back what the body took; its bytes are not needed any more."""
        _Memory.taken -= self._reserved
        self._reserved = 0
        self.body = b""

    @staticmethod
    def _too_large(limit: int) -> BodyTooLarge:
        return BodyTooLarge(f"The request's body is larger than {limit >> 20} MiB.")

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
        """Send the head of the answer."""
        self.begun = True
        headers = [*headers, NOSNIFF]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def chunk(self, body: bytes) -> None:
        """Send a part; waits while the client is slow."""
        await self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def last(self, body: bytes = b"") -> None:
        """Send the last part."""
        self._finished = not self.gone
        await self._send({"type": "http.response.body", "body": body})

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
