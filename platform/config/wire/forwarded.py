"""What a reverse proxy says of who asks: believed if it is one of ours, else it was never said.

The settings list ours (TRUSTED_PROXIES, addresses or networks). Each of them must set, not pass on,
`X-Forwarded-Proto` and `X-Forwarded-Host`; of `X-Forwarded-For` the last address counts that is not
one of ours, because whatever stands before it was written by a stranger.
"""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from django.conf import settings

from common.addresses import read
from common.cached import from_settings
from config.wire.http1 import is_host

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from ipaddress import IPv4Network, IPv6Network


def is_ours(address: str) -> bool:
    """Whether this is the address of a listed proxy."""
    networks = _networks()
    found = read(address) if networks else None
    return found is not None and any(found in network for network in networks)


@from_settings
def _networks() -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(each, strict=False) for each in settings.TRUSTED_PROXIES)


def believe(scope: MutableMapping[str, Any]) -> None:
    """Have a scope say what its client's proxy, one of ours, says of the client.

    What it does not say, or not readably, stays as it is seen from here.
    """
    said: dict[bytes, list[str]] = {}
    for name, value in scope["headers"]:
        if name.startswith(b"x-forwarded-"):
            said.setdefault(name, []).extend(
                part.strip() for part in value.decode("latin-1").split(",")
            )
    if address := _client(said.get(b"x-forwarded-for", [])):
        scope["client"] = (address, 0)
    scheme = said.get(b"x-forwarded-proto", [""])[-1].lower()
    if scheme in ("http", "https"):
        scope["scheme"] = scheme
    host = said.get(b"x-forwarded-host", [""])[-1].encode()
    if is_host(host):
        headers = [header for header in scope["headers"] if header[0] != b"host"]
        scope["headers"] = [(b"host", host), *headers]


def _client(addresses: list[str]) -> str:
    """Return the last address that is not a proxy of ours; empty if that cannot be told."""
    for each in reversed(addresses):
        found = read(each)
        if found is None or not is_ours(str(found)):
            return str(found or "")
    return ""
