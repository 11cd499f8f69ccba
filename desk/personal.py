"""What staff keep of people: notes on customers (common/personal.py)."""

from __future__ import annotations

from django.db.models import Q
from django.utils.translation import gettext_lazy

from common.personal import Fate, Known, Person
from desk.models import Note

KNOWN = (
    Known(
        "desk.Note",
        Fate.DELETED,
        gettext_lazy("What staff wrote down about you, to help you better."),
        whose=lambda person: Q(workspace_id__in=person.workspaces),
        shown=("words", "created_at"),
    ),
    Known("desk.Banner", Fate.NOTHING, "What everybody is told.", harmless=frozenset({"by"})),
    Known("desk.Maintenance", Fate.NOTHING, "What everybody is told.", harmless=frozenset({"by"})),
)


def erase(person: Person) -> dict[str, int]:
    """Take away the notes on what goes with somebody."""
    return {"notes": Note.objects.filter(workspace_id__in=person.workspaces).delete()[0]}
