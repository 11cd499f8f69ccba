"""Why somebody cannot be deleted yet: each reason by its code, with a sentence for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext

from accounts import leaving
from credits import leaving as money
from credits.models import Hold
from proxy import personal as proxy
from runs import personal as runs

if TYPE_CHECKING:
    from common.personal import Person


def of(person: Person, *, gives_up: bool) -> dict[str, str]:
    """Return what is in the way now; nothing is, if it is empty."""
    found = money.obstacles(person.workspaces, gives_up=gives_up)
    if teams := leaving.teams_in_the_way(person.id):
        found["owner"] = gettext(
            "You own %(teams)s, and others belong to it. Pass the ownership on, or remove them."
        ) % {"teams": ", ".join(teams)}
    if _calls_run(person) or proxy.is_running(person) or runs.is_running(person):
        found["running"] = gettext("Calls are running. They end by themselves.")
    return found


def _calls_run(person: Person) -> bool:
    """Whether a call of theirs runs in a team; keys are dead by then, so it ends soon."""
    return bool(Hold.objects.filter(memo__user=str(person.id)).exists())
