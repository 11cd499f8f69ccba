"""How each vendor wants our requests signed, and what must never be seen of it.

A scheme names its settings; `VENDOR_<NAME>_<SETTING>` holds each. Without those that it requires
the vendor is switched off. What a scheme mints (a token that lasts for a while) is kept until
shortly before its end, and is a secret like the ones that it was made from.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Protocol

from django.conf import settings

from common.cached import from_settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from proxy.relay import Outgoing, Reply

    Exchange = Callable[[Outgoing], Awaitable[Reply]]

SHORTEST_SECRET = 8
"""What is shorter is no secret, and would be found in every answer."""
FRESH_SECONDS = 60
"""A minted token is not used in its last minute: the call may take that long to arrive."""


DEFAULT = "default"
"""The name of the account whose settings are the environment's."""
NOT_SET_UP = "is not set up on this platform. Ask its operator, or use a node of another provider."
OLD_TOKENS = 8


class Scheme(Protocol):
    """How requests are signed."""

    @property
    def required(self) -> tuple[str, ...]:
        """Settings without which the vendor is switched off."""

    @property
    def optional(self) -> tuple[str, ...]:
        """Settings that may be there beside them."""

    @property
    def public(self) -> tuple[str, ...]:
        """Settings that may be there, too, and are no secret: a project, a place."""

    def problem(self, account: Account) -> str:
        """Return why nothing can be signed with these settings, to be read after the vendor's name.

        Empty if it can.
        """

    async def sign(self, outgoing: Outgoing, account: Account, exchange: Exchange) -> None:
        """Put the credential on a request that is otherwise whole.

        Raises Refused or Lost where it must ask somebody first and cannot, ProviderDisabled where
        that somebody does not know us.
        """


@dataclass(frozen=True, slots=True)
class Header:
    """A secret in a header, as it is or within a form like `Bearer {}`."""

    name: str
    form: str = "{}"
    setting: str = "KEY"
    optional: tuple[str, ...] = ()
    public: tuple[str, ...] = ()
    beside: tuple[tuple[str, str], ...] = ()
    """Headers that the vendor wants with it: a version, a manner of answering."""

    @property
    def required(self) -> tuple[str, ...]:
        """See Scheme."""
        return (self.setting,)

    def problem(self, account: Account) -> str:
        """See Scheme."""
        return "" if self.setting in account.settings else NOT_SET_UP

    async def sign(self, outgoing: Outgoing, account: Account, exchange: Exchange) -> None:
        """See Scheme."""
        outgoing.headers[self.name] = self.form.format(account.settings[self.setting])
        outgoing.headers.update(self.beside)


def bearer(setting: str = "KEY", **beside: str) -> Header:
    """Return the scheme of RFC 6750: `Authorization: Bearer <secret>`, and headers beside it."""
    named = tuple((name.replace("_", "-"), value) for name, value in beside.items())
    return Header("authorization", "Bearer {}", setting, beside=named)


@dataclass(slots=True)
class Account:
    """An account with a vendor: its settings, and what was minted from them."""

    vendor: str
    settings: Mapping[str, str]
    public: frozenset[str] = frozenset()
    """Settings of it that are no secret."""
    name: str = DEFAULT
    is_own: bool = False
    """Whether it is a workspace's: it pays the vendor itself, and nobody else calls under it."""
    _minted: dict[str, tuple[str, float]] = field(default_factory=dict)
    _old: deque[str] = field(default_factory=lambda: deque(maxlen=OLD_TOKENS))
    """Tokens that are not used any more, but may be in an answer that is still on its way."""
    _minting: dict[str, asyncio.Lock] = field(default_factory=dict)
    _secrets: list[bytes] | None = field(default=None, compare=False, repr=False)
    """As `secrets` has them; None since one was minted or forgotten."""

    async def minted(self, name: str, mint: Callable[[], Awaitable[tuple[str, float]]]) -> str:
        """Return the token of that name; `mint` makes one with the seconds that it lasts."""
        if (kept := self._kept(name)) is not None:
            return kept
        # A lock belongs to a loop; a process of the worker has one loop after the other.
        lock = self._minting.setdefault(f"{name} {id(asyncio.get_running_loop())}", asyncio.Lock())
        async with lock:
            if (kept := self._kept(name)) is not None:
                return kept
            token, seconds = await mint()
            if name in self._minted:
                self._old.append(self._minted[name][0])
            self._minted[name] = token, time.monotonic() + seconds
            self._secrets = None
            return token

    def _kept(self, name: str) -> str | None:
        token, end = self._minted.get(name, ("", 0.0))
        return token if end - time.monotonic() > FRESH_SECONDS else None

    def forget_minted(self) -> None:
        """Have the next request signed anew: the vendor did not take the token."""
        self._old.extend(token for token, _ in self._minted.values())
        self._minted.clear()
        self._secrets = None

    def secrets(self) -> list[bytes]:
        """Return what must not be seen in an answer, the longest first."""
        if self._secrets is None:
            values = [value for name, value in self.settings.items() if name not in self.public]
            values += [*(token for token, _ in self._minted.values()), *self._old]
            found = {value.encode() for value in values if len(value) >= SHORTEST_SECRET}
            self._secrets = sorted(found, key=len, reverse=True)
        return self._secrets

    def redacted(self, body: bytes) -> bytes:
        """Return an answer without our secrets, each covered by as many asterisks."""
        for secret in self.secrets():
            if secret in body:
                body = body.replace(secret, b"*" * len(secret))
        return body


class Redactor:
    """Covers secrets in a stream, also where one is cut by the end of a part."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._left = b""

    def feed(self, part: bytes) -> bytes:
        """Return what may pass on; what may be the beginning of a secret stays until more comes."""
        clean = self._account.redacted(self._left + part)
        cut = len(clean) - max(map(partial(_begun, clean), self._account.secrets()), default=0)
        self._left = clean[cut:]
        return clean[:cut]

    def end(self) -> bytes:
        """Return what stayed."""
        return self._left


def _begun(part: bytes, secret: bytes) -> int:
    """Return how many bytes at the end of a part are how the secret begins."""
    tail = part[-(len(secret) - 1) :]
    at = tail.find(secret[0])
    while at >= 0:
        if secret.startswith(tail[at:]):
            return len(tail) - at
        at = tail.find(secret[0], at + 1)
    return 0


@from_settings
def account_of(vendor: str, secret: tuple[str, ...], public: tuple[str, ...]) -> Account:
    """Return the operator's account with a vendor, with those settings that are there."""
    given = {name: _setting(f"VENDOR_{vendor.upper()}_{name}") for name in (*secret, *public)}
    return Account(
        vendor, {name: value for name, value in given.items() if value}, frozenset(public)
    )


def settings_of(scheme: Scheme) -> tuple[str, ...]:
    """Return the names of all settings that a scheme reads."""
    return (*scheme.required, *scheme.optional, *scheme.public)


def _setting(name: str) -> str:
    return str(settings.VENDOR_SETTINGS.get(name, ""))
