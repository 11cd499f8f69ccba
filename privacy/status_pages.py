"""Where links in mails lead: to confirm a deletion, to see how it stands, to its certificate.

The address is the secret. A link that is opened changes nothing, as programs that look through
mails open them; a button does.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from django.http import HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts import doors
from common.errors import InvalidRequest, NotFound, PlatformError
from privacy import certificates, deletion, tokens
from privacy.models import Deletion

if TYPE_CHECKING:
    from django.http import HttpRequest

TITLE = gettext_lazy("This link is not open")


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def confirm(request: HttpRequest, token: str) -> HttpResponse:
    """Show what is about to be; a post confirms it."""
    try:
        found = deletion.one(tokens.read(token, tokens.CONFIRM))
        if request.method == "POST":
            found = deletion.confirm(found.pk)
        if found.state != Deletion.State.ASKED:
            return redirect("deletion_status", token=tokens.token(found.pk, tokens.STATUS))
        shown = {"deletion": found, "blocked": deletion.in_the_way(found)}
        return render(request, "privacy/confirm.html", shown)
    except PlatformError as refusal:
        return doors.refused(request, refusal, title=TITLE)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def status(request: HttpRequest, token: str) -> HttpResponse:
    """Show how it stands; a post stays after all, or gives credits up."""
    try:
        found = deletion.one(tokens.read(token, tokens.STATUS))
        if request.method == "POST":
            _change(found, request.POST.get("action", ""))
            return redirect("deletion_status", token=token)
        shown = {"deletion": found, "blocked": deletion.in_the_way(found), "token": token}
        return render(request, "privacy/status.html", shown)
    except PlatformError as refusal:
        return doors.refused(request, refusal, title=TITLE)


def _change(found: Deletion, action: str) -> None:
    if action == "stay":
        deletion.cancel(found.pk)
    elif action == "give_up":
        deletion.give_up(found.pk)
    else:
        raise InvalidRequest(gettext("The page has a button for what can be done."))


@never_cache
@require_safe
def certificate(request: HttpRequest, token: str) -> HttpResponse:
    """Show what went, what stays and why: to be printed."""
    try:
        return render(request, "privacy/certificate.html", asdict(_certificate(token)))
    except PlatformError as refusal:
        return doors.refused(request, refusal, title=TITLE)


@never_cache
@require_safe
def certificate_json(request: HttpRequest, token: str) -> HttpResponse:
    """Return the same for programs."""
    try:
        return JsonResponse(asdict(_certificate(token)))
    except PlatformError as refusal:
        return doors.refused(request, refusal, title=TITLE)


def _certificate(token: str) -> certificates.Certificate:
    found = deletion.one(tokens.read(token, tokens.STATUS))
    if found.state != Deletion.State.DONE:
        raise NotFound(gettext("There is a certificate once it is done."))
    return certificates.of(found)
