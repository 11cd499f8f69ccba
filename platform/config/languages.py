"""Pages are in the language of who looks at them (`accounts/languages.py`); nothing else is.

What programs ask is answered in English, whatever their `Accept-Language` says: clients match
sentences of refusals. So are the pages of staff. Every page says in `Vary` on what it depends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.db import DatabaseError
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.utils.deprecation import MiddlewareMixin

from accounts import languages

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponseBase

PAGES: Final = (
    "/my/", "/account/", "/invitations/", "/notices/", "/privacy/", "/purchases/", "/receipts/",
    "/oauth/authorize",
    "/reference", "/pair",
)  # fmt: skip
FOR_PROGRAMS: Final = (".json", ".csv")
"""How addresses among them end whose files programs read."""


class ViewersLanguage(MiddlewareMixin):
    """Have a page be made in the viewer's language, for as long as its request lasts."""

    def process_request(self, request: HttpRequest) -> None:
        """Take the browser's, so that a refusal before anybody is known is in it, too."""
        if is_page(request):
            translation.activate(languages.of_browser(request))
        else:
            translation.activate(settings.LANGUAGE_CODE)

    def process_view(self, request: HttpRequest, *of_the_view: Any) -> None:
        """Take the member's own, if they have chosen one."""
        if chosen := _chosen(request):
            translation.activate(chosen)

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        """Say which it is, and leave none for whatever this thread does next."""
        if is_page(request):
            response.headers.setdefault("Content-Language", translation.get_language() or "")
            patch_vary_headers(response, ("Accept-Language", "Cookie"))
        chosen = _chosen(request)
        wants = settings.LANGUAGE_COOKIE_NAME not in response.cookies
        if chosen and wants and request.COOKIES.get(settings.LANGUAGE_COOKIE_NAME) != chosen:
            languages.remember(response, chosen)  # What is refused to nobody is in it from now on.
        translation.deactivate()
        return response


def _chosen(request: HttpRequest) -> str:
    """Return what the member chose; nothing where they cannot be looked up: the view says why."""
    try:
        return languages.of_member(request) if is_page(request) else ""
    except DatabaseError:
        return ""


def is_page(request: HttpRequest) -> bool:
    """Whether a member or a visitor reads what is answered there."""
    return request.path.startswith(PAGES) and not request.path.endswith(FOR_PROGRAMS)
