"""Connections of the hot path, beside Django's: same database, planner pinned.

And what an error of the database means to who asked: the fault of the ask, or a bad moment. In a
bad moment (the server is away, full, only read from, undid a deadlock) a statement took no effect
and may be sent again as it is. Only where the connection was lost meanwhile nobody knows.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import select
import socket
import sys
from typing import TYPE_CHECKING, Any

import psycopg
from django import db as django_db
from django.db import connections
from psycopg import AsyncConnection

if TYPE_CHECKING:
    from collections.abc import Iterator

Db = AsyncConnection[tuple[Any, ...]]
log = logging.getLogger(__name__)

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
HEARD_SECONDS = 8
"""A server that is silent for longer lets no statement take so long (`statement_timeout`): it
stands still, or its machine is gone without a word."""
OF_DJANGO = ("context", "cursor_factory", "prepare_threshold")

UNDONE = ("40P01", "40001")
"""A deadlock, or rows that changed meanwhile: another transaction was in the way, and is over."""
RACED = (*UNDONE, "23505")
"""Or its row came first: to a statement that begins now it was always there."""
TRIES = 4
SLOW = ("55P03", "57014")
"""Waiting for a lock, or working, took longer than it may."""
READ_ONLY = "25006"
AWAY = ("08", "53", "57P", "58", READ_ONLY)
"""How the states begin of a server that can do nothing now: gone, full, out of something."""


def give_back() -> None:
    """Let others have this thread's connection, unless a transaction is open, as in a test."""
    if not connections["default"].in_atomic_block:
        connections["default"].close()


async def connect() -> Db:
    """Open an autocommit connection for one lane; the caller closes it.

    All that settings and DATABASE_URL say of connections holds here as for Django.
    """
    given = connections["default"].get_connection_params()
    options = {name: value for name, value in given.items() if name not in OF_DJANGO}
    db = await AsyncConnection.connect(**options, autocommit=True, prepare_threshold=0)
    try:
        for statement in SESSION:
            with _heard(db):
                await db.execute(statement, prepare=False)
    except BaseException:
        await db.close()
        raise
    return db


async def rows(db: Db, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """Run one statement in its own transaction; return its rows (empty where it has none).

    If another transaction was in the way it is run again: to a twin that came first it is then
    the second, and says so by its own words.
    """
    for left in reversed(range(TRIES)):
        try:
            with _heard(db):
                cursor = await db.execute(statement, parameters)
            return await cursor.fetchall() if cursor.description else []
        except psycopg.Error as exc:
            if not left or exc.sqlstate not in RACED:
                raise
        await asyncio.sleep(random.uniform(0, 0.02))  # noqa: S311 - not both at once again
    raise AssertionError("the last try returns or raises")


@contextlib.contextmanager
def _heard(db: Db) -> Iterator[None]:
    """Have what is asked within fail as a lost connection, unless the server is heard in time.

    Keepalives tell of a machine that is gone, not of a server that stands still on a living one.
    """
    loop = asyncio.get_running_loop()
    timer = loop.call_later(HEARD_SECONDS, lambda: look())

    def look() -> None:
        nonlocal timer
        if has_said(db):  # It is we who were slow to listen.
            timer = loop.call_later(HEARD_SECONDS, look)
        else:
            _hang_up(db)

    try:
        yield
    finally:
        timer.cancel()


def has_said(db: Db) -> bool:
    """Whether something came from the server that nobody has read yet, or its end."""
    poll = select.poll()
    poll.register(db.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _hang_up(db: Db) -> None:
    """End our side of a connection, so that whoever waits for the other hears that it ended."""
    log.warning("the database was silent for %s seconds: its connection is given up", HEARD_SECONDS)
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(db.fileno())) as way:
        way.shutdown(socket.SHUT_RDWR)


def is_slow(error: BaseException) -> bool:
    """Whether a limit of time ended the statement: that may be one row's fault."""
    return _state(error) in SLOW


def is_away(error: BaseException) -> bool:
    """Whether the database can do nothing just now, whoever asks it for what."""
    state = _state(error)
    if state is None:  # It is not the server that says so: there is none, or no way to it.
        away = (psycopg.OperationalError, django_db.OperationalError, django_db.InterfaceError)
        return isinstance(error, away)
    return state.startswith(AWAY)


def is_passing(error: BaseException) -> bool:
    """Whether the same may succeed in a moment: nothing is wrong with what was asked."""
    return is_away(error) or is_slow(error) or _state(error) in UNDONE


def is_cache_away(error: BaseException) -> bool:
    """Whether an error says that Redis, where tries are counted by setting, does not answer."""
    redis = sys.modules.get("redis.exceptions")  # Who counts in the database never loads it.
    return redis is not None and isinstance(error, redis.ConnectionError | redis.TimeoutError)


def is_read_only(error: BaseException) -> bool:
    """Whether the connection leads to a server that takes no writes, as after a failover."""
    return _state(error) == READ_ONLY


def _state(error: BaseException) -> str | None:
    """Return the SQLSTATE of an error of psycopg's, or of Django's that stands for one."""
    if isinstance(error, django_db.Error):
        error = error.__cause__ or error
    return getattr(error, "sqlstate", None)
