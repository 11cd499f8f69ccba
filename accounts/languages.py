"""Which language somebody reads: the one they chose, else the one that their browser asks for.

A browser keeps the choice in a cookie, so that a page for visitors has it, too; of a member it is
kept with them: each browser where they sign in follows it, and so do mails.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.http import HttpResponseRedirect
from django.utils import translation
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from accounts.models import User
from common.errors import InvalidRequest

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse, HttpResponseBase

NEXT = "next"
"""The field that says where the form of the choice stood."""


def of_browser(request: HttpRequest) -> str:
    """Return the language of a browser: its cookie's, else what it asks for, else English."""
    return translation.get_language_from_request(request)


def of_member(request: HttpRequest) -> str:
    """Return what the member who is signed in chose; nothing if nobody is, or they did not.

    Who looks as a member reads their own language: what is shown is another's, its words are not.
    """
    if getattr(request, "viewing", None) is not None:
        return ""
    chosen: str = getattr(getattr(request, "user", None), "language", "")
    return chosen if chosen in dict(settings.LANGUAGES) else ""


def of_address(address: str) -> str:
    """Return what the member with that address chose; nothing if there is none, or they did not."""
    known = User.objects.filter(email=address.lower()).values_list("language", flat=True)
    chosen = known.first() or ""
    return chosen if chosen in dict(settings.LANGUAGES) else ""


def choose(user: User, language: str) -> None:
    """Keep which language somebody reads. Raises InvalidRequest if there are no pages in it."""
    if language not in dict(settings.LANGUAGES):
        raise InvalidRequest(f"language: one of {', '.join(dict(settings.LANGUAGES))}.")
    User.objects.filter(pk=user.pk).update(language=language)


def remember(response: HttpResponseBase, language: str) -> None:
    """Have the browser ask for that language from now on."""
    response.set_cookie(
        settings.LANGUAGE_COOKIE_NAME,
        language,
        max_age=settings.LANGUAGE_COOKIE_AGE,
        secure=settings.LANGUAGE_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


@require_POST
def language(request: HttpRequest) -> HttpResponse:
    """Show the page that was asked from in another language, and all others from now on."""
    wanted, back = request.POST.get("language", ""), request.POST.get(NEXT, "")
    if not url_has_allowed_host_and_scheme(back, {request.get_host()}, request.is_secure()):
        back = "/"
    answer = HttpResponseRedirect(back)
    user: Any = request.user
    if wanted in dict(settings.LANGUAGES):
        if user.is_authenticated:
            choose(user, wanted)
        remember(answer, wanted)
    return answer
