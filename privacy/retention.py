"""What is kept for no longer than the operator says: each night, in bounded steps."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from django.conf import settings
from django.utils import timezone

from privacy import registry

if TYPE_CHECKING:
    from common.personal import Kept

log = logging.getLogger(__name__)
AT_ONCE: Final = 1000
MOST_ROUNDS: Final = 500
"""Half a million rows of a kind in one night: what is left goes in the next."""


def sweep(*, at_once: int = AT_ONCE, most_rounds: int = MOST_ROUNDS) -> dict[str, int]:
    """Take away what is older than its time; return how many rows of each kind went."""
    gone = {each.name: _sweep(each, at_once, most_rounds) for each in registry.kept()}
    if any(gone.values()):
        log.info("no longer kept: %s", {name: n for name, n in gone.items() if n})
    return gone


def _sweep(kind: Kept, at_once: int, most_rounds: int) -> int:
    before = timezone.now() - timedelta(days=settings.RETENTION_DAYS[kind.name])
    count = 0
    for _ in range(most_rounds):
        step = kind.forget(before, at_once)
        count += step
        if not step:
            break
    return count
