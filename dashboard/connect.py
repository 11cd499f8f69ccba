"""Connect a ComfyUI: with what it is started, and what of it was seen since the page was opened.

    waiting -> running -> seen        a call of who looks, by whatever key or sign-in
            `-> refused               by a limit: which, and where it is told

The page asks itself again, by its own address with the time it was opened at; without script that
is a link.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from common.drf import base_url
from dashboard.prices import operations
from dashboard.shell import page
from usage import history, refusals, running

if TYPE_CHECKING:
    from uuid import UUID

    from django.http import HttpRequest

    from accounts.sessions import Session
    from dashboard.prices import Listed
    from usage.history import Receipt
    from usage.refusals import Refused
    from usage.running import Running

LONGEST: Final = timedelta(days=1)
"""Whoever left the page open for longer is asked to begin anew: it counts from now."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The newest that was seen of somebody: a call that ended, one that runs, or a refusal."""

    call: Receipt | None
    running: Running | None
    refused: Refused | None

    @property
    def state(self) -> str:
        """Where that is: seen, running, refused or waiting."""
        if self.call:
            return "seen"
        if self.running:
            return "running"
        return "refused" if self.refused else "waiting"


@require_safe
@page
def connect(request: HttpRequest, session: Session) -> HttpResponse:
    """Say how to connect, and what has been seen so far."""
    since = _since(request.GET.get("since", ""))
    now = seen(session.workspace_id, session.user.pk, since=since)
    if request.GET.get("was") == now.state:
        return HttpResponse(status=204)  # It looked again by itself: nothing is new.
    shown = {
        "address": base_url(request),
        "since": int(since.timestamp()),
        "seen": now,
        "cheapest": _cheapest(),
    }
    return render(request, "dashboard/connect.html", shown)


def seen(workspace_id: UUID, user_id: UUID, *, since: datetime) -> Seen:
    """Return the newest that was seen of somebody since then."""
    wanted = history.Wanted(user_id=user_id, since=since)
    calls = history.page(workspace_id, wanted, limit=1).calls
    runs = [each for each in running.now(workspace_id, user_id=user_id) if each.since >= since]
    of_limits = refusals.Wanted(user_id=user_id, since=since)
    refused, _older = refusals.older(workspace_id, of_limits, than=None, limit=1)
    return Seen(
        call=calls[0] if calls else None,
        running=runs[0] if runs else None,
        refused=refused[0] if refused else None,
    )


def _since(text: str) -> datetime:
    """Return when the page was opened, to the second; now where that is not known or too old."""
    now = timezone.now().replace(microsecond=0)
    if not (text.isascii() and text.isdecimal() and len(text) < 12):
        return now
    since = datetime.fromtimestamp(int(text), UTC)
    return since if now - LONGEST < since <= now else now


def _cheapest() -> Listed | None:
    """Return the operation that a node calls for the least, whatever is asked of it."""
    flat = [each for each in operations() if each.nodes and 0 < each.least == each.most]
    return min(flat, key=lambda each: each.most, default=None)
