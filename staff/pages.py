"""What every page of staff shares: who may see it, how an act is asked for, how a refusal is told.

A page names one right (desk/roles.py). An act is a page of its own: it says what it is about, asks
for what it needs, with a reason, and leads back. What it does is one function of another app, which
writes it into the audit log.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import wraps
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.http import HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import lazy
from django.views.decorators.http import require_http_methods, require_safe

from common.errors import PlatformError
from credits.books import reasons
from dashboard.forms import Form
from desk import roles

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest

    from desk.roles import Right

View = Any
ACTS: dict[str, Act] = {}
"""Every act by the name of its address, so that each can be tried with each role."""


class ReasonForm(Form):
    """Why: for whoever asks later, and where it says so for the member."""

    reason = forms.CharField(
        label="Reason",
        max_length=reasons.MOST,
        help_text="Kept in the staff log.",
        widget=forms.TextInput({"autocomplete": "off"}),
    )


class SureForm(Form):
    """Nothing but that it is meant."""


class InstantField(forms.DateTimeField):
    """An instant, typed as the viewer's clock shows it; its help says of which zone that is."""

    widget = forms.DateTimeInput({"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")

    def __init__(self, *, help_text: str, **options: Any) -> None:
        def told() -> str:
            return f"{help_text} Time of {timezone.get_current_timezone_name()}."

        super().__init__(help_text=lazy(told, str)(), **options)


@dataclass(frozen=True, slots=True)
class About:
    """What an act is about, and where it leads back to."""

    name: str
    back: str
    facts: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Act:
    """Something that staff do on a page of its own."""

    right: Right
    title: str
    lead: str
    button: str
    form: type[Form]
    is_grave: bool


def page(right: Right, *, changes: bool = False) -> Callable[[View], View]:
    """Have a view answer who is of staff and has a role with that right."""

    def decorate(view: View) -> View:
        @wraps(view)
        def wrapped(request: HttpRequest, **named: Any) -> HttpResponse:
            try:
                roles.require(request.user, right)
                answer: HttpResponse = view(request, **named)
            except PlatformError as refusal:
                return refused(request, refusal)
            return answer

        methods = require_http_methods(["GET", "HEAD", "POST"]) if changes else require_safe
        allowed = methods(wrapped)

        @wraps(view)
        def guarded(request: HttpRequest, **named: Any) -> Any:
            return admin.site.admin_view(allowed)(request, **named)

        guarded.right = right  # type: ignore[attr-defined]  # For tests of who may what.
        return guarded

    return decorate


def act(
    right: Right,
    *,
    title: str,
    button: str,
    about: Callable[..., About],
    lead: str = "",
    form: type[Form] = ReasonForm,
    is_grave: bool = False,
) -> Callable[[View], View]:
    """Have a function do something that is asked for on a page of its own.

    It is given the request and what was filled in, and returns what was done, in a sentence, or an
    answer of its own (a code that is shown once).
    """
    described = Act(right, title, lead, button, form, is_grave)

    def decorate(do: Callable[..., str | HttpResponse]) -> View:
        @page(right, changes=True)
        @wraps(do)
        def view(request: HttpRequest, **named: Any) -> HttpResponse:
            subject = about(**named)
            is_post = request.method == "POST"
            filled = form(request.POST if is_post else None, request.FILES if is_post else None)
            status = 400 if is_post else 200
            if is_post and filled.is_valid():
                try:
                    told = do(request, filled.cleaned_data, **named)
                except PlatformError as refusal:
                    status = filled.refuse(refusal)
                else:
                    if isinstance(told, HttpResponse):
                        return told
                    messages.success(request, told)
                    return redirect(subject.back)
            shown = {"act": described, "form": filled, "about": subject}
            return render(request, "staff/act.html", shown, status=status)

        ACTS[do.__name__] = described
        return view

    return decorate


def who(request: HttpRequest) -> UUID:
    """Return who acts."""
    user: Any = request.user
    return UUID(str(user.pk))


def refused(request: HttpRequest, refusal: PlatformError) -> HttpResponse:
    """Say in a page why not."""
    shown = {"status": refusal.status, "sentence": str(refusal)}
    answer = render(request, "staff/refused.html", shown, status=refusal.status)
    for name, value in refusal.headers.items():
        answer[name] = value
    return answer


def customer_url(workspace_id: object) -> str:
    """Return where a workspace is looked at."""
    return reverse("staff:customer", kwargs={"workspace_id": workspace_id})


def click(right: Right, *, back: str) -> Callable[[View], View]:
    """Have a function do something by one button of a list, and lead back to the list."""

    def decorate(do: Callable[..., str]) -> View:
        @page(right, changes=True)
        @wraps(do)
        def view(request: HttpRequest, **named: Any) -> HttpResponse:
            if request.method != "POST":
                return HttpResponseNotAllowed(["POST"])
            try:
                messages.success(request, do(request, **named))
            except PlatformError as refusal:
                messages.error(request, str(refusal))
            return redirect(back)

        ACTS[do.__name__] = Act(right, do.__name__, "", "", SureForm, is_grave=False)
        return view

    return decorate
