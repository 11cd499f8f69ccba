"""Which addresses of members are asked: public ones, over https; others by the operator's word.

    text --read--> Target --look_up--> the addresses of its host, each of them public
                                         '--> dialing.py connects to these and to no others

A name is looked up once for a request. If any of its addresses is not on the public internet the
request is refused, whichever would have been taken: who controls a name could else try until the
right one comes first. What is looked up is what is connected to, so a name that changes in between
leads nowhere (DNS rebinding). A redirect is another address: it is read and looked up anew.

Source of the rules: OWASP's sheet on server-side request forgery, and IANA's registries of special
purpose addresses.
"""

from __future__ import annotations

import asyncio
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from django.conf import settings

from common.cached import from_settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Address = IPv4Address | IPv6Address
    LookUp = Callable[[str, int], Awaitable[list[str]]]

LONGEST: Final = 2000
LOOK_UP_SECONDS: Final = 5
MOST_ADDRESSES: Final = 64
MOST_LOOK_UPS: Final = 128
"""At once, of one process."""
PRINTABLE: Final = re.compile(r"[\x21-\x7e]+")
LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.IGNORECASE)
USUAL_PORTS: Final = {"https": 443, "http": 80}
NUMBER: Final = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)", re.IGNORECASE)
"""A name whose last part is a number is an address in disguise: 127.1, 0177.0.0.1, 2130706433."""

NOT_PUBLIC: Final = tuple(
    ip_network(each)
    for each in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
        "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24",
        "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24",
        "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        # Of IPv6, only what is given out as unicast is public; in it are forms that carry IPv4.
        "2001::/23",  # Teredo, ORCHID, benchmarking and other protocols.
        "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20",
    )
)  # fmt: skip
UNICAST: Final = ip_network("2000::/3")
"""So also IPv4 written as IPv6, in each form: ::1.2.3.4, ::ffff:1.2.3.4, 64:ff9b::1.2.3.4."""
CLOUDS: Final = frozenset({ip_address("168.63.129.16")})
"""Public by its number, and each machine of one cloud reaches its own host there."""


class NotAllowed(Exception):
    """An address that is not asked; the sentence is for its member, and tells nothing of ours."""


@dataclass(frozen=True, slots=True)
class Target:
    """An address that may be asked, once its host's addresses are known."""

    scheme: str
    host: str
    """A name in lower case, or an address without brackets."""
    port: int
    path: str
    """With the query."""
    is_ours: bool
    """Whether the operator's list has it: then its addresses may be anywhere."""

    @property
    def origin(self) -> str:
        """Return it without the path."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = USUAL_PORTS[self.scheme] == self.port
        return f"{self.scheme}://{host}" + ("" if usual else f":{self.port}")

    @property
    def url(self) -> str:
        """Return it whole."""
        return self.origin + self.path


def read(text: str) -> Target:
    """Read an address that somebody named; raise NotAllowed, with why, for what is not asked.

    Its host may be a name of which nothing is known yet: `look_up` comes before a connection.
    """
    if len(text) > LONGEST:
        raise NotAllowed(f"is longer than {LONGEST} characters")
    if not PRINTABLE.fullmatch(text) or "\\" in text:
        raise NotAllowed("holds a space, or a character that must be written as %XX (or xn--)")
    try:
        parts = urlsplit(text)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        raise NotAllowed("is no address of the web") from None
    if parts.scheme not in USUAL_PORTS or not host:
        raise NotAllowed("must begin with https:// and name a host")
    if "[" in parts.netloc and not isinstance(_literal(host), IPv6Address):
        raise NotAllowed("names a host that cannot be one")
    if "@" in parts.netloc:
        raise NotAllowed("must hold no name and no password")
    port = USUAL_PORTS[parts.scheme] if port is None else port
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    target = Target(parts.scheme, _host(host), port, path, is_ours=False)
    if target.origin in _allowed():
        return Target(target.scheme, target.host, port, path, is_ours=True)
    if target.scheme != "https" or port != USUAL_PORTS["https"]:
        raise NotAllowed("must begin with https:// and use port 443")
    if (literal := _literal(target.host)) is not None and not is_public(literal):
        raise NotAllowed(INSIDE)
    return target


INSIDE: Final = "does not lead to the public internet"


def is_public(address: Address) -> bool:
    """Whether an address is somebody's on the internet, and nothing special."""
    if address in CLOUDS:
        return False
    if isinstance(address, IPv6Address) and address not in UNICAST:
        return False
    return not any(address in each for each in NOT_PUBLIC if each.version == address.version)


async def look_up(target: Target, *, by: LookUp | None = None) -> list[str]:
    """Return the addresses of a target's host; raise NotAllowed if there is none, or one is inside.

    This is the only question about the name: what it answers is what is connected to.
    """
    if _literal(target.host) is not None:
        return [target.host]
    try:
        async with asyncio.timeout(LOOK_UP_SECONDS):
            texts = await (by or _ask_system)(target.host, target.port)
    except (OSError, TimeoutError, UnicodeError):
        raise NotAllowed("has a name that leads nowhere") from None
    found = list(dict.fromkeys(texts))[:MOST_ADDRESSES]
    if not found:
        raise NotAllowed("has a name that leads nowhere")
    if not target.is_ours and not all(is_public(_unscoped(each)) for each in texts):
        raise NotAllowed(INSIDE)
    return found


_asking: Final = ThreadPoolExecutor(MOST_LOOK_UPS, thread_name_prefix="look-up")
"""The system's resolver is waited for as long as it likes, here and nowhere else: a loop that ends
would wait for threads of its own, and few of them would hold up whoever asks after slow names."""


async def _ask_system(host: str, port: int) -> list[str]:
    ask = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    found = await asyncio.get_running_loop().run_in_executor(_asking, ask)
    return [str(address[0]) for *_, address in found]


def _host(host: str) -> str:
    """Return a host as it is asked for; raise NotAllowed for other ways to write an address."""
    if _literal(host) is not None:
        return host
    labels = host.split(".")
    if len(host) > 253 or not all(LABEL.fullmatch(each) for each in labels):
        raise NotAllowed("names a host that cannot be one")
    if NUMBER.fullmatch(labels[-1]):
        raise NotAllowed("writes a number where a host stands: write it as 192.0.2.1")
    return host


def _literal(host: str) -> Address | None:
    try:
        return None if "%" in host else ip_address(host)
    except ValueError:
        return None


def _unscoped(text: str) -> Address:
    """Return what a name led to; the interface that some resolvers write behind it is dropped."""
    return ip_address(text.partition("%")[0])


@from_settings
def _allowed() -> frozenset[str]:
    """Return the operator's origins, as a Target writes its own."""
    return frozenset(settings.OUTSIDE_ORIGINS)
