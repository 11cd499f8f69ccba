"""Where one acts, and what is one's own: the workspace that was chosen, the settings, programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from django import forms
from django.contrib import messages
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST

from accounts import notices, person, redirects, sessions, signins, teams
from common.errors import NotFound, PlatformError
from dashboard.forms import Form
from dashboard.shell import page

if TYPE_CHECKING:
    from datetime import datetime

    from django.http import HttpRequest, HttpResponse

    from accounts.sessions import Session

BY_THEMSELVES = "by its person"


@dataclass(frozen=True, slots=True)
class Program:
    """A ComfyUI that was let in at the consent page, and acts still."""

    id: UUID
    origin: str
    address: str
    since: datetime
    used: datetime | None


class NameForm(Form):
    """How one is called."""

    name = forms.CharField(
        label=gettext_lazy("Your name"),
        max_length=person.MOST_NAME,
        required=False,
        help_text=gettext_lazy("As your team sees it, and mails to them."),
        widget=forms.TextInput({"autocomplete": "name"}),
    )


@require_POST
@page
def switch(request: HttpRequest, session: Session) -> HttpResponse:
    """Act for another workspace from now on, at this browser."""
    try:
        wanted = UUID(request.POST.get("workspace", ""))
    except ValueError:
        raise NotFound(teams.NOT_YOURS) from None
    mine = teams.seat(session.user.pk, wanted)
    sessions.choose(request, wanted)
    messages.success(request, _("You act for %(name)s now.") % {"name": mine.workspace.name})
    return redirect("home")


@require_http_methods(["GET", "HEAD", "POST"])
@page
def settings(request: HttpRequest, session: Session) -> HttpResponse:
    """Show what is one's own; take another name."""
    form = NameForm(request.POST or None, initial={"name": session.user.name})
    if request.method == "POST" and form.is_valid():
        try:
            person.rename(session.user.pk, form.cleaned_data["name"])
        except PlatformError as refusal:
            form.refuse(refusal)
        else:
            messages.success(request, _("Your name is changed."))
            return redirect("settings")
    programs = [
        Program(
            id=each.pk,
            origin=str(redirects.named_by(each.redirect_uri) or ""),
            address=each.address,
            since=each.created_at,
            used=each.last_used_at,
        )
        for each in signins.open_of(session.user)
    ]
    shown = {"form": form, "programs": programs}
    return render(request, "dashboard/settings.html", shown, status=form.status)


@require_http_methods(["GET", "HEAD", "POST"])
@page
def mails(request: HttpRequest, session: Session) -> HttpResponse:
    """Show which mails one gets; choose among those that may be left out."""
    if request.method == "POST":
        notices.choose(session.user.pk, set(request.POST.getlist("kind")))
        messages.success(request, _("Your choice is kept."))
        return redirect("mails")
    chosen = [(each, notices.comes(session.user, each.name)) for each in notices.OPTIONAL]
    shown = {"optional": chosen, "always": notices.ALWAYS}
    return render(request, "dashboard/mails.html", shown)


@require_POST
@page
def end_program(request: HttpRequest, session: Session, sign_in_id: UUID) -> HttpResponse:
    """Sign a ComfyUI out: it calls nothing from the next call on."""
    found = signins.open_of(session.user).filter(pk=sign_in_id).first()
    if found is None or not signins.end(found, why=BY_THEMSELVES, by=session.user.pk):
        raise NotFound(_("There is no such sign-in, or it has ended."))
    messages.success(request, _("That ComfyUI is signed out."))
    return redirect("settings")
