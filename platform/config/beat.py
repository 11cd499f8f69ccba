"""Beat, once: however many are started, on however many machines, one begins the rounds.

Who begins holds a lock in the database, by a connection of its own. The others look every few
seconds; where the holder ends, or its machine is gone and the server has noticed (keepalives, a
failover), the next one goes on. Two at once are harmless, and the lock makes them short: a message
only hurries, and each task may run twice.
"""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Any, Final

import psycopg
from celery.beat import PersistentScheduler, SchedulingError
from kombu.exceptions import OperationalError

from config import preflight

if TYPE_CHECKING:
    from celery.beat import ScheduleEntry
    from psycopg import Connection

log = logging.getLogger(__name__)
LOCK: Final = 727_275
LOOK_SECONDS: Final = 5
TAKE: Final = "SELECT pg_try_advisory_lock(%s)"
STANDS: Final = "SELECT 1"


class Alone:
    """The right to begin: taken when nobody has it, kept as long as its connection stands."""

    def __init__(self) -> None:
        self._db: Connection[Any] | None = None
        self._has = False

    def held(self) -> bool:
        """Whether we have it now; where nobody has, take it. A database that is away: no."""
        try:
            if self._db is None:
                self._db = preflight.connect()
                self._db.autocommit = True
            if self._has:
                self._db.execute(STANDS)
                return True
            row = self._db.execute(TAKE, [LOCK]).fetchone()
        except psycopg.Error as exc:
            if self._has:
                log.warning("beat lost its lock: %s", preflight.first_line(exc))
            self.let_go()
            return False
        self._has = row is not None and bool(row[0])
        if self._has:
            log.info("beat begins the rounds here")
        return self._has

    def let_go(self) -> None:
        """Give it up."""
        self._has = False
        if self._db is not None:
            with contextlib.suppress(psycopg.Error):
                self._db.close()
            self._db = None


class Scheduler(PersistentScheduler):
    """Celery's, which begins nothing while another has the lock."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._alone = Alone()
        super().__init__(*args, **kwargs)

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Begin what is due, and return after how many seconds to look again."""
        if not self._alone.held():
            return LOOK_SECONDS
        wait: float = super().tick(*args, **kwargs)
        return min(wait, LOOK_SECONDS)

    def apply_entry(self, entry: ScheduleEntry, producer: Any = None) -> None:
        """Send a task that is due. Where the broker is away it is due again in its next round."""
        try:
            self.apply_async(entry, producer=producer, advance=False)
        except SchedulingError as exc:
            if isinstance(exc.__context__, OperationalError):  # As kombu names all of them.
                log.warning("beat cannot send %s: %s", entry.name, preflight.first_line(exc))
            else:
                log.exception("beat cannot send %s", entry.name)

    def close(self) -> None:
        """End, so that another one goes on at once."""
        self._alone.let_go()
        super().close()
