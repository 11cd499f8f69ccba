"""What staff must look at: one open row for each thing, however often it is found."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from django.db import connection, transaction
from django.utils import timezone

from audit import log as audit
from credits.books import reasons
from credits.models import Finding

if TYPE_CHECKING:
    from collections.abc import Collection
    from uuid import UUID

log = logging.getLogger(__name__)

REPORT = """
    INSERT INTO credits_finding (key, kind, sentence, wallet_id)
    VALUES (left(%s, 200), %s, left(%s, 500), %s)
        ON CONFLICT (key) DO UPDATE
       SET sentence = excluded.sentence, resolved_at = NULL, resolved_by = NULL, resolution = ''
 RETURNING xmax = 0
"""
"""Have an open row that says so, whoever closed it before; answers whether it is new."""


def report(key: str, *, kind: Finding.Kind, sentence: str, wallet_id: UUID | None = None) -> None:
    """Have a row that says so, and a line in the log when it is new. Again: the same row."""
    with connection.cursor() as cursor:
        cursor.execute(REPORT, [key, kind, sentence, wallet_id])
        ((is_new,),) = cursor.fetchall()
    if is_new:
        log.error("finding %s: %s", key, sentence)


def resolve(key: str) -> None:
    """Close the finding, if there is one."""
    Finding.objects.filter(key=key[:200], resolved_at=None).update(resolved_at=timezone.now())


@transaction.atomic
def settle(key: str, *, by: UUID, reason: str) -> bool:
    """Close the finding for somebody of staff, who says why; False if it is not open."""
    note: dict[str, Any] = {"resolved_by": by, "resolution": reasons.given(reason, to="This")}
    open_one = Finding.objects.filter(key=key[:200], resolved_at=None)
    settled = open_one.update(resolved_at=timezone.now(), **note)
    if settled:
        audit.note("finding.settled", actor=by, target=key, reason=note["resolution"])
    return bool(settled)


def resolve_others(prefix: str, found: Collection[str]) -> None:
    """Close the open findings under that prefix which were not found again."""
    gone = Finding.objects.filter(key__startswith=prefix, resolved_at=None).exclude(key__in=found)
    gone.update(resolved_at=timezone.now())
