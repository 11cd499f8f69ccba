"""What vendors list themselves, where that reaches or passes what is published for their nodes.

Members are charged the published price, since a node shows it; where the vendor lists as much or
more, the operator loses with each call, or earns nothing. Here is by how much, as far as it is
known, and which terms of a price book reach the list. Nothing here changes a price by itself.

Sources are the vendors' own pages, read from July to November 2026, and where it says so knowledge.
What an operator really pays stands in their contract with the vendor: these are list prices.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING

from prices.terms import MARKUP, MILLION, Term
from proxy.vendors import catalogue

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prices.terms import Book

CARD_FEES = "3"
"""Percent that a payment by card costs about: what is sold at the vendor's list loses so much."""


class Standing(Enum):
    """How a book stands to a vendor's list."""

    LOSES = "loses"
    EVEN = "even"
    RAISED = "raised"
    UNTOLD = "untold"
    """A term by call or unit holds: whether that is enough depends on the calls."""


@dataclass(frozen=True, slots=True)
class Listed:
    """An operation whose vendor lists as much as is published, or more."""

    operation: str
    percent: Decimal
    """By how much the published price is raised to reach the list, or the card fees above it."""
    when: str
    """For which calls, in words."""
    source: str
    is_below: bool = True
    """Whether the published price is below the list, and not just the same."""

    @property
    def term(self) -> Term:
        """The mark-up that reaches the list."""
        return Term(self.operation, MARKUP, ceil(Fraction(self.percent) * MILLION / 100))


@dataclass(frozen=True, slots=True)
class Found:
    """What a book asks for such an operation."""

    listed: Listed
    term: Term | None
    standing: Standing


def _each(
    operations: Iterable[str], percent: str, when: str, source: str, *, is_below: bool = True
) -> tuple[Listed, ...]:
    return tuple(Listed(each, Decimal(percent), when, source, is_below) for each in operations)


_even = "every call: the published price is the list, and a card's fee goes off it"
LISTED = (
    *_each(
        ("topaz/image/v1/enhance-gen/async", "topaz/video/{request_id}/accept"), "50",
        "credits bought as one goes at 0.12 USD; at 0.10 (Developer) 25 %, at 0.08 (Scale) nothing",
        "the vendor's page of plans, July 2026",
    ),
    *_each(
        ("synclabs/v2/generate",), "68.3",
        "videos of more than 35 frames a second: frames are billed; up to 60 a second reckoned",
        "the vendor's page of billing",
    ),
    *_each(
        ("ltx/v1/text-to-video", "ltx/v1/image-to-video"), "50",
        "models of 2 go to 2.3 since: fast lists 0.06, 0.12, 0.24 a second; pro needs 33.4 %",
        "the vendor's page of prices",
    ),
    *_each(
        ("meshy/openapi/v1/multi-image-to-3d",), "100",
        "models without a texture, which take 20 credits; with one the published price is enough",
        "from knowledge: 0.02 USD a credit",
    ),
    *_each(
        ("freepik/v1/ai/image-relight", "freepik/v1/ai/image-style-transfer"), "10",
        "the vendor bills 0.10 EUR, the nodes show 0.11 USD: reckoned to 1.21 USD a euro",
        "the vendor's page of prices at second hand, June 2026",
    ),
    *_each(
        ("vertexai/gemini/{model}",), "100",
        "2.5 pro and 3 pro with prompts of more than 200,000 tokens, whose input costs double",
        "from knowledge",
    ),
    *_each(
        (
            "krea/generate/image/krea/krea-2/large",
            "krea/generate/image/krea/krea-2/medium",
            "krea/generate/image/krea/krea-2/medium-turbo",
        ),
        CARD_FEES, _even, "the vendor's page of prices", is_below=False,
    ),
    *_each(("luma_2/generations",), CARD_FEES, _even, "the vendor's prices", is_below=False),
    *_each(
        ("bria/v2/image/edit/remove_background",),
        CARD_FEES, _even, "the vendor's prices", is_below=False,
    ),
    *_each(
        (
            "bfl/flux-pro-1.1-ultra/generate",
            "bfl/flux-kontext-pro/generate",
            "bfl/flux-kontext-max/generate",
            "minimax/video_generation",
            "veo/{model}/generate",
        ),
        CARD_FEES, _even, "from knowledge", is_below=False,
    ),
)  # fmt: skip


def standing(book: Book) -> list[Found]:
    """Return how a book stands to each list that is known, in the order of the vendors."""
    vendors = {o.path: v.name for v in catalogue().vendors.values() for o in v.operations}
    return [
        Found(each, term, _standing(each, term))
        for each in LISTED
        for term in [book.term(vendors[each.operation], each.operation)]
    ]


def _standing(listed: Listed, term: Term | None) -> Standing:
    if term is not None and term.kind != MARKUP:
        return Standing.UNTOLD
    if term is not None and term.amount >= listed.term.amount:
        return Standing.RAISED
    if listed.is_below or (term is not None and term.amount < 0):
        return Standing.LOSES
    return Standing.EVEN


def raising(book: Book) -> list[Term]:
    """Return the terms by which no operation loses any more, none where none does."""
    return [found.listed.term for found in standing(book) if found.standing is Standing.LOSES]
