"""A price under the operator's book: the published one, and the term that holds for it.

The quote writes the term among the inputs of the price (`book`, with the published upper bound), so
a call is settled under the version that it was held under, whenever it ends and whoever settles it.
No term gives less for more, so what is held is never below what will be charged.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from common.money import Micros, round_up
from prices import terms
from prices.units import SECONDS, amount
from proxy import pricing
from proxy.pricing import Quote, ranges
from proxy.pricing.shapes import Ruled

if TYPE_CHECKING:
    from prices.terms import Book, Term
    from proxy.asked import Asked, Evidence
    from proxy.pricing import Price

BOOK = "book"


@dataclass(frozen=True, slots=True)
class Settled:
    """What a call costs; None while only the end can tell."""

    price: Micros | None
    retail: Micros | None = None
    """The published price, where a term of the book made another of it."""
    absurd: Micros | None = None
    """The vendor's figure, if that cannot be believed."""

    @property
    def details(self) -> dict[str, Any]:
        """What is written on the call."""
        return {} if self.retail is None else {"retail": int(self.retail)}


async def quote(price: Price, asked: Asked, *, book: Book, vendor: str, operation: str) -> Quote:
    """Return the quote under a book; raise InvalidRequest where there is no price."""
    term = book.term(vendor, operation)
    if term is None:
        return await price.quote(asked)
    if asked.available is not None:  # The published price that the wallet has enough for.
        asked = dataclasses.replace(asked, available=term.fits(asked.available))
    retail = await price.quote(asked)
    told = {**term.written(), "retail": int(retail.most)}
    return Quote(_most(price, term, retail), {**retail.inputs, BOOK: told})


def _most(price: Price, term: Term, retail: Quote) -> Micros:
    own = by_unit(price, term, retail.inputs)
    if own is None:
        return term.of(retail.most)
    if "price" in own:
        return Micros(own["price"])
    return round_up(Fraction(own["rate"]) * Fraction(own["most"]))


def by_unit(price: Price, term: Term, inputs: dict[str, Any]) -> dict[str, Any] | None:
    """Return the inputs that a term by a unit makes of a price's; None where it knows none."""
    if term.kind != terms.BY or not isinstance(price, Ruled):
        return None
    if "price" in inputs:
        units = amount(inputs.get(term.unit))
        return None if units is None else {"price": int(round_up(term.amount * units))}
    if term.unit == SECONDS and {"rate", "most", "least"} <= inputs.keys():
        return {**inputs, "rate": term.amount, "base": 0}
    return None


def spread(price: Price, inputs: dict[str, Any], *, most: Micros) -> tuple[Micros, Micros]:
    """Return the least and the likely of a quoted call, under its version."""
    told = inputs.get(BOOK)
    if told is None:
        return _ordered(ranges.least(price, inputs, most=most), ranges.likely(price, inputs), most)
    term = _term(told)
    own = by_unit(price, term, inputs)
    if own is not None:
        return _ordered(ranges.least(price, own, most=most), ranges.likely(price, own), most)
    retail = Micros(told["retail"])
    least = term.of(ranges.least(price, inputs, most=retail))
    return _ordered(least, term.of(ranges.likely(price, inputs)), most)


def _ordered(least: Micros, likely: Micros, most: Micros) -> tuple[Micros, Micros]:
    return least, Micros(min(max(least, likely), most))


def _term(told: dict[str, Any]) -> Term:
    return terms.read({name: each for name, each in told.items() if name != "retail"})


def settle(price: Price, inputs: dict[str, Any], evidence: Evidence, *, most: Micros) -> Settled:
    """Return what a call costs, under the version that it was quoted under."""
    told = inputs.get(BOOK)
    if told is None:
        found, absurd = pricing.settle(price, inputs, evidence, most=most)
        return Settled(found, absurd=absurd)
    published = Micros(told["retail"])
    term = _term(told)
    retail, absurd = pricing.settle(price, inputs, evidence, most=published)
    if retail is None:
        return Settled(None, absurd=absurd)
    own = by_unit(price, term, inputs)
    asked = term.of(retail) if own is None else price.settle(own, evidence)
    return Settled(asked, retail, absurd)
