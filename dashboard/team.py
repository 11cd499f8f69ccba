"""The team: who is in it, who is invited, who asks for more; and what its owner decides.

Members see themselves alone. Whatever is changed here is changed by the functions that the API's
views call: they say who may.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django.contrib import messages
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import invitations, sessions, teams
from apikeys import allowances, asks
from common.drf import base_url
from common.errors import NotFound, PlatformError
from dashboard.shell import page
from dashboard.team_forms import InviteForm, RoleForm, TeamForm, VendorsForm

if TYPE_CHECKING:
    from uuid import UUID

    from django.http import HttpRequest, HttpResponse

    from accounts.models import Membership
    from accounts.sessions import Session
    from credits.books.allowances import Standing
    from dashboard.forms import Form

OWNER: Final = teams.Role.OWNER
MOST_SHOWN: Final = 1000
POST: Final = ("GET", "HEAD", "POST")


@dataclass(frozen=True, slots=True)
class Seat:
    """A member, and the limits that are theirs."""

    member: Membership
    limits: list[Standing]
    is_self: bool


@require_safe
@page
def team(request: HttpRequest, session: Session) -> HttpResponse:
    """Show it, as much as one's role may see."""
    return _team(request, session)


@require_POST
@page
def invite(request: HttpRequest, session: Session) -> HttpResponse:
    """Invite an address, by mail; who was invited before gets a new link."""
    form = InviteForm(request.POST)
    if not form.is_valid():
        return _team(request, session, invite=form, status=400)
    try:
        made = invitations.invite(
            session.workspace_id,
            email=form.cleaned_data["email"],
            role=teams.Role(form.cleaned_data["role"]),
            by=session.user,
            base_url=base_url(request),
        )
    except PlatformError as refusal:
        return _team(request, session, invite=form, status=form.refuse(refusal))
    messages.success(request, _("%(email)s is invited, by mail.") % {"email": made.email})
    return redirect("team")


@require_POST
@page
def withdraw(request: HttpRequest, session: Session, invitation: UUID) -> HttpResponse:
    """Have an invitation be none any more."""
    invitations.withdraw(session.workspace_id, invitation, by=session.user.pk)
    messages.success(request, _("The invitation is withdrawn."))
    return redirect("team")


@require_POST
@page
def answer(request: HttpRequest, session: Session, ask: UUID) -> HttpResponse:
    """Allow what a member asked for, or do not."""
    granted = request.POST.get("answer") == "allow"
    one = asks.answer(session.workspace_id, ask, granted=granted, by=session.user.pk)
    said = {"who": one.user.name or one.user.email}
    if granted:
        messages.success(request, _("%(who)s may spend that from now on.") % said)
    else:
        messages.success(request, _("%(who)s reads by mail that it stays as it is.") % said)
    return redirect("team")


@require_safe
@page
def member(request: HttpRequest, session: Session, user: UUID) -> HttpResponse:
    """Show a member, and what can be decided about them."""
    found = _member(session, user)
    shown = {
        "seat": _seats(session, [found])[0],
        "role": RoleForm(initial={"role": found.role}),
        "decides": session.role == OWNER and found.role != OWNER,
        "leaves": user == session.user.pk and found.role != OWNER and _is_team(found),
        "may_limit": session.role == OWNER,
        "team": found.workspace,
    }
    return render(request, "dashboard/member.html", shown)


@require_POST
@page
def set_role(request: HttpRequest, session: Session, user: UUID) -> HttpResponse:
    """Give a member another role."""
    form = RoleForm(request.POST)
    if not form.is_valid():
        raise NotFound(_("There is no such role."))
    role = teams.Role(form.cleaned_data["role"])
    teams.set_role(session.workspace_id, user, role=role, by=session.user.pk)
    messages.success(request, _("The role is changed."))
    return redirect("member", user)


@require_http_methods(POST)
@page
def remove(request: HttpRequest, session: Session, user: UUID) -> HttpResponse:
    """Ask once more; then end a membership, or one's own. Their keys here end with it."""
    found = _member(session, user)
    if request.method == "POST":
        teams.remove(session.workspace_id, user, by=session.user.pk)
        name = {"who": found.user.name or found.user.email}
        messages.success(request, _("%(who)s is not in the team any more.") % name)
        return redirect("home" if user == session.user.pk else "team")
    shown = {"member": found, "is_self": user == session.user.pk, "what": "remove"}
    return render(request, "dashboard/member_sure.html", shown)


@require_http_methods(POST)
@page
def transfer(request: HttpRequest, session: Session, user: UUID) -> HttpResponse:
    """Ask once more; then make a member the owner."""
    found = _member(session, user)
    teams.seat(session.user.pk, session.workspace_id, OWNER)
    if request.method == "POST":
        teams.transfer(session.workspace_id, to=user, by=session.user.pk)
        name = {"who": found.user.name or found.user.email}
        messages.success(request, _("%(who)s owns the team now.") % name)
        return redirect("team")
    shown = {"member": found, "is_self": False, "what": "transfer"}
    return render(request, "dashboard/member_sure.html", shown)


@require_http_methods(POST)
@page
def new(request: HttpRequest, session: Session) -> HttpResponse:
    """Make a team, and act for it."""
    form = TeamForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            made = teams.create(owner=session.user, name=form.cleaned_data["name"])
        except PlatformError as refusal:
            form.refuse(refusal)
        else:
            sessions.choose(request, made.pk)
            messages.success(request, _("The team is made. Invite its members."))
            return redirect("team")
    return _form_page(request, form, "new")


@require_http_methods(POST)
@page
def rename(request: HttpRequest, session: Session) -> HttpResponse:
    """Give the workspace another name."""
    mine = teams.seat(session.user.pk, session.workspace_id, OWNER)
    form = TeamForm(request.POST or None, initial={"name": mine.workspace.name})
    if request.method == "POST" and form.is_valid():
        try:
            teams.rename(session.workspace_id, name=form.cleaned_data["name"], by=session.user.pk)
        except PlatformError as refusal:
            form.refuse(refusal)
        else:
            messages.success(request, _("The workspace has another name."))
            return redirect("team")
    return _form_page(request, form, "rename")


@require_http_methods(POST)
@page
def vendors(request: HttpRequest, session: Session) -> HttpResponse:
    """Say which vendors the keys of this workspace may call; it holds from the next call on."""
    mine = teams.seat(session.user.pk, session.workspace_id, OWNER)
    form = VendorsForm(request.POST or None, now=mine.workspace.allowed_vendors)
    if request.method == "POST" and form.is_valid():
        teams.allow_vendors(session.workspace_id, form.allowed(), by=session.user.pk)
        messages.success(request, _("It holds from the next call on."))
        return redirect("team")
    return _form_page(request, form, "vendors")


def _team(
    request: HttpRequest, session: Session, *, status: int = 200, **forms: Any
) -> HttpResponse:
    mine = teams.seat(session.user.pk, session.workspace_id)
    sees = mine.role in teams.SEES
    found = teams.members(session.workspace_id)
    found = found if sees else found.filter(pk=mine.pk)
    shown = {
        "team": mine.workspace,
        "is_team": _is_team(mine),
        "is_owner": mine.role == OWNER,
        "sees": sees,
        "seats": _seats(session, list(found[:MOST_SHOWN])),
        "invitations": list(invitations.pending(session.workspace_id)) if sees else [],
        "asks": list(asks.waiting(session.workspace_id, by=session.user.pk)),
        "invite": InviteForm(),
        **forms,
    }
    return render(request, "dashboard/team.html", shown, status=status)


def _form_page(request: HttpRequest, form: Form, what: str) -> HttpResponse:
    shown = {"form": form, "what": what}
    return render(request, "dashboard/team_form.html", shown, status=form.status)


def _member(session: Session, user: UUID) -> Membership:
    """Return a member that one may see; raise NotFound for another's, as for nobody's."""
    if session.role not in teams.SEES and user != session.user.pk:
        raise NotFound(_("There is no such member."))
    found = teams.members(session.workspace_id).filter(user_id=user)
    one = found.select_related("user", "workspace").first()
    if one is None:
        raise NotFound(_("There is no such member."))
    return one


def _seats(session: Session, found: list[Membership]) -> list[Seat]:
    limits: dict[str, list[Standing]] = {}
    for each in allowances.standing(session.workspace_id, by=session.user.pk):
        if each.kind == "member":
            limits.setdefault(each.owner.partition("/")[2], []).append(each)
    return [
        Seat(each, limits.get(str(each.user_id), []), each.user_id == session.user.pk)
        for each in found
    ]


def _is_team(mine: Membership) -> bool:
    kind = mine.workspace.kind
    return bool(kind == mine.workspace.Kind.TEAM)
