"""Keys: what each may and has left; made, changed, rotated, disabled and ended here.

A whole key stands in one answer, to the form that made it, and never again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apikeys import allowances, authentication, life, limited, rights, states
from common.drf import base_url
from common.errors import AccessDisabled, NotFound, PlatformError
from dashboard.key_forms import AddressForm, KeyForm, RotateForm
from dashboard.shell import page
from runs import address
from runs.faces import asking

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from django.db.models import QuerySet
    from django.http import HttpRequest, HttpResponse

    from accounts.sessions import Session
    from apikeys.models import ApiKey
    from credits.books.allowances import Standing

MOST_SHOWN = 200
BY_ITS_OWNER = "by its owner"


@dataclass(frozen=True, slots=True)
class Shown:
    """A key as its row in the list, and its page, have it."""

    key: ApiKey
    state: str
    limits: list[Standing]
    is_own: bool

    @property
    def nearest(self) -> Standing | None:
        """The limit of its own of which least is left."""
        return min(self.limits, key=lambda each: each.left / (each.limit or 1), default=None)


@require_safe
@page
def keys(request: HttpRequest, session: Session) -> HttpResponse:
    """Show one's keys; to an owner who asks, everybody's."""
    giver = authentication.giver(session)
    everybodys = giver.everybodys and request.GET.get("of") == "all"
    found = life.visible(giver).filter(revoked_at=None).order_by("-created_at", "id")
    if not everybodys:
        found = found.filter(user_id=session.user.pk)
    shown = {
        "keys": _shown(session, found[:MOST_SHOWN]),
        "may_see_all": giver.everybodys,
        "everybodys": everybodys,
        "most": MOST_SHOWN,
    }
    return render(request, "dashboard/keys.html", shown)


@require_http_methods(["GET", "HEAD", "POST"])
@page
def new(request: HttpRequest, session: Session) -> HttpResponse:
    """Make a key, and show it for the only time."""
    giver = authentication.giver(session)
    form = KeyForm(request.POST or None, scopes=giver.rights.scopes)
    if request.method == "POST" and form.is_valid():
        try:
            whole, key = limited.make(
                giver, name=form.cleaned_data["name"], asked=form.rights(), limits=form.limits()
            )
        except PlatformError as refusal:
            form.refuse(refusal)
        else:
            return render(request, "dashboard/key_made.html", {"whole": whole, "key": key})
    shown = {"form": form, "key": None}
    return render(request, "dashboard/key_form.html", shown, status=form.status)


@require_safe
@page
def key(request: HttpRequest, session: Session, key_id: UUID) -> HttpResponse:
    """Show what a key may, what it has left, and what can be done with it."""
    found = life.one(authentication.giver(session), key_id)
    (one,) = _shown(session, [found])
    shown = {
        "one": one,
        "rotate": RotateForm(),
        "made": states.made_with(found),
        "addresses": address.of_keys(session.workspace_id, [found.pk]),
    }
    return render(request, "dashboard/key.html", shown)


@require_http_methods(["GET", "HEAD", "POST"])
@page
def change(request: HttpRequest, session: Session, key_id: UUID) -> HttpResponse:
    """Change what a key is called, what it may, and its limits; what was not touched stays."""
    giver = authentication.giver(session)
    found = life.one(giver, key_id)
    own, now = rights.of(found), limited.of(found)
    form = KeyForm(
        request.POST or None, scopes=giver.rights.scopes | own.scopes, initial=_initial(own, now)
    )
    form.initial["name"] = found.name
    if request.method == "POST" and form.is_valid():
        try:
            limited.change(
                giver,
                key_id,
                name=form.cleaned_data["name"],
                asked=replace(own, **form.changed_rights()),
                limits=form.limits(),
            )
        except PlatformError as refusal:
            form.refuse(refusal)
        else:
            messages.success(request, _("The key is changed. It holds from the next call on."))
            return redirect("key", key_id)
    shown = {"form": form, "key": found}
    return render(request, "dashboard/key_form.html", shown, status=form.status)


@require_POST
@page
def rotate(request: HttpRequest, session: Session, key_id: UUID) -> HttpResponse:
    """Give a key a successor, and show that for the only time."""
    form = RotateForm(request.POST)
    overlap = timedelta(days=form.cleaned_data["days"] if form.is_valid() else RotateForm.USUAL)
    whole, successor = life.rotate(authentication.giver(session), key_id, overlap=overlap)
    shown = {"whole": whole, "key": successor, "overlap": overlap.days, "is_successor": True}
    return render(request, "dashboard/key_made.html", shown)


@require_http_methods(["GET", "HEAD", "POST"])
@page
def run_address(request: HttpRequest, session: Session, key_id: UUID) -> HttpResponse:
    """Make an address that stands for one's own key, for scripts that take nothing but one."""
    found = life.one(authentication.giver(session), key_id)
    if found.user_id != session.user.pk or states.told(found) != "living":
        raise NotFound(_("An address is made for a key of your own that works."))
    if asking.SCOPE not in found.scopes:
        raise AccessDisabled(_("This key may not run workflows. Change what it may first."))
    form = AddressForm(request.POST if request.method == "POST" else None)
    made = ""
    if request.method == "POST" and form.is_valid():
        days = form.cleaned_data["days"]
        seconds = days * 86_400 if days else None
        token = address.of(found, most=form.cleaned_data["most"], seconds=seconds)
        made = f"{base_url(request)}/run/{token}"
    context = {"form": form, "key": found, "made": made}
    return render(request, "dashboard/key_address.html", context, status=form.status)


@require_POST
@page
def end_address(
    request: HttpRequest, session: Session, key_id: UUID, address_id: UUID
) -> HttpResponse:
    """End one address of a key, for good; the key stays."""
    found = life.one(authentication.giver(session), key_id)
    address.end(
        address.one(session.workspace_id, [found.pk], address_id),
        by=session.user.pk,
        reason=BY_ITS_OWNER,
    )
    messages.success(request, _("The address is ended. The key works as before."))
    return redirect("key", key_id)


@require_POST
@page
def disable(request: HttpRequest, session: Session, key_id: UUID) -> HttpResponse:
    """Let a key do nothing for a while."""
    life.change(authentication.giver(session), key_id, asked={}, disabled=True)
    messages.success(request, _("The key is disabled. Enable it when it may call again."))
    return redirect("key", key_id)


@require_POST
@page
def enable(request: HttpRequest, session: Session, key_id: UUID) -> HttpResponse:
    """Let a disabled key act again."""
    life.change(authentication.giver(session), key_id, asked={}, disabled=False)
    messages.success(request, _("The key is enabled."))
    return redirect("key", key_id)


@require_POST
@page
def revoke(request: HttpRequest, session: Session, key_id: UUID) -> HttpResponse:
    """End a key for good, or it and what was made with it; said twice, the same is told."""
    found = life.one(authentication.giver(session), key_id)
    end = states.revoke_with_made if request.POST.get("with_made") else states.revoke
    end(found, by=session.user.pk, reason=BY_ITS_OWNER)
    messages.success(request, _("The key “%(name)s” is revoked, for good.") % {"name": found.name})
    return redirect("keys")


@require_http_methods(["GET", "HEAD", "POST"])
@page
def revoke_all(request: HttpRequest, session: Session) -> HttpResponse:
    """Ask once more; then end all of one's own keys in this workspace."""
    if request.method == "POST":
        ended = states.revoke_all(
            session.user.pk,
            by=session.user.pk,
            reason=BY_ITS_OWNER,
            workspace_id=session.workspace_id,
        )
        messages.success(request, _("%(count)s keys are revoked, for good.") % {"count": ended})
        return redirect("keys")
    mine = life.visible(authentication.giver(session)).filter(user_id=session.user.pk)
    shown = {"count": mine.filter(revoked_at=None).count()}
    return render(request, "dashboard/keys_revoke_all.html", shown)


def _shown(session: Session, found: QuerySet[ApiKey] | list[ApiKey]) -> list[Shown]:
    limits: dict[str, list[Standing]] = {}
    for each in allowances.standing(session.workspace_id, by=session.user.pk):
        if each.kind == "key":
            limits.setdefault(each.owner, []).append(each)
    return [
        Shown(
            key=each,
            state=states.told(each),
            limits=limits.get(str(each.family), []),
            is_own=each.user_id == session.user.pk,
        )
        for each in found
    ]


def _initial(own: rights.Rights, now: limited.Limits) -> Mapping[str, Any]:
    return KeyForm.filled(own, now)
