"""Runs on the operator's machines: what came of each and what it cost; called off, run again.

A page of a run shows how far it is while it works: script asks `run_stream.py`, who has none reads
it by loading the page again. Who is a member sees their own runs, an owner and billing all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from common import ids
from common.errors import InvalidRequest, NotFound
from dashboard import run_forms
from dashboard.run_forms import RunForm
from dashboard.shell import only, page
from runs import core, dialects, shown
from runs.faces import files
from runs.models import ENDED, State
from usage import projects

if TYPE_CHECKING:
    from django.http import HttpRequest

    from accounts.sessions import Session
    from runs.models import Run

ON_A_PAGE: Final = 50
GROUPS: Final = {
    "now": (gettext_lazy("Not ended"), tuple(each for each in State if each not in ENDED)),
    "succeeded": (gettext_lazy("Succeeded"), (State.SUCCEEDED,)),
    "without": (gettext_lazy("Without a result"), (State.FAILED, State.CANCELED, State.EXPIRED)),
}
"""What a list can be narrowed to."""


@require_safe
@page
def runs(request: HttpRequest, session: Session) -> HttpResponse:
    """Show some of them, the newest first."""
    group = request.GET.get("state", "")
    if group and group not in GROUPS:
        raise InvalidRequest(_("There is no such state. Clear the filter."))
    found, older = shown.some(
        session.workspace_id,
        user_id=only(session),
        states=GROUPS[group][1] if group else (),
        before=_before(request),
        limit=ON_A_PAGE,
    )
    context = {
        "runs": found,
        "older": older,
        "group": group,
        "query": f"state={group}" if group else "",
        "groups": [(name, word) for name, (word, _states) in GROUPS.items()],
        "is_first": "older" not in request.GET,
    }
    return render(request, "dashboard/runs.html", context)


@require_safe
@page
def run(request: HttpRequest, session: Session, run_id: UUID) -> HttpResponse:
    """Show one: how far it is, or what it made and what it cost."""
    found = shown.one(session.workspace_id, run_id, user_id=only(session))
    names = projects.known(session.workspace_id, user_id=only(session))
    return render(request, "dashboard/run.html", {**context_of(found), "projects": names})


def context_of(found: Run) -> dict[str, Any]:
    """Return what the templates of a run name."""
    receipt = core.receipt(found)
    made = core.outputs(found.workspace_id, found.pk) if found.has_ended else []
    return {
        "run": found,
        "title": shown.title(found),
        "receipt": receipt,
        "freed": max(found.held_micros - found.charged_micros, 0),
        "outputs": made,
        "percent": round(100 * float((found.progress or {}).get("value") or 0)),
        "place": core.queue_position(found),
        "preview": shown.preview(found) if not found.has_ended else None,
        "may_be_again": found.graph is not None,
        "forgiven": settings.RUNS_FORGIVEN_SECONDS,
    }


@require_safe
@page
def preview(request: HttpRequest, session: Session, run_id: UUID) -> HttpResponse:
    """Send the newest picture of a run that works; nothing where there is none now."""
    found = shown.preview(shown.one(session.workspace_id, run_id, user_id=only(session)))
    if found is None or not found.content_type.startswith("image/"):
        return HttpResponse(status=204)  # It was there when its page was made.
    headers = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": files.RESTED}
    return HttpResponse(bytes(found.data), content_type=found.content_type, headers=headers)


@require_safe
@page
def output(request: HttpRequest, session: Session, run_id: UUID, output_id: UUID) -> HttpResponse:
    """Lead to a file that a run made: for an hour, at the address where this page is."""
    found = shown.output(session.workspace_id, run_id, output_id, user_id=only(session))
    address, _until = dialects.address("", found, seconds=files.AN_HOUR)
    return redirect(address)


@require_POST
@page
def cancel(request: HttpRequest, session: Session, run_id: UUID) -> HttpResponse:
    """Have a run end; again is fine."""
    found = shown.one(session.workspace_id, run_id, user_id=only(session))
    found = core.cancel(session.workspace_id, found.pk, by=session.user.pk)
    if found.has_ended:
        messages.success(request, _("The run has ended."))
    else:
        messages.success(request, _("It ends at its next step. What it has used is charged."))
    return redirect("run", run_id)


@require_http_methods(["GET", "HEAD", "POST"])
@page
def again(request: HttpRequest, session: Session, run_id: UUID) -> HttpResponse:
    """Ask for the inputs of a run that was; run it with those that are said now."""
    found = shown.one(session.workspace_id, run_id, user_id=only(session))
    if found.graph is None:
        raise NotFound(_("The workflow of this run is not kept any more. Hand it over again."))
    form = RunForm(
        request.POST if request.method == "POST" else None,
        request.FILES if request.method == "POST" else None,
        graph=found.graph,
        choices=shown.choices(session.workspace_id, found.graph),
        accelerators=shown.accelerators(session.workspace_id),
        initial={"accelerator": found.accelerator, "most": found.max_micros},
    )
    made = run_forms.handed_over(form, session, graph=found.graph, files=found.files)
    if made is not None:
        return redirect("run", made.pk)
    context = {"form": form, "run": found, "title": shown.title(found)}
    return render(request, "dashboard/run_again.html", context, status=form.status)


def _before(request: HttpRequest) -> UUID | None:
    text = request.GET.get("older", "")
    if text and (found := ids.read(text)) is None:
        raise InvalidRequest(_("This is no place in the list. Begin with the newest."))
    return found if text else None
