"""Send a call on to its vendor under our credential, and bring the answer back.

What crosses is named, both ways; everything else stays here. So no key, cookie, address or
`Comfy-*` header of a member reaches a vendor, and no credential of ours reaches a member.

Three outcomes: an answer came; `Refused`, it certainly was not done; `Lost`, nobody knows.
"""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlencode

import aiohttp
import aiohttp.connector
import aiohttp.http
import aiohttp.streams
from yarl import URL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from proxy.catalogue import Operation, Route, Vendor
    from proxy.http import Headers, Request

PASSED_ON = (b"content-type", b"accept")
PASSED_BACK = frozenset(
    (b"content-type", b"content-length", b"content-disposition", b"etag", b"last-modified")
)
REQUEST_IDS = frozenset((b"x-request-id", b"request-id", b"x-correlation-id"))
CONNECT_SECONDS = 10
ANSWER_LIMIT_BYTES = 64 << 20


@functools.lru_cache(maxsize=1024)
def _url(text: str) -> URL:
    """Return the URL as it stands, not encoded again."""
    return URL(text, encoded=True)


class Refused(Exception):
    """The vendor certainly did not get the call: no connection came about."""


class Lost(Exception):
    """The connection broke, or time ran out, after the call may have arrived."""


class Answer(Protocol):
    """What a reply needs of an HTTP answer, from whichever way it was asked."""

    status: int
    raw_headers: tuple[tuple[bytes, bytes], ...]
    content: aiohttp.StreamReader

    def close(self) -> None:
        """Give the connection back if the answer is whole, else close it."""


class Reply:
    """A vendor's answer: its head is here, its body comes when asked for."""

    def __init__(self, answer: Answer | aiohttp.ClientResponse) -> None:
        self._answer = answer
        self.status = answer.status

    @property
    def headers(self) -> Headers:
        """The headers that a client may see."""
        return [
            (name.lower(), value)
            for name, value in self._answer.raw_headers
            if name.lower() in PASSED_BACK
        ]

    def header(self, name: bytes) -> str:
        """Return a header of the vendor's, for our own use; empty if it gave none."""
        for each, value in self._answer.raw_headers:
            if each.lower() == name:
                return value.decode("latin-1")
        return ""

    @property
    def request_id(self) -> str:
        """The vendor's name for this exchange, empty if it gave none."""
        for name, value in self._answer.raw_headers:
            if name.lower() in REQUEST_IDS:
                return value.decode("latin-1")[:200]
        return ""

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes; raise Lost if it breaks off."""
        try:
            while chunk := await self._answer.content.readany():
                yield chunk
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise Lost(type(exc).__name__) from exc

    async def read(self, limit: int = ANSWER_LIMIT_BYTES) -> bytes:
        """Return the whole body; raise Lost if it breaks off or is larger than the limit."""
        parts, size = [], 0
        async for chunk in self.chunks():
            parts.append(chunk)
            size += len(chunk)
            if size > limit:
                raise Lost("the answer is larger than any that we can hold")
        return b"".join(parts)

    def close(self) -> None:
        """Give the connection back, or close it if something is left unread."""
        self._answer.close()


class _Exchange:
    """One request with its body in hand, on a connection of aiohttp's pool.

    The connection, its pool, TLS and the parsing of the answer are aiohttp's. Left out is what its
    session does around them for every request (a task for the writing, redirects, cookies, traces,
    the response object), which costs more than the rest of a metered call
    (docs/decisions/0006). So this leans on names that aiohttp does not promise to keep: the lock
    pins its version, and the tests of the vendors' failures run through here.
    """

    def __init__(self, connection: aiohttp.connector.Connection) -> None:
        self._connection: aiohttp.connector.Connection | None = connection
        self.status = 0
        self.raw_headers: tuple[tuple[bytes, bytes], ...] = ()
        self.content: aiohttp.StreamReader = aiohttp.streams.EMPTY_PAYLOAD

    async def ask(self, head: bytes, body: bytes, timeout_seconds: int) -> None:
        """Write the request, and return when the answer's head is here.

        `timeout_seconds` is for each silence: before the head, and between parts of the body.
        """
        assert self._connection is not None, "an exchange is for one request"
        protocol = self._connection.protocol
        if protocol is None or protocol.transport is None:
            raise aiohttp.ServerDisconnectedError
        protocol.set_response_params(
            auto_decompress=False, read_timeout=timeout_seconds, read_bufsize=1 << 16
        )
        protocol.transport.write(head + body if len(body) < 1 << 16 else head)
        if len(body) >= 1 << 16:
            protocol.transport.write(body)
        protocol.start_timeout()
        message, content = await protocol.read()
        while 100 <= message.code < 200:
            message, content = await protocol.read()
        self.status, self.raw_headers, self.content = message.code, message.raw_headers, content
        content.on_eof(self._ended)

    def _ended(self) -> None:
        """Give the connection back: the answer is whole. Not if the request is still on its way."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        transport = connection.transport
        if transport is None or transport.get_write_buffer_size():
            connection.close()
        else:
            connection.release()

    def close(self) -> None:
        """Close the connection, unless the answer was read whole and it went back."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


class Relay:
    """The process's connections to vendors."""

    def __init__(self) -> None:
        self._connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=15)
        self._session = aiohttp.ClientSession(
            connector=self._connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        )
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
        self._origins: dict[URL, aiohttp.ClientRequest] = {}

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def send(
        self, route: Route, request: Request, body: bytes | AsyncIterator[bytes]
    ) -> Reply:
        """Make the call and return the vendor's answer, whatever its status.

        Raises Refused or Lost.
        """
        operation = route.operation
        headers = route.vendor.credential(route.vendor.key())
        for name in PASSED_ON:
            if value := request.headers.get(name):
                headers[name.decode()] = value.decode("latin-1")
        for extra in operation.headers:
            if value := request.headers.get(extra.encode()):
                headers[extra] = value.decode("latin-1")
        url = route.url()
        if operation.query and request.scope["query_string"]:
            given = {k: v for k, v in request.query.items() if k in operation.query}
            url += "?" + urlencode(given) if given else ""
        if isinstance(body, bytes):
            if operation.method != "GET" or body:
                headers["content-length"] = str(len(body))
            return await self._ask(operation.method, url, headers, body, operation.timeout_seconds)
        if length := request.header(b"content-length"):
            headers["content-length"] = length
        return await self._pass_on(operation, url, headers, body)

    async def poll(self, vendor: Vendor, url: str, *, timeout_seconds: int = 60) -> Reply:
        """Ask for a job at a URL that `Vendor.owns` accepted. Raises Refused or Lost."""
        headers = {**vendor.credential(vendor.key()), "accept": "application/json"}
        return await self._ask("GET", url, headers, b"", timeout_seconds)

    async def fetch(self, url: str) -> Reply:
        """Get a delivered file, without any credential. Raises Refused or Lost."""
        return await self._ask("GET", url, {}, b"", 60)

    async def _ask(
        self, method: str, text: str, headers: dict[str, str], body: bytes, timeout_seconds: int
    ) -> Reply:
        url = _url(text)
        lines = [f"{method} {url.raw_path_qs} HTTP/1.1", f"host: {url.authority}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        head = "\r\n".join([*lines, "", ""])
        assert head.count("\n") == len(lines) + 1, "no header holds a line break"
        try:
            connection = await self._connector.connect(self._origin(url), [], self._timeout)
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise Refused(type(exc).__name__) from exc
        exchange = _Exchange(connection)
        try:
            await exchange.ask(head.encode("latin-1"), body, timeout_seconds)
        except BaseException as exc:
            exchange.close()
            known = (aiohttp.ClientError, aiohttp.http.HttpProcessingError, TimeoutError, OSError)
            if isinstance(exc, known):
                raise Lost(type(exc).__name__) from exc
            raise
        return Reply(exchange)

    def _origin(self, url: URL) -> aiohttp.ClientRequest:
        """Return what the pool knows an origin's connections by."""
        origin = url.origin()
        found = self._origins.get(origin)
        if found is None:
            loop = asyncio.get_running_loop()
            found = self._origins[origin] = aiohttp.ClientRequest("GET", origin, loop=loop)
        return found

    async def _pass_on(
        self, operation: Operation, url: str, headers: dict[str, str], body: AsyncIterator[bytes]
    ) -> Reply:
        """Stream a body through as it comes; the vendor's pace holds the client's back."""
        try:
            response = await self._session.request(
                operation.method,
                _url(url),
                headers=headers,
                data=body,
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=CONNECT_SECONDS, sock_read=operation.timeout_seconds
                ),
                allow_redirects=False,
            )
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as exc:
            raise Refused(type(exc).__name__) from exc
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise Lost(type(exc).__name__) from exc
        return Reply(response)
