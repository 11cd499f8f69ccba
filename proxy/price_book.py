"""The price book in memory: the version by which this process prices.

It is never trusted: the statement that sets money aside says whether that version still holds, by
the database's clock, and one that does not is read anew before the call is priced again. So a
change costs the first call after it one round trip more, and every other nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prices import drafts, terms
from proxy.vendors import catalogue

if TYPE_CHECKING:
    from prices.terms import Book
    from proxy.books import Books


class PriceBook:
    """The version that this process knows."""

    def __init__(self) -> None:
        self.now: Book = terms.PUBLISHED

    async def renew(self, books: Books) -> None:
        """Know the version that holds now."""
        rows = await books.query(drafts.BOOK)
        self.now = drafts.of_row(rows[0]) if rows else terms.PUBLISHED


def names() -> list[str]:
    """Return what a term may be about: the vendors, then the operations that there are."""
    vendors = catalogue().vendors
    return [*vendors, *(each.path for one in vendors.values() for each in one.operations)]
