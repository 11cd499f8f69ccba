"""What stands around every page: who is signed in, for which workspace, with how much.

A page is a function of a request and its session. Whoever is not signed in is led to where they
can be; a refusal is a page, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

from django.contrib.auth.views import redirect_to_login
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.functional import SimpleLazyObject
from django.views.decorators.http import require_safe

from accounts import sessions, workspaces
from common.errors import NotFound, PlatformError
from credits.books import wallets

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from django.http import HttpRequest, HttpResponseBase

    from accounts.sessions import Session

ALONE = "member"
"""Who has this role sees what is their own; every other role sees all of the workspace."""


@dataclass(frozen=True, slots=True)
class Shell:
    """The workspace that one acts for, and what it can spend."""

    workspace: str
    available: int


def everywhere(request: HttpRequest) -> dict[str, Any]:
    """Return what the shell's template names; nothing is asked where no page has a shell."""
    return {"shell": SimpleLazyObject(lambda: _shell(request))}


def _shell(request: HttpRequest) -> Shell | None:
    session = getattr(request, "acting", None) or sessions.of(request)
    if session is None:
        return None
    seen = workspaces.seen_by(session.user.pk, session.workspace_id)
    return Shell(seen.name, wallets.balance(session.workspace_id).available)


def only(session: Session) -> UUID | None:
    """Return whose calls alone may be seen; None: everybody's."""
    own: UUID = session.user.pk
    return own if session.role == ALONE else None


def page(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponseBase]:
    """Have a function of a request and its session answer who is signed in."""

    @wraps(view)
    def wrapped(request: HttpRequest, **named: Any) -> HttpResponseBase:
        if not request.user.is_authenticated:
            # A form that is posted too late leads back to its page, not to its address.
            return redirect_to_login(request.get_full_path() if request.method == "GET" else "/")
        session = sessions.of(request)
        request.acting = session  # type: ignore[attr-defined]  # For the shell, which asks it too.
        try:
            if session is None:
                raise NotFound("You belong to no workspace any more.")
            return view(request, session, **named)
        except PlatformError as refusal:
            return refused(request, refusal)

    return wrapped


def refused(request: HttpRequest, refusal: PlatformError) -> HttpResponse:
    """Say in a page why not."""
    shown = {"status": refusal.status, "sentence": str(refusal)}
    answer = render(request, "dashboard/refused.html", shown, status=refusal.status)
    for name, value in refusal.headers.items():
        answer[name] = value
    return answer


@require_safe
def front(request: HttpRequest) -> HttpResponse:
    """Lead to where a person is: their home, or the page of signing in."""
    return redirect("home" if request.user.is_authenticated else "account_login")


@require_safe
@page
def nowhere(request: HttpRequest, session: Session, **named: Any) -> HttpResponse:
    """Say that there is no such page."""
    raise NotFound("The page does not exist, or it belongs to a workspace that you are not in.")
