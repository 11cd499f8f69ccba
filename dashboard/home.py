"""Home: what there is to spend, what it was spent on, what runs, and what came last."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from credits.books import lots
from credits.payments import automatic, customers
from dashboard import words
from dashboard.shell import only, page
from usage import history, refusals, running, spend

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from accounts.sessions import Session
    from credits.books.lots import Contents

DAYS = 30
SERIES = 4
LAST = 6
REFUSED = 3
LONG = 1_000
"""So many days are not told: whoever spends so little has enough."""


@require_safe
@page
def home(request: HttpRequest, session: Session) -> HttpResponse:
    """Show it, as much as one's role may see."""
    workspace, whose = session.workspace_id, only(session)
    wallet = lots.contents(workspace)
    spent = spend.by_day(workspace, days=DAYS, today=timezone.now().date(), user_id=whose)
    vendors = spent.dearest(SERIES)
    since = timezone.now() - timedelta(days=DAYS)
    refused, _more = refusals.older(
        workspace, refusals.Wanted(user_id=whose, since=since), than=None, limit=REFUSED
    )
    shown = {
        "wallet": wallet,
        "days_left": None if whose else _days_left(wallet.available, spent.of_last(DAYS)),
        "refused": refused,
        "parts": parts(wallet),
        "is_low": wallet.available < customers.low_balance(workspace),
        "automatic": automatic.standing(workspace),
        "running": running.now(workspace, user_id=whose),
        "calls": history.page(workspace, history.Wanted(user_id=whose), limit=LAST).calls,
        "figures": [(1, spent.of_last(1)), (7, spent.of_last(7)), (DAYS, spent.of_last(DAYS))],
        "spent": spent,
        "named": [words.vendor(each) for each in vendors],
        "days": spent.table(vendors),
        "is_everybodys": whose is None,
    }
    return render(request, "dashboard/home.html", shown)


def _days_left(available: int, spent: int) -> int | None:
    """Return for how many days there is enough, where that can be told."""
    days = available * DAYS // spent if spent else LONG
    return days if 0 < days < LONG else None


def parts(wallet: Contents) -> list[tuple[str, int, str, str]]:
    """Return what a balance is made of: name, amount, and where it stands in the bar, in percent.

    What is held is taken from what would be used first.
    """
    granted = sum(lot.left for lot in wallet.lots if lot.kind == "granted")
    held = wallet.held
    granted_free = max(0, granted - held)
    amounts = (
        ("paid", wallet.available - granted_free),
        ("granted", granted_free),
        ("held", held),
    )
    found, at = [], 0
    for name, amount in amounts:
        begin = _percent(at, wallet.balance)
        found.append((name, amount, begin, _percent(amount, wallet.balance)))
        at += amount
    return found


def _percent(amount: int, whole: int) -> str:
    return f"{amount * 10_000 // whole / 100:.2f}" if whole else "0"
