"""What was asked for an operation over time: the terms of each version, where they changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from prices import terms
from prices.models import Version

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Change:
    """From when on which term held; without words the published price was asked."""

    number: int
    at: datetime
    words: str


def of(vendor: str, operation: str) -> list[Change]:
    """Return the changes, the newest first; what is published for later is among them."""
    found: list[Change] = []
    words = ""
    for version in Version.objects.order_by("number"):
        term = terms.book(version.number, version.terms).term(vendor, operation)
        now = term.words if term else ""
        if now != words:
            found.append(Change(version.number, version.effective_at, now))
            words = now
    return found[::-1]
