"""Every vendor and operation that can be called. What is not here is a 404."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from django.conf import settings

from common.cached import from_settings
from common.errors import ProviderDisabled, UnknownRoute
from proxy.pricing import FREE, Price

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@from_settings
def _setting(name: str) -> str:
    return str(settings.VENDOR_SETTINGS.get(name, ""))


@from_settings
def _address(name: str, base_url: str) -> str:
    template = _setting(f"VENDOR_{name.upper()}_BASE_URL") or str(settings.VENDOR_BASE_URL)
    return (template.replace("{vendor}", name) if template else base_url).rstrip("/")


class Kind(enum.Enum):
    """What an operation does with its hold."""

    SYNC = "sync"
    """The answer is the result."""
    SUBMIT = "submit"
    """The answer names a job; the hold stays open until the job ends."""
    FREE = "free"
    """Passed through for a key that may call the vendor; nothing is held, charged or recorded."""
    POLL = "poll"
    """Asks for a job; never costs anything, and is never refused for money."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing a vendor sells, at a path under `/proxy/<vendor>/`."""

    method: str
    path: str
    upstream: str
    """The path at the vendor; `{name}` parts as in `path`."""
    price: Price = FREE
    kind: Kind = Kind.SYNC
    json_body: bool = True
    """Whether the body is JSON, read whole up to a limit; else it is streamed through."""
    query: tuple[str, ...] = ()
    """Query parameters that are passed on; all others are dropped."""
    headers: tuple[str, ...] = ()
    """Request headers, in lower case, that are passed on beside the usual few."""
    timeout_seconds: int = 600
    """Longer than the vendor's own."""
    deadline_seconds: int = 3600
    """How long a job of it may take before we stop following it."""
    price_version: str = ""
    title: str = ""
    """What it is called in a history, like `BFL Flux 1.1 [pro] Ultra`."""


@dataclass(frozen=True, slots=True)
class JobShape:
    """How a vendor speaks of a job."""

    job_id: Callable[[dict[str, Any]], str | None]
    poll_url: Callable[[Route, dict[str, Any]], str]
    outcome: Callable[[dict[str, Any]], str | None]
    """From a poll's answer: delivered, failed or moderated; None while it runs."""
    pending: Callable[[str], dict[str, Any]]
    """What we say in the vendor's words while it cannot be asked for a moment."""
    result_url: Callable[[dict[str, Any]], str | None]
    rewrite: Callable[[dict[str, Any], str], dict[str, Any]]
    """The submit answer with its polling URL replaced by ours."""


@dataclass(frozen=True, slots=True)
class Vendor:
    """A supplier: where it is, how we prove who we are, what it sells."""

    name: str
    display: str
    base_url: str
    hosts: tuple[str, ...]
    """Domains of the vendor's own that its answers may send us to."""
    credential: Callable[[str], dict[str, str]]
    operations: tuple[Operation, ...]
    job: JobShape | None = None
    says: Callable[[dict[str, Any]], str] = field(default=lambda _: "")
    """The sentence in an error body, for the member to read."""

    def key(self) -> str:
        """Return the operator's credential, or raise ProviderDisabled: without it, switched off."""
        key = _setting(f"VENDOR_{self.name.upper()}_KEY")
        if not key:
            raise ProviderDisabled(
                f"{self.display} is not set up on this platform. Ask its operator, or use a node "
                "of another provider."
            )
        return key

    def address(self) -> str:
        """Return where the vendor is: its own address, or what the operator put in its place."""
        return _address(self.name, self.base_url)

    def owns(self, url: str) -> bool:
        """Whether a URL is the vendor's: its base, or https on one of its domains."""
        if not re.fullmatch(r"[!-~]+", url):
            return False  # A space or a line break would end the request line that it goes into.
        try:
            parts, base = urlsplit(url), urlsplit(self.address())
            host = parts.hostname or ""
        except ValueError:
            return False
        if (parts.scheme, parts.netloc) == (base.scheme, base.netloc):
            return True
        if self.address() != self.base_url.rstrip("/") or parts.username or parts.scheme != "https":
            return False
        return any(host == domain or host.endswith("." + domain) for domain in self.hosts)


@dataclass(frozen=True, slots=True)
class Route:
    """An operation that was found, with the parts of its path."""

    vendor: Vendor
    operation: Operation
    parts: Mapping[str, str]

    @property
    def name(self) -> str:
        """The operation's name in records and logs, like `bfl/flux-pro-1.1-ultra/generate`."""
        return f"{self.vendor.name}/{self.operation.path}"

    def url(self) -> str:
        """Return the URL at the vendor, without a query."""
        path = self.operation.upstream
        for name, value in self.parts.items():
            path = path.replace(f"{{{name}}}", quote(value, safe=""))
        return self.vendor.address() + path


class Catalogue:
    """All operations, found by method and path."""

    def __init__(self, vendors: tuple[Vendor, ...]) -> None:
        self.vendors = {vendor.name: vendor for vendor in vendors}
        self._exact: dict[tuple[str, str], Route] = {}
        self._patterns: list[tuple[str, re.Pattern[str], Vendor, Operation]] = []
        for vendor in vendors:
            for operation in vendor.operations:
                path = f"/proxy/{vendor.name}/{operation.path}"
                if "{" in path:
                    parts = re.split(r"\{(\w+)\}", path)
                    pattern = "".join(
                        f"(?P<{part}>[^/]+)" if i % 2 else re.escape(part)
                        for i, part in enumerate(parts)
                    )
                    entry = (operation.method, re.compile(pattern), vendor, operation)
                    self._patterns.append(entry)
                else:
                    key = (operation.method, path)
                    assert key not in self._exact, f"{key} is in the catalogue twice"
                    self._exact[key] = Route(vendor, operation, {})

    def find(self, method: str, path: str) -> Route:
        """Return the route of a decoded path, matched exactly, or raise UnknownRoute."""
        route = self._exact.get((method, path))
        if route is not None:
            return route
        # A part that could climb or hide in the vendor's path is nobody's id.
        if not re.search(r"//|/\.\.?(/|$)|[%\\\x00-\x1f\x7f]", path):
            for wanted, pattern, vendor, operation in self._patterns:
                if wanted == method and (match := pattern.fullmatch(path)):
                    return Route(vendor, operation, match.groupdict())
        raise UnknownRoute(f"{method} {path[:200]} is not an operation of this platform.")

    def operation(self, name: str) -> Route:
        """Return the priced operation with that `Route.name`, for a job that is remembered."""
        vendor, _, path = name.partition("/")
        for operation in self.vendors[vendor].operations:
            if operation.path == path and operation.kind is not Kind.POLL:
                return Route(self.vendors[vendor], operation, {})
        raise UnknownRoute(f"{name} is no longer in the catalogue.")
