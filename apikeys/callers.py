"""Who calls: what a credential says, and the SQL that finds out who that is.

Whoever needs to know (place a hold, poll a job, pass an upload) asks in its own statement, so what
ends a key or a sign-in ends it at every door with the next statement.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from django.conf import settings

from accounts import signins, tokens
from apikeys import keys
from common import addresses
from credits.books import limits
from credits.books.batches import Payer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from accounts.tokens import Claims

COLUMNS = "digest bytea, sid uuid, workspace uuid, address inet"
"""What a statement that knows callers is asked with: the fields of `Asked`."""

FIND = f"""
    LEFT JOIN LATERAL (
        SELECT key.id, 'key' AS kind, key.workspace_id, key.user_id, key.scopes,
               key.allowed_vendors, key.allowed_networks, key.call_limit_micros,
               workspace.allowed_vendors AS of_workspace, seat.id AS seat_id,
               seat.budgets_until AS seat_until, key.budgets_until,
               seat.budgets || key.budgets AS budgets, key.family, key.requests_per_minute,
               key.project, key.run_id
        {keys.LIVING} AND key.digest = asked.digest
         UNION ALL
        SELECT signin.id, 'token', signin.workspace_id, signin.user_id,
               '{{{",".join(tokens.SCOPES)}}}', NULL, NULL, NULL,
               workspace.allowed_vendors, seat.id, seat.budgets_until, 'infinity', seat.budgets,
               signin.id, NULL, NULL, NULL
        {signins.LIVING} AND signin.id = asked.sid AND signin.workspace_id = asked.workspace
         LIMIT 1
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
    # A document has no field without a name: of nobody it is a field that nobody reads.
    memo="asked.memo || jsonb_build_object(coalesce(caller.kind, 'key'), caller.id,"
    " 'user', caller.user_id, 'project', caller.project)"
    " || CASE WHEN caller.run_id IS NULL THEN '{}' ELSE jsonb_build_object('run', caller.run_id)"
    " END",
    facts="CASE WHEN caller.kind = 'key' THEN caller.id::text END",
    budgets="caller.budgets",
    slots=limits.of_wallet(settings.CONCURRENCY_TIERS),
)
"""Who pays for a call: the workspace of the caller, if it may. See credits/books/batches.py.

A hold's memo names the key or the sign-in (`token`) that placed it, and the key's project. What is
called by the key of a run is the run's, whatever its machine calls it.
"""


class Asked(TypedDict):
    """One way to look for a caller, as its statement is asked."""

    digest: str | None
    sid: str | None
    workspace: str | None
    address: str | None


@dataclass(slots=True)
class Caller:
    """Who calls, as far as the request itself tells: by a key, or by a token."""

    address: str | None
    """From where; None if that cannot be told."""
    digests: tuple[bytes, ...] = ()
    """Of its key, that of the pepper that makes new ones first."""
    key_name: bytes = b""
    """A digest of its key that no secret of ours is part of, and that is nowhere looked up by."""
    token: Claims | None = None

    @property
    def name(self) -> bytes:
        """The same for every request of this caller, and for nobody else's.

        Of a token it is the sign-in's: a node renews its token between two tries. Of a key it is
        by no pepper: a repeat finds its intention, whichever has taken over meanwhile.
        """
        if self.token is None:
            return self.key_name
        return self.token.sid.bytes + self.token.workspace_id.bytes

    @property
    def label(self) -> str:
        """Whose share of the memory its bodies take."""
        return f"{'key' if self.token is None else 'token'} {self.name.hex()}"

    def asked(self) -> Sequence[Asked]:
        """Return what to ask, one after the other, until one is known."""
        if self.token is not None:
            sid, workspace = str(self.token.sid), str(self.token.workspace_id)
            return [
                {"digest": None, "sid": sid, "workspace": workspace, "address": self.address},
            ]
        return [
            {
                "digest": "\\x" + digest.hex(),
                "sid": None,
                "workspace": None,
                "address": self.address,
            }
            for digest in self.digests
        ]


def by_key(key: str, address: str) -> Caller:
    """Return who calls with a key; raise Unauthorized if it is none."""
    digests = tuple(keys.digests(key))
    name = hashlib.sha256(b"caller\0" + key.encode()).digest()
    return Caller(addresses.plain(address), digests, name)


def by_token(claims: Claims, address: str) -> Caller:
    """Return who calls with a token that was verified."""
    return Caller(addresses.plain(address), token=claims)
