"""What staff pause and let go on, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import timezone

from credits.books import reasons
from credits.models import Billing, Freeze
from credits.payments import receivables

if TYPE_CHECKING:
    from uuid import UUID


@transaction.atomic
def pause(wallet_id: UUID, *, by: UUID, reason: str) -> None:
    """Take no new calls of a workspace until staff release it; the reason is what it reads."""
    receivables.freeze(wallet_id, Freeze.Cause.STAFF, reason)
    Freeze.objects.filter(wallet_id=wallet_id, cause=Freeze.Cause.STAFF).update(set_by=by)


@transaction.atomic
def release(wallet_id: UUID, *, by: UUID, reason: str) -> bool:
    """Take the pause of staff back; False if there is none. Another cause keeps calls off still."""
    reason = reasons.given(reason, to="A release")
    if not Freeze.objects.filter(wallet_id=wallet_id, cause=Freeze.Cause.STAFF).exists():
        return False
    receivables.lift(wallet_id, Freeze.Cause.STAFF)
    Billing.objects.update_or_create(
        wallet_id=wallet_id,
        defaults={"released_at": timezone.now(), "released_by": by, "release_reason": reason},
    )
    return True
