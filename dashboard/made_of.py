"""Of what a price was made, in words: what was asked for, and the sum of it.

The inputs of a price are what its rule read of a request, under the names that requests have, and
what it put beside them. What is the house's own bookkeeping is left out here; JSON has all of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from common.errors import InvalidRequest
from common.money import MICROS_PER_USD
from dashboard import words
from prices import terms

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prices.terms import Term
    from usage.history import Receipt

BOOK: Final = "book"
OURS: Final = frozenset(
    {BOOK, "price", "rate", "rates", "base", "least", "most", "held", "usual_tokens", "capped",
     "measured", "exact", "extra", "fits", "longest"}
)  # fmt: skip
"""What rules put beside what was asked for: bounds and amounts."""
NAMES: Final = {
    "seconds": gettext_lazy("Length"),
    "added": gettext_lazy("Length that is added"),
    "n": gettext_lazy("How many"),
    "number": gettext_lazy("How many"),
    "model": gettext_lazy("Model"),
    "version": gettext_lazy("Version"),
    "resolution": gettext_lazy("Resolution"),
    "size": gettext_lazy("Size"),
    "quality": gettext_lazy("Quality"),
    "mode": gettext_lazy("Mode"),
    "kind": gettext_lazy("Kind"),
    "speed": gettext_lazy("Speed"),
    "sound": gettext_lazy("Sound"),
    "texture": gettext_lazy("Texture"),
    "width": gettext_lazy("Width"),
    "height": gettext_lazy("Height"),
    "megapixels": gettext_lazy("Megapixels sent"),
    "characters": gettext_lazy("Characters"),
    "bytes": gettext_lazy("Bytes of text"),
    "text_bytes": gettext_lazy("Bytes of text"),
    "pictures": gettext_lazy("Pictures sent"),
    "reference_images": gettext_lazy("Pictures sent"),
    "media": gettext_lazy("Files sent"),
    "limit": gettext_lazy("Tokens of the answer, at most"),
    "gpu_ms": gettext_lazy("Time of the machine"),
    "outputs": gettext_lazy("Files"),
    "each": gettext_lazy("Price of one"),
}
"""What a person calls them. What is not among them is a parameter of its node, and says so."""
MINUS, TIMES = "\N{MINUS SIGN}", "\N{MULTIPLICATION SIGN}"
SECONDS: Final = frozenset({"seconds", "added"})
PIXELS: Final = frozenset({"width", "height"})


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a sum: what it is about, and how much."""

    name: str
    value: str
    is_parameter: bool = False
    """Whether it goes by the name that it has in a request."""


def asked(inputs: dict[str, Any]) -> list[Line]:
    """Return what was asked for, as far as the price depends on it."""
    return [
        Line(f"{NAMES.get(name, name)}", _read(name, value), is_parameter=name not in NAMES)
        for name, value in inputs.items()
        if name not in OURS and value is not None
    ]


def sums(call: Receipt) -> list[Line]:
    """Return of what the amount of a call that was charged came, but for the amount itself."""
    if not call.charged:
        return []
    published = call.retail if call.retail is not None else call.charged
    return [*_by_rate(call, published), *_by_book(call, published)]


def _by_rate(call: Receipt, published: int) -> Iterator[Line]:
    """Yield the rate, and what of it came together, where they are known and fit."""
    inputs = call.inputs
    if isinstance(rates := inputs.get("rates"), dict):
        told = [
            _("%(amount)s in") % {"amount": _dollars(rates.get("in"))},
            _("%(amount)s out") % {"amount": _dollars(rates.get("out"))},
        ]
        yield Line(_("A million tokens"), ", ".join(told))
    elif "usual_tokens" in inputs:
        yield Line(_("A million tokens"), _dollars(inputs.get("rate")))
    elif "rate" in inputs:
        yield Line(_("Price of a second"), _dollars(inputs["rate"]))
        base = inputs.get("base", 0)
        if base:
            yield Line(_("Beside what is by the second"), _dollars(base))
        seconds = inputs.get("seconds", call.measured_seconds)
        if seconds and _is_number(seconds):
            length = Fraction(f"{seconds}")
            if base + length * Fraction(f"{inputs['rate']}") == published:
                rate = _dollars(inputs["rate"])
                yield Line(f"{_decimal(length)} s {TIMES} {rate}", _dollars(published - base))


def _by_book(call: Receipt, published: int) -> Iterator[Line]:
    term = _term(call.inputs.get(BOOK))
    if term is None:
        return
    if term.kind != terms.MARKUP:
        yield Line(words.term(term), _dollars(call.charged))
    elif term.amount:
        yield Line(_("Published price"), _dollars(published))
        yield Line(words.term(term), _dollars(call.charged - published, signed=True))


def _term(told: Any) -> Term | None:
    if not isinstance(told, dict):
        return None
    try:
        return terms.read({name: each for name, each in told.items() if name != "retail"})
    except InvalidRequest:
        return None  # Of a version that this one does not know.


def _read(name: str, value: Any) -> str:
    """Return a value as a person reads it."""
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if name in SECONDS:
        return f"{_decimal(Fraction(f'{value}'))} s" if _is_number(value) else f"{value}"
    if name == "gpu_ms":
        return f"{value / 1000:,.3f} s"
    if name == "each":
        return _dollars(value)
    if name in PIXELS:
        return f"{value} px"
    if isinstance(value, dict):
        return ", ".join(f"{of} {each}" for of, each in value.items())
    if isinstance(value, list):
        return ", ".join(f"{each}" for each in value)
    return f"{value:,}" if isinstance(value, int) else f"{value}"


def _is_number(value: Any) -> bool:
    try:
        Fraction(f"{value}")
    except (ValueError, ZeroDivisionError):
        return False
    return True


def _decimal(value: Fraction) -> str:
    """Return a number with as many places as it needs, three at most."""
    return f"{float(value):.3f}".rstrip("0").rstrip(".")


def _dollars(micros: Any, *, signed: bool = False) -> str:
    """Return an amount, which may be a fraction of a micro, in dollars: two places or more."""
    if not _is_number(micros):
        return f"{micros}"
    amount = Fraction(f"{micros}") / MICROS_PER_USD
    text = f"{abs(float(amount)):,.9f}".rstrip("0")
    whole, _point, places = text.partition(".")
    sign = MINUS if amount < 0 else "+" if signed else ""
    return f"{sign}${whole}.{places:0<2}"
