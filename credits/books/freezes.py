"""Reasons for which a wallet places no new holds, each until it is lifted.

A row is one such time. It stays when it is lifted, and says who of staff set it and who lifted it,
and why; what comes about by itself is nobody's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import BooleanField, ExpressionWrapper, Q
from django.utils import timezone

from audit import log
from credits.books import ledger, reasons
from credits.models import Account, Freeze

if TYPE_CHECKING:
    from uuid import UUID


@transaction.atomic
def freeze(wallet_id: UUID, cause: Freeze.Cause, sentence: str, *, by: UUID | None = None) -> None:
    """Place no new holds on a wallet, for that cause, until it is lifted; the sentence says why.

    Again: the sentence and the name are the new ones.
    """
    _check_whose(cause, by)
    sentence = reasons.given(sentence, to="A pause")
    # Or another cause, not committed yet, is not seen and not shown.
    ledger.lock(wallet_id, leaving=True)
    in_force = Freeze.objects.filter(wallet_id=wallet_id, cause=cause, lifted_at=None)
    if not in_force.update(sentence=sentence, set_by=by):
        Freeze.objects.create(wallet_id=wallet_id, cause=cause, sentence=sentence, set_by=by)
    if by is not None:
        log.note("wallet.paused", actor=by, workspace=wallet_id, reason=sentence)
    _show(wallet_id)


@transaction.atomic
def lift(wallet_id: UUID, cause: Freeze.Cause, *, by: UUID | None = None, reason: str = "") -> bool:
    """Take a cause away; False if it was not there. Holds are placed again when none is left."""
    _check_whose(cause, by)
    if by is not None:
        reason = reasons.given(reason, to="A release")
    ledger.lock(wallet_id, leaving=True)
    in_force = Freeze.objects.filter(wallet_id=wallet_id, cause=cause, lifted_at=None)
    lifted = in_force.update(lifted_at=timezone.now(), lifted_by=by, lift_reason=reason)
    if lifted and by is not None:
        log.note("wallet.released", actor=by, workspace=wallet_id, reason=reason)
    _show(wallet_id)
    return bool(lifted)


def _check_whose(cause: Freeze.Cause, by: UUID | None) -> None:
    by_staff = cause == Freeze.Cause.STAFF
    assert by_staff == (by is not None), "what staff do is somebody's, and nothing else is"


def _show(wallet_id: UUID) -> None:
    in_force = Freeze.objects.filter(wallet_id=wallet_id, lifted_at=None)
    # That a wallet is another cell's is said before all else: nothing here can be done about it.
    moved = ExpressionWrapper(Q(cause=Freeze.Cause.MOVED), output_field=BooleanField())
    newest = in_force.order_by(moved.desc(), "-created_at", "-id").first()
    sentence = newest.sentence if newest else ""
    Account.objects.filter(pk=wallet_id).exclude(frozen_reason=sentence).update(
        frozen_reason=sentence
    )
