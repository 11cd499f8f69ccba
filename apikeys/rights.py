"""What a credential may: no key is given more than whoever makes it has."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext

from apikeys.models import SCOPES, ApiKey
from common.errors import AccessDisabled, InvalidRequest
from common.told import kept
from common.told import told as in_words

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import datetime

Network = IPv4Network | IPv6Network

MOST_VENDORS = 100
MOST_NETWORKS = 50
MOST_MICROS = 10**12
"""A million dollars."""
VENDOR = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")


@dataclass(frozen=True, slots=True)
class Rights:
    """What may be done, with whom, from where, for how much, until when; None is no bound."""

    scopes: frozenset[str]
    vendors: frozenset[str] | None = None
    networks: frozenset[Network] | None = None
    call_limit: int | None = None
    expires_at: datetime | None = None

    def fields(self) -> dict[str, Any]:
        """Return them as a key's row has them."""
        networks = self.networks
        return {
            "scopes": [each for each in SCOPES if each in self.scopes],
            "allowed_vendors": None if self.vendors is None else sorted(self.vendors),
            "allowed_networks": None
            if networks is None
            else sorted(str(each) for each in networks),
            "call_limit_micros": self.call_limit,
            "expires_at": self.expires_at,
        }


def of(key: ApiKey) -> Rights:
    """Return what a key may."""
    networks = key.allowed_networks
    return Rights(
        scopes=frozenset(key.scopes),
        vendors=None if key.allowed_vendors is None else frozenset(key.allowed_vendors),
        networks=None if networks is None else frozenset(ip_network(each) for each in networks),
        call_limit=key.call_limit_micros,
        expires_at=key.expires_at,
    )


def told(some: Rights) -> dict[str, Any]:
    """Return them as JSON, for what is written down of a change."""
    fields = some.fields()
    end = fields["expires_at"]
    return {**fields, "expires_at": end.isoformat() if end else None}


def require_within(asked: Rights, own: Rights) -> None:
    """Raise AccessDisabled, naming it, if something asked for is more than one's own."""
    within = {
        "scopes": asked.scopes <= own.scopes,
        "allowed_vendors": _among(asked.vendors, own.vendors),
        "allowed_networks": own.networks is None
        or (
            asked.networks is not None
            and all(_inside(each, own.networks) for each in asked.networks)
        ),
        "call_limit_micro_usd": own.call_limit is None
        or (asked.call_limit is not None and asked.call_limit <= own.call_limit),
        "expires_at": own.expires_at is None
        or (asked.expires_at is not None and asked.expires_at <= own.expires_at),
    }
    more = [name for name, fits in within.items() if not fits]
    if more:
        raise AccessDisabled(
            gettext(
                "That would be a key which may more than what you ask with: %(more)s. Ask for "
                "less, or sign in."
            )
            % {"more": ", ".join(more)}
        )


def _among(some: frozenset[str] | None, all_of: frozenset[str] | None) -> bool:
    return all_of is None or (some is not None and some <= all_of)


def _inside(network: Network, others: Iterable[Network]) -> bool:
    return any(
        network.version == other.version and network.subnet_of(other)  # type: ignore[arg-type]
        for other in others
    )


def scopes(given: Collection[str]) -> frozenset[str]:
    """Read scopes; raise InvalidRequest for none, and for what is not one."""
    unknown = sorted(set(given) - set(SCOPES))
    if unknown or not given:
        raise InvalidRequest(
            gettext("scopes: a key has at least one of %(scopes)s.") % {"scopes": ", ".join(SCOPES)}
        )
    return frozenset(given)


OF_ONE_MACHINE = kept("%(text)s names an interface of one machine")
kept("%(text)s does not appear to be an IPv4 or IPv6 network")
kept("%(text)s has host bits set")
"""The last two are Python's own."""


def vendors(given: Collection[str] | None) -> frozenset[str] | None:
    """Read names of vendors; raise InvalidRequest for what cannot be one."""
    if given is None:
        return None
    if len(given) > MOST_VENDORS or not all(VENDOR.fullmatch(each) for each in given):
        raise InvalidRequest(
            gettext(
                "allowed_vendors: at most %(most)s names as they stand behind /proxy/, like bfl."
            )
            % {"most": MOST_VENDORS}
        )
    return frozenset(given)


def networks(given: Collection[str] | None) -> frozenset[Network] | None:
    """Read networks and single addresses; raise InvalidRequest for what is none."""
    if given is None:
        return None
    try:
        found = frozenset(_unmapped(_network(each.strip())) for each in given)
    except ValueError as exc:
        raise InvalidRequest(
            gettext("allowed_networks: %(why)s. A network is like 192.0.2.0/24 or 2001:db8::/32.")
            % {"why": in_words(str(exc))}
        ) from exc
    if len(found) > MOST_NETWORKS:
        raise InvalidRequest(
            gettext("allowed_networks: at most %(most)s.") % {"most": MOST_NETWORKS}
        )
    return found


def _network(text: str) -> Network:
    """Read one; raise ValueError for what the database would not take."""
    if "%" in text:
        raise ValueError(OF_ONE_MACHINE % {"text": repr(text)})
    return ip_network(text)


def _unmapped(network: Network) -> Network:
    """Return an IPv4 network that was written as part of IPv6 as what it is."""
    if isinstance(network, IPv6Network) and network.prefixlen >= 96:
        address = network.network_address.ipv4_mapped
        if address is not None:
            return ip_network((address, network.prefixlen - 96))
    return network
