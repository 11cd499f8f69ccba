"""The page at the end of an invitation's link: who is asked to join what, and the button for it.

Whoever follows an open invitation may make an account with its address, where not everybody may
(signup.py); joining is for who is signed in with that address (invitations.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts import doors, invitations, sessions, signup
from common.errors import PlatformError

if TYPE_CHECKING:
    from django.http import HttpRequest


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """Show an open invitation; a post joins the team, and acts for it from then on."""
    try:
        return _joined(request, token) if request.method == "POST" else _shown(request, token)
    except PlatformError as refusal:
        return doors.refused(request, refusal, title=gettext("This invitation is not for you now"))


def _shown(request: HttpRequest, token: str) -> HttpResponse:
    found = invitations.open_one(token)
    user: Any = request.user
    request.session[signup.INVITED] = found.email
    back, named = urlencode({"next": request.path}), urlencode({"email": found.email})
    shown = {
        "invitation": found,
        "who": found.invited_by.name or found.invited_by.email,
        "is_theirs": user.is_authenticated and user.email == found.email,
        "sign_in": f"{reverse('account_login')}?{back}",
        "sign_up": f"{reverse('account_signup')}?{back}&{named}",
    }
    return render(request, "accounts/invitation.html", shown)


def _joined(request: HttpRequest, token: str) -> HttpResponse:
    user: Any = request.user
    if not user.is_authenticated:
        return redirect(f"{reverse('account_login')}?{urlencode({'next': request.path})}")
    mine = invitations.accept(token, user=user)
    sessions.choose(request, mine.workspace_id)
    messages.success(
        request, gettext("You belong to %(name)s now.") % {"name": mine.workspace.name}
    )
    return redirect("team")
