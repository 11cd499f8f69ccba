"""What files know of people (common/personal.py)."""

from __future__ import annotations

from django.db.models import Q
from django.utils.translation import gettext_lazy

from common.personal import Fate, Known, Person
from uploads import places

KNOWN = (
    Known(
        "uploads.Upload",
        Fate.DELETED,
        gettext_lazy(
            "Files that your nodes put here for vendors, where they lie and in the list of them."
        ),
        whose=lambda person: Q(workspace_id__in=person.workspaces),
        shown=("id", "name", "content_type", "size_bytes", "created_at", "expires_at"),
    ),
    Known(
        "uploads.Storage",
        Fate.DELETED,
        gettext_lazy("How much room your files took."),
        whose=lambda person: Q(workspace_id__in=person.workspaces),
        shown=("workspace_id", "used_bytes", "places"),
    ),
)


def erase(person: Person) -> dict[str, int]:
    """Leave no file of somebody's workspaces; raises OSError where storage is away."""
    return {"files": sum(places.forget(each) for each in person.workspaces)}
