"""A connection for one request to an address of a member: where the guard said, nothing of ours.

No proxy, cookie, credential or redirect of anybody's: what is sent is what the caller gives. The
connection is for this request alone.
"""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from common.outside.guard import Target

LONGEST_HEADER: Final = 8190
CONNECT_SECONDS: Final = 10


class Pinned(AbstractResolver):
    """Answers each question with the addresses that were checked, and asks nobody."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return them."""
        return [
            ResolveResult(
                hostname=host,
                host=each,
                port=port,
                family=socket.AF_INET6 if ":" in each else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for each in self._addresses
        ]

    async def close(self) -> None:
        """Do nothing: there is nothing open."""


@asynccontextmanager
async def asking(
    method: str,
    target: Target,
    addresses: Sequence[str],
    *,
    headers: Mapping[str, str],
    body: bytes | None = None,
    silence_seconds: float,
) -> AsyncIterator[aiohttp.ClientResponse]:
    """Send a request, and give its answer, whose body is read as it came over the wire.

    `addresses` are those that `guard.look_up` returned for the target. Raises aiohttp.ClientError,
    TimeoutError or OSError; the caller bounds the time of the whole.
    """
    connector = aiohttp.TCPConnector(
        resolver=Pinned(addresses), use_dns_cache=False, force_close=True, limit=1
    )
    timeout = aiohttp.ClientTimeout(
        total=None, sock_connect=CONNECT_SECONDS, sock_read=silence_seconds
    )
    url = URL(target.url, encoded=True)
    own: dict[str, Any] = {"Accept-Encoding": "identity", **headers}
    async with (
        aiohttp.ClientSession(
            connector=connector,
            timeout=timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            max_line_size=LONGEST_HEADER,
            max_field_size=LONGEST_HEADER,
        ) as session,
        session.request(method, url, headers=own, data=body, allow_redirects=False) as answer,
    ):
        yield answer
