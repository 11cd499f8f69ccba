"""Limits: how much may be spent, by whom; how many calls at once; asking for more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from django.contrib import messages
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import teams
from apikeys import allowances, asks
from common.errors import AccessDisabled, NotFound, PlatformError
from credits.books import limits as slots
from credits.books.allowances import EACH
from credits.models import LARGE_MICROS
from dashboard.forms import AmountsForm
from dashboard.limit_forms import AskForm, ProjectForm
from dashboard.shell import page
from dashboard.tree import EACH_MEMBER, WHOLE, tree
from dashboard.words import named

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from accounts.sessions import Session
    from common.money import Micros

SET_HERE: Final = ("workspace", EACH, "project", "member")
"""Whose limits are set on the page of limits; a key's stand on its own."""


@require_safe
@page
def limits(request: HttpRequest, session: Session) -> HttpResponse:
    """Show them, as much as one's role may see."""
    return _limits(request, session)


@require_POST
@page
def ask(request: HttpRequest, session: Session) -> HttpResponse:
    """Ask the owner for more; they read of it by mail."""
    form = AskForm(request.POST)
    if not form.is_valid():
        return _limits(request, session, form=form, status=400)
    given = form.cleaned_data
    try:
        asks.ask(
            session.workspace_id,
            period=given["period"],
            limit=given["amount"],
            note=given["note"],
            by=session.user.pk,
        )
    except PlatformError as refusal:
        return _limits(request, session, form=form, status=form.refuse(refusal))
    messages.success(request, _("The owner is asked, by mail."))
    return redirect("limits")


@require_http_methods(["GET", "HEAD", "POST"])
@page
def change(request: HttpRequest, session: Session, kind: str) -> HttpResponse:
    """Set somebody's limits, or take them away; they hold from the next call on."""
    if session.role != teams.Role.OWNER:
        raise AccessDisabled(_("The owner of the workspace sets this. You can ask for more."))
    if kind not in SET_HERE:
        raise NotFound(_("There is nobody of that kind."))
    of = request.GET.get("of", "").replace("\0", "")
    workspace = session.workspace_id
    now: dict[str, Micros] = allowances.own(workspace, kind, of)
    form = AmountsForm(request.POST or None, initial=now)
    if request.method == "POST" and form.is_valid():
        try:
            allowances.set_rules(workspace, kind, of, form.amounts, by=session.user.pk)
        except PlatformError as refusal:
            form.refuse(refusal)
        else:
            messages.success(request, _("The limits hold from the next call on."))
            return redirect("limits")
    shown = {"form": form, "kind": kind, "name": _name(session, kind, of)}
    return render(request, "dashboard/limit_form.html", shown, status=form.status)


def _limits(
    request: HttpRequest, session: Session, *, form: AskForm | None = None, status: int = 200
) -> HttpResponse:
    usual, large = slots.slots_of(session.workspace_id)
    is_owner = session.role == teams.Role.OWNER
    shown = {
        "tree": tree(session),
        "usual": usual,
        "large": large,
        "large_from": LARGE_MICROS,
        "is_owner": is_owner,
        "ask": form or AskForm(),
        "asks": [] if is_owner else asks.waiting(session.workspace_id, by=session.user.pk),
        "project": ProjectForm(),
    }
    return render(request, "dashboard/limits.html", shown, status=status)


def _name(session: Session, kind: str, of: str) -> str:
    """Return whose limits these are, in words; they are there."""
    if kind == "member":
        people = teams.members(session.workspace_id)
        return named(people.get(user_id=of).user)
    return {"workspace": f"{WHOLE}", EACH: f"{EACH_MEMBER}"}.get(kind, " ".join(of.split()))
