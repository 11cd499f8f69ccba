"""The played clock: all that takes part in the half year reads the same shifted time.

    programs    `python -m local.halfyear.shifted MODULE ...`: time.time() and timezone.now() of a
                process, shifted by what stands in a file that they all have mapped
    PostgreSQL  functions `played.now()` and their like, which stand before PostgreSQL's own in
                that one database's search path; columns that default to the time ask them, too

What was written then has the time that it was written at, as everything that was derived from it:
nothing is moved afterwards. `end` takes all of it out of the database again.
"""

from __future__ import annotations

import mmap
import re
import struct
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import conninfo, sql

FORMAT = struct.Struct("q")
SCHEMA = "played"
NAMES = ("now", "transaction_timestamp", "statement_timestamp", "clock_timestamp")
BEGIN = """
CREATE SCHEMA played;
CREATE TABLE played.clock (shift interval NOT NULL);
INSERT INTO played.clock VALUES (interval '0');
CREATE TABLE played.defaults (place regclass, field name, said text);
CREATE TABLE played.paths (function regprocedure, said text);
"""
FUNCTION = """
CREATE FUNCTION played.{name}() RETURNS timestamptz LANGUAGE plpgsql {kind} AS $$
BEGIN RETURN (SELECT pg_catalog.{name}() + shift FROM played.clock); END $$
"""
DEFAULTS = """
    SELECT attrelid::regclass::text, attname, pg_get_expr(adbin, adrelid)
      FROM pg_attrdef JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum
      JOIN pg_class ON pg_class.oid = adrelid
     WHERE relnamespace = 'public'::regnamespace AND attgenerated = ''
"""
PATHS = """
    SELECT pg_proc.oid::regprocedure::text, substr(config, length('search_path=') + 1)
      FROM pg_proc, unnest(proconfig) config
     WHERE pronamespace = 'public'::regnamespace AND config LIKE 'search_path=%'
"""
PATH = "public, played, pg_catalog"
"""Public first: what is made is made there. It has none of these functions."""
TIMES = re.compile(rf"\b(?:pg_catalog\.)?({'|'.join(NAMES)})\(\)", re.IGNORECASE)


class Clock:
    """The time of a play, set from one place; it goes on by itself from wherever it was set."""

    def __init__(self, file: Path, database: str) -> None:
        """Begin with the true time, in programs alone; `begin` has the database take part."""
        self.file = file
        file.write_bytes(FORMAT.pack(0))
        self._view = mapped(file)
        self._database = database
        self._connection: Any = None

    def begin(self, at: datetime) -> None:
        """Have the database take part, from now on and for whoever connects from now on."""
        name = str(conninfo.conninfo_to_dict(self._database)["dbname"])
        self._connection = psycopg.connect(self._database, autocommit=True)
        with self._connection.transaction():
            self._connection.execute(BEGIN)
            for each in NAMES:
                kind = "VOLATILE" if each == "clock_timestamp" else "STABLE"
                self._connection.execute(FUNCTION.format(name=each, kind=kind))
            self._shift_defaults()
            self._shift_paths()
            words = sql.SQL("ALTER DATABASE {} SET search_path = " + PATH)
            self._connection.execute(words.format(sql.Identifier(name)))
        self._move(at)
        # Calls of those months have a place each, as they had when the months came.
        with psycopg.connect(self._database) as connection:
            connection.execute("SELECT usage_make_partitions(6)")

    def _shift_defaults(self) -> None:
        for place, field, said in self._connection.execute(DEFAULTS).fetchall():
            shifted, times = TIMES.subn(r"played.\1()", said)
            if times:
                self._connection.execute(
                    "INSERT INTO played.defaults VALUES (%s, %s, %s)", [place, field, said]
                )
                self._connection.execute(
                    f"ALTER TABLE {place} ALTER COLUMN {field} SET DEFAULT {shifted}"
                )

    def _shift_paths(self) -> None:
        for function, said in self._connection.execute(PATHS).fetchall():
            self._connection.execute("INSERT INTO played.paths VALUES (%s, %s)", [function, said])
            self._connection.execute(f"ALTER FUNCTION {function} SET search_path = {PATH}")

    def set(self, at: datetime) -> None:
        """Have it be that time now, for everybody; it never goes back."""
        if at > self.now():
            self._move(at)

    def _move(self, at: datetime) -> None:
        shift = round((at.timestamp() - real()) * 1_000_000)
        self._connection.execute(
            "UPDATE played.clock SET shift = %s * interval '1 microsecond'", [shift]
        )
        FORMAT.pack_into(self._view, 0, shift)

    def now(self) -> datetime:
        """Return what time it is in the play."""
        return datetime.fromtimestamp(real() + shift_of(self._view), UTC)

    def end(self) -> None:
        """Have the database go by the true time again; nothing of the play's own is left in it."""
        with self._connection.transaction():
            for place, field, said in self._connection.execute(
                "SELECT place::text, field, said FROM played.defaults"
            ).fetchall():
                self._connection.execute(
                    f"ALTER TABLE {place} ALTER COLUMN {field} SET DEFAULT {said}"
                )
            for function, said in self._connection.execute(
                "SELECT function::text, said FROM played.paths"
            ).fetchall():
                self._connection.execute(f"ALTER FUNCTION {function} SET search_path = {said}")
            name = sql.Identifier(self._connection.info.dbname)
            self._connection.execute(sql.SQL("ALTER DATABASE {} RESET search_path").format(name))
            # Without CASCADE: it refuses if anything still asks them.
            for each in NAMES:
                self._connection.execute(f"DROP FUNCTION played.{each}()")
            self._connection.execute("DROP TABLE played.clock, played.defaults, played.paths")
            self._connection.execute("DROP SCHEMA played")
        self._connection.close()
        FORMAT.pack_into(self._view, 0, 0)


real = time.time
"""The true time, also where `wear` was called."""
_real_ns = time.time_ns


def mapped(file: Path) -> mmap.mmap:
    """Return the file as memory that all processes share."""
    with file.open("r+b") as opened:
        return mmap.mmap(opened.fileno(), FORMAT.size)


def shift_of(view: mmap.mmap) -> float:
    """Return by how many seconds the play's time is another."""
    return float(FORMAT.unpack_from(view)[0]) / 1_000_000


def wear(file: Path) -> None:
    """Have this process go by the played clock. Called before anything takes these functions."""
    from django.utils import timezone

    view = mapped(file)

    def now() -> datetime:
        return datetime.fromtimestamp(real() + shift_of(view), UTC)

    def nanoseconds() -> int:
        return _real_ns() + int(FORMAT.unpack_from(view)[0]) * 1000

    vars(time).update(time=lambda: real() + shift_of(view), time_ns=nanoseconds)
    vars(timezone).update(now=now)
