"""Monthly partitions of the calls, made ahead of time; a row never waits for its month."""

from __future__ import annotations

from django.db import connection

AHEAD_MONTHS = 3

MAKE = """
DO $$
DECLARE month date;
BEGIN
    FOR month IN SELECT generate_series(date_trunc('month', now()),
                                        date_trunc('month', now()) + interval '%(ahead)s months',
                                        interval '1 month')::date
    LOOP
        EXECUTE format(
            'CREATE TABLE IF NOT EXISTS %%I PARTITION OF usage_call FOR VALUES FROM (%%L) TO (%%L)',
            'usage_call_' || to_char(month, 'YYYY_MM'),
            month::timestamp AT TIME ZONE 'UTC',
            (month + interval '1 month')::timestamp AT TIME ZONE 'UTC');
    END LOOP;
END $$
"""


def make() -> None:
    """Make sure that this month and the next three have their partitions."""
    with connection.cursor() as cursor:
        # One maker at a time: two would both find the partition missing.
        cursor.execute("SELECT pg_advisory_lock(727274)")
        try:
            cursor.execute(MAKE % {"ahead": AHEAD_MONTHS})
        finally:
            cursor.execute("SELECT pg_advisory_unlock(727274)")
