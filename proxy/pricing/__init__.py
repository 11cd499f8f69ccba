"""What a call costs: a quote before (the most it can cost), the price after.

A price reads only what decides it, and writes those inputs down: with them and the evidence the
price can be worked out again by anyone, later. What has no price is refused with a sentence;
nothing is guessed. All arithmetic is exact (fractions of micros), rounded up once.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Protocol

from common.errors import InvalidRequest
from common.money import MICROS_PER_CENT, Micros, round_up

if TYPE_CHECKING:
    from proxy.asked import Asked, Evidence

BELIEVED = 10
"""A vendor's figure above so many times the upper bound is a mistake of the vendor's."""


@dataclass(frozen=True, slots=True)
class Quote:
    """The most that a call can cost (micros), and the inputs that decide what it will."""

    most: Micros
    inputs: dict[str, Any] = field(default_factory=dict)


class Price(Protocol):
    """A price rule of an operation."""

    @property
    def fits_wallet(self) -> bool:
        """Whether the quote depends on what the wallet has: a limit is injected that it affords."""

    async def quote(self, asked: Asked) -> Quote:
        """Return the quote of what was asked; raise InvalidRequest where it has no price."""

    def settle(self, inputs: dict[str, Any], evidence: Evidence) -> Micros | None:
        """Return the price of what was delivered; None while only the end can tell.

        Once the evidence is final there always is a price: the stated minimum where the vendor
        said nothing that can be read.
        """


@dataclass(frozen=True, slots=True)
class Flat:
    """The same amount for every call."""

    amount: Micros
    fits_wallet: bool = False

    async def quote(self, asked: Asked) -> Quote:
        """Return the amount, which is also the most."""
        return Quote(self.amount)

    def settle(self, inputs: dict[str, Any], evidence: Evidence) -> Micros | None:
        """Return the amount."""
        return self.amount


FREE = Flat(Micros(0))


def settle(
    price: Price, inputs: dict[str, Any], evidence: Evidence, *, most: Micros
) -> tuple[Micros | None, Micros | None]:
    """Return the price, and the vendor's figure if that cannot be believed.

    Then the price is what the rule says without the vendor's words: an absurd figure is a finding
    for staff, not revenue.
    """
    found = price.settle(inputs, evidence)
    if found is None or found <= BELIEVED * most:
        return found, None
    silent = dataclasses.replace(
        evidence,
        submit=None if evidence.submit is None else {},
        end=None if evidence.end is None else {},
        headers={},
    )
    without = price.settle(inputs, silent)
    return (None if without is None else min(without, most)), found


def whole(asked: dict[str, Any], name: str, *, default: int, least: int, most: int) -> int:
    """Return a whole number of the request, or raise InvalidRequest: a price depends on it."""
    value = asked.get(name, default)
    if value is None:
        value = default
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InvalidRequest(f"{name} must be a whole number from {least} to {most}.")
    return value


def choice(asked: dict[str, Any], name: str, *, default: str, among: tuple[str, ...]) -> str:
    """Return a word of the request in lower case, or raise InvalidRequest naming the choices."""
    value = asked.get(name, default)
    if value is None:
        value = default
    if not isinstance(value, str) or value.lower() not in among:
        raise InvalidRequest(f"{name} must be one of {', '.join(among)}.")
    return value.lower()


def vendor_cents(answer: Any, name: str) -> Micros | None:
    """Return a cost that the vendor gave in cents, as micros; None if it gave no such number.

    Whether it can be believed is looked at by `settle`.
    """
    value = answer.get(name) if isinstance(answer, dict) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if not 0 <= value < 10**12:  # Also false for NaN.
        return None
    return round_up(Fraction(str(value)) * MICROS_PER_CENT)
