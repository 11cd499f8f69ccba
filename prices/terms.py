"""What a version of the price book says: a term for everything, for a vendor, or for an operation.

The nearest term holds alone: an operation's, else its vendor's, else the one for all. Without any,
the published price is asked. Three kinds:

- a mark-up on the published price, in parts per million; below zero it is a discount;
- a fixed amount for each call that is charged at all;
- an amount by one of the inputs of the price (`seconds`, `n`), for calls that have it; a call
  without is asked its published price.

All amounts are whole micros. What a term comes to is rounded up once, at its end.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from common.errors import InvalidRequest
from common.money import Micros, round_up

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MILLION = 1_000_000
LEAST_MARKUP, MOST_MARKUP = -MILLION, 100 * MILLION
"""From everything for nothing to a hundred times more: beyond, somebody mistyped."""
MOST_MICROS = 10_000 * MILLION
EVERYTHING = "*"
MARKUP, FIXED, BY = "markup", "fixed", "by"


@dataclass(frozen=True, slots=True)
class Term:
    """One term, and what it is about: `*`, a vendor, or an operation, by its name in records."""

    about: str
    kind: str
    amount: int
    """Parts per million of a mark-up, else micros."""
    unit: str = ""
    """Of what is asked by an input of the price: that input's name."""

    def __post_init__(self) -> None:
        """Raise InvalidRequest for what is no term."""
        least, most = (LEAST_MARKUP, MOST_MARKUP) if self.kind == MARKUP else (0, MOST_MICROS)
        is_whole = isinstance(self.amount, int) and not isinstance(self.amount, bool)
        if self.kind not in (MARKUP, FIXED, BY) or not is_whole:
            raise InvalidRequest("A term is a mark-up, a fixed amount or an amount by a unit.")
        if not least <= self.amount <= most:
            raise InvalidRequest(f"{self.about}: the amount must be from {least} to {most}.")
        if bool(self.unit) != (self.kind == BY) or not self.about:
            raise InvalidRequest("A term by a unit names it, and no other does.")

    def of(self, retail: int) -> Micros:
        """Return what is asked where so much is published; a term by a unit: see `pricing`."""
        if self.kind == FIXED:
            return Micros(self.amount if retail else 0)
        if self.kind == BY:
            return Micros(retail)
        return round_up(Fraction(retail * (MILLION + self.amount), MILLION))

    def fits(self, available: int) -> int | None:
        """Return the published price up to which so many micros are enough; None: any."""
        if self.kind == FIXED and self.amount <= available:
            return None
        if self.kind != MARKUP:
            return available
        factor = MILLION + self.amount
        return available * MILLION // factor if factor else None

    @property
    def words(self) -> str:
        """The term as a person reads it."""
        if self.kind == MARKUP and not self.amount:
            return "the published price"
        if self.kind == MARKUP:
            percent = f"{Fraction(abs(self.amount), 10_000).limit_denominator(10_000)}"
            if "/" in percent:
                percent = f"{abs(self.amount) / 10_000:.4f}".rstrip("0")
            return f"{percent} % {'less' if self.amount < 0 else 'more'} than the published price"
        amount = f"${self.amount // MILLION}.{self.amount % MILLION:06d}".rstrip("0")
        amount += "0" * max(0, 2 - len(amount.partition(".")[2]))
        return f"{amount} a call" if self.kind == FIXED else f"{amount} by {self.unit}"

    def written(self) -> dict[str, Any]:
        """Return it as it is kept."""
        return {name: value for name, value in asdict(self).items() if value != ""}


def read(written: Mapping[str, Any]) -> Term:
    """Return a term as it was kept, or raise InvalidRequest."""
    try:
        return Term(**{f"{name}": value for name, value in written.items()})
    except TypeError as exc:
        raise InvalidRequest("This is no term of a price book.") from exc


@dataclass(frozen=True, slots=True)
class Book:
    """The terms of one version, by what they are about; number 0 is the published prices alone."""

    number: int
    terms: Mapping[str, Term]

    def term(self, vendor: str, operation: str) -> Term | None:
        """Return the nearest term, None if the published price is asked."""
        for about in (operation, vendor, EVERYTHING):
            if (found := self.terms.get(about)) is not None:
                return found
        return None

    def version(self, published: str) -> str:
        """Return what a call's price is told by: the published list's name and this version."""
        return f"{published}+{self.number}" if self.number else published


def book(number: int, written: Iterable[Mapping[str, Any]]) -> Book:
    """Return a version's book from its terms as they are kept."""
    terms = [read(each) for each in written]
    return Book(number, {term.about: term for term in terms})


PUBLISHED = Book(0, {})
