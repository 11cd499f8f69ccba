"""What staff write down about a customer. A note is added, and never changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from django.db import transaction

from accounts.models import User
from audit import log
from common.errors import InvalidRequest
from desk.models import Note

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

MOST: Final = 2000
SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Written:
    """A note, and who wrote it."""

    text: str
    by: str
    at: datetime


@transaction.atomic
def write(workspace_id: UUID, text: str, *, by: UUID) -> Note:
    """Have a note on a customer; raise InvalidRequest for one that says nothing, or too much."""
    text = text.strip()
    if not 0 < len(text) <= MOST:
        raise InvalidRequest(f"A note has 1 to {MOST} characters.")
    made = Note.objects.create(workspace_id=workspace_id, text=text, by=by)
    log.note("note.written", actor=by, workspace=workspace_id, target=made.pk)
    return made


def of(workspace_id: UUID) -> list[Written]:
    """Return the newest notes on a customer, newest first."""
    found = list(Note.objects.filter(workspace_id=workspace_id).order_by("-id")[:SHOWN])
    people = dict(User.objects.filter(pk__in={each.by for each in found}).values_list("pk", "name"))
    return [Written(each.text, people.get(each.by) or "staff", each.created_at) for each in found]
