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
from django.utils.translation import gettext
from django.views.decorators.http import require_safe

from accounts import sessions, teams
from common.drf import ALONE
from common.errors import NotFound, PlatformError
from credits.books import wallets

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from django.http import HttpRequest, HttpResponseBase

    from accounts.sessions import Session

SEEN = "acting_for"
"""The field of every form that says for which workspace its page was made."""


@dataclass(frozen=True, slots=True)
class Place:
    """A workspace that one could act for."""

    id: UUID
    name: str
    role: str


@dataclass(frozen=True, slots=True)
class Shell:
    """The workspace that one acts for, what it can spend, and the others that one belongs to."""

    id: UUID
    workspace: str
    available: int
    is_team: bool
    others: list[Place]


def everywhere(request: HttpRequest) -> dict[str, Any]:
    """Return what the shell's template names; nothing is asked where no page has a shell."""
    return {"shell": SimpleLazyObject(lambda: _shell(request))}


def _shell(request: HttpRequest) -> Shell | None:
    session = getattr(request, "acting", None) or sessions.of(request)
    if session is None:
        return None
    mine = teams.of(session.user.pk)
    found = (each.workspace for each in mine if each.workspace_id == session.workspace_id)
    if (here := next(found, None)) is None:
        return None  # They were removed while the page was made.
    return Shell(
        id=here.pk,
        workspace=here.name,
        available=wallets.balance(session.workspace_id).available,
        is_team=here.kind == here.Kind.TEAM,
        others=[
            Place(each.workspace_id, each.workspace.name, each.role)
            for each in mine
            if each.workspace_id != session.workspace_id
        ],
    )


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
                raise NotFound(gettext("You belong to no workspace any more."))
            _require_as_seen(request, session)
            return view(request, session, **named)
        except PlatformError as refusal:
            return refused(request, refusal)

    return wrapped


class ActsForAnother(PlatformError):
    """A form was made for one workspace, and its person acts for another since."""

    code = "acts_for_another"
    status = 409


def _require_as_seen(request: HttpRequest, session: Session) -> None:
    """Raise ActsForAnother for a form that another window's switch would turn on the wrong one."""
    seen = request.POST.get(SEEN) if request.method == "POST" else None
    if seen and seen != str(session.workspace_id):
        raise ActsForAnother(
            gettext(
                "You act for another workspace by now, chosen in another window. Nothing was "
                "changed: choose the one you mean, and do it again."
            )
        )


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
    raise NotFound(
        gettext("The page does not exist, or it belongs to a workspace that you are not in.")
    )
