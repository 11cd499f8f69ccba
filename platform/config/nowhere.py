"""An address that is not there, as a browser sees it: a page below the prefixes of pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from django.contrib import admin
from django.shortcuts import render
from django.utils.translation import gettext_lazy

from common.errors import NotFound
from dashboard import shell
from staff import pages

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

PLACES: Final = ("/my", "/staff", "/account", "/invitations", "/notices", "/privacy")
SENTENCE: Final = gettext_lazy(
    "There is no page at this address. It may have moved, or the link was cut off."
)


def is_for_people(request: HttpRequest) -> bool:
    """Whether a person asks, with a browser, at an address where pages are."""
    first = f"/{request.path.split('/')[1]}"
    return first in PLACES and "text/html" in request.headers.get("Accept", "")


def page(request: HttpRequest) -> HttpResponse:
    """Say in a page that there is none: in the frame of whoever asks, as far as they have one."""
    refusal = NotFound(SENTENCE)
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return render(request, "ui/nowhere.html", {"sentence": SENTENCE}, status=refusal.status)
    if request.path.startswith("/staff") and admin.site.has_permission(request):
        return pages.refused(request, refusal)
    return shell.refused(request, refusal)
