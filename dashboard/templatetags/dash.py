"""How money and states stand in a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import template
from django.forms import CheckboxSelectMultiple, RadioSelect
from django.utils.html import format_html
from django.utils.translation import gettext as _

from accounts.words import role
from common.money import CREDITS_PER_USD, MICROS_PER_CENT, MICROS_PER_USD, credits_text
from dashboard import made_of, words
from dashboard.forms import DollarsField
from proxy.pricing import said
from uploads import shelf

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.forms import BoundField
    from django.utils.safestring import SafeString

    from credits.books.allowances import Standing
    from runs.models import Output

register = template.Library()
for named in (words.limit_word, words.may, words.movement, words.named, words.per, role,
              words.run_word, words.event_word, words.unit):  # fmt: skip
    register.filter(named.__name__, named)
register.filter("term_said", words.term_said)
register.filter("rule", said.said)
register.filter("vendor", words.vendor)
register.filter("operation", words.operation)
register.filter("asked_for", made_of.asked)
register.filter("sums_of", made_of.sums)
KINDS = {
    "delivered": ("good", "check"),
    "refused": ("bad", "ban"),
    "failed": ("bad", "x"),
    "moderated": ("bad", "ban"),
    "expired": ("", "clock"),
}
"""The look of an outcome: a colour, and a shape for who sees none."""
RUNS = {
    "succeeded": ("good", "check"),
    "failed": ("bad", "x"),
    "canceled": ("", "ban"),
    "expired": ("", "clock"),
    "queued": ("wait", "hourglass"),
}
"""The same of where a run is; whatever else there is works."""


@register.filter
def usd(amount: int) -> str:
    """Show an amount in dollars, cut to cents: nobody is promised a cent that is not there."""
    dollars, cents = divmod(amount // MICROS_PER_CENT, 100)
    return f"${dollars:,}.{cents:02d}"


@register.filter
def figure(amount: int) -> str:
    """Show the same without the sign of the currency, which stands apart."""
    return usd(amount).replace("$", "")


@register.filter
def exact(amount: int) -> SafeString:
    """Show an amount whole, four places or six; two that say nothing step back."""
    dollars, micros = divmod(amount, MICROS_PER_USD)
    digits = f"{micros:06d}"
    is_four = digits[4:] == "00"
    kept, rest = (digits[:2], digits[2:4]) if is_four else (digits, "")
    grey = format_html('<span class="z">{}</span>', rest) if rest == "00" else rest
    look = "amt four" if is_four else "amt six"
    return format_html('<span class="{}">${}.{}{}</span>', look, f"{dollars:,}", kept, grey)


@register.filter
def in_credits(amount: int) -> str:
    """Show an amount in the clients' credits, cut to whole ones."""
    return f"{amount * CREDITS_PER_USD // MICROS_PER_USD:,}"


@register.filter
def charged_in_credits(amount: int) -> str:
    """Show what was charged in the clients' credits, as the answer to the call told it."""
    return credits_text(amount)


@register.filter
def whole(number: int) -> str:
    """Show a number of things."""
    return f"{number:,}"


@register.filter
def state(outcome: str) -> str:
    """Return the word of an outcome."""
    words = {
        "delivered": _("Delivered"),
        "refused": _("Refused"),
        "failed": _("Failed"),
        "moderated": _("Moderated"),
        "expired": _("Expired"),
    }
    return words.get(outcome, outcome)


@register.filter
def colour(outcome: str) -> str:
    """Return its class."""
    return KINDS.get(outcome, ("", ""))[0]


@register.filter
def shape(outcome: str) -> str:
    """Return its icon."""
    return KINDS.get(outcome, ("", "info"))[1]


@register.filter
def run_colour(state: str) -> str:
    """Return the class of where a run is."""
    return RUNS.get(state, ("wait", ""))[0]


@register.filter
def run_shape(state: str) -> str:
    """Return the icon of where a run is."""
    return RUNS.get(state, ("", "loader"))[1]


@register.filter
def seconds(milliseconds: int) -> str:
    """Show a span, to the millisecond that it is charged by."""
    return f"{milliseconds / 1000:,.3f} s"


@register.filter
def is_picture(made: Output) -> bool:
    """Whether a browser shows a file, and never runs it."""
    shown = shelf.disposition(made.content_type) == "inline"
    return shown and made.content_type.startswith("image/")


@register.filter
def is_money(field: BoundField) -> bool:
    """Whether a field is an amount, so that its currency stands before it."""
    return isinstance(field.field, DollarsField)


@register.filter
def is_many(field: BoundField) -> bool:
    """Whether a field is several boxes, under one heading."""
    return isinstance(field.field.widget, CheckboxSelectMultiple | RadioSelect)


@register.filter
def taken(one: Standing) -> int:
    """Return how much of a limit is spent or held, at most all of it: what a bar shows."""
    return one.limit - one.left or int(not one.limit)


@register.filter
def nearness(one: Standing) -> str:
    """Return the look of a bar: nearly used up, or used up."""
    if not one.left:
        return "full-up"
    return "near" if one.left * 5 < one.limit else ""


@register.filter
def of(found: Mapping[Any, Any], key: object) -> Any:
    """Return what there is of one among some; None where there is nothing."""
    return found.get(key)


@register.filter
def dollars(amount: int) -> str:
    """Return an amount as the chart reads it."""
    return f"{amount / MICROS_PER_USD:.6f}"
