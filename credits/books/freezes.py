"""Reasons for which a wallet places no new holds, each until it is lifted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction

from credits.books import ledger, reasons
from credits.models import Account, Freeze

if TYPE_CHECKING:
    from uuid import UUID


@transaction.atomic
def freeze(wallet_id: UUID, cause: Freeze.Cause, sentence: str) -> None:
    """Place no new holds on a wallet, for that cause, until it is lifted; the sentence says why."""
    sentence = reasons.given(sentence, to="A pause")
    ledger.lock(wallet_id)  # Or another cause, not committed yet, is not seen and not shown.
    Freeze.objects.update_or_create(
        wallet_id=wallet_id, cause=cause, defaults={"sentence": sentence}
    )
    _show(wallet_id)


@transaction.atomic
def lift(wallet_id: UUID, cause: Freeze.Cause) -> None:
    """Take a cause away; holds are placed again when none is left."""
    ledger.lock(wallet_id)
    Freeze.objects.filter(wallet_id=wallet_id, cause=cause).delete()
    _show(wallet_id)


def _show(wallet_id: UUID) -> None:
    newest = Freeze.objects.filter(wallet_id=wallet_id).order_by("-created_at", "-id").first()
    sentence = newest.sentence if newest else ""
    Account.objects.filter(pk=wallet_id).exclude(frozen_reason=sentence).update(
        frozen_reason=sentence
    )
