"""How staff read amounts that may be below zero."""

from __future__ import annotations

from typing import Any

from django import template
from django.utils.dateparse import parse_datetime

from common.money import MICROS_PER_CENT, MICROS_PER_USD

register = template.Library()
MINUS = "\N{MINUS SIGN}"


@register.filter
def signed(amount: int) -> str:
    """Show an amount that may be below zero, to four places or six."""
    dollars, micros = divmod(abs(amount), MICROS_PER_USD)
    digits = f"{micros:06d}"
    shown = digits[:2] if digits[2:] == "0000" else digits[:4] if digits[4:] == "00" else digits
    return f"{MINUS if amount < 0 else ''}${dollars:,}.{shown}"


@register.filter
def facts(told: dict[str, Any] | None) -> str:
    """Show in a line what was noted: amounts in dollars, lists and times as they are read."""
    return ", ".join(f"{_name(name)} {_value(name, each)}" for name, each in (told or {}).items())


def _name(name: str) -> str:
    return name.removesuffix("_micros").replace("_", " ")


def _value(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and name.endswith("_micros"):
        return signed(value)
    if isinstance(value, list):
        return " and ".join(f"{each}" for each in value) or "none"
    if isinstance(value, str) and (at := parse_datetime(value)):
        return f"{at:%Y-%m-%d %H:%M:%S}"
    return f"{value}"


@register.filter
def name_of(names: dict[object, str], key: object) -> str:
    """Return what somebody is called, of whom a page knows the names."""
    return names.get(key, "staff" if key else "nobody")


@register.filter
def in_micros(cents: int) -> int:
    """Return cents as the other filters of money take them."""
    return cents * MICROS_PER_CENT


@register.filter
def in_percent(part: float | None) -> str:
    """Show a part of a hundred that may be below zero; what is not known as a dash."""
    return "\N{EN DASH}" if part is None else f"{MINUS if part < 0 else ''}{abs(part)} %"
