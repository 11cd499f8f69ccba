"""Programs that set money aside for calls, and say every few seconds that they live.

A hold names its program as long as only that can end it well. When the program has been silent for
SILENT_SECONDS, the hold is orphaned: the sweep frees it before its time, and the member's next try
is a new call.

The database may have been away for everybody, and then nobody is dead. So the sweep says that it
lives, too, as WATCH, and a row remembers since when it is heard without a gap: silence counts only
after the sweep itself has seen the database for as long, at least every GAP_SECONDS.

    the last word was before the gap began      BEAT_SECONDS
    a gap that the sweep did not notice         GAP_SECONDS
    the next word, with its time limit          BEAT_SECONDS + statement_timeout

Together that is not more than SILENT_SECONDS: a program that lives is not taken for dead.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

BEAT_SECONDS: Final = 5
GAP_SECONDS: Final = 15
SILENT_SECONDS: Final = 30
WATCH: Final = UUID(int=0)
"""The name under which the sweep is heard."""

BEAT = f"""
    INSERT INTO credits_process AS process (id, since_at, seen_at, knows_days)
    VALUES (%s, now(), now(), true)
        ON CONFLICT (id) DO UPDATE
       SET since_at = CASE WHEN process.seen_at < now() - interval '{GAP_SECONDS} seconds'
                           THEN now() ELSE process.since_at END,
           seen_at = now()
"""  # noqa: S608 - constants of our own
"""Say that a program lives."""

ALL_KNOW_DAYS = f"""NOT EXISTS (
    SELECT FROM credits_process
     WHERE NOT knows_days AND id <> '{WATCH}'
       AND seen_at > now() - interval '{2 * SILENT_SECONDS} seconds')
"""
"""Whether no program of the version before is at work, which would not find what is kept by day.

The sweep keeps nothing; its row is as old as the installation."""

LEAVE = "DELETE FROM credits_process WHERE id = %s"
"""Say that it ends: what it still holds is orphaned at once."""

FORGET = """
    DELETE FROM credits_process WHERE id IN (
        SELECT id FROM credits_process WHERE seen_at < now() - interval '1 hour'
         LIMIT %(batch)s FOR UPDATE SKIP LOCKED)
       AND seen_at < now() - interval '1 hour'
"""
"""Delete those that ended without a word; one that is not dead writes itself anew."""


def orphaned(hold: str) -> str:
    """Return the condition that a hold, so called, names a program that is silent now."""
    return f"""(
        {hold}.process_id IS NOT NULL
        AND coalesce((SELECT seen_at FROM credits_process WHERE id = {hold}.process_id),
                     '-infinity') < now() - interval '{SILENT_SECONDS} seconds'
        AND coalesce((SELECT since_at < now() - interval '{SILENT_SECONDS} seconds'
                             AND seen_at > now() - interval '{GAP_SECONDS} seconds'
                        FROM credits_process WHERE id = '{WATCH}'), false))
    """  # noqa: S608 - constants of our own
