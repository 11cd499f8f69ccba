"""Connections of the hot path, beside Django's: same database, planner pinned."""

from __future__ import annotations

from typing import Any

from django.db import connections
from psycopg import AsyncConnection

Db = AsyncConnection[tuple[Any, ...]]

# A batch statement is planned once per connection and must keep its plan: the table of open holds
# is almost empty whenever statistics are taken, and a planner that knows that reads it whole.
# The limits keep one slow or locked row from standing in everybody's way.
SESSION = (
    "SET plan_cache_mode = force_generic_plan",
    "SET jit = off",
    "SET enable_seqscan = off",
    "SET enable_mergejoin = off",
    "SET statement_timeout = '5s'",
    "SET lock_timeout = '2s'",
    "SET idle_in_transaction_session_timeout = '10s'",
)


async def connect() -> Db:
    """Open an autocommit connection for one lane; the caller closes it."""
    settings = connections["default"].settings_dict
    options = {k: v for k, v in settings["OPTIONS"].items() if k not in ("pool", "context")}
    parameters = {
        "dbname": settings["NAME"],
        "user": settings["USER"],
        "password": settings["PASSWORD"],
        "host": settings["HOST"],
        "port": settings["PORT"],
    }
    db = await AsyncConnection.connect(
        **{name: value for name, value in parameters.items() if value},
        **options,
        autocommit=True,
        prepare_threshold=0,
        connect_timeout=5,
    )
    for statement in SESSION:
        await db.execute(statement, prepare=False)
    return db
