"""The books as an accountant reads them, and whether they agree: to read, and nothing else."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone

from common.errors import InvalidRequest
from credits.models import Finding
from credits.proofs import accounting, marks
from desk.roles import Right
from staff import proving
from staff.pages import page

if TYPE_CHECKING:
    from django.http import HttpRequest

DAYS: Final = 14
MOST_DAYS: Final = 366
SHOWN: Final = 20


@page(Right.READ)
def books(request: HttpRequest) -> HttpResponse:
    """Show the trial balance of each day, the newest first."""
    today = timezone.now().date()
    first = day_of(request.GET.get("from"), today - timedelta(days=DAYS - 1))
    last = day_of(request.GET.get("to"), today)
    if not 0 <= (last - first).days < MOST_DAYS:
        raise InvalidRequest(f"From a day to one that is not before it: {MOST_DAYS} at most.")
    found = accounting.days(first, last + timedelta(days=1))
    names = {str(kind): name for kind, (name, _) in accounting.MEANING.items()}
    shown = {
        "days": [(day, [(names[each.kind], each) for each in day.accounts]) for day in found[::-1]],
        "first": first,
        "last": last,
        "revenue": sum(day.revenue for day in found),
        "newest": found[-1],
        "differences": Finding.objects.filter(resolved_at=None).count(),
    }
    return render(request, "staff/books.html", shown)


def day_of(text: str | None, otherwise: date) -> date:
    """Return the day that a text names, or another; raise InvalidRequest for what is none."""
    try:
        return date.fromisoformat(text) if text else otherwise
    except ValueError:
        raise InvalidRequest("A day is like 2026-03-01.") from None


@page(Right.RECORDS, changes=True)
def proof(request: HttpRequest) -> HttpResponse:
    """Prove now what came since the last proof, in one snapshot; what differs is named.

    It reads much, so it is done by post, and by nobody's crawler.
    """
    proofs: Any = None
    if request.method == "POST":
        proofs = [(each, each.differences[:SHOWN]) for each in proving.run(wait=False)]
    ages = [round(seconds / 3600) for seconds in marks.ages()]
    return render(request, "staff/proof.html", {"proofs": proofs, "hours": ages})
