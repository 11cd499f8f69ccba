"""Kept answers lie in seven partitions, one for each weekday by UTC, so none is ever missed.

An answer is kept for a day at the most, so it is looked for in two: today's and yesterday's. What
is older than that is emptied whole, days before its weekday comes again; should nobody do it, what
is left there is over, gives way to a new answer of its intention, and hinders nobody.

Partition 0 is the table of the version before (migration 0061), whose web processes know no days.
As long as one of them is at work, all keep there, and find what the others kept.
"""

from __future__ import annotations

from typing import Final

from django.db import connection

from common.rows import in_steps, values
from credits.books import processes

_NOW: Final = "now() AT TIME ZONE 'UTC'"
_DAY: Final = "extract(isodow FROM {})"
TODAY: Final = f"({_DAY.format(_NOW)})::smallint"
YESTERDAY: Final = _DAY.format(f"{_NOW} - interval '1 day'")
TOMORROW: Final = _DAY.format(f"{_NOW} + interval '1 day'")
LIVING: Final = f"day = ANY (ARRAY[0, {_DAY.format(_NOW)}, {YESTERDAY}]::smallint[])"
"""Where an answer may be that is still kept."""
KEEP_IN: Final = f"CASE WHEN {processes.ALL_KNOW_DAYS} THEN {TODAY} ELSE 0 END"
"""Where one is kept now."""

EMPTY: Final = "SELECT proxy_empty_days()"
FORGET_BEFORE: Final = """
    DELETE FROM proxy_kept WHERE day = 0 AND intent IN (
        SELECT intent FROM proxy_kept WHERE day = 0 AND kept_until < now()
         LIMIT %(batch)s FOR UPDATE SKIP LOCKED)
"""
"""An answer that a call is just about to write anew is left to it: nobody waits here."""
SIZES: Final = f"""
    SELECT coalesce(sum(pg_relation_size(relid)) FILTER (
               WHERE relid <> 'proxy_answer'::regclass
                 AND right(relid::regclass::text, 1)::int NOT IN
                     ({_DAY.format(_NOW)}, {YESTERDAY}, {TOMORROW})), 0)::bigint AS bytes
      FROM pg_partition_tree('proxy_kept') WHERE isleaf
"""  # noqa: S608 - constants of our own


def forget() -> None:
    """Empty the days that are over, and delete what is over of the version before.

    A day that is in use at this moment, as by a backup, is left to the next time.
    """
    with connection.cursor() as cursor:
        cursor.execute(EMPTY)
    in_steps(FORGET_BEFORE)


def overdue_bytes() -> int:
    """Return the bytes of answers that are over, and that nobody emptied."""
    return int(values(SIZES)[0])


def gauges() -> dict[str, tuple[str, float]]:
    """Return what a monitor watches."""
    return {
        "platform_answers_overdue_bytes": ("Kept answers that are over", overdue_bytes()),
    }
