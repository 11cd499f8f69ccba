"""What is filled in on the pages of members: read to the values that functions take."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from django import forms
from django.utils.translation import gettext_lazy as _

from common.money import MICROS_PER_USD, Micros, usd

if TYPE_CHECKING:
    from common.errors import PlatformError

WIRE_NAME: Final = re.compile(r"\A[a-z]+(_[a-z]+)*: ")
MOST_DOLLARS: Final = 1_000_000
PERIODS: Final = (
    ("day", _("Each day")),
    ("week", _("Each week")),
    ("month", _("Each month")),
    ("total", _("In total")),
)


class DollarsField(forms.DecimalField):
    """An amount in dollars, to six places; whoever asks the form gets micros, None if empty."""

    def __init__(self, *, least: str = "0", **options: Any) -> None:
        widget = forms.TextInput({"inputmode": "decimal", "autocomplete": "off"})
        options = {"max_value": MOST_DOLLARS, "widget": widget, **options}
        super().__init__(
            min_value=Decimal(least), max_digits=13, decimal_places=6, localize=False, **options
        )

    def clean(self, value: Any) -> Micros | None:
        """Return it in micros."""
        given = super().clean(value)
        return None if given is None else usd(str(given))

    def prepare_value(self, value: Any) -> Any:
        """Show micros as dollars; what was typed, as it was typed."""
        return dollars(value) if isinstance(value, int) else value

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Whether another amount was typed than the one that was shown."""
        return super().has_changed(None if initial is None else dollars(initial), data)


class Form(forms.Form):
    """A form that a refusal of a function can be said in."""

    _refused: int | None = None

    def refuse(self, refusal: PlatformError) -> int:
        """Say above it why not; return the status of the answer."""
        self.add_error(None, said(refusal))
        self._refused = refusal.status
        return refusal.status

    @property
    def status(self) -> int:
        """The status of a page with it: the refusal's, 400 where a field is wrong, else 200."""
        return self._refused or (400 if self.errors else 200)


def said(refusal: PlatformError) -> str:
    """Return the sentence of a refusal, without the name that a program knows the field by."""
    return WIRE_NAME.sub("", str(refusal))


class AmountsForm(Form):
    """The most that may be spent, by period."""

    day = DollarsField(label=PERIODS[0][1], required=False)
    week = DollarsField(label=PERIODS[1][1], required=False)
    month = DollarsField(label=PERIODS[2][1], required=False)
    total = DollarsField(label=PERIODS[3][1], required=False)

    @property
    def amounts(self) -> dict[str, Micros | None]:
        """Return them; of a period that stands empty there is none."""
        return {period: self.cleaned_data[period] for period, _label in PERIODS}


def dollars(amount: int) -> str:
    """Return micros as one types dollars: 60000 -> "0.06", 5000000 -> "5.00"."""
    whole, micros = divmod(amount, MICROS_PER_USD)
    decimals = f"{micros:06d}".rstrip("0").ljust(2, "0")
    return f"{whole}.{decimals}"


def end_of(day: date | None) -> datetime | None:
    """Return when a day is over, UTC."""
    return datetime.combine(day, time(), UTC) + timedelta(days=1) if day else None


def last_day(end: datetime | None) -> date | None:
    """Return the last day before that time."""
    return (end - timedelta(microseconds=1)).astimezone(UTC).date() if end else None
