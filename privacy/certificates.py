"""What somebody who went can show: what went, what stays, why, and until when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.conf import settings
from django.utils.translation import gettext_lazy

from common.personal import Fate
from privacy import registry

if TYPE_CHECKING:
    from datetime import date, datetime

    from privacy.models import Deletion

GONE = (Fate.DELETED, Fate.BLANKED)
STAYS = (Fate.PSEUDONYM, Fate.PASSES)


@dataclass(frozen=True, slots=True)
class Line:
    """One kind of data."""

    what: str
    """The table, as the archive has it."""
    fate: str
    why: str


@dataclass(frozen=True, slots=True)
class Certificate:
    """What was done for one wish. It names nobody: who has it was given its link."""

    platform: str
    reference: str
    asked_at: datetime
    confirmed_at: datetime | None
    done_at: datetime | None
    books_until: date | None
    counts: dict[str, dict[str, int]]
    """What went, in numbers, by the steps in which it went."""
    gone: list[Line]
    stays: list[Line]
    elsewhere: list[str]


ELSEWHERE = [
    gettext_lazy(
        "The payment provider deleted you as its customer, with saved cards. Of payments it keeps "
        "what the law has it keep."
    ),
    gettext_lazy(
        "Vendors got requests under the operator's account, without your name or address."
    ),
    gettext_lazy("Backups are the operator's, and are overwritten in their turn."),
]


def of(deletion: Deletion) -> Certificate:
    """Return the certificate of a deletion that was done."""
    return Certificate(
        platform=settings.PLATFORM_NAME,
        reference=str(deletion.pk),
        asked_at=deletion.asked_at,
        confirmed_at=deletion.confirmed_at,
        done_at=deletion.ended_at,
        books_until=deletion.books_until,
        counts={name: counts for name, counts in deletion.report.items() if counts},
        gone=_lines(GONE),
        stays=_lines(STAYS),
        elsewhere=[str(each) for each in ELSEWHERE],
    )


def _lines(fates: tuple[Fate, ...]) -> list[Line]:
    return [Line(each.model, each.fate, str(each.why)) for each in registry.by_fate(*fates)]
