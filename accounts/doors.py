"""The first thing that stands before signing in: from where it is tried, and how often.

It comes before sessions and everything that acts: allauth's own hook is too late, a person who
comes from another site is saved before it is asked. The hook asks all the same (adapters.py): a
second step resumes there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from django.db import IntegrityError
from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext, gettext_lazy

from accounts import origins
from common import db, ratelimits
from common.addresses import household
from common.errors import InvalidRequest, PlatformError
from common.lanes import away

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest, HttpResponseBase
    from django_stubs_ext import StrOrPromise

PREFIXES: Final = (
    "/account/", "/_allauth/", "/staff/", "/admin/", "/oauth/", "/invitations/", "/privacy/",
)  # fmt: skip
"""Where people sign in, or do what needs that they did."""
OF_PROGRAMS: Final = ("/admin/verify-api-key", "/admin/customers/", "/admin/workers")
"""Where the operator's programs show a secret; nobody signs in there."""
TRIES: Final = 120
SECONDS: Final = 60
"""So many posts from one household: a class that signs in at once, and no guessing machine."""
READS: Final = frozenset(("GET", "HEAD", "OPTIONS"))
CALLBACK: Final = "/login/callback/"
"""Read, and yet a try: whoever comes back from another site makes us ask that site."""
TITLES: Final = {
    400: gettext_lazy("This cannot be read"),
    403: gettext_lazy("Not from here"),
    409: gettext_lazy("Somebody was faster"),
    429: gettext_lazy("Too many tries"),
}


class Doors:
    """Refuses whoever comes from where nobody signs in, or knocks too often."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request, or say why not."""
        if not request.path.startswith(PREFIXES) or request.path.startswith(OF_PROGRAMS):
            return self._get_response(request)
        try:
            check(request)
            if request.method not in READS or request.path.endswith(CALLBACK):
                address = household(request.META.get("REMOTE_ADDR", ""))
                ratelimits.take("doors", address, most=TRIES, seconds=SECONDS)
        except PlatformError as refusal:
            return refused(request, refusal)
        except Exception as exc:
            if not db.is_passing(exc) and not db.is_cache_away(exc):
                raise
            later = away()  # Not as a page: that would ask the same database.
            return JsonResponse(later.body(), status=later.status, headers=later.headers)
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answer for whoever did the same twice at once: a constraint let one of them through.

        And for whoever sent what is no passkey: the library that reads one breaks at it.
        """
        if not request.path.startswith(PREFIXES):
            return None
        if isinstance(exception, IntegrityError):
            return refused(request, _Raced(gettext("This was just done. Reload the page.")))
        if isinstance(exception, LookupError | TypeError | ValueError) and _in_fido2(exception):
            return refused(request, InvalidRequest(gettext("This is not what a passkey answers.")))
        return None


class _Raced(PlatformError):
    """A twin was faster."""

    code = "raced"
    status = 409


def _in_fido2(exception: Exception) -> bool:
    """Whether something broke inside the library that reads passkeys, not in whoever asks it."""
    frame = exception.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    name = frame.tb_frame.f_globals.get("__name__", "") if frame is not None else ""
    return str(name).partition(".")[0] == "fido2"


def check(request: HttpRequest) -> None:
    """Raise OriginNotAllowed unless our own address and the asking page may both sign people in.

    A browser sends the Origin with every post; where none comes our own address is judged.
    """
    origins.check(f"{request.scheme}://{request.get_host()}")
    if (sent := request.headers.get("Origin")) is not None:
        origins.check(sent)


def refused(
    request: HttpRequest, refusal: PlatformError, *, title: StrOrPromise = ""
) -> HttpResponse:
    """Say it as a page to a browser, as JSON to a program."""
    if "text/html" in request.headers.get("Accept", ""):
        title = title or TITLES[refusal.status]
        told = {"title": title, "sentence": str(refusal), "status": refusal.status}
        page = render(request, "accounts/refused.html", told, status=refusal.status)
        for name, value in refusal.headers.items():
            page.headers[name] = value
        return page
    body = {**refusal.body(), "code": refusal.code}
    return JsonResponse(body, status=refusal.status, headers=refusal.headers)
