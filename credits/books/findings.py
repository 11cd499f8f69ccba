"""What staff must look at: one open row for each thing, however often it is found."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from django.utils import timezone

from credits.models import Finding

if TYPE_CHECKING:
    from collections.abc import Collection
    from uuid import UUID

log = logging.getLogger(__name__)

REPORT = """
    INSERT INTO credits_finding (key, kind, sentence) VALUES (left(%s, 200), %s, left(%s, 500))
        ON CONFLICT (key) DO UPDATE SET sentence = excluded.sentence, resolved_at = NULL
 RETURNING xmax = 0
"""
"""What `report` does, for who has a connection of another kind; answers whether it is new."""


def report(key: str, *, kind: Finding.Kind, sentence: str, wallet_id: UUID | None = None) -> None:
    """Have a row that says so, and a line in the log when it is new. Again: the same row."""
    _, is_new = Finding.objects.update_or_create(
        key=key[:200],
        defaults={"sentence": sentence[:500], "resolved_at": None},
        create_defaults={"kind": kind, "sentence": sentence[:500], "wallet_id": wallet_id},
    )
    if is_new:
        log.error("finding %s: %s", key, sentence)


def resolve(key: str) -> None:
    """Close the finding, if there is one."""
    Finding.objects.filter(key=key[:200], resolved_at=None).update(resolved_at=timezone.now())


def resolve_others(prefix: str, found: Collection[str]) -> None:
    """Close the open findings under that prefix which were not found again."""
    gone = Finding.objects.filter(key__startswith=prefix, resolved_at=None).exclude(key__in=found)
    gone.update(resolved_at=timezone.now())
