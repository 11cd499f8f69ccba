"""What is filled in about limits."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

from apikeys.allowances import MOST_PROJECT
from apikeys.asks import MOST_NOTE
from dashboard.forms import PERIODS, DollarsField, Form


class AskForm(Form):
    """How much one would have, for which time, and why."""

    amount = DollarsField(label=_("Amount"), least="0.01")
    period = forms.ChoiceField(label=_("For"), choices=PERIODS, initial="month")
    note = forms.CharField(
        label=_("Why"), max_length=MOST_NOTE, required=False, widget=forms.Textarea({"rows": 3})
    )


class ProjectForm(Form):
    """Whose limits to set: a project, by the name that keys have."""

    of = forms.CharField(label=_("Project"), max_length=MOST_PROJECT)
