"""The database away, full or only read from, at any of Django's views: come again, never a 500.

So where tries are counted in Redis, and that is away. What stands before the views, and asks them,
answers for itself (accounts/doors.py).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from django.db import Error, connections
from django.http import JsonResponse
from django.utils.deprecation import MiddlewareMixin

from common import db
from common.lanes import away
from config.preflight import first_line
from runs.faces import refusals

if TYPE_CHECKING:
    from django.http import HttpRequest

log = logging.getLogger("config")


class DatabaseAway(MiddlewareMixin):
    """Answers 503 with `Retry-After` for what a view could not do in a bad moment."""

    def process_exception(self, request: HttpRequest, exception: Exception) -> JsonResponse | None:
        """Answer if the same request may succeed in a moment; leave every other error alone."""
        is_ours = isinstance(exception, Error) and db.is_passing(exception)
        if not is_ours and not db.is_cache_away(exception):
            return None
        log.warning("%s cannot be answered: %s", request.path[:200], first_line(exception))
        if db.is_read_only(exception):  # Another server is the primary now: find it.
            for connection in connections.all():
                connection.close()
                connection.close_pool()  # type: ignore[attr-defined]  # PostgreSQL's has one.
        refusal = away()
        status, body, headers = refusals.at(request.path, refusal)
        return JsonResponse(body, status=status, headers=headers)
