"""`manage.py migrate`: Django's, which makes nobody wait long behind it.

A change of a table waits for whoever uses it, and everybody who comes later waits behind that: each
call of every member. So it waits for a lock two seconds at the most, is undone, and tried again
when those before are through; what was applied stays. A migration that is not atomic makes indexes
CONCURRENTLY: those wait for old transactions, and let all others pass meanwhile.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import psycopg
from django.core.management.base import CommandError
from django.core.management.commands import migrate
from django.db import OperationalError, connections

if TYPE_CHECKING:
    from django.db.migrations.migration import Migration

LOCK_SECONDS: Final = 2
TRIES: Final = 30
REST_SECONDS: Final = 2
"""So long calls pass by before the next try."""


class Command(migrate.Command):
    """Migrate, each step within the time that calls can wait."""

    _alias = "default"

    def handle(self, *args: Any, **options: Any) -> None:
        """Apply what is not applied; raise CommandError if a lock was not to be had."""
        self._alias = options["database"]
        for left in reversed(range(TRIES)):
            try:
                super().handle(*args, **options)
            except OperationalError as exc:
                if not isinstance(exc.__cause__, psycopg.errors.LockNotAvailable):
                    raise
                if not left:
                    raise CommandError(
                        "A table was in use each time: see pg_stat_activity for what is long."
                    ) from exc
                self.stdout.write(f"  waited {LOCK_SECONDS} s for a lock; trying again")
                time.sleep(REST_SECONDS)
            else:
                return
            finally:
                self._limit(0)

    def migration_progress_callback(
        self, action: str, migration: Migration | None = None, fake: bool = False
    ) -> None:
        """Say how far it is, and limit the next one's waiting."""
        if action in ("apply_start", "unapply_start") and migration is not None:
            self._limit(LOCK_SECONDS if migration.atomic else 0)
        super().migration_progress_callback(action, migration, fake)

    def _limit(self, seconds: int) -> None:
        """Have this session wait so long for a lock; 0: as long as it takes."""
        connection = connections[self._alias]
        if not connection.needs_rollback:
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('lock_timeout', %s, false)", [f"{seconds}s"])
