"""Vendors: how they serve us, what is switched off, and under which accounts calls go.

Secrets are written and never read: the page shows the names of what an account holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django import forms
from django.shortcuts import render
from django.urls import reverse

from common.errors import InvalidRequest
from dashboard.forms import Form
from desk.roles import Right
from proxy import health, switches, vendor_accounts
from proxy.models import VendorSwitch
from proxy.vendors import catalogue
from staff.pages import About, ReasonForm, act, page, who

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from proxy.health import Served

DAY: Final = 24 * 60
FAILING: Final = 0.9
"""Below that part of what it should have served, a vendor is told to fail."""


@page(Right.READ)
def vendor_list(request: HttpRequest) -> HttpResponse:
    """Show all vendors as they served us in a day, what is off first, then what fails."""
    served: dict[str, list[Served]] = {}
    for one in health.read(minutes=DAY):
        served.setdefault(one.vendor, []).append(one)
    off = {(each.vendor, each.operation): each for each in VendorSwitch.objects.all()}
    known = {each.vendor for each in vendor_accounts.shown()}
    rows = [
        _row(vendor.name, vendor.display, served.get(vendor.name, []), off, vendor.name in known)
        for vendor in catalogue().vendors.values()
    ]
    order = {"off": 0, "failing": 1, "on": 2, "no calls": 3, "no account": 4}
    rows.sort(key=lambda row: (order[row["state"]], row["display"].lower()))
    return render(request, "staff/vendors.html", {"vendors": rows})


def _row(
    name: str, display: str, served: list[Served], off: dict[Any, VendorSwitch], has_account: bool
) -> dict[str, Any]:
    calls = sum(sum(each.outcomes.values()) for each in served)
    rates = [each.success for each in served if each.success is not None]
    worst = min(rates, default=None)
    switch = off.get((name, ""))
    parts = [each for (vendor, operation), each in off.items() if vendor == name and operation]
    if switch is not None:
        state = "off"
    elif not has_account:
        state = "no account"
    elif worst is not None and worst < FAILING:
        state = "failing"
    else:
        state = "on" if calls else "no calls"
    slow = [each.p90_seconds for each in served if each.p90_seconds is not None]
    return {
        "name": name,
        "display": display,
        "state": state,
        "sentence": switch.sentence if switch else "",
        "parts": len(parts),
        "calls": calls,
        "success": None if worst is None else f"{worst:.1%}",
        "p90": max(slow, default=None),
        "busy": sum(each.busy for each in served),
    }


@page(Right.READ)
def vendor(request: HttpRequest, name: str) -> HttpResponse:
    """Show one vendor: its accounts, how each was served, what is off."""
    found = vendor_accounts.vendor_of(name)
    switched = list(VendorSwitch.objects.filter(vendor=name).order_by("operation"))
    shown = {
        "vendor": found,
        "accounts": vendor_accounts.shown(name),
        "served": health.read(vendor=name, minutes=DAY),
        "switched": switched,
        "is_off": any(not each.operation for each in switched),
        "operations": len(found.operations),
        "settings": vendor_accounts.settings_for(name),
    }
    return render(request, "staff/vendor.html", shown)


def about(name: str, account: str = "") -> About:
    """Return which vendor is meant, and which account of it."""
    found = vendor_accounts.vendor_of(name)
    back = reverse("staff:vendor", kwargs={"name": name})
    facts = [("Vendor", found.display)] + ([("Account", account)] if account else [])
    return About(found.display, back, facts)


class OffForm(Form):
    """What members read, and of what."""

    operation = forms.CharField(
        label="Operation",
        max_length=200,
        required=False,
        help_text="Its path, as on the prices page. Empty: all of the vendor.",
    )
    reason = forms.CharField(
        label="What members read", max_length=300, help_text="Each refused call says it."
    )


@act(
    Right.OPERATE, title="Switch off", button="Switch it off", about=about, form=OffForm,
    lead="New calls are refused with your sentence, within seconds. What runs goes on to its end.",
    is_grave=True,
)  # fmt: skip
def switch_off(request: HttpRequest, given: dict[str, Any], name: str) -> str:
    """Refuse new calls of a vendor, or of one operation."""
    switches.switch_off(name, given["operation"].strip(), given["reason"], by=who(request))
    return "It is off: members read your sentence."


class OnForm(ReasonForm):
    """Of what."""

    operation = forms.CharField(
        label="Operation", max_length=200, required=False, help_text="Empty: all of the vendor."
    )
    field_order = ("operation", "reason")


@act(Right.OPERATE, title="Switch on", button="Switch it on", about=about, form=OnForm)
def switch_on(request: HttpRequest, given: dict[str, Any], name: str) -> str:
    """Serve it again."""
    was_off = switches.switch_on(
        name, given["operation"].strip(), by=who(request), reason=given["reason"]
    )
    return "It is on." if was_off else "It was not off."


class Forgetful(forms.Textarea):
    """A box for secrets: it is empty whenever it is shown."""

    def format_value(self, value: Any) -> str:
        """Show nothing of it."""
        return ""


class AccountForm(ReasonForm):
    """An account's settings, one a line: they are written, and shown to nobody again."""

    account = forms.CharField(
        label="Name", max_length=32, help_text="Like second. A name that is there has new settings."
    )
    settings = forms.CharField(
        label="Settings",
        max_length=vendor_accounts.SECRET_LIMIT,
        strip=False,
        help_text="Lines like KEY=..., or one JSON object. Nobody reads them again.",
        widget=Forgetful({"rows": 4, "autocomplete": "off", "spellcheck": "false"}),
    )
    field_order = ("account", "settings", "reason")

    def clean_settings(self) -> dict[str, str]:
        """Return them by their names."""
        try:
            return vendor_accounts.read_settings(self.cleaned_data["settings"])
        except InvalidRequest as refusal:
            raise forms.ValidationError(str(refusal)) from refusal


@act(Right.OPERATE, title="Add an account", button="Add it", about=about, form=AccountForm)
def add_account(request: HttpRequest, given: dict[str, Any], name: str) -> str:
    """Have an account with these settings."""
    is_new = vendor_accounts.add(
        name, given["account"], given["settings"], by=who(request), reason=given["reason"]
    )
    return f"{given['account']} is added." if is_new else f"{given['account']} has new settings."


class WeightForm(ReasonForm):
    """A share of the calls."""

    weight = forms.IntegerField(
        label="Weight", min_value=1, max_value=vendor_accounts.MOST_WEIGHT,
        help_text="Against the weights of the others; 100 is usual.",
    )  # fmt: skip
    field_order = ("weight", "reason")


@act(Right.OPERATE, title="Weight of an account", button="Set", about=about, form=WeightForm)
def weigh_account(request: HttpRequest, given: dict[str, Any], name: str, account: str) -> str:
    """Give an account a share of the calls."""
    vendor_accounts.weigh(name, account, given["weight"], by=who(request), reason=given["reason"])
    return f"{account} has the weight {given['weight']}."


@act(Right.OPERATE, title="Give an account no new calls", button="Disable it", about=about)
def disable_account(request: HttpRequest, given: dict[str, Any], name: str, account: str) -> str:
    """Give an account no new calls."""
    was_on = vendor_accounts.disable(name, account, by=who(request), reason=given["reason"])
    return f"{account} gets no new calls." if was_on else f"{account} got none before."


@act(Right.OPERATE, title="Give an account calls again", button="Enable it", about=about)
def enable_account(request: HttpRequest, given: dict[str, Any], name: str, account: str) -> str:
    """Give it calls again."""
    was_off = vendor_accounts.enable(name, account, by=who(request), reason=given["reason"])
    return f"{account} gets calls again." if was_off else f"{account} was on before."


class RemoveForm(ReasonForm):
    """Whether its jobs may be lost."""

    abandon = forms.BooleanField(
        label="Abandon its jobs", required=False,
        help_text="No other account can ask for them. They cost nothing then.",
    )  # fmt: skip


@act(
    Right.OPERATE, title="Remove an account", button="Remove it", about=about, form=RemoveForm,
    lead="Its secrets are gone at once.", is_grave=True,
)  # fmt: skip
def remove_account(request: HttpRequest, given: dict[str, Any], name: str, account: str) -> str:
    """Take an account and its secrets away."""
    lost = vendor_accounts.remove(
        name, account, by=who(request), reason=given["reason"], abandon=given["abandon"]
    )
    return f"{account} is removed; {lost} jobs were abandoned."
