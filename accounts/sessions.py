"""Who is signed in at this browser, and for which of their workspaces they act."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from accounts.models import Membership
from common import ids

if TYPE_CHECKING:
    from django.http import HttpRequest
    from rest_framework.request import Request

METHODS = "account_authentication_methods"
"""Where allauth writes in a session by which ways its person came in."""
WORKSPACE = "workspace"
"""Where a session has the id of the workspace that its person chose."""


@dataclass(frozen=True, slots=True)
class Session:
    """A person at a browser, and what they are in the workspace that they act for."""

    user: Any
    workspace_id: UUID
    role: str
    scopes: frozenset[str] = frozenset()
    by_factors: bool = False
    """Whether they showed a second factor, or a passkey, when they signed in."""
    only_looks: bool = False
    """Whether it is somebody of staff, who looks as them and may write nothing."""


def of(request: HttpRequest) -> Session | None:
    """Return who is signed in; None if nobody is, or who is has no workspace.

    A workspace that they have left since is none of theirs: then it is their personal one.
    """
    user: Any = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return None
    places = {
        place.workspace_id: place
        for place in Membership.objects.filter(user=user).select_related("workspace")
    }
    # Who looks as a member does so for one workspace of theirs (staff/viewing.py).
    viewing = getattr(request, "viewing", None)
    chosen = viewing.workspace_id if viewing else ids.read(request.session.get(WORKSPACE))
    own = (each for each in places.values() if each.workspace.personal_of_id == user.pk)
    place = places.get(chosen) if chosen else None
    place = place or next(own, None)
    if place is None:
        return None
    return Session(
        user,
        place.workspace_id,
        place.role,
        by_factors=viewing is None and _showed_factors(request),
        only_looks=viewing is not None,
    )


def _showed_factors(request: HttpRequest) -> bool:
    shown = request.session.get(METHODS) or []
    return any(isinstance(each, dict) and each.get("method") == "mfa" for each in shown)


def choose(request: HttpRequest | Request, workspace_id: UUID) -> None:
    """Have a session act for a workspace from now on; `of` sees that its person belongs to it."""
    request.session[WORKSPACE] = str(workspace_id)
