"""Workflows by name: pasted once, run from a form made of their inputs, given a new version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson
from django import forms
from django.contrib import messages
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from common.errors import PlatformError
from dashboard import run_forms
from dashboard.forms import DollarsField, Form
from dashboard.run_forms import NOWHERE_SAID, RunForm
from dashboard.shell import only, page
from runs import core, preferences, shown, workflows

if TYPE_CHECKING:
    from uuid import UUID

    from django.http import HttpRequest, HttpResponse

    from accounts.sessions import Session

LAST: Final = 10


class GraphField(forms.CharField):
    """A workflow that is pasted, or a file of one; whoever asks the form gets what JSON says."""

    def __init__(self, **options: Any) -> None:
        widget = forms.Textarea({"rows": 10, "spellcheck": "false", "class": "mono"})
        super().__init__(max_length=core.MOST_BYTES, widget=widget, **options)

    def clean(self, value: Any) -> Any:
        """Return it as it was parsed."""
        try:
            return orjson.loads(super().clean(value))
        except orjson.JSONDecodeError as wrong:
            said = _("This is no JSON: line %(line)s. Paste the whole file.") % {
                "line": wrong.lineno
            }
            raise forms.ValidationError(said) from None


class VersionForm(Form):
    """A graph."""

    graph = GraphField(
        label=gettext_lazy("The workflow, as JSON"),
        help_text=gettext_lazy(
            "In ComfyUI: Workflow, Export (API). Paste what is in that file; one that was saved "
            "in the usual way is not enough."
        ),
    )


class WorkflowForm(VersionForm):
    """A name for a graph, where it runs and what it may cost."""

    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=workflows.MOST_NAME,
        widget=forms.TextInput({"autocomplete": "off"}),
    )
    accelerator = forms.ChoiceField(
        label=gettext_lazy("Machine"), required=False, help_text=gettext_lazy("Unless a run says.")
    )
    most = DollarsField(
        label=gettext_lazy("Most that a run may cost"),
        required=False,
        least="0.000001",
        help_text=gettext_lazy("Unless a run says. Empty: as usual here."),
    )
    field_order = ("name", "graph", "accelerator", "most")

    def __init__(self, *args: Any, accelerators: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        labels: Any = self.fields["accelerator"]
        labels.choices = [NOWHERE_SAID, *((each, each) for each in accelerators)]


@require_safe
@page
def workflow_list(request: HttpRequest, session: Session) -> HttpResponse:
    """Show them by name."""
    context = {"workflows": workflows.all_of(session.workspace_id)}
    return render(request, "dashboard/workflows.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@page
def new(request: HttpRequest, session: Session) -> HttpResponse:
    """Make one of what is pasted."""
    labels = shown.accelerators(session.workspace_id)
    form = WorkflowForm(request.POST or None, accelerators=labels)
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        try:
            made = workflows.make(
                session.workspace_id,
                name=given["name"],
                graph=given["graph"],
                by=session.user.pk,
                accelerator=given["accelerator"],
                max_micros=given["most"],
            )
        except PlatformError as refusal:
            form.refuse(refusal)
        else:
            messages.success(request, _("It is here. Fill in what it shall run with."))
            return redirect("workflow", made.pk)
    return render(request, "dashboard/workflow_new.html", {"form": form}, status=form.status)


@require_http_methods(["GET", "HEAD", "POST"])
@page
def workflow(request: HttpRequest, session: Session, workflow_id: UUID) -> HttpResponse:
    """Show one with a form made of its inputs; run it with what is filled in."""
    found = workflows.one(session.workspace_id, workflow_id)
    version = workflows.newest(found)
    preferred = preferences.of(session.workspace_id)
    form = RunForm(
        request.POST if request.method == "POST" else None,
        request.FILES if request.method == "POST" else None,
        graph=version.graph,
        choices=shown.choices(session.workspace_id, version.graph),
        accelerators=shown.accelerators(session.workspace_id),
        initial={
            "accelerator": found.accelerator or preferred.accelerator,
            "most": found.max_micros or preferred.max_micros,
        },
    )
    made = run_forms.handed_over(form, session, workflow_id=found.pk)
    if made is not None:
        return redirect("run", made.pk)
    runs, _older = shown.some(
        session.workspace_id, user_id=only(session), workflow_id=found.pk, limit=LAST
    )
    context = {"workflow": found, "version": version, "form": form, "runs": runs}
    return render(request, "dashboard/workflow.html", context, status=form.status)


@require_http_methods(["GET", "HEAD", "POST"])
@page
def version(request: HttpRequest, session: Session, workflow_id: UUID) -> HttpResponse:
    """Show the graph that runs; have another one run from now on."""
    found = workflows.one(session.workspace_id, workflow_id)
    now = workflows.newest(found)
    pretty = orjson.dumps(now.graph, option=orjson.OPT_INDENT_2).decode()
    form = VersionForm(request.POST or None, initial={"graph": pretty})
    if request.method == "POST" and form.is_valid():
        try:
            made = workflows.give_version(found, form.cleaned_data["graph"], by=session.user.pk)
        except PlatformError as refusal:
            form.refuse(refusal)
        else:
            said = _("Version %(number)s runs from now on.") % {"number": made.number}
            messages.success(request, said)
            return redirect("workflow", found.pk)
    context = {"form": form, "workflow": found, "version": now}
    return render(request, "dashboard/workflow_version.html", context, status=form.status)


@require_POST
@page
def remove(request: HttpRequest, session: Session, workflow_id: UUID) -> HttpResponse:
    """Have it be none any more; its runs stay."""
    found = workflows.one(session.workspace_id, workflow_id)
    workflows.remove(found, by=session.user.pk)
    messages.success(request, _("“%(name)s” is removed. Its runs stay.") % {"name": found.name})
    return redirect("workflows")
