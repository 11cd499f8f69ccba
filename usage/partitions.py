"""Monthly partitions of the calls, made ahead of time; a row never waits for its month.

A function of the tables' owner makes them (migration 0080): programs may make no tables.
"""

from __future__ import annotations

from django.db import connection

AHEAD_MONTHS = 3


def make() -> None:
    """Make sure that this month and the next three have their partitions."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT usage_make_partitions(%s)", [AHEAD_MONTHS])
