"""A version of the price book on its way: drafted, compared, published.

    draft --> compared with the last week's calls --> published: holds from its instant on
      ^ |                     |
      | '--> discarded        |
      '------- amended -------'

Who prices a call asks the database which version holds, in the statement that sets the money aside
(`IN_FORCE`): so all processes change at one instant, by the database's clock.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db import connection, transaction
from django.db.models import Max
from django.utils import timezone

from audit import log
from common.errors import InvalidRequest, NotFound
from prices import terms
from prices.models import Draft, Version

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from datetime import datetime
    from uuid import UUID

    from prices.terms import Book, Term

IN_FORCE = """
    coalesce((SELECT max(number) FROM prices_version WHERE effective_at <= now()), 0)
"""
"""The version that holds at this moment, 0 while there is none: an expression for a statement."""
LEAD = timedelta(seconds=10)
"""How long before its instant a version is published at least. Its row must be seen by everybody
when the instant comes, and a commit may stand still before it is: a synchronous standby, a disk."""
BOOK = f"SELECT number, terms FROM prices_version WHERE number = {IN_FORCE}"  # noqa: S608
LOCK = "SELECT pg_advisory_xact_lock(hashtext('prices_version'))"


def in_force() -> Book:
    """Return the book that holds now."""
    with connection.cursor() as cursor:
        cursor.execute(BOOK)
        row = cursor.fetchone()
    return of_row(row) if row else terms.PUBLISHED


def newest() -> Book:
    """Return the newest version's book, which may not hold yet: what a draft goes on from."""
    found = Version.objects.order_by("-number").first()
    return terms.book(found.number, found.terms) if found else terms.PUBLISHED


def of_row(row: tuple[Any, ...]) -> Book:
    """Return the book of a row of `BOOK`."""
    number, written = row
    if isinstance(written, str):  # Django's connection gives JSON as text.
        written = json.loads(written)
    return terms.book(number, written)


@transaction.atomic
def draft(
    *,
    changes: Iterable[Term] = (),
    without: Iterable[str] = (),
    known: Collection[str],
    by: UUID,
    reason: str,
) -> Draft:
    """Return a draft: the terms of the newest version, with changes, and without some.

    `known` are the vendors and operations that there are: a term about anything else is refused.
    """
    before = newest()
    found = Draft.objects.create(
        terms=_changed(before.terms, changes=changes, without=without, known=known),
        based_on=before.number,
        by=by,
        reason=_told(reason),
    )
    log.note("prices.drafted", actor=by, target=found.pk, reason=reason)
    return found


def _changed(
    before: Mapping[str, Term],
    *,
    changes: Iterable[Term],
    without: Iterable[str],
    known: Collection[str],
) -> list[dict[str, Any]]:
    """Return terms as they are kept, with changes and without some; raise InvalidRequest."""
    made = dict(before)
    for about in without:
        if made.pop(about, None) is None:
            raise InvalidRequest(f"There is no term about {about[:100]}.")
    for term in changes:
        if term.about != terms.EVERYTHING and term.about not in known:
            raise InvalidRequest(f"There is nothing here that is called {term.about[:100]}.")
        made[term.about] = term
    return [made[about].written() for about in sorted(made)]


@transaction.atomic
def amend(
    draft_id: int,
    *,
    changes: Iterable[Term] = (),
    without: Iterable[str] = (),
    known: Collection[str],
    by: UUID,
) -> Draft:
    """Change the terms of a draft; it is compared anew before it is published.

    Raises InvalidRequest for one that was published, and as `draft` does.
    """
    found = _unpublished(draft_id)
    before = found.terms
    terms_before = terms.book(0, before).terms
    found.terms = _changed(terms_before, changes=changes, without=without, known=known)
    found.compared_at = None
    found.save(update_fields=["terms", "compared_at"])
    log.note(
        "prices.amended",
        actor=by,
        target=found.pk,
        before={"terms": before},
        after={"terms": found.terms},
    )
    return found


@transaction.atomic
def discard(draft_id: int, *, by: UUID, reason: str) -> None:
    """Take a draft away that was not published; the log keeps what it said."""
    found = _unpublished(draft_id)
    log.note(
        "prices.discarded",
        actor=by,
        target=found.pk,
        before={"terms": found.terms},
        reason=_told(reason),
    )
    found.delete()


def _unpublished(draft_id: int) -> Draft:
    """Return a draft that nobody publishes or changes meanwhile."""
    with connection.cursor() as cursor:
        cursor.execute(LOCK)
    found = find(draft_id)
    if Version.objects.filter(draft=found).exists():
        raise InvalidRequest("It was published, and is never changed. Draft the next version.")
    return found


def _told(reason: str) -> str:
    if not reason.strip():
        raise InvalidRequest("Please say why, for whoever asks later.")
    return reason.strip()[:300]


@transaction.atomic
def publish(draft_id: int, *, at: datetime, by: UUID, reason: str) -> Version:
    """Have a compared draft hold from an instant on, which is `LEAD` away at least.

    The database refuses one that is over at the commit. Publishing a draft again returns what it
    became. What is priced before that instant stays so.
    """
    with connection.cursor() as cursor:
        cursor.execute(LOCK)
    found = find(draft_id)
    before = Version.objects.filter(draft=found).first()
    if before is not None:
        return before
    last = Version.objects.aggregate(number=Max("number"), at=Max("effective_at"))
    if found.based_on != (last["number"] or 0):
        raise InvalidRequest(
            f"Draft {draft_id} was made from version {found.based_on}, and {last['number']} has "
            "been published since. Please draft it anew."
        )
    if found.compared_at is None:
        raise InvalidRequest("Please compare it with the last week's calls first (preview).")
    if last["at"] is not None and at <= last["at"]:
        raise InvalidRequest(f"It must take effect after the version before ({last['at']}).")
    if at < timezone.now() + LEAD:
        raise InvalidRequest(
            f"Prices change from a moment on that is at least {LEAD.seconds} seconds away: by then "
            "every process has seen them."
        )
    made = Version.objects.create(
        number=(last["number"] or 0) + 1,
        effective_at=at,
        terms=found.terms,
        draft=found,
        by=by,
        reason=_told(reason),
    )
    log.note(
        "prices.published",
        actor=by,
        target=made.number,
        after={"effective_at": at.isoformat(), "terms": found.terms},
        reason=reason,
    )
    return made


def find(draft_id: int) -> Draft:
    """Return a draft, or raise NotFound."""
    found = Draft.objects.filter(pk=draft_id).first()
    if found is None:
        raise NotFound(f"There is no draft {draft_id}.")
    return found
