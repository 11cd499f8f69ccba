"""How an app says what it knows of people: one `Known` for each table, in its `personal.py`.

What becomes of a table's rows when a person goes is one word and one sentence; both stand on the
certificate that the person gets (privacy/). A table that says nothing fails a test.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from django.apps import apps
from django.db.models import F, Q, Value
from django.db.models.functions import Replace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime
    from uuid import UUID

    from django.db.models import Model, QuerySet
    from django_stubs_ext import StrOrPromise

ERASED: Final = "(erased)"
"""What stands where a text named somebody."""
NOWHERE: Final = "erased.invalid"
"""The host of the addresses of who is gone: no mail is ever sent there."""
ROWS_AT_ONCE: Final = 1000
MOST_STEPS: Final = 500


class Fate(StrEnum):
    """What becomes of a table's rows about a person who goes."""

    DELETED = "deleted"
    BLANKED = "blanked"
    """The row stays, and what was personal in it is empty."""
    PSEUDONYM = "pseudonym"
    """It stays under an id that is nobody's any more, for the reason that is told."""
    PASSES = "passes"
    """It goes by itself, at the time that is told."""
    NOTHING = "nothing"
    """It is about nobody."""


@dataclass(frozen=True, slots=True)
class Person:
    """Who goes, as far as one must know to find everything: kept sealed until all is done."""

    id: UUID
    name: str
    emails: tuple[str, ...]
    """The one that they sign in with is the first."""
    workspaces: tuple[UUID, ...]
    """Those that go with them: their own, and teams of which they are the only member."""
    others: tuple[UUID, ...] = ()
    """Those where they were a member among others."""
    customers: tuple[str, ...] = ()
    """What the payment provider knew them as."""
    language: str = ""
    """In which the last mail is written, when nobody can be asked any more."""

    @property
    def words(self) -> tuple[str, ...]:
        """By what a text of somebody else's names them, the longest first."""
        name = (self.name,) if len(self.name) > MOST_COMMON else ()
        return tuple(sorted({*self.emails, *name}, key=len, reverse=True))


MOST_COMMON: Final = 3
"""A name of so few letters is part of too many words."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a table knows of people."""

    model: str
    """Like `accounts.User`."""
    fate: Fate
    why: StrOrPromise
    """A sentence for the certificate; of what is about nobody, why that is so."""
    whose: Callable[[Person], Q] | None = None
    """Which rows are about somebody; None: they cannot be found by their person."""
    shown: tuple[str, ...] = ()
    """The columns that the person's own export has; without any the table is not in it."""
    order: tuple[str, ...] = ("pk",)
    """In what order: one for which there is an index, where there may be many rows."""
    harmless: frozenset[str] = field(default_factory=frozenset)
    """Columns of what is about nobody that only sound personal."""

    @property
    def rows(self) -> QuerySet[Any]:
        """All rows of it."""
        model: Any = self.type
        found: QuerySet[Any] = model._base_manager.all()  # noqa: SLF001
        return found

    @property
    def type(self) -> type[Model]:
        """The model."""
        return apps.get_model(self.model)

    def of(self, person: Person) -> QuerySet[Any]:
        """Return the rows about somebody."""
        return self.rows.filter(self.whose(person)) if self.whose else self.rows.none()

    def told(self, person: Person) -> Iterator[Mapping[str, Any]]:
        """Yield what their export has of it, some rows at a time."""
        found = self.of(person).order_by(*self.order).values(*self.shown)
        yield from found.iterator(chunk_size=ROWS_AT_ONCE)


@dataclass(frozen=True, slots=True)
class Kept:
    """A kind of data that is not kept for longer than the operator says, apart from any person."""

    name: str
    """As in RETENTION_DAYS."""
    forget: Callable[[datetime, int], int]
    """Take away, or blank, at most so many rows older than that; return how many there were."""


def without(rows: QuerySet[Any], column: str, person: Person) -> int:
    """Have a column of some rows name the person no more; return how many rows did."""
    changed = 0
    for word in person.words:
        naming = rows.filter(**{f"{column}__contains": word})
        changed += naming.update(**{column: Replace(F(column), Value(word), Value(ERASED))})
    return changed


def delete_in_steps(rows: QuerySet[Any]) -> int:
    """Delete some rows, the oldest first, in bounded steps; return how many went.

    Each step is its own transaction; of more than MOST_STEPS the rest is for the next time.
    """
    count = 0
    for _ in range(MOST_STEPS):
        some = oldest(rows, ROWS_AT_ONCE)
        rows.model._default_manager.filter(pk__in=some).delete()  # noqa: SLF001
        count += len(some)
        if len(some) < ROWS_AT_ONCE:
            break
    return count


def oldest(rows: QuerySet[Any], most: int) -> list[Any]:
    """Return the keys of some rows, for one bounded step."""
    return list(rows.order_by("pk").values_list("pk", flat=True)[:most])
