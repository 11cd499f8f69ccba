"""Presses of Run in ComfyUI: what each called and cost, with its calls behind it.

What ran on the operator's machines is among them, and leads to its own page (runs.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from django.shortcuts import render
from django.views.decorators.http import require_safe

from common import pages
from dashboard.shell import only, page
from runs import shown as machines
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
    found, after = older(
        session.workspace_id, Wanted(user_id=only(session)), than=than, limit=ON_A_PAGE
    )
    here = machines.of_machines(session.workspace_id, (each.id for each in found))
    shown = {
        "runs": [(each, here.get(each.id)) for each in found],
        "older": "" if after is None else pages.sealed(f"{after}"),
        "is_first": than is None,
    }
    return render(request, "dashboard/presses.html", shown)
