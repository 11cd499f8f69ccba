"""Times on pages are in the zone of who looks at them: their browser says which, by a cookie.

Without one, as on the first page or without script, they are in UTC; pages state the zone either
way. What programs ask is not touched: the API's times are always UTC.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo, available_timezones

from django.utils import timezone
from django.utils.deprecation import MiddlewareMixin

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponseBase

COOKIE: Final = "zone"
PAGES: Final = ("/my/", "/account/", "/invitations/", "/notices/", "/receipts/", "/staff/")


class ViewersZone(MiddlewareMixin):
    """Have templates show times in the viewer's zone, for as long as their request lasts."""

    def process_request(self, request: HttpRequest) -> None:
        """Take the zone that the cookie names, if there is such a zone."""
        name = request.COOKIES.get(COOKIE, "")
        if request.path.startswith(PAGES) and name in _known():
            timezone.activate(ZoneInfo(name))
        else:
            timezone.deactivate()

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        """Leave none for whatever this thread does next."""
        timezone.deactivate()
        return response


@functools.lru_cache(maxsize=1)
def _known() -> frozenset[str]:
    return frozenset(available_timezones())


def zone(request: HttpRequest) -> dict[str, str]:
    """Return what templates call the zone: its place, without the continent; or UTC."""
    return {"ZONE": timezone.get_current_timezone_name().rpartition("/")[2].replace("_", " ")}
