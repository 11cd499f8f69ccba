"""Addresses of clients: read as proxies write them, and counted as households."""

from __future__ import annotations

import functools
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network


def read(text: str) -> IPv4Address | IPv6Address | None:
    """Return an address, which some proxies write with its port; None if it is none."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found


@functools.lru_cache(maxsize=4096)
def plain(text: str) -> str | None:
    """Return an address as a database reads it; None if it is none."""
    found = read(text)
    return None if found is None else str(found)


@functools.lru_cache(maxsize=4096)
def household(text: str) -> str:
    """Return what counts as one address: an IPv4 address, or the /64 that a household gets."""
    found = read(text)
    if isinstance(found, IPv6Address):
        return str(ip_network((found, 64), strict=False))
    return text if found is None else str(found)
