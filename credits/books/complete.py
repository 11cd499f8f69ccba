"""Up to where the entries are complete: below which id none can come any more."""

from __future__ import annotations

import time
from typing import Final

from common.rows import values

WAIT_SECONDS: Final = 60
WRITERS: Final = """
    SELECT virtualtransaction FROM pg_locks
     WHERE locktype = 'relation' AND relation = 'credits_entry'::regclass
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND mode = 'RowExclusiveLock' AND pid IS DISTINCT FROM pg_backend_pid()
"""


def settled_entry(*, wait_seconds: float = WAIT_SECONDS) -> int | None:
    """Return an id below which no entry can come any more; None if a writer did not end in time.

    Who writes an entry holds a lock on the table, weaker than any that we would wait for, from
    before its id is drawn until its commit is visible. So it is enough to see who is inside now,
    after the last id was read, and to wait until each of them has left.
    """
    patience = time.monotonic() + wait_seconds
    (last,) = values("SELECT coalesce(max(id), 0) FROM credits_entry")
    inside = set(values(WRITERS))
    while inside:
        if time.monotonic() > patience:
            return None
        time.sleep(0.02)
        inside &= set(values(WRITERS))
    return int(last)
