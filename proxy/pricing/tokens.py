"""What prices by the token share: rates, what a text can be at most, what a wallet affords.

A token is at least one byte of text, so a text has at most as many tokens as bytes. The output is
bounded by the limit that is sent with the request: what the request asks for, or the model's usual,
and no more than the wallet affords.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from common.money import Micros, round_up

MILLION = 1_000_000


def cost(*parts: tuple[int, int]) -> Micros:
    """Return what tokens cost, rounded once: parts are a count and its rate in micros a million."""
    return round_up(Fraction(sum(count * rate for count, rate in parts), MILLION))


def affordable(wanted: int, *, least: int, rate: int, available: int | None, before: Micros) -> int:
    """Return the limit of output tokens that is sent: less than was wanted where the wallet is low.

    Never less than `least`, without which there would be no answer: then it is the hold that says
    how much is missing. `before` is what the input costs; `available` None: nobody asked.
    """
    if available is None:
        return wanted
    fits = max(0, available - before) * MILLION // rate
    return min(wanted, max(least, fits))


def text_bytes(value: Any) -> int:
    """Return the bytes of all texts in a JSON value, names and numbers included."""
    if isinstance(value, str):
        return len(value) if value.isascii() else len(value.encode())
    if isinstance(value, dict):
        return sum(len(f"{name}".encode()) + text_bytes(each) for name, each in value.items())
    if isinstance(value, list):
        return sum(text_bytes(each) for each in value)
    return len(f"{value}")


def number(value: Any) -> int:
    """Return a count that a vendor says, 0 for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
