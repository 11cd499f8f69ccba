"""Where clients reach us: what they say, what we hand out, and whether the two can be one place.

A job's answer holds an absolute URL that the client polls. If it cannot be reached there, the job
is paid for and nobody gets it: so what can be told beforehand is told before money is set aside.

| what tells it | what would be handed out | |
|---|---|---|
| the scheme that our own proxy says | `http://` where it is https | refused |
| a proxy not listed: `X-Forwarded-Proto: https` or its like | `http://` | refused |
| `Host: name:443` | `http://` | refused |
| the URL itself | `http://name:443`, `https://name:80` | refused |
| a proxy not listed: `X-Forwarded-Host` | another host, PUBLIC_URL being empty | refused |
| another `Host`, or an address elsewhere, forwarded for | `localhost` and its like | refused |
| nothing: TLS ends before us and nobody says so | `http://` | not seen |
| nothing: PUBLIC_URL names a host that leads elsewhere | anything | not seen |
"""

from __future__ import annotations

import functools
import ipaddress
import re
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import split_domain_port, validate_host

from common.addresses import read
from common.cached import from_settings
from common.errors import InvalidRequest, Misconfigured

if TYPE_CHECKING:
    from proxy.http import Request

REMEMBERED_SECONDS = 3600
SAYS_HTTPS = {
    b"x-forwarded-proto": "https",
    b"x-forwarded-scheme": "https",
    b"x-forwarded-protocol": "https",
    b"x-url-scheme": "https",
    b"x-forwarded-ssl": "on",
    b"front-end-https": "on",
}
FORWARDED_PROTO = re.compile(r'proto="?https"?', re.IGNORECASE)
FORWARDED_FOR = (b"x-forwarded-for", b"x-real-ip")
TELLING = frozenset((*SAYS_HTTPS, b"forwarded", b"x-forwarded-host"))
"""Without any of these no proxy says anything; that is soon seen."""


def check_host(request: Request) -> None:
    """Raise InvalidRequest unless the request is for a host of ours; the wire lets one through.

    A client of HTTP/1.0 may name none where PUBLIC_URL says who we are.
    """
    host = request.header(b"host")
    if not host:
        if not settings.PUBLIC_URL:
            raise InvalidRequest("The request needs a Host header.")
    elif not _is_allowed(host, _allowed()):
        raise InvalidRequest("The request's Host is not one of this platform's.")


@functools.lru_cache(maxsize=256)
def _is_allowed(host: str, allowed: tuple[str, ...]) -> bool:
    domain, _ = split_domain_port(host)
    return bool(domain) and validate_host(domain, allowed)


@from_settings
def _allowed() -> tuple[str, ...]:
    """Return what Django would allow, its own default for DEBUG included."""
    own = (".localhost", "127.0.0.1", "[::1]") if settings.DEBUG else ()
    return tuple(settings.ALLOWED_HOSTS) or own


def origin(request: Request) -> str:
    """Return where clients are told to come back to, like https://credits.example.org."""
    if public := _public_url():
        return public
    return f"{request.scope['scheme']}://{request.header(b'host')}"


@from_settings
def _public_url() -> str:
    return str(settings.PUBLIC_URL)


def require_pollable(request: Request) -> None:
    """Raise Misconfigured if a client could not come back to where it would be told to.

    That is remembered for `/ready`: who asks shows a living key before, or a stranger's invented
    header would stand there.
    """
    if wrong := problem(request):
        _seen.note(wrong)
        raise Misconfigured(f"This platform is not set up right, and nothing was charged: {wrong}")


def finding() -> str:
    """Return what was last found wrong in this process, within the hour; empty if nothing was."""
    return _seen.recent()


class _Seen:
    def __init__(self) -> None:
        self._problem = ""
        self._at = 0.0

    def note(self, problem: str) -> None:
        self._problem, self._at = problem, time.monotonic()

    def recent(self) -> str:
        return self._problem if time.monotonic() - self._at < REMEMBERED_SECONDS else ""


_seen = _Seen()


def problem(request: Request) -> str:
    """Return a sentence for the operator, empty if nothing speaks against the URL."""
    told = origin(request)
    scheme, netloc, is_odd, is_here = _parts(told)
    if is_odd:
        return f"{told} has one scheme and the other's port. Set PUBLIC_URL."
    is_relayed = not TELLING.isdisjoint(request.headers)
    if scheme == "http" and _came_by_https(request, is_relayed=is_relayed):
        return (
            f"clients come by https and would be sent to {told}."
            " Set PUBLIC_URL, or list the proxy in TRUSTED_PROXIES."
        )
    forwarded = request.header(b"x-forwarded-host").split(",")[-1].strip() if is_relayed else ""
    if forwarded and not _public_url() and forwarded.lower() != netloc:
        return (
            f"a proxy says that clients ask another host, and they would be sent to {told}."
            " Set PUBLIC_URL, or list the proxy in TRUSTED_PROXIES."
        )
    if is_here and _came_from_afar(request):
        return f"clients come from elsewhere and would be sent to {told}. Set PUBLIC_URL."
    return ""


@functools.lru_cache(maxsize=256)
def _parts(url: str) -> tuple[str, str, bool, bool]:
    """Return scheme and host with its port; whether they disagree; whether it is this machine."""
    parts = urlsplit(url)
    is_odd = (parts.scheme, parts.port) in (("http", 443), ("https", 80))
    return parts.scheme, parts.netloc.lower(), is_odd, _is_here(parts.hostname or "")


def _came_by_https(request: Request, *, is_relayed: bool) -> bool:
    """Whether anything says so. Whoever invents it is refused what only they asked for."""
    if request.scope["scheme"] == "https" or request.header(b"host").endswith(":443"):
        return True
    if not is_relayed:
        return False
    believed = request.scope.get("forwarded", False)
    return any(
        request.header(name).split(",")[-1].strip().lower() == value
        for name, value in SAYS_HTTPS.items()
        if name in request.headers and not (believed and name == b"x-forwarded-proto")
    ) or bool(FORWARDED_PROTO.search(request.header(b"forwarded")))


def _came_from_afar(request: Request) -> bool:
    host = request.header(b"host")
    if host and not _parts(f"http://{host}")[3]:
        return True
    told = (
        request.header(name).split(",")[-1].strip()
        for name in FORWARDED_FOR
        if name in request.headers
    )
    return any(address is not None and not address.is_loopback for address in map(read, told))


def _is_here(host: str) -> bool:
    """Whether a name means the machine of whoever uses it."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
