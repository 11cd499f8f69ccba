"""What the payment processor told us, what became of it, and what staff must look at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.shortcuts import render
from django.urls import reverse

from common.errors import NotFound
from credits.books import findings
from credits.models import Finding, StripeEvent, Watermark
from credits.payments import webhooks
from desk.roles import Right
from staff.pages import About, act, click, page, who

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

MOST: Final = 50


@page(Right.READ)
def event_list(request: HttpRequest) -> HttpResponse:
    """Show open findings, and the events: those that are not acted on first."""
    waiting = StripeEvent.objects.filter(processed_at=None).order_by("received_at")
    done = StripeEvent.objects.filter(processed_at__isnull=False).order_by("-received_at")
    shown = {
        "findings": Finding.objects.filter(resolved_at=None).order_by("-created_at")[:MOST],
        "waiting": waiting[:MOST],
        "done": done[:MOST],
        "mark": Watermark.objects.filter(name=webhooks.WATERMARK).first(),
    }
    return render(request, "staff/events.html", shown)


def _event(event_id: str) -> StripeEvent:
    found = StripeEvent.objects.filter(pk=event_id).first()
    if found is None:
        raise NotFound("There is no such event.")
    return found


@page(Right.READ)
def event(request: HttpRequest, event_id: str) -> HttpResponse:
    """Show one event, without what it told of people."""
    return render(request, "staff/event.html", {"event": _event(event_id)})


@click(Right.OPERATE, back="staff:events")
def try_event(request: HttpRequest, event_id: str) -> str:
    """Act on an event now that waits for its next try."""
    if not webhooks.try_now(event_id, by=who(request)):
        _event(event_id)
        return "It was acted on before, or somebody is at it."
    return (
        "It was acted on." if webhooks.process(event_id) else "It did not succeed; see why below."
    )


def about_finding(key: str) -> About:
    """Return which finding is meant."""
    found = Finding.objects.filter(pk=key).first()
    if found is None:
        raise NotFound("There is no such finding.")
    back = reverse("staff:events")
    return About("Webhooks and findings", back, [("Finding", found.sentence)])


@act(Right.DECIDE, title="Close a finding", button="Close it", about=about_finding)
def settle_finding(request: HttpRequest, given: dict[str, Any], key: str) -> str:
    """Close it, with a reason; found again, it is open again."""
    changed = findings.settle(key, by=who(request), reason=given["reason"])
    return "It is closed." if changed else "It was closed before."
