"""What was done, as it was written: the audit log, a customer's calls and entries, all tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from django.contrib import admin
from django.db.models import Q
from django.shortcuts import render

from audit.models import Event
from common.errors import InvalidRequest
from credits.models import Entry
from desk.roles import Right
from staff.customers import name_of, workspace_of
from staff.money import names_of
from staff.pages import page
from usage import history
from usage.models import Call

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

PAGE: Final = 50
SPELT: Final = {
    "apikeys": "API keys", "api keys": "API keys", "entrys": "Entries", "tallys": "Tallies",
    "vendor healths": "Health of vendors", "vendor switchs": "Switches of vendors",
}  # fmt: skip
"""What Django makes of the name of an app, or of many rows, where that is no word."""
MOST_DIGITS: Final = 18


def number(text: str | None) -> int | None:
    """Return the number behind which a page begins; None if there is none that can be one."""
    return int(text) if text and text.isdecimal() and len(text) <= MOST_DIGITS else None


def _id(text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        raise InvalidRequest("People and customers are named by their ids here.") from None


@page(Right.RECORDS)
def log(request: HttpRequest) -> HttpResponse:
    """Show what members and staff did, newest first, of whom and what is asked for."""
    given = {
        name: request.GET.get(name, "").strip()[:100] for name in ("action", "who", "workspace")
    }
    found = Event.objects.all()
    if given["action"]:
        found = found.filter(action__startswith=given["action"])
    if (whom := _id(given["who"])) is not None:
        found = found.filter(Q(actor_id=whom) | Q(subject_id=whom))
    if (where := _id(given["workspace"])) is not None:
        found = found.filter(workspace_id=where)
    if (before := number(request.GET.get("before"))) is not None:
        found = found.filter(pk__lt=before)
    some = list(found.order_by("-id")[: PAGE + 1])
    ids = {each.actor_id for each in some} | {each.subject_id for each in some}
    shown = {
        "events": some[:PAGE],
        "older": some[PAGE - 1].pk if len(some) > PAGE else None,
        "names": names_of(ids),
        "given": given,
    }
    return render(request, "staff/log.html", shown)


@page(Right.READ)
def calls(request: HttpRequest, workspace_id: UUID) -> HttpResponse:
    """Show a customer's calls, a page at any depth as dear as the first."""
    workspace = workspace_of(workspace_id)
    vendor, outcome = (request.GET.get(name, "")[:32] for name in ("vendor", "outcome"))
    found = history.page(
        workspace_id,
        history.Wanted(vendor=vendor, outcome=outcome),
        limit=PAGE,
        older_than=number(request.GET.get("older")),
        newer_than=number(request.GET.get("newer")),
    )
    shown = {
        "workspace": workspace,
        "name": name_of(workspace),
        "page": found,
        "calls": found.calls,
        "vendor": vendor,
        "outcome": outcome,
        "outcomes": ["", *Call.Outcome.values],
    }
    return render(request, "staff/calls.html", shown)


@dataclass(frozen=True, slots=True)
class Line:
    """An entry as its wallet sees it."""

    entry: Entry
    amount: int
    other: str


@page(Right.RECORDS)
def ledger(request: HttpRequest, workspace_id: UUID) -> HttpResponse:
    """Show the entries of a customer's wallet, newest first."""
    workspace = workspace_of(workspace_id)
    found = Entry.objects.filter(Q(debit=workspace_id) | Q(credit=workspace_id))
    if (before := number(request.GET.get("before"))) is not None:
        found = found.filter(pk__lt=before)
    some = list(found.select_related("debit", "credit").order_by("-id")[: PAGE + 1])
    lines = [_line(each, workspace_id) for each in some[:PAGE]]
    shown = {
        "workspace": workspace,
        "name": name_of(workspace),
        "lines": lines,
        "older": some[PAGE - 1].pk if len(some) > PAGE else None,
    }
    return render(request, "staff/ledger.html", shown)


def _line(entry: Entry, wallet: UUID) -> Line:
    came = entry.credit_id == wallet
    return Line(
        entry,
        entry.amount_micros if came else -entry.amount_micros,
        (entry.debit if came else entry.credit).kind,
    )


@page(Right.RECORDS)
def tables(request: HttpRequest) -> HttpResponse:
    """Show which tables can be looked at as they are."""
    found: Any = admin.site.get_app_list(request)
    for app in found:
        app["name"] = _spelt(app["name"])
        for table in app["models"]:
            table["name"] = _spelt(table["name"])
    return render(request, "staff/tables.html", {"apps": found})


def _spelt(name: str) -> str:
    """Return a name of Django's own making as a person writes it."""
    return SPELT.get(name.lower(), name[:1].upper() + name[1:])
