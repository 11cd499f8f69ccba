"""Who asked to be deleted: where it stands, what is in the way, until when it must be done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from desk.roles import Right
from privacy import deletion, steps
from privacy.models import Deletion
from staff.pages import About, act, click, page, who

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

MOST: Final = 100
ENDED: Final = 20


@page(Right.READ)
def deletion_list(request: HttpRequest) -> HttpResponse:
    """Show what is open, the nearest deadline first, and what ended lately."""
    waiting = list(Deletion.objects.filter(state__in=Deletion.OPEN).order_by("deadline_at")[:MOST])
    ended = Deletion.objects.exclude(state__in=Deletion.OPEN).order_by("-ended_at")[:ENDED]
    people = User.objects.in_bulk([each.user_id for each in waiting if each.user_id])
    shown = {
        "waiting": [(each, people.get(each.user_id), _stands_at(each)) for each in waiting],  # type: ignore[call-overload]
        "ended": ended,
        "now": timezone.now(),
        "steps": len(steps.STEPS),
    }
    return render(request, "staff/deletions.html", shown)


def _stands_at(one: Deletion) -> str:
    """Return where it stands, in a sentence."""
    if one.state == Deletion.State.ASKED:
        return f"Their mail is not confirmed; asked {one.mails} times."
    if one.blocked:
        return " ".join(one.blocked.values())
    if one.state == Deletion.State.RUNNING:
        return f"Step {len(one.done) + 1} of {len(steps.STEPS)}. {one.error}".strip()
    return f"Will be done from {one.due_at:%d %b %Y} on." if one.due_at else ""


def about(deletion_id: UUID) -> About:
    """Return which one is meant."""
    found = deletion.one(deletion_id)
    facts = [("State", str(found.state)), ("Asked", f"{found.asked_at:%d %b %Y}")]
    if found.user_id and found.state in (Deletion.State.ASKED, Deletion.State.WAITING):
        facts.insert(0, ("Person", deletion.person(found).email))
    return About("Deletions", reverse("staff:deletions"), facts)


@act(
    Right.HELP, title="Cancel a deletion", button="They stay", about=about,
    lead="The account is as it was, with its keys. They are told by mail.",
)  # fmt: skip
def cancel_deletion(request: HttpRequest, given: dict[str, Any], deletion_id: UUID) -> str:
    """Have somebody stay after all."""
    deletion.cancel(deletion_id, by=who(request), reason=given["reason"])
    return "They stay."


@click(Right.HELP, back="staff:deletions")
def look_again(request: HttpRequest, deletion_id: UUID) -> str:
    """Look now whether something is still in the way, and go on if nothing is."""
    deletion.hurry(deletion_id, by=who(request))
    steps.go_on(deletion_id)
    found = deletion.one(deletion_id)
    return " ".join(found.blocked.values()) or f"It is {found.state}."
