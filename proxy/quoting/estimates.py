"""The range of a call's price: the least, the likely and the most, under a version of the book.

The most is what would be set aside. It is never settled at less than the least. The likely is the
rule's own reckoning of a usual result: five seconds where nobody knows how many.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from proxy.pricing import booked

if TYPE_CHECKING:
    from common.money import Micros
    from prices.terms import Book
    from proxy.quoting.requests import Wanted


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a call would cost, in micros, and the inputs that decide it."""

    least: Micros
    likely: Micros
    most: Micros
    inputs: dict[str, Any]


async def estimate(wanted: Wanted, book: Book) -> Estimate:
    """Return the range of a request's price; raise InvalidRequest where it has none."""
    vendor, operation = wanted.route.vendor, wanted.route.operation
    price = operation.price
    with wanted.asked() as asked:
        quote = await booked.quote(
            price, asked, book=book, vendor=vendor.name, operation=operation.path
        )
    least, likely = booked.spread(price, quote.inputs, most=quote.most)
    shown = {name: each for name, each in quote.inputs.items() if name != booked.BOOK}
    return Estimate(least, likely, quote.most, shown)
