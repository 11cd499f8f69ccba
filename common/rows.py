"""Rows of a query by the names of its columns, so that their order means nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from django.db import connection

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Row = TypeVar("Row")


def rows(
    kind: type[Row], sql: str, parameters: Sequence[Any] | Mapping[str, Any] | None = None
) -> Iterator[Row]:
    """Run a query and yield each row as a `kind`, made of its columns by their names.

    Raises TypeError if the query has a column too many or too few.
    """
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        names = [column.name for column in cursor.description]
        for row in cursor:
            yield kind(**dict(zip(names, row, strict=True)))
