"""How far a run is, as it happens: the same part of its page, again whenever it says another thing.

    event: part   data: the part as HTML, a JSON text          event: end   data: {}

The page's script puts each part in the place of the one before, and loads the page when it ended.
Rows are read twice a second; no connection is kept between two looks, and nothing here is written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson
from django.http import StreamingHttpResponse
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.translation import get_language
from django.views.decorators.http import require_safe

from common import db
from common.errors import NotFound
from dashboard.runs import context_of
from dashboard.shell import only, page
from runs import shown
from runs.faces import streams

if TYPE_CHECKING:
    from uuid import UUID

    from django.http import HttpRequest

    from accounts.sessions import Session

LONGEST_SECONDS: Final = 3600
"""Then the browser asks anew, and is asked who it is."""


@require_safe
@page
def run_events(request: HttpRequest, session: Session, run_id: UUID) -> Any:
    """Send the part until the run has ended, or the hour is over."""
    shown.one(session.workspace_id, run_id, user_id=only(session))
    place = streams.take(f"page:{session.user.pk}")
    return StreamingHttpResponse(
        streams.told(_Looker(session, run_id).look, place, seconds=LONGEST_SECONDS),
        content_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


class _Looker:
    """Looks at a run again and again, and says what is new."""

    def __init__(self, session: Session, run_id: UUID) -> None:
        self._session, self._run_id = session, run_id
        self._before = ""
        self._language = get_language()  # The request's; what is streamed is made after it.

    def look(self) -> tuple[bytes, bool]:
        """Return frames for what is new, and whether it has ended."""
        try:
            run = shown.one(self._session.workspace_id, self._run_id, user_id=only(self._session))
            if run.has_ended:
                return streams.frame("end", {}), True
            with translation.override(self._language):
                part = render_to_string("dashboard/parts/run_now.html", context_of(run))
        except NotFound:  # Its workspace was deleted meanwhile.
            return streams.frame("end", {}), True
        finally:
            db.give_back()
        if part == self._before:
            return b"", False
        self._before = part
        return b"event: part\ndata: %s\n\n" % orjson.dumps(part), False
