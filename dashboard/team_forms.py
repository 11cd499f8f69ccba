"""What is filled in about a team."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts import teams
from dashboard.forms import Form
from dashboard.key_forms import ALL, SOME
from proxy.vendors import catalogue

if TYPE_CHECKING:
    from collections.abc import Sequence

ROLES: Final = (
    (teams.Role.MEMBER, _("Member: calls, and sees what is their own")),
    (teams.Role.BILLING, _("Billing: sees all, and pays")),
)


class InviteForm(Form):
    """Whom to invite, and as what."""

    email = forms.EmailField(
        label=_("Mail"), max_length=254, widget=forms.EmailInput({"autocomplete": "off"})
    )
    role = forms.ChoiceField(label=_("Role"), choices=ROLES)


class RoleForm(Form):
    """What a member is from now on."""

    role = forms.ChoiceField(label=_("Role"), choices=ROLES)


class TeamForm(Form):
    """How a workspace is called."""

    name = forms.CharField(
        label=_("Name"),
        max_length=teams.MOST_NAME,
        widget=forms.TextInput({"autocomplete": "organization"}),
    )


class VendorsForm(Form):
    """What the keys of a workspace may call."""

    which = forms.ChoiceField(
        label=_("Keys of this workspace may call"),
        choices=((ALL, _("All vendors")), (SOME, _("Only these"))),
        widget=forms.RadioSelect,
    )
    vendors = forms.MultipleChoiceField(
        label=_("Only these vendors"), required=False, widget=forms.CheckboxSelectMultiple
    )

    def __init__(self, *args: Any, now: Sequence[str] | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["which"] = ALL if now is None else SOME
        self.initial["vendors"] = list(now or ())
        offered: Any = self.fields["vendors"]
        names = {name: vendor.display for name, vendor in catalogue().vendors.items()}
        names |= {name: name for name in now or () if name not in names}
        offered.choices = sorted(names.items(), key=lambda each: each[1].lower())

    def allowed(self) -> list[str] | None:
        """Return them; None is all, and none is nothing."""
        given = self.cleaned_data
        return list(given["vendors"]) if given["which"] == SOME else None
