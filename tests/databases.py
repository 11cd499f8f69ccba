"""Which database this process's tests are in.

The one that pytest-django makes is never committed to: what a test finds there it made itself.
What must commit goes to another one, a copy of the same migrated one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


def sql(*statements: str) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


@contextmanager
def inside(database: str) -> Iterator[None]:
    """Have all connections of this process go to another database meanwhile."""
    from django.db import connection

    before = connection.settings_dict["NAME"]
    _use(database)
    try:
        yield
    finally:
        _use(before)


def _use(database: str) -> None:
    from django.db import connections

    for connection in connections.all():
        connection.close()
        connection.close_pool()
        connection.settings_dict["NAME"] = database
