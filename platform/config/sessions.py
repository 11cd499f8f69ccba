"""Sessions, by a cookie that we could have given: whatever else stands in one is no session.

A browser's cookie may hold any bytes, in quotes even NUL, for which no database can be asked.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from django.conf import settings
from django.contrib.sessions.middleware import SessionMiddleware

if TYPE_CHECKING:
    from django.http import HttpRequest

OURS: Final = re.compile(r"[a-z0-9]{32}")
"""What Django makes."""


class Sessions(SessionMiddleware):
    """Gives each request its session; a cookie that is none of ours is taken away by the answer."""

    def process_request(self, request: HttpRequest) -> None:
        """Read the cookie."""
        given = request.COOKIES.get(settings.SESSION_COOKIE_NAME, "")
        request.session = self.SessionStore(given if OURS.fullmatch(given) else None)
