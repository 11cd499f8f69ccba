"""What must be there before a program of ours can do its work, each told in one line.

A web process, a worker and a command ask before they begin: somebody who set a machine up wrongly
reads what to do, not a trace.
"""

from __future__ import annotations

import sys
from typing import Any

import psycopg
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connection, connections
from django.db.migrations.executor import MigrationExecutor

CONNECT_SECONDS = 5
ENCODING = "UTF8"
NOT_MIGRATED = "the database is not migrated: run manage.py migrate (or python -m config.manage)."


def require_settings(program: str) -> None:
    """End with status 1 and a line for each setting that is missing or wrong."""
    from django.conf import settings

    try:
        _ = settings.DATABASES
    except ImproperlyConfigured as exc:
        stop(program, str(exc))


def require_database(program: str) -> None:
    """End with status 1 and one line unless the database can be worked with.

    Nothing stays open: a worker forks its beat, which must not use its connections.
    """
    problem = obstacle()
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]  # PostgreSQL's has one.
    if problem:
        stop(program, problem)


def stop(program: str, sentences: str) -> None:
    """Say on stderr why, each line with the program's name, and end with status 1."""
    for sentence in sentences.splitlines():
        print(f"{program}: {sentence}", file=sys.stderr)  # noqa: T201
    sys.exit(1)


def obstacle() -> str:
    """Return the first thing that keeps us from working with the database; empty: nothing does."""
    if problem := unreachable():
        return problem
    try:
        return NOT_MIGRATED if unmigrated() else ""
    except DatabaseError as exc:
        return f"the database cannot be reached: {first_line(exc)}"


def unreachable() -> str:
    """Return why the database cannot be used, whatever is in it; empty if it can be.

    A connection of its own is opened: a pool would only say that it waited in vain.
    """
    try:
        with connect() as db:
            encoding = encoding_of(db)
    except psycopg.Error as exc:
        return f"the database cannot be reached: {first_line(exc)}"
    if encoding != ENCODING:
        return (
            f"the database's encoding is {encoding}, and texts would be bytes: make one with"
            f" CREATE DATABASE ... ENCODING '{ENCODING}' TEMPLATE template0."
        )
    return ""


def connect() -> psycopg.Connection[Any]:
    """Open a connection with the settings' own options, within seconds."""
    parameters = connections["default"].get_connection_params()
    opened: psycopg.Connection[Any] = psycopg.connect(
        **{"connect_timeout": CONNECT_SECONDS, **parameters}
    )
    return opened


def encoding_of(db: psycopg.Connection[Any]) -> str:
    """Return the encoding of a database, which is what its texts are compared in."""
    row = db.execute("SHOW server_encoding").fetchone()
    assert row is not None, "SHOW answers one row"
    shown = row[0]
    return shown.decode() if isinstance(shown, bytes) else str(shown)


def unmigrated() -> bool:
    """Whether a migration of this code was not applied."""
    executor = MigrationExecutor(connection)
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def reason(exc: BaseException) -> str:
    """Return what an operator can mend, if that is why something failed; empty if it is not."""
    if isinstance(exc, ImproperlyConfigured):
        return str(exc)
    if isinstance(exc.__cause__, psycopg.errors.UndefinedTable | psycopg.errors.UndefinedColumn):
        return obstacle()
    if isinstance(exc.__cause__, psycopg.OperationalError):
        return unreachable() or f"the database: {first_line(exc)}"
    return ""


def first_line(exc: BaseException) -> str:
    """Return what an error says, in one line."""
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
    return lines[0] if lines else type(exc).__name__
