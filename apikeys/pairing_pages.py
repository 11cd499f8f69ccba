"""Where a member types the code that a machine shows, sees which one asks, and approves it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from allauth.account.decorators import reauthentication_required
from django import forms
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext, gettext_lazy, pgettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from accounts import doors, sessions
from accounts.models import Membership
from apikeys import keys, pairing, rights
from apikeys.authentication import scopes_of
from apikeys.life import Giver
from apikeys.rights import Rights
from common.addresses import household
from common.errors import PlatformError
from common.money import Micros, usd

if TYPE_CHECKING:
    from django.http import HttpRequest

    from apikeys.models import Pairing

LIMIT: Final = "1"
"""What is proposed for one call, in dollars: most cost cents."""
PER_DAY: Final = "5"
DAYS: Final = (
    (7, gettext_lazy("7 days")),
    (30, gettext_lazy("30 days")),
    (90, gettext_lazy("90 days")),
    (365, gettext_lazy("a year")),
)
SHOWN: Final = 90


class CodeForm(forms.Form):
    """The code that a machine shows."""

    code = forms.CharField(
        label=pgettext_lazy("machine", "Code"),
        max_length=40,
        help_text=gettext_lazy("Eight signs, like K7PX-3MQT."),
        widget=forms.TextInput({"autocomplete": "off", "autocapitalize": "characters"}),
    )


class Dollars(forms.DecimalField):
    """An amount in dollars; cleaned, it is in micros. Nothing is no limit that anybody means."""

    def __init__(self, **kwargs: Any) -> None:
        most = rights.MOST_MICROS // 1_000_000
        super().__init__(min_value=0, max_value=most, max_digits=10, decimal_places=6, **kwargs)

    def clean(self, value: Any) -> Micros:
        """Return it in micros."""
        amount = usd(str(super().clean(value)))
        if amount <= 0:
            raise forms.ValidationError(gettext("More than nothing."))
        return amount


class ApprovalForm(forms.Form):
    """What the machine's key is called, and how far it reaches."""

    name = forms.CharField(label=gettext_lazy("Name of its key"), max_length=keys.MOST_NAME)
    workspace = forms.ChoiceField(label=gettext_lazy("It spends the credits of"))
    limit = Dollars(
        label=gettext_lazy("Most for one call, in dollars"),
        help_text=gettext_lazy("Most calls cost a few cents. A video may cost some dollars."),
    )
    per_day = Dollars(
        label=gettext_lazy("Most in a day, in dollars"),
        help_text=gettext_lazy("For all calls of this machine together."),
    )
    days = forms.TypedChoiceField(
        label=gettext_lazy("Ends by itself after"), coerce=int, choices=DAYS, initial=SHOWN
    )

    def __init__(self, *args: Any, places: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["workspace"].choices = places  # type: ignore[attr-defined]


@require_safe
def lead(request: HttpRequest) -> HttpResponse:
    """Lead to the page, from the address that a machine shows."""
    return redirect("pair")


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def typed(request: HttpRequest) -> HttpResponse:
    """Ask for the code; lead on to the machine that shows it."""
    form = CodeForm(request.POST or None)
    status = 200
    if request.method == "POST" and form.is_valid():
        user: Any = request.user
        try:
            row = pairing.find(
                form.cleaned_data["code"], user=user, address=request.META.get("REMOTE_ADDR", "")
            )
        except PlatformError as refusal:
            form.add_error("code", str(refusal))
            status = refusal.status
        else:
            return redirect("pair_machine", row.pk)
    return render(request, "apikeys/pair.html", {"form": form}, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@reauthentication_required  # type: ignore[untyped-decorator]  # It has no types.
def machine(request: HttpRequest, pairing_id: UUID) -> HttpResponse:
    """Show which machine asks; give it a key, or let it go."""
    user: Any = request.user
    try:
        row = pairing.found(pairing_id, user=user)
        form = ApprovalForm(
            request.POST or None,
            places=_places(user),
            initial={"name": row.machine, "limit": LIMIT, "per_day": PER_DAY},
        )
        if request.method == "POST" and request.POST.get("answer") != "allow":
            pairing.refuse(row.pk, user=user)
            return render(request, "apikeys/paired.html", {"machine": row.machine})
        if request.method == "POST" and form.is_valid():
            return _approved(request, row, form.cleaned_data)
    except PlatformError as refusal:
        return doors.refused(request, refusal)
    seen = request.META.get("REMOTE_ADDR", "")
    shown = {"row": row, "form": form, "is_near": household(seen) == household(row.address)}
    return render(request, "apikeys/pair_machine.html", shown)


def _approved(request: HttpRequest, row: Pairing, asked: dict[str, Any]) -> HttpResponse:
    session = sessions.of(request)
    assert session is not None, "who is signed in has a workspace"
    giver = Giver(
        session.user.pk,
        UUID(asked["workspace"]),  # `approve` sees that they belong to it still.
        Rights(scopes=scopes_of(session)),
    )
    key = pairing.approve(
        row.pk,
        giver,
        user=session.user,
        name=asked["name"],
        limit=asked["limit"],
        per_day=asked["per_day"],
        days=asked["days"],
    )
    return render(request, "apikeys/paired.html", {"machine": row.machine, "key": key})


def _memberships(user: Any) -> list[tuple[UUID, str]]:
    own = Membership.objects.filter(user=user).order_by("workspace__created_at", "workspace_id")
    return list(own.values_list("workspace_id", "workspace__name"))


def _places(user: Any) -> list[tuple[str, str]]:
    return [(str(each), name) for each, name in _memberships(user)]
