"""Presses of Run in ComfyUI: what each called and cost, with its calls behind it.

What ran on the operator's machines is among them, and leads to its own page (runs.py). Those that
are chosen are given a project, here or from the page of one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from django.contrib import messages
from django.db import transaction
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from common import ids, pages
from common.errors import InvalidRequest
from dashboard.shell import only, page
from runs import projects as runs_projects
from runs import shown as machines
from usage import projects
from usage.runs import Wanted, older

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from accounts.sessions import Session

ON_A_PAGE: Final = 50


@require_safe
@page
def presses(request: HttpRequest, session: Session) -> HttpResponse:
    """Show some of them, the newest first."""
    than = pages.number(request.GET.get("older") or None)
    project = request.GET.get("project", "").replace("\0", "")[: runs_projects.MOST]
    wanted = Wanted(user_id=only(session), project=project)
    found, after = older(session.workspace_id, wanted, than=than, limit=ON_A_PAGE)
    here = machines.of_machines(session.workspace_id, (each.id for each in found))
    shown = {
        "runs": [(each, here.get(each.id)) for each in found],
        "older": "" if after is None else pages.sealed(f"{after}"),
        "is_first": than is None,
        "project": project,
        "query": urlencode({"project": project}) if project else "",
        "projects": projects.known(session.workspace_id, user_id=only(session)),
    }
    return render(request, "dashboard/presses.html", shown)


@require_POST
@page
def give_project(request: HttpRequest, session: Session) -> HttpResponse:
    """Have the runs that were chosen be of a project, all or none; lead back."""
    chosen = [each for each in request.POST.getlist("run") if each]
    if not 0 < len(chosen) <= ON_A_PAGE:
        raise InvalidRequest(_("Choose the runs first: at most fifty at once."))
    with transaction.atomic():
        for each in sorted(set(chosen)):
            name = runs_projects.give(
                session.workspace_id,
                each,
                request.POST.get("project", ""),
                by=session.user.pk,
                user_id=only(session),
            )
    many = len(set(chosen))
    if name:
        said = ngettext(
            "%(n)s run is of the project “%(project)s” now, and so are its calls in every sum.",
            "%(n)s runs are of the project “%(project)s” now, and so are their calls in every sum.",
            many,
        )
    else:
        said = ngettext(
            "%(n)s run is of no project now.", "%(n)s runs are of no project now.", many
        )
    messages.success(request, said % {"n": many, "project": name})
    for at in ("call", "run"):
        if known := ids.read(request.POST.get(f"at_{at}")):
            return redirect(at, known)
    return redirect("presses")
