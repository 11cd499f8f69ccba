"""Send a call on to its vendor under our credential, and bring the answer back.

What crosses is named, both ways; everything else stays here. So no key, cookie, address or
`Comfy-*` header of a member reaches a vendor, and no credential of ours reaches a member.

Three outcomes: an answer came; `Refused`, it certainly was not done; `Lost`, nobody knows.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import aiohttp
from yarl import URL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from proxy.catalogue import Route, Vendor
    from proxy.http import Headers, Request

PASSED_ON = (b"content-type", b"accept")
PASSED_BACK = frozenset(
    (b"content-type", b"content-length", b"content-disposition", b"etag", b"last-modified")
)
REQUEST_IDS = ("x-request-id", "request-id", "x-correlation-id")
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


class Reply:
    """A vendor's answer: its head is here, its body comes when asked for."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status

    @property
    def headers(self) -> Headers:
        """The headers that a client may see."""
        return [
            (name.lower(), value)
            for name, value in self._response.raw_headers
            if name.lower() in PASSED_BACK
        ]

    def header(self, name: str) -> str:
        """Return a header of the vendor's, for our own use."""
        return self._response.headers.get(name, "")

    @property
    def request_id(self) -> str:
        """The vendor's name for this exchange, empty if it gave none."""
        return next((v[:200] for name in REQUEST_IDS if (v := self.header(name))), "")

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes; raise Lost if it breaks off."""
        try:
            while chunk := await self._response.content.readany():
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
        self._response.release() if self._response.content.at_eof() else self._response.close()


class Relay:
    """The process's connections to vendors."""

    def __init__(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=15),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
        )
        self._timeouts: dict[int, aiohttp.ClientTimeout] = {}

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def send(
        self, route: Route, request: Request, body: bytes | AsyncIterator[bytes] | None
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
        if body is not None and not isinstance(body, bytes) and request.header(b"content-length"):
            headers["content-length"] = request.header(b"content-length")
        url = route.url()
        if operation.query and request.scope["query_string"]:
            given = {k: v for k, v in request.query.items() if k in operation.query}
            url += "?" + urlencode(given) if given else ""
        return await self._request(operation.method, url, headers, body, operation.timeout_seconds)

    async def poll(self, vendor: Vendor, url: str, *, timeout_seconds: int = 60) -> Reply:
        """Ask for a job at a URL that `Vendor.owns` accepted. Raises Refused or Lost."""
        headers = {**vendor.credential(vendor.key()), "accept": "application/json"}
        return await self._request("GET", url, headers, None, timeout_seconds)

    async def fetch(self, url: str) -> Reply:
        """Get a delivered file, without any credential. Raises Refused or Lost."""
        return await self._request("GET", url, {}, None, 60)

    async def _request(
        self,
        method: str,
        url: str,
        headers: dict[str, str],
        body: Any,
        timeout_seconds: int,
    ) -> Reply:
        timeout = self._timeouts.get(timeout_seconds)
        if timeout is None:
            timeout = self._timeouts[timeout_seconds] = aiohttp.ClientTimeout(
                total=timeout_seconds, sock_connect=CONNECT_SECONDS
            )
        try:
            response = await self._session.request(
                method,
                _url(url),
                headers=headers,
                data=body,
                timeout=timeout,
                allow_redirects=False,
            )
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as exc:
            raise Refused(type(exc).__name__) from exc
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise Lost(type(exc).__name__) from exc
        return Reply(response)
