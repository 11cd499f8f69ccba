"""Money is an integer count of micros: one US dollar is 1,000,000 micros.

The wire has its own units (contract 8.1): cents in a balance, credits in a header. They are made
here, on the way out, and nowhere else.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal
from fractions import Fraction
from typing import NewType

Micros = NewType("Micros", int)

MICROS_PER_USD = 1_000_000
MICROS_PER_CENT = 10_000
CREDITS_PER_USD = 211  # A constant of the stock clients (contract 8.2).


def usd(amount: str) -> Micros:
    """Read dollars written as text, like "0.04"; a part of a micro rounds up."""
    return Micros(int((Decimal(amount) * MICROS_PER_USD).to_integral_value(ROUND_CEILING)))


def round_up(amount: Fraction) -> Micros:
    """Return whole micros, a part of one rounded up: the one rounding of a computed price."""
    return Micros(-(-amount.numerator // amount.denominator))


def cents(amount: int) -> int | float:
    """Return micros as the wire's cents, with up to four decimals: 23505000 -> 2350.5."""
    whole, part = divmod(amount, MICROS_PER_CENT)
    return whole if part == 0 else amount / MICROS_PER_CENT


def credits_text(amount: int) -> str:
    """Return micros as credits for `X-Comfy-Credits-Used`: 60000 -> "12.66"."""
    hundredths = (amount * CREDITS_PER_USD + 5_000) // 10_000
    return f"{hundredths // 100}.{hundredths % 100:02d}".rstrip("0").rstrip(".")


def show(amount: int) -> str:
    """Return micros for people, in dollars, with as many decimals as it needs: "$0.0375"."""
    sign = "-" if amount < 0 else ""
    dollars, micros = divmod(abs(amount), MICROS_PER_USD)
    decimals = f"{micros:06d}".rstrip("0").ljust(2, "0")
    return f"{sign}${dollars:,}.{decimals}"
