"""Django's cache in PostgreSQL, shared by all web processes: what counts tries stands here.

Its connection is one of its own, so a transaction that is rolled back undoes no count. Its table
is UNLOGGED: after a crash of the server the counts begin anew, and no write waits for a disk.
Nothing else evicts an entry but its time: who fills the table flushes nobody's counter. Values
are JSON, never pickles.

Every key is a row of `shared_cache`, which accounts' migrations make: this package has no models.
"""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.db import connections

if TYPE_CHECKING:
    from collections.abc import Sequence

ALIAS = "counts"
"""The database's second name in the settings, for the second connection."""

GET = "SELECT value FROM shared_cache WHERE key = %s AND expires_at > now()"
SET = """
INSERT INTO shared_cache AS had (key, value, expires_at) VALUES (%s, %s::jsonb, {until})
    ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires_at = excluded.expires_at
"""
ADD = SET + " WHERE had.expires_at <= now()"
TOUCH = "UPDATE shared_cache SET expires_at = {until} WHERE key = %s AND expires_at > now()"
ADD_UP = """
UPDATE shared_cache SET value = to_jsonb((value #>> '{}')::bigint + %s)
 WHERE key = %s AND expires_at > now() RETURNING value
"""
DELETE = "DELETE FROM shared_cache WHERE key = %s AND expires_at > now()"
CLEAR = "DELETE FROM shared_cache"
SWEEP = """
DELETE FROM shared_cache WHERE key IN (
    SELECT key FROM shared_cache WHERE expires_at <= now() LIMIT %s FOR UPDATE SKIP LOCKED)
"""
SWEEP_ONE_IN = 50
"""So many writes for one sweep, which takes away far more than they brought."""
SWEPT_AT_ONCE = 1000


class SharedCache(BaseCache):
    """As Django's caches are, with each call one statement of its own commit."""

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)

    def get(self, key: str, default: Any = None, version: int | None = None) -> Any:
        """Return what is kept, or the default."""
        row = _one(GET, [self.make_and_validate_key(key, version)])
        return default if row is None else _read(row[0])

    def set(
        self,
        key: str,
        value: Any,
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> None:
        """Keep a value of JSON for some seconds."""
        self._write(SET, key, value, timeout, version)

    def add(
        self,
        key: str,
        value: Any,
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> bool:
        """Keep it if nothing is kept; of many at once, one is told True."""
        return self._write(ADD, key, value, timeout, version)

    def touch(
        self, key: str, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None
    ) -> bool:
        """Keep what is kept for longer."""
        until, seconds = self._until(timeout)
        named = self.make_and_validate_key(key, version)
        return _run(TOUCH.replace("{until}", until), [*seconds, named]) == 1

    def incr(self, key: str, delta: int = 1, version: int | None = None) -> int:
        """Add to a number and return it; of many at once, each is counted."""
        row = _one(ADD_UP, [delta, self.make_and_validate_key(key, version)])
        if row is None:
            raise ValueError(f"Key {key!r} not found")
        return int(_read(row[0]))

    def delete(self, key: str, version: int | None = None) -> bool:
        """Forget it."""
        return _run(DELETE, [self.make_and_validate_key(key, version)]) == 1

    def clear(self) -> None:
        """Forget everything."""
        _run(CLEAR, [])

    def _write(
        self, statement: str, key: str, value: Any, timeout: float | None, version: int | None
    ) -> bool:
        until, seconds = self._until(timeout)
        named = self.make_and_validate_key(key, version)
        done = _run(statement.replace("{until}", until), [named, json.dumps(value), *seconds])
        if random.randrange(SWEEP_ONE_IN) == 0:  # noqa: S311 - it spreads work, it hides nothing
            _run(SWEEP, [SWEPT_AT_ONCE])
        return done == 1

    def _until(self, timeout: float | None) -> tuple[str, list[float]]:
        seconds = self.default_timeout if timeout is DEFAULT_TIMEOUT else timeout
        if seconds is None:
            return "'infinity'", []
        return "now() + %s * interval '1 second'", [seconds]


def _one(statement: str, parameters: Sequence[Any]) -> Any:
    with connections[ALIAS].cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchone()


def _run(statement: str, parameters: Sequence[Any]) -> int:
    with connections[ALIAS].cursor() as cursor:
        cursor.execute(statement, parameters)
        done: int = cursor.rowcount
        return done


def _read(value: Any) -> Any:
    """Return a value as it was kept: Django's connections leave jsonb as its text."""
    return json.loads(value) if isinstance(value, str) else value
