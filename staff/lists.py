"""Where published prices reach or pass below what vendors list, and the draft that mends it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.shortcuts import redirect, render
from django.urls import reverse

from common.errors import InvalidRequest
from desk.roles import Right
from prices import drafts
from proxy import listed, price_book
from proxy.listed import Standing
from staff.pages import About, act, page, who

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse


@page(Right.READ)
def price_lists(request: HttpRequest) -> HttpResponse:
    """Show each list that is known, and how the version that holds stands to it."""
    found = listed.standing(drafts.in_force())
    losing = any(each.standing is Standing.LOSES for each in found)
    return render(request, "staff/price_lists.html", {"found": found, "losing": losing})


def about_lists() -> About:
    """Return what would be raised."""
    raised = listed.raising(drafts.newest())
    facts = [(each.about, each.words) for each in raised]
    return About("Lists of vendors", reverse("staff:price_lists"), facts)


@act(
    Right.PRICES, title="Raise to what vendors list", button="Make the draft", about=about_lists,
    lead="A draft with the terms of the newest version and these. It is compared and published as "
    "any other; nodes go on showing the published prices.",
)  # fmt: skip
def draft_to_lists(request: HttpRequest, given: dict[str, Any]) -> HttpResponse:
    """Have a draft by which no operation that is known to loses, and open it."""
    raised = listed.raising(drafts.newest())
    if not raised:
        raise InvalidRequest("The newest version loses nothing that is known.")
    made = drafts.draft(
        changes=raised, known=price_book.names(), by=who(request), reason=given["reason"]
    )
    return redirect("staff:price_draft", number=made.pk)
