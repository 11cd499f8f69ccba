"""The shapes that prices of many vendors have.

- `Ruled`: a rule of the vendor's file reads the request, and gives `known` (the price follows from
  the request) or `per_second` (a rate for each second of what is delivered).
- `choice_of` and `count`: what a rule reads, or the refusal that names it.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from common.errors import InvalidRequest
from common.money import Micros, round_up
from proxy.pricing import Quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from proxy.asked import Asked, Evidence

SLACK_SECONDS = 1
"""A file is a frame or two longer than what it was made from: so far the longest is charged."""


def known(price: Micros | int, **inputs: Any) -> Quote:
    """Return the quote of a price that follows from the request."""
    return Quote(Micros(price), {**inputs, "price": int(price)})


def per_second(rate: Micros, *, least: str, most: str, **inputs: Any) -> Quote:
    """Return the quote of a rate for each second that is delivered.

    Held for the longest that there is; where no length can be read, the shortest is charged.
    """
    held = round_up(rate * Fraction(most))
    return Quote(held, {**inputs, "rate": int(rate), "least": least, "most": most})


@dataclass(frozen=True, slots=True)
class Ruled:
    """What a rule makes of the request: see `known` and `per_second`."""

    rule: Callable[[Asked], Quote]
    reads_body: bool = True
    fits_wallet: bool = False

    async def quote(self, asked: Asked) -> Quote:
        """Return the rule's quote; raise InvalidRequest where it has no price."""
        return self.rule(asked)

    def settle(self, inputs: dict[str, Any], evidence: Evidence) -> Micros | None:
        """Return the price that was known, or that of the seconds delivered, at the end."""
        if "price" in inputs:
            return Micros(inputs["price"])
        if not evidence.is_final:
            return None
        least, most = Fraction(inputs["least"]), Fraction(inputs["most"])
        seconds = max(least, evidence.measured.get("seconds", least))
        if most < seconds <= most + SLACK_SECONDS:
            seconds = most
        return round_up(inputs["rate"] * seconds)


def at(body: dict[str, Any], path: str) -> Any:
    """Return the value at a dotted path, None where there is none or a part is no object."""
    value: Any = body
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def choice_of(
    body: dict[str, Any], path: str, among: Iterable[str], *, default: str | None = None
) -> str:
    """Return a word of the request in lower case, or raise InvalidRequest naming it."""
    value = at(body, path)
    if value is None:
        value = default
    words = {word.lower() for word in among}
    if not isinstance(value, str) or value.lower() not in words:
        named = f"{value[:100]!r} has no price here. " if isinstance(value, str) else ""
        raise InvalidRequest(f"{named}{path} must be one of {', '.join(sorted(words))}.")
    return value.lower()


def count(
    body: dict[str, Any], path: str, *, least: int, most: int, default: int | None = None
) -> int:
    """Return a whole number of the request, which may be a text, or raise InvalidRequest."""
    value = at(body, path)
    if value is None:
        value = default
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 10:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InvalidRequest(f"{path} must be a whole number from {least} to {most}.")
    return value
