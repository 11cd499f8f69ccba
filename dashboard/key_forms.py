"""What is filled in of a key: read to its rights and its limits."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any, Final

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apikeys import keys, limited, rights
from apikeys.allowances import MOST_PROJECT
from apikeys.limited import Limits
from apikeys.models import SCOPES
from apikeys.rights import Rights
from common.errors import InvalidRequest
from dashboard.forms import AmountsForm, DollarsField, Form, end_of, last_day
from dashboard.words import may
from proxy.vendors import catalogue

if TYPE_CHECKING:
    from collections.abc import Collection

ALL, SOME = "all", "some"


class KeyForm(AmountsForm):
    """A key: its name, what it may, and within which limits."""

    name = forms.CharField(
        label=_("Name"),
        max_length=keys.MOST_NAME,
        help_text=_("Where it will be used, so that you know it again."),
        widget=forms.TextInput({"autocomplete": "off"}),
    )
    scopes = forms.MultipleChoiceField(
        label=_("It may"), widget=forms.CheckboxSelectMultiple, initial=["proxy", "usage:read"]
    )
    call_limit = DollarsField(label=_("Most for one call"), required=False, least="0.000001")
    project = forms.CharField(
        label=_("Project"),
        max_length=MOST_PROJECT,
        required=False,
        help_text=_("Keys of one project share its limits."),
    )
    pace = forms.IntegerField(
        label=_("Calls in a minute"),
        min_value=1,
        max_value=limited.MOST_A_MINUTE,
        required=False,
        help_text=_("How many it may begin. Empty: as many as every key."),
    )
    ends_on = forms.DateField(
        label=_("Its last day"),
        required=False,
        help_text=_("In UTC. Empty: it works until you end it."),
        widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d"),
    )
    which = forms.ChoiceField(
        label=_("Vendors"),
        choices=((ALL, _("All that the workspace may call")), (SOME, _("Only these"))),
        initial=ALL,
        widget=forms.RadioSelect,
    )
    vendors = forms.MultipleChoiceField(
        label=_("Only these vendors"), required=False, widget=forms.CheckboxSelectMultiple
    )
    networks = forms.CharField(
        label=_("Networks"),
        required=False,
        max_length=4000,
        help_text=_(
            "From where it may be used, one on each line, like 192.0.2.0/24. "
            "Empty: from everywhere."
        ),
        widget=forms.Textarea({"rows": 3, "spellcheck": "false"}),
    )

    BOUNDS: Final = {
        "scopes": "scopes", "which": "vendors", "vendors": "vendors", "networks": "networks",
        "call_limit": "call_limit", "ends_on": "expires_at",
    }  # fmt: skip
    """Which of `Rights` each field says."""

    def __init__(self, *args: Any, scopes: Collection[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offered: Any = self.fields
        offered["scopes"].choices = [(each, may(each)) for each in SCOPES if each in scopes]
        names = {name: vendor.display for name, vendor in catalogue().vendors.items()}
        names |= {name: name for name in self.initial.get("vendors", ()) if name not in names}
        offered["vendors"].choices = sorted(names.items(), key=lambda each: each[1].lower())

    @staticmethod
    def filled(own: Rights, now: Limits) -> dict[str, Any]:
        """Return the fields of a key as it is."""
        return {
            "scopes": [each for each in SCOPES if each in own.scopes],
            "call_limit": own.call_limit,
            "project": now.project,
            "pace": now.pace,
            "ends_on": last_day(own.expires_at),
            "which": ALL if own.vendors is None else SOME,
            "vendors": sorted(own.vendors or ()),
            "networks": "\n".join(sorted(str(each) for each in own.networks or ())),
            **now.amounts,
        }

    def clean_networks(self) -> frozenset[rights.Network] | None:
        """Return them; None is everywhere."""
        given = self.cleaned_data["networks"].replace(",", "\n").split()
        try:
            return rights.networks(given or None)
        except InvalidRequest as refusal:
            raise forms.ValidationError(str(refusal).partition(": ")[2]) from refusal

    def clean_ends_on(self) -> date | None:
        """Return the day, if it is one on which the key still works."""
        day: date | None = self.cleaned_data["ends_on"]
        if day is None or "ends_on" not in self.changed_data:
            return day
        if not timezone.now().date() <= day < date(9999, 1, 1):
            raise forms.ValidationError(_("This day is over, or no calendar has it."))
        return day

    def clean(self) -> dict[str, Any]:
        """See that who chooses only some vendors names one."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if cleaned.get("which") == SOME and not cleaned.get("vendors"):
            self.add_error("vendors", _("Choose at least one."))
        return cleaned

    def rights(self) -> Rights:
        """Return what the key may."""
        given = self.cleaned_data
        return Rights(
            scopes=frozenset(given["scopes"]),
            vendors=frozenset(given["vendors"]) if given["which"] == SOME else None,
            networks=given["networks"],
            call_limit=given["call_limit"],
            expires_at=end_of(given["ends_on"]),
        )

    def changed_rights(self) -> dict[str, Any]:
        """Return the fields of `Rights` that were changed."""
        all_of = self.rights()
        names = {self.BOUNDS[name] for name in self.changed_data if name in self.BOUNDS}
        return {name: getattr(all_of, name) for name in names}

    def limits(self) -> Limits:
        """Return the limits."""
        given = self.cleaned_data
        return Limits(project=given["project"], pace=given["pace"], amounts=self.amounts)


class AddressForm(Form):
    """What a run may cost that comes by an address, and for how long that holds."""

    most = DollarsField(
        label=_("Most that a run by it may cost"),
        required=False,
        least="0.000001",
        help_text=_("Empty: as the key may."),
    )
    days = forms.TypedChoiceField(
        label=_("It works for"),
        coerce=int,
        choices=(
            (0, _("as long as the key")),
            (1, _("a day")),
            (7, _("7 days")),
            (30, _("30 days")),
            (90, _("90 days")),
        ),
        initial=30,
    )


class RotateForm(Form):
    """For how long the old key still works beside the new one."""

    USUAL: Final = 7
    days = forms.TypedChoiceField(
        label=_("The old one works on for"),
        coerce=int,
        choices=(
            (0, _("no time: it ends now")),
            (1, _("a day")),
            (7, _("7 days")),
            (30, _("30 days")),
        ),
        initial=USUAL,
    )
