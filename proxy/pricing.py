"""What a call costs: a quote before (the most it can cost), the price after.

A price reads only what decides it, and writes those inputs down: with them and the vendor's
answer the price can be worked out again by anyone, later. What has no price is refused with a
sentence; nothing is guessed. All arithmetic is exact (fractions of micros), rounded up once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Protocol

from common.errors import InvalidRequest
from common.money import MICROS_PER_CENT, Micros, round_up


@dataclass(frozen=True, slots=True)
class Quote:
    """The most that a call can cost (micros), and the inputs that decide what it will."""

    most: Micros
    inputs: dict[str, Any] = field(default_factory=dict)


class Price(Protocol):
    """A price rule of an operation."""

    @property
    def reads_body(self) -> bool:
        """Whether the quote depends on the request's JSON."""

    @property
    def reads_answer(self) -> bool:
        """Whether the settled price depends on the vendor's JSON answer."""

    def quote(self, asked: dict[str, Any]) -> Quote:
        """Return the quote for a request's JSON; raise InvalidRequest where it has no price."""

    def settle(self, inputs: dict[str, Any], answer: dict[str, Any]) -> Micros | None:
        """Return the price of a delivered call, or None if only the delivered file tells."""

    def measured(self, inputs: dict[str, Any], seconds: Fraction | None) -> Micros:
        """Return the price once the length of the delivered file is known (None: cannot be)."""


@dataclass(frozen=True, slots=True)
class Flat:
    """The same amount for every call."""

    amount: Micros
    reads_body: bool = False
    reads_answer: bool = False

    def quote(self, asked: dict[str, Any]) -> Quote:
        """Return the amount, which is also the most."""
        return Quote(self.amount)

    def settle(self, inputs: dict[str, Any], answer: dict[str, Any]) -> Micros | None:
        """Return the amount."""
        return self.amount

    def measured(self, inputs: dict[str, Any], seconds: Fraction | None) -> Micros:
        """Return the amount."""
        return self.amount


FREE = Flat(Micros(0))


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


def vendor_cents(answer: dict[str, Any], name: str) -> Micros | None:
    """Return a cost that the vendor gave in cents, as micros; None if it gave no such number."""
    value = answer.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if not 0 <= value < 10**9:  # Also false for NaN.
        return None
    return round_up(Fraction(str(value)) * MICROS_PER_CENT)
