"""Members with a wallet and a key each, through the real tables: `python -m bench.accounts N`.

After these N come those under limits (limits.py).

Number and key belong together by a rule, so that the load generator needs no list.
"""

from __future__ import annotations

import hashlib
import sys
import uuid
import zlib
from collections.abc import Iterable
from typing import Any

from bench import limits

BALANCE_MICROS = 10**12
LOOKED_UP = "9999-01-01Z"
"""Until when a key is known to be under no budget, as its first call writes it down."""


def key(number: int) -> str:
    """Return the key of a member: well-formed, and no secret at all."""
    head = "comfyui-" + hashlib.sha256(b"bench %d" % number).hexdigest()[:56]
    return f"{head}{zlib.crc32(head.encode()):08x}"


def main() -> None:
    """Fill an empty, migrated database; its wallets, entries and numbers agree."""
    import django

    django.setup()
    from django.db import connection

    count = int(sys.argv[1])
    numbers = range(1, count + limits.MEMBERS + 1)
    with connection.cursor() as cursor:
        for table, rows in tables(numbers):
            names = list(next(iter(rows)))
            statement = f"COPY {table} ({', '.join(names)}) FROM STDIN"
            with cursor.copy(statement) as copy:
                for row in rows:
                    copy.write_row(list(row.values()))
        cursor.execute(
            "INSERT INTO credits_lot (entry_id, wallet_id, kind, amount_micros, left_micros)"
            " SELECT id, credit_id, 'granted', amount_micros, amount_micros FROM credits_entry"
        )
        cursor.execute("CREATE TABLE bench_key (n int PRIMARY KEY, digest bytea NOT NULL)")
        cursor.execute(
            "INSERT INTO bench_key SELECT name::int, digest FROM apikeys_apikey",
        )
        limits.rule(cursor, after=count)
        cursor.execute("VACUUM ANALYZE")


def tables(numbers: range) -> Iterable[tuple[str, list[dict[str, Any]]]]:
    """Yield each table with its rows, in the order of their references."""
    from apikeys import keys
    from credits.models import HOUSE, Account

    yield (
        "accounts_user",
        [
            {
                "id": _id("user", n),
                "password": "!",
                "is_superuser": False,
                "email": f"member-{n}@bench.example",
                "name": f"Member {n}",
                "is_active": True,
                "is_staff": False,
                "updated_at": "now",
            }
            for n in numbers
        ],
    )
    yield (
        "credits_account",
        [
            {
                "id": _id("wallet", n),
                "kind": "wallet",
                "balance_micros": BALANCE_MICROS,
                "events": 1,
            }
            for n in numbers
        ],
    )
    yield (
        "credits_entry",
        [
            {
                "kind": "grant",
                "debit_id": HOUSE[Account.Kind.PROMOTION],
                "credit_id": _id("wallet", n),
                "amount_micros": BALANCE_MICROS,
                "key": f"grant:bench-{n}",
                "event_wallet_id": _id("wallet", n),
                "event_number": 1,
            }
            for n in numbers
        ],
    )
    yield (
        "accounts_workspace",
        [
            {
                "id": _id("wallet", n),
                "kind": "personal",
                "name": "Personal",
                "personal_of_id": _id("user", n),
            }
            for n in numbers
        ],
    )
    yield (
        "accounts_membership",
        [
            {
                "workspace_id": _id("wallet", n),
                "user_id": _id("user", n),
                "role": "owner",
                "budgets_until": LOOKED_UP,
            }
            for n in numbers
        ],
    )
    yield (
        "apikeys_apikey",
        [
            {
                "id": _id("key", n),
                "workspace_id": _id("wallet", n),
                "user_id": _id("user", n),
                "name": str(n),
                "description": "",
                "prefix": key(n)[:16],
                "digest": keys.digest(key(n), 1),
                "family": _id("key", n),
                "pepper_version": 1,
                "scopes": ["proxy", "usage:read"],
                "budgets_until": LOOKED_UP,
            }
            for n in numbers
        ],
    )


def _id(kind: str, number: int) -> uuid.UUID:
    return uuid.UUID(bytes=hashlib.sha256(f"{kind} {number}".encode()).digest()[:16], version=4)


if __name__ == "__main__":
    main()
