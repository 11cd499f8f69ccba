"""Where people are signed in: noted on pages alone, so that no call by key reads a session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from allauth.usersessions.middleware import UserSessionsMiddleware

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponseBase

PAGES: Final = ("/account/", "/_allauth/", "/staff/", "/my/")


class Visits(UserSessionsMiddleware):  # type: ignore[misc]  # It has no types.
    """Notes from where and when a session was last used."""

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer; below the prefixes of pages the session is noted before."""
        if request.path.startswith(PAGES):
            answer: HttpResponseBase = super().__call__(request)
            return answer
        return self.get_response(request)  # type: ignore[no-any-return]
