"""From where people may sign in: what was refused lately, and what is allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django import forms
from django.conf import settings
from django.shortcuts import render
from django.urls import reverse

from accounts import origins
from accounts.models import AllowedOrigin, RefusedOrigin
from common.errors import NotFound
from desk.roles import Right
from staff.money import names_of
from staff.pages import About, ReasonForm, act, click, page, who

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

MOST: Final = 100
ONE_CLICK: Final = "Allowed from the list of what was refused."


@page(Right.READ)
def origin_list(request: HttpRequest) -> HttpResponse:
    """Show both lists; what is not secure can be allowed by nobody."""
    refused = list(RefusedOrigin.objects.filter(hidden_at=None).order_by("-last_at")[:MOST])
    allowed = list(AllowedOrigin.objects.order_by("pattern")[:500])
    shown = {
        "refused": [(each, may_be_allowed(each.origin)) for each in refused],
        "allowed": allowed,
        "names": names_of({each.added_by for each in allowed}),
        "public": settings.PUBLIC_URL,
    }
    return render(request, "staff/origins.html", shown)


def may_be_allowed(text: str) -> bool:
    """Whether an origin that was refused is one that staff can allow."""
    origin = origins.read(text)
    return origin is not None and origin.is_secure


@click(Right.ORIGINS, back="staff:origins")
def allow_refused(request: HttpRequest) -> str:
    """Let people sign in from an origin that was refused, with one click."""
    wanted = request.POST.get("origin", "")
    if not RefusedOrigin.objects.filter(origin=wanted[:300]).exists():
        raise NotFound("It is not among the refused any more.")
    origins.allow(wanted, by=who(request), reason=ONE_CLICK)
    return f"People may sign in from {wanted} now."


@click(Right.ORIGINS, back="staff:origins")
def hide_refused(request: HttpRequest) -> str:
    """Show a refused origin no more until it is tried again."""
    wanted = request.POST.get("origin", "")[:300]
    if not origins.hide(wanted):
        raise NotFound("It is not among the refused any more.")
    return f"{wanted} is hidden until it is tried again."


def about_origins() -> About:
    """Return where acts on origins lead back to."""
    return About("Origins", reverse("staff:origins"))


class OriginForm(ReasonForm):
    """An origin, or all below a name."""

    origin = forms.CharField(
        label="Origin",
        max_length=300,
        help_text="Like https://comfy.example.org, or https://*.example.org for all below it.",
    )
    field_order = ("origin", "reason")


@act(Right.ORIGINS, title="Allow an origin", button="Allow", about=about_origins, form=OriginForm)
def allow_origin(request: HttpRequest, given: dict[str, Any]) -> str:
    """Let people sign in from an origin."""
    is_new = origins.allow(given["origin"], by=who(request), reason=given["reason"])
    now = origins.pattern(given["origin"])
    return f"People may sign in from {now}" + (" now." if is_new else ", as before.")


def about_origin(origin_id: int) -> About:
    """Return which one is meant."""
    return About("Origins", reverse("staff:origins"), [("Origin", _origin(origin_id).pattern)])


def _origin(origin_id: int) -> AllowedOrigin:
    found = AllowedOrigin.objects.filter(pk=origin_id).first()
    if found is None:
        raise NotFound("It is not allowed any more.")
    return found


@act(
    Right.ORIGINS, title="Remove an origin", button="Remove", about=about_origin, is_grave=True,
    lead="Nobody signs in from it any more. Keys work from anywhere.",
)  # fmt: skip
def remove_origin(request: HttpRequest, given: dict[str, Any], origin_id: int) -> str:
    """Let nobody sign in from it any more."""
    pattern = _origin(origin_id).pattern
    origins.remove(pattern, by=who(request), reason=given["reason"])
    return f"Nobody signs in from {pattern} any more."
