"""Usage: calls found by filters, in pages of equal cost; one call's receipt; the file of all."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from uuid import UUID

from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from common.errors import InvalidRequest, NotFound
from dashboard.shell import only, page
from usage import exports, history, projects, runs
from usage.call_views import file_of
from usage.history import Wanted

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from accounts.sessions import Session
    from usage.history import Receipt

ON_A_PAGE = 50
OUTCOMES = ("delivered", "refused", "failed", "moderated", "expired")
NUMBER = re.compile(r"[0-9]{1,18}")
LONGEST = 64


@require_safe
@page
def usage(request: HttpRequest, session: Session) -> HttpResponse:
    """Show one page of the calls that are wanted."""
    wanted = _wanted(request, session)
    found = history.page(
        session.workspace_id,
        wanted,
        limit=ON_A_PAGE,
        older_than=_number(request, "older"),
        newer_than=_number(request, "newer"),
    )
    filters = {name: request.GET[name] for name in FILTERS if request.GET.get(name)}
    shown = {
        "page": found,
        "filters": filters,
        "outcomes": OUTCOMES,
        "query": _query(filters),
        "projects": projects.known(session.workspace_id, user_id=only(session)),
    }
    return render(request, "dashboard/usage.html", shown)


@require_safe
@page
def usage_csv(request: HttpRequest, session: Session) -> Any:
    """Send the calls that are wanted as a file."""
    form = request.GET.get("form", "csv")
    if form not in exports.FORMS:
        raise InvalidRequest(_("There are files as csv, jsonl and focus."))
    return file_of(session.workspace_id, _wanted(request, session), form=form)


@require_safe
@page
def call(request: HttpRequest, session: Session, call_id: UUID) -> HttpResponse:
    """Show what became of one call and of the money for it, beside the others of its run."""
    found = one(session, call_id)
    context = {
        "call": found,
        "run": runs.of_call(session.workspace_id, found),
        "calls": history.of_run(session.workspace_id, found),
        "projects": projects.known(session.workspace_id, user_id=only(session)),
    }
    return render(request, "dashboard/call.html", context)


def one(session: Session, call_id: UUID) -> Receipt:
    """Return a call that the person may see. Raises NotFound."""
    found = history.one(session.workspace_id, call_id, user_id=only(session))
    if found is None:
        raise NotFound(
            _("There is no such call, or it belongs to a workspace that you are not in.")
        )
    return found


FILTERS = ("vendor", "outcome", "run", "key", "project", "since", "until")


def _wanted(request: HttpRequest, session: Session) -> Wanted:
    given = {name: request.GET.get(name, "").strip().replace("\0", "") for name in FILTERS}
    if any(len(value) > LONGEST for value in given.values()):
        raise InvalidRequest(_("This filter is too long. Clear it, and choose again."))
    until = _day(given["until"])
    return Wanted(
        user_id=only(session),
        key_id=_id(given["key"]),
        vendor=given["vendor"],
        outcome=given["outcome"],
        run=given["run"],
        project=given["project"],
        since=_day(given["since"]),
        until=until + timedelta(days=1) if until and until.year < 9999 else None,
    )


def _day(text: str) -> datetime | None:
    """Return when a day begins where who asks is."""
    here = timezone.get_current_timezone()
    try:
        return datetime.combine(date.fromisoformat(text), time(), here) if text else None
    except ValueError:
        raise InvalidRequest(_("A day is written like 2026-11-27.")) from None


def _id(text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        raise InvalidRequest(_("A key is named by its id here.")) from None


def _number(request: HttpRequest, name: str) -> int | None:
    text = request.GET.get(name, "")
    return int(text) if NUMBER.fullmatch(text) else None


def _query(filters: dict[str, str]) -> str:
    return urlencode(filters)
