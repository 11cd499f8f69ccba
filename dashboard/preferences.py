"""What a workspace prefers for all of its runs: how long they are kept, and what they may cost.

Everybody in it may read that; who sees all of it may change it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.validators import MaxValueValidator
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from accounts import teams
from common.errors import AccessDisabled, PlatformError
from dashboard.forms import DollarsField, Form
from dashboard.run_forms import NOWHERE_SAID
from dashboard.shell import page
from runs import preferences, shown

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from accounts.sessions import Session


class PreferencesForm(Form):
    """What holds for a run that does not say otherwise."""

    keep_days = forms.IntegerField(
        label=gettext_lazy("Days that files and workflows are kept"),
        required=False,
        min_value=1,
        widget=forms.TextInput({"inputmode": "numeric", "autocomplete": "off"}),
    )
    max_micros = DollarsField(
        label=gettext_lazy("Most that a run may cost"),
        required=False,
        least="0.000001",
        help_text=gettext_lazy("Unless it or its workflow says. Empty: as usual here."),
    )
    accelerator = forms.ChoiceField(
        label=gettext_lazy("Machine"),
        required=False,
        help_text=gettext_lazy("Unless a run or its workflow says."),
    )
    drops_workflows = forms.BooleanField(
        label=gettext_lazy("Forget the workflow of a run the moment it ends"),
        required=False,
        help_text=gettext_lazy(
            "Its files and its receipt stay. It cannot be read back or run again from its page."
        ),
    )
    leaves_in_files = forms.BooleanField(
        label=gettext_lazy("Leave forgotten workflows in pictures and films"),
        required=False,
        help_text=gettext_lazy(
            "ComfyUI writes a workflow into what it saves, and opens it from there again. It is "
            "taken out where workflows are forgotten, unless this is on."
        ),
    )

    def __init__(self, *args: Any, accelerators: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        now = self.initial.get("accelerator")
        known = sorted({*accelerators, *filter(None, [now])})
        labels: Any = self.fields["accelerator"]
        labels.choices = [NOWHERE_SAID, *((each, each) for each in known)]
        days: Any = self.fields["keep_days"]
        days.max_value = preferences.most_days()
        days.validators.append(MaxValueValidator(days.max_value))
        days.help_text = _(
            "From 1 to %(most)s. Empty: %(usual)s. It holds for what ends from now on."
        ) % {"most": days.max_value, "usual": settings.RUNS_KEEP_DAYS}


@require_http_methods(["GET", "HEAD", "POST"])
@page
def run_preferences(request: HttpRequest, session: Session) -> HttpResponse:
    """Show what the workspace prefers; have it prefer something else from now on."""
    now = preferences.of(session.workspace_id)
    form = PreferencesForm(
        request.POST if request.method == "POST" else None,
        accelerators=shown.accelerators(session.workspace_id),
        initial={name: getattr(now, name) for name in preferences.NAMES},
    )
    may_change = session.role in teams.SEES
    if request.method == "POST":
        if not may_change:
            raise AccessDisabled(
                _("What holds for all runs of a workspace is for its owner to change.")
            )
        if form.is_valid():
            try:
                preferences.change(session.workspace_id, form.cleaned_data, by=session.user.pk)
            except PlatformError as refusal:
                form.refuse(refusal)
            else:
                messages.success(request, _("It holds for runs that end from now on."))
                return redirect("run_preferences")
    if not may_change:
        for field in form.fields.values():
            field.disabled = True
    context = {"form": form, "may_change": may_change}
    return render(request, "dashboard/run_preferences.html", context, status=form.status)
