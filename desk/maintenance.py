"""A pause of all new holds, for work on the platform: what runs goes on, and is settled.

The row decides in the very statement that places a hold (`UNDER_WAY`, proxy/sql.py), so all
processes refuse from its commit on, and nothing was sent or set aside for what they refuse: clients
may well try again, and are told when. Who asks again for what was begun before is answered as ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from django.db import connection, transaction
from django.utils import timezone

from audit import log
from common.errors import Maintained
from credits.books import reasons
from desk.models import Maintenance

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

UNDER_WAY: Final = "EXISTS (SELECT FROM desk_maintenance)"
"""Whether there is one: an expression for a statement."""
SENTENCE: Final = """
    SELECT sentence, extract(epoch FROM until - now())::float8 FROM desk_maintenance
"""
"""What is told of it, and in how many seconds it is thought to be over."""
BEGIN: Final = """
    INSERT INTO desk_maintenance (id, sentence, until, by) VALUES (1, %s, %s, %s)
        ON CONFLICT (id) DO UPDATE
       SET sentence = excluded.sentence, until = excluded.until, by = excluded.by
 RETURNING xmax = 0
"""
USUAL_SECONDS: Final = 60
LEAST_SECONDS: Final = 5
MOST_SECONDS: Final = 120
"""Clients wait no longer, whatever they are told."""


def refusal(row: tuple[str, float | None] | None) -> Maintained:
    """Return what refuses a call, by a row of SENTENCE; it may be over by now."""
    sentence, left = row or ("New calls were paused for a moment. Try again.", LEAST_SECONDS)
    wait = USUAL_SECONDS if left is None or left <= 0 else left
    return Maintained(sentence, seconds=int(min(max(wait, LEAST_SECONDS), MOST_SECONDS)))


def now() -> Maintenance | None:
    """Return the one that is under way."""
    return Maintenance.objects.first()


def require_none() -> None:
    """Raise Maintained while one is under way."""
    with connection.cursor() as cursor:
        cursor.execute(SENTENCE)
        row = cursor.fetchone()
    if row is not None:
        raise refusal(row)


@transaction.atomic
def begin(sentence: str, *, until: datetime | None, by: UUID) -> bool:
    """Place no new hold from now on; whoever is refused reads the sentence.

    False if one was under way: it has this sentence now.
    """
    sentence = reasons.given(sentence, to="What members read")
    with connection.cursor() as cursor:
        cursor.execute(BEGIN, [sentence, until, by])
        ((is_new,),) = cursor.fetchall()
    after = {"until": until.isoformat() if until else None}
    log.note("maintenance.began", actor=by, after=after, reason=sentence)
    return bool(is_new)


@transaction.atomic
def end(*, by: UUID, reason: str) -> bool:
    """Place holds again; False if none was under way."""
    found = Maintenance.objects.select_for_update().first()
    if found is None:
        return False
    minutes = int((timezone.now() - found.began_at).total_seconds() // 60)
    found.delete()
    log.note("maintenance.ended", actor=by, after={"minutes": minutes}, reason=reason)
    return True
