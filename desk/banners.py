"""What all members are told above each page, from an instant until another.

The sentence of a maintenance (maintenance.py) stands among them while it lasts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django.db import connection, transaction
from django.utils.functional import SimpleLazyObject

from audit import log
from common.errors import InvalidRequest
from desk.models import Banner

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from django.http import HttpRequest

MOST: Final = 300
MOST_SHOWN: Final = 5
NOW: Final = f"""
    SELECT words, level FROM (
        SELECT sentence AS words, 'trouble' AS level, false AS for_staff, began_at AS at
          FROM desk_maintenance
         UNION ALL
        SELECT words, level, for_staff, begins_at FROM desk_banner
         WHERE begins_at <= clock_timestamp()
           AND (ends_at IS NULL OR ends_at > clock_timestamp())) told
     WHERE NOT for_staff OR %s
     ORDER BY position(level IN 'trouble warning info'), at DESC LIMIT {MOST_SHOWN}
"""  # noqa: S608 - a constant of our own
"""What is told at this moment, the worst first, in one question for each page."""


@dataclass(frozen=True, slots=True)
class Told:
    """A banner as a page shows it."""

    words: str
    level: str


def now(*, staff: bool = False) -> list[Told]:
    """Return what is told at this moment; to staff also what is for them alone."""
    with connection.cursor() as cursor:
        cursor.execute(NOW, [staff])
        return [Told(*row) for row in cursor.fetchall()]


def everywhere(request: HttpRequest) -> dict[str, Any]:
    """Return what frames of pages name; nothing is asked where no page shows it."""
    return {
        "banners": SimpleLazyObject(now),
        "banners_of_staff": SimpleLazyObject(lambda: now(staff=True)),
    }


def listed() -> list[Banner]:
    """Return the newest banners, those to come among them."""
    return list(Banner.objects.order_by("-pk")[:100])


@transaction.atomic
def put_up(
    words: str,
    *,
    level: str,
    begins_at: datetime,
    ends_at: datetime | None,
    for_staff: bool,
    by: UUID,
) -> Banner:
    """Have pages say it from then until then; raise InvalidRequest for what says nothing."""
    words = words.strip()
    if not 0 < len(words) <= MOST:
        raise InvalidRequest(f"A banner has 1 to {MOST} characters.")
    if level not in Banner.Level.values:
        raise InvalidRequest(f"A banner is one of {', '.join(Banner.Level.values)}.")
    if ends_at is not None and ends_at <= begins_at:
        raise InvalidRequest("A banner ends after it begins.")
    made = Banner.objects.create(
        words=words, level=level, begins_at=begins_at, ends_at=ends_at, for_staff=for_staff, by=by
    )
    until = ends_at.isoformat() if ends_at else None
    after = {"level": level, "from": begins_at.isoformat(), "until": until}
    log.note("banner.put_up", actor=by, target=made.pk, after=after, reason=words)
    return made


@transaction.atomic
def take_down(banner_id: int, *, by: UUID) -> bool:
    """Have no page say it any more; False if none would have."""
    found = Banner.objects.select_for_update().filter(pk=banner_id).first()
    if found is None:
        return False
    log.note("banner.taken_down", actor=by, target=found.pk, reason=found.words)
    found.delete()
    return True
