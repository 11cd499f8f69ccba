"""How many units a call had, by the inputs of its price as they are written on it."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

SECONDS = "seconds"


def units_of(inputs: dict[str, Any], unit: str, retail: int) -> Fraction | None:
    """Return how many units a call had that was due so much; None if its price knows none."""
    if "price" in inputs:
        return amount(inputs.get(unit))
    rate = amount(inputs.get("rate"))
    if unit != SECONDS or rate is None or not rate or "most" not in inputs:
        return None
    return (retail - Fraction(inputs.get("base", 0))) / rate


def amount(value: Any) -> Fraction | None:
    """Return a positive number of a price's inputs, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        return None
    try:
        found = Fraction(value)
    except (ValueError, ZeroDivisionError):
        return None
    return found if found > 0 else None
