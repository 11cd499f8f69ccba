"""What is filled in about money."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django import forms
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from common.money import MICROS_PER_USD, Micros
from credits.books import reasons
from dashboard.forms import DollarsField, Form

if TYPE_CHECKING:
    from credits.payments.automatic import Standing

AMOUNTS: Final = (10, 25, 50, 100, 250)
"""Dollars that are offered."""
USUAL: Final = 25


class BuyForm(Form):
    """How much to buy: one of the amounts, or another."""

    dollars = forms.TypedChoiceField(
        label=_("Amount"),
        coerce=int,
        choices=[(each, f"${each}") for each in AMOUNTS],
        initial=USUAL,
        required=False,
        empty_value=None,
        widget=forms.RadioSelect,
    )
    other = DollarsField(
        label=_("Another amount"), required=False, help_text=_("In place of those above.")
    )

    def clean(self) -> dict[str, Any]:
        """Have one amount; whether that is sold, the purchase itself knows."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.errors:
            dollars = cleaned["dollars"]
            cleaned["amount"] = cleaned["other"] or Micros((dollars or 0) * MICROS_PER_USD)
            if not cleaned["amount"]:
                raise forms.ValidationError(_("Choose an amount."))
        return cleaned


class VoucherForm(Form):
    """A code that gives credits."""

    code = forms.CharField(
        label=pgettext_lazy("voucher", "Code"),
        max_length=64,
        help_text=_("Capitals and dashes do not matter."),
        widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false"}),
    )


class AutomaticForm(Form):
    """When to buy, how much, and how much in a month at most."""

    enabled = forms.BooleanField(label=_("Switched on"), required=False)
    threshold = DollarsField(label=_("When available falls below"))
    amount = DollarsField(label=_("Buy"))
    monthly_cap = DollarsField(label=_("At most in a month"))

    @staticmethod
    def filled(wish: Standing) -> dict[str, Any]:
        """Return the fields of a wish as it stands."""
        return {
            "enabled": wish.enabled,
            "threshold": wish.threshold,
            "amount": wish.amount,
            "monthly_cap": wish.monthly_cap,
        }


class BackForm(Form):
    """How much of a purchase is wanted back."""

    amount = DollarsField(label=_("Credits to give back"), least="0.01")
    reason = forms.CharField(
        label=_("Why, if you like to say"),
        required=False,
        max_length=reasons.MOST,
        widget=forms.TextInput({"autocomplete": "off"}),
    )
    key = forms.UUIDField(widget=forms.HiddenInput)


class WarnForm(Form):
    """Below which balance a mail is sent."""

    below = DollarsField(
        label=_("Mail when available falls below"), required=False, help_text=_("Empty: never.")
    )
