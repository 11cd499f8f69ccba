"""The accounts with vendors that a process knows: the environment's, and those that are written.

What staff and owners write (vendor_accounts.py) is kept here in memory, sealed, and read again
within seconds of a change; no call asks the database for it. An account that failed lately is
resting: others come first, here at once, and in all processes within seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson
from nacl.exceptions import CryptoError

from common import logs, sealing
from common.errors import ProviderDisabled, Unavailable
from proxy.credentials import DEFAULT, NOT_SET_UP, Account, settings_of
from usage import record

if TYPE_CHECKING:
    from proxy.books import Books
    from proxy.catalogue import Operation, Route, Vendor
    from proxy.credentials import Scheme

PURPOSE = b"accounts with vendors"
RENEW_SECONDS = 2.0
MOST_REST_SECONDS = 60
"""Whatever another process says."""
OWN = record.OWN_ACCOUNT
"""What a workspace's own account is called, wherever accounts are named."""

RESTING = "vendor-accounts:resting"
"""The entry of the shared cache that says which rest, and until when; it is lost with a crash."""
NEWS = """
    SELECT (SELECT coalesce(max(number), 0) FROM proxy_vendorrevision),
           (SELECT value::text FROM shared_cache WHERE key = %s AND expires_at > now()),
           extract(epoch FROM now())::float8
"""
REST = """
    INSERT INTO shared_cache AS had (key, value, expires_at)
    VALUES (%s, jsonb_build_object(%s::text, extract(epoch FROM now()) + %s::float8),
            now() + %s::float8 * interval '1 second')
        ON CONFLICT (key) DO UPDATE
       SET value = CASE WHEN had.expires_at > now() THEN had.value ELSE '{}' END || excluded.value,
           expires_at = greatest(had.expires_at, excluded.expires_at)
"""
"""Have all processes know that one rests: of a whole minute of refusals it is said once."""
ACCOUNTS = """
    SELECT vendor, coalesce(workspace_id::text, ''), name, weight, sealed,
           off_reason <> '' OR removed_at IS NOT NULL
      FROM proxy_vendoraccount
"""
SWITCHES = "SELECT vendor, operation, sentence FROM proxy_vendorswitch"


@dataclass(frozen=True, slots=True)
class Stored:
    """An account as it is written; nothing of it is open."""

    vendor: str
    workspace: str
    """Whose own it is; empty: the operator's."""
    name: str
    weight: int
    sealed: str
    is_off: bool


class Vault:
    """What one process knows of accounts and switches."""

    def __init__(self) -> None:
        self._revision = -1
        self._of: dict[str, dict[str, Stored]] = {}
        self._own: dict[str, dict[str, Stored]] = {}
        self._off: dict[tuple[str, str], str] = {}
        self._resting: dict[tuple[str, str], float] = {}

    # --- Knowing ----------------------------------------------------------------------------

    async def renew(self, books: Books) -> None:
        """Read what was written, if anything was since; raises Unavailable while it cannot."""
        ((revision, resting, now),) = await books.query(NEWS, RESTING)
        if revision == self._revision:
            self._let_rest(resting, now)
            return
        of: dict[str, dict[str, Stored]] = {}
        own: dict[str, dict[str, Stored]] = {}
        for row in await books.query(ACCOUNTS):
            stored = Stored(*row)
            place, name = (own, stored.workspace) if stored.workspace else (of, stored.name)
            place.setdefault(stored.vendor, {})[name] = stored
        off = {(vendor, path): told for vendor, path, told in await books.query(SWITCHES)}
        if of != self._of:
            self._resting = {}  # Somebody has mended something: all are tried anew.
        self._of, self._own, self._off, self._revision = of, own, off, revision
        self._let_rest(resting, now)

    async def ready(self, books: Books) -> None:
        """Know what is written before the first use: what staff switched off is off."""
        if self._revision < 0:
            await self.renew(books)

    async def keep(self, books: Books) -> None:
        """Read what was written, now and every few seconds; what is known stays while it cannot."""
        told = False
        while True:
            try:
                await self.renew(books)
                told = False
            except Unavailable:
                if not told:
                    logs.line(level="warning", event="vendor_accounts_not_read")
                told = True
            await asyncio.sleep(RENEW_SECONDS)

    # --- Off --------------------------------------------------------------------------------

    def require_on(self, route: Route) -> None:
        """Raise ProviderDisabled, with the sentence of staff, if they switched this off."""
        if not self._off:
            return
        vendor = route.vendor.name
        told = self._off.get((vendor, "")) or self._off.get((vendor, route.operation.path))
        if told is not None:
            raise ProviderDisabled(told)

    def require_any(self, route: Route) -> None:
        """Raise ProviderDisabled where nobody has an account that could sign this."""
        if route.vendor.name not in self._own:
            self.in_order(route.vendor, route.operation)

    # --- Accounts ---------------------------------------------------------------------------

    def has_written(self, vendor: str) -> bool:
        """Whether there is, or was, an account beside the environment's."""
        return vendor in self._of or vendor in self._own

    def has_own(self, vendor: str) -> bool:
        """Whether some workspace has an account of its own with that vendor."""
        return vendor in self._own

    def in_order(self, vendor: Vendor, operation: Operation) -> list[Account]:
        """Return the operator's accounts, the one to try first at the front.

        By weight and chance; those that rest come last. Raises ProviderDisabled if there is none.
        """
        written = self._of.get(vendor.name)
        if written is None:
            return [vendor.account(operation)]
        stated = {DEFAULT: Stored(vendor.name, "", DEFAULT, 100, "", is_off=False), **written}
        found = [
            (self.is_resting(account), -(random.random() ** (1 / each.weight)), account)  # noqa: S311 - it spreads work
            for each in stated.values()
            if not each.is_off and (account := _account(each, vendor, operation)) is not None
        ]
        if not found:
            raise ProviderDisabled(f"{vendor.display} {NOT_SET_UP}")
        return [account for *_, account in sorted(found, key=lambda one: one[:2])]

    def own(self, vendor: Vendor, operation: Operation, workspace: str) -> Account | None:
        """Return a workspace's own account; None if it has none.

        Raises ProviderDisabled if it has one that cannot sign this: another is not taken for it.
        """
        stored = self._own.get(vendor.name, {}).get(workspace)
        if stored is None or stored.is_off:
            return None
        account = _account(stored, vendor, operation)
        if account is None:
            raise ProviderDisabled(
                f"Your workspace's own account with {vendor.display} lacks what this operation "
                "needs. Its owner can give it anew, or remove it."
            )
        return account

    def named(
        self, vendor: Vendor, operation: Operation, name: str, *, workspace: str
    ) -> Account | None:
        """Return the account under which something was made, also one that gets no new calls.

        None if it is there no more.
        """
        if name == OWN:
            stored = self._own.get(vendor.name, {}).get(workspace)
        else:
            stored = self._of.get(vendor.name, {}).get(name)
            if name == DEFAULT:
                stored = Stored(vendor.name, "", DEFAULT, 100, "", is_off=False)
        return None if stored is None else _account(stored, vendor, operation)

    # --- Resting ----------------------------------------------------------------------------

    def rest(self, account: Account, seconds: float) -> bool:
        """Let an account come last for a while; False if it does already."""
        was = self.is_resting(account)
        self._resting[account.vendor, account.name] = time.monotonic() + seconds
        return not was

    async def tell(self, books: Books, account: Account, seconds: float) -> None:
        """Have the other processes let it rest, too; while the books are away each learns it."""
        named = f"{account.vendor}/{account.name}"
        with contextlib.suppress(Unavailable):
            await books.query(REST, RESTING, named, seconds, seconds)

    def _let_rest(self, told: str | None, now: float) -> None:
        for named, until in orjson.loads(told or "{}").items():
            vendor, _, name = named.partition("/")
            ends = time.monotonic() + min(until - now, MOST_REST_SECONDS)
            if ends > self._resting.get((vendor, name), 0.0):
                self._resting[vendor, name] = ends

    def is_resting(self, account: Account) -> bool:
        """Whether it failed lately."""
        return self._resting.get((account.vendor, account.name), 0.0) > time.monotonic()


def _account(stored: Stored, vendor: Vendor, operation: Operation) -> Account | None:
    """Return the account that a row stands for, if it can sign the operation."""
    scheme = vendor.scheme(operation)
    if stored.name == DEFAULT:
        try:
            return vendor.account(operation)
        except ProviderDisabled:
            return None
    if not stored.sealed:
        return None
    is_own = bool(stored.workspace)
    account = _opened(vendor.name, stored.name, is_own, stored.sealed, *_names(scheme))
    return None if account is None or scheme.problem(account) else account


def _names(scheme: Scheme) -> tuple[tuple[str, ...], frozenset[str]]:
    return settings_of(scheme), frozenset(scheme.public)


@functools.lru_cache(maxsize=4096)
def _opened(
    vendor: str,
    name: str,
    is_own: bool,
    sealed: str,
    wanted: tuple[str, ...],
    public: frozenset[str],
) -> Account | None:
    """Return an opened account, the same as long as its row is: its minted tokens are kept in it.

    None if no pepper opens it.
    """
    given = _unsealed(sealed, vendor, name)
    if given is None:
        return None
    settings = {key: value for key, value in given.items() if key in wanted}
    return Account(vendor, settings, public, name, is_own=is_own)


def _unsealed(sealed: str, vendor: str, name: str) -> dict[str, str] | None:
    try:
        given: dict[str, str] = orjson.loads(sealing.unseal(sealed, purpose=PURPOSE))
    except (ValueError, KeyError, CryptoError) as exc:  # It was changed, or its pepper is gone.
        why = type(exc).__name__
        logs.line(
            level="error", event="vendor_account_sealed", vendor=vendor, account=name, why=why
        )
        return None
    return given


def sealed(given: dict[str, str]) -> str:
    """Return settings as a row keeps them."""
    return sealing.seal(orjson.dumps(given).decode(), purpose=PURPOSE)


def opens(sealed: str) -> bool:
    """Whether a pepper that we have opens it."""
    return _unsealed(sealed, "", "") is not None


def names(sealed: str, *, vendor: str, name: str) -> tuple[str, ...]:
    """Return which settings a row holds; none where no pepper opens it."""
    return tuple(sorted(_unsealed(sealed, vendor, name) or ()))
