"""What a price may come to before anybody knows, and its rule in words.

A price has `least` or `likely` where the answer decides, and it knows more than nothing of that.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from common.money import Micros, round_up
from proxy.asked import Evidence
from proxy.pricing.shapes import Ruled

if TYPE_CHECKING:
    from proxy.pricing import Price

USUAL = {"seconds": Fraction(5), "frames": Fraction(120)}
"""Of a result of which nobody knows how long it will be."""


def least(price: Price, inputs: dict[str, Any], *, most: Micros) -> Micros:
    """Return what a delivered call costs at least, of the inputs of its price.

    Nothing, where the vendor tells and nobody knows what.
    """
    if (own := getattr(price, "least", None)) is not None:
        return Micros(min(own(inputs), most))
    if price.settle(inputs, Evidence()) == most:
        return most
    if type(price) is Ruled and {"rate", "least"} <= inputs.keys():
        shortest = round_up(Fraction(inputs["rate"]) * Fraction(inputs["least"]))
        return Micros(min(inputs.get("base", 0) + shortest, most))
    return Micros(0)


def likely(price: Price, inputs: dict[str, Any]) -> Micros:
    """Return what a usual result costs."""
    if (own := getattr(price, "likely", None)) is not None:
        return Micros(own(inputs))
    found = price.settle(inputs, Evidence(submit={}, end={}, measured=USUAL))
    assert found is not None, "what is final has a price"
    return found


def words(price: Price) -> str:
    """Return the rule in words, as its vendor's file says them."""
    rule = price.rule if type(price) is Ruled else None
    said = (rule.__doc__ if rule is not None else None) or type(price).__doc__ or ""
    return " ".join(said.partition("\n\n")[0].split())
