"""Rows of a query by the names of its columns, and rows that go in bounded steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from django.db import connection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Parameters = Sequence[Any] | Mapping[str, Any]

Row = TypeVar("Row")
BATCH: Final = 5000
MOST_STEPS: Final = 100


def rows(make: Callable[..., Row], sql: str, parameters: Parameters | None = None) -> Iterator[Row]:
    """Run a query and yield what `make` makes of each row, given its columns by their names.

    Raises TypeError if the query has a column too many or too few.
    """
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        names = [column.name for column in cursor.description]
        for row in cursor:
            yield make(**dict(zip(names, row, strict=True)))


def in_steps(delete: str, **given: Any) -> int:
    """Do a DELETE of %(batch)s rows at most until it finds fewer; return how many went.

    Each step is its own transaction; of more than MOST_STEPS the rest is for the next time.
    """
    count = 0
    with connection.cursor() as cursor:
        for _ in range(MOST_STEPS):
            cursor.execute(delete, {**given, "batch": BATCH})
            count += cursor.rowcount
            if cursor.rowcount < BATCH:
                break
    return count


def values(sql: str, parameters: Parameters | None = None) -> list[Any]:
    """Run a query of one column; return what stands there. ValueError if it has more."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return [value for (value,) in cursor]
