"""Who calls: what a credential says, and the SQL that finds out who that is.

Whoever needs to know (place a hold, poll a job, pass an upload) asks in its own statement, so what
ends a key ends it at every door with the next statement.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from django.conf import settings

from apikeys import keys
from common import addresses
from credits.books import limits
from credits.books.batches import Payer

if TYPE_CHECKING:
    from collections.abc import Sequence

COLUMNS = "digest bytea, address inet"
"""What a statement that knows callers is asked with: the fields of `Asked`."""

FIND = f"""
    LEFT JOIN LATERAL (
        SELECT key.id, key.workspace_id, key.user_id, key.scopes, key.allowed_vendors,
               key.allowed_networks, key.call_limit_micros,
               workspace.allowed_vendors AS of_workspace, seat.id AS seat_id,
               seat.budgets_until AS seat_until, key.budgets_until,
               seat.budgets || key.budgets AS budgets, key.family, key.requests_per_minute
        {keys.LIVING} AND key.digest = asked.digest LIMIT 1
    ) caller ON true
"""
"""Whom the row `asked` names, as `caller`: all null if that is nobody who may act."""

ELSEWHERE = """
    (caller.allowed_networks IS NOT NULL
     AND (asked.address <<= ANY (caller.allowed_networks)) IS NOT TRUE)
"""
"""Whether the caller asks from where it may not; an address that is not known is such a place."""

PAYER = Payer(
    columns=f"{COLUMNS}, vendor text",
    join=FIND,
    wallet="caller.workspace_id",
    refusal=f"""
        CASE WHEN caller.id IS NULL THEN 'unauthorized'
             WHEN {ELSEWHERE} THEN 'network'
             WHEN NOT 'proxy' = ANY (caller.scopes) THEN 'scope'
             WHEN NOT asked.vendor = ANY (caller.allowed_vendors) THEN 'vendor'
             WHEN NOT asked.vendor = ANY (caller.of_workspace) THEN 'vendor_here'
             WHEN asked.amount > caller.call_limit_micros THEN 'call_limit'
        END
    """,
    memo="asked.memo || jsonb_build_object('key', caller.id, 'user', caller.user_id)",
    facts="caller.id::text",
    budgets="caller.budgets",
    slots=limits.of_wallet(settings.CONCURRENCY_TIERS),
)
"""Who pays for a call: the workspace of the caller, if it may. See credits/books/batches.py."""


class Asked(TypedDict):
    """One way to look for a caller, as its statement is asked."""

    digest: str | None
    address: str | None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, as far as the request itself tells."""

    digests: tuple[bytes, ...]
    """Of its key, newest pepper first."""
    address: str | None
    """From where; None if that cannot be told."""

    @property
    def name(self) -> bytes:
        """The same for every request of this caller, and for nobody else's."""
        return self.digests[0]

    @property
    def label(self) -> str:
        """Whose share of the memory its bodies take."""
        return f"key {self.digests[0].hex()}"

    def asked(self) -> Sequence[Asked]:
        """Return what to ask, one after the other, until one is known."""
        return [
            {"digest": "\\x" + digest.hex(), "address": self.address} for digest in self.digests
        ]


def by_key(key: str, address: str) -> Caller:
    """Return who calls with a key; raise Unauthorized if it is none."""
    return Caller(tuple(keys.digests(key)), addresses.plain(address))
