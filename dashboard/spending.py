"""Spend: what credits went on in some days, by vendor, operation, key, member or project."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from accounts import teams
from apikeys import life
from dashboard import words
from dashboard.shell import only, page
from dashboard.words import named
from usage import spend
from usage.spend import By

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from django.http import HttpRequest, HttpResponse

    from accounts.sessions import Session

DAYS: Final = (7, 30, 90)
SERIES: Final = 4
MOST_ROWS: Final = 100
WAYS: Final = {
    By.VENDOR: gettext_lazy("Vendors"),
    By.OPERATION: gettext_lazy("Operations"),
    By.KEY: gettext_lazy("Keys"),
    By.MEMBER: gettext_lazy("Members"),
    By.PROJECT: gettext_lazy("Projects"),
}


@require_safe
@page
def spend_page(request: HttpRequest, session: Session) -> HttpResponse:
    """Show it for the days and the way that are chosen; who is a member sees their own."""
    whose = only(session)
    ways = [each for each in WAYS if whose is None or each is not By.MEMBER]
    by = next((each for each in ways if each == request.GET.get("by")), By.VENDOR)
    days = next((each for each in DAYS if f"{each}" == request.GET.get("days")), 30)
    spent = spend.by_day(
        session.workspace_id, days=days, today=timezone.now().date(), user_id=whose, by=by
    )
    totals, dearest = spent.totals(), spent.dearest(SERIES)
    names = _names(session.workspace_id, by, (each.of for each in totals))
    shown = {
        "by": by,
        "ways": [(each, WAYS[each]) for each in ways],
        "days_back": days,
        "choices": DAYS,
        "spent": spent,
        "charged": spent.of_last(days),
        "totals": [(names[each.of], each) for each in totals[:MOST_ROWS]],
        "left_out": len(totals) - MOST_ROWS,
        "named": [names[each] for each in dearest],
        "days": spent.table(dearest),
        "is_everybodys": whose is None,
    }
    return render(request, "dashboard/spend.html", shown)


def _names(workspace_id: UUID, by: By, ids: Iterable[str]) -> dict[str, str]:
    """Return what a person calls each; what has no name here any more is told by its id."""
    found = {each: each for each in ids}
    wanted = [each for each in found if each]
    if by is By.VENDOR:
        found = {each: words.vendor(each) for each in found}
    elif by is By.OPERATION:
        found = {each: words.operation(each) for each in found}
    if by is By.KEY:
        found |= {f"{pk}": name for pk, name in life.names(workspace_id, wanted).items() if name}
    elif by is By.MEMBER:
        seats = teams.members(workspace_id).filter(user_id__in=wanted)
        found |= {f"{each.user_id}": named(each.user) for each in seats}
    if "" in found:
        found[""] = _("No project") if by is By.PROJECT else _("No key: a signed-in browser")
    return found
