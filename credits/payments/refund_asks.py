"""Refunds by staff: at once up to the limit, above it with a second person.

    waiting --> done        the refund is made in the same transaction, as any other
          '---> refused

Nothing is set aside while one waits: if less is unspent by then, accepting it is refused, and
whoever asked asks anew. A member who asked (wanted_back.py) gets what is unspent by then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from audit import log
from common import failpoints
from common.errors import AccessDisabled, InvalidRequest, NotFound
from common.money import Micros, show
from credits.books import ledger, reasons
from credits.models import Refund, RefundAsk, TopUp
from credits.payments import mails, refunds

if TYPE_CHECKING:
    from uuid import UUID

State = RefundAsk.State


def request(
    top_up_id: UUID, *, amount: Micros | None = None, reason: str, requested_by: UUID
) -> Refund | RefundAsk:
    """Give back what is unspent of a purchase, or `amount` of it; above the limit, ask for it.

    Asking again while one waits returns that one, as it was asked. Raises as `refunds.request`.
    """
    reason = reasons.given(reason, to="A refund")
    wanted = refunds.unspent(top_up_id) if amount is None else amount
    if wanted <= settings.ADJUSTMENT_LIMIT_MICROS:
        return refunds.request(top_up_id, amount=wanted, reason=reason, requested_by=requested_by)
    return _ask(top_up_id, amount=Micros(wanted), reason=reason, requested_by=requested_by)


@transaction.atomic
def _ask(top_up_id: UUID, *, amount: Micros, reason: str, requested_by: UUID) -> RefundAsk:
    top_up = TopUp.objects.filter(pk=top_up_id).first()
    if top_up is None:
        raise NotFound("There is no such purchase.")
    ledger.lock(top_up.wallet_id)  # Of two who ask at once, one is the first.
    before = RefundAsk.objects.filter(top_up=top_up, state=State.WAITING).first()
    if before is not None:
        return before
    refunds.require(top_up_id, amount)
    made = RefundAsk.objects.create(
        top_up=top_up, amount_micros=amount, reason=reason, requested_by=requested_by
    )
    _note("refund.wanted", made, by=requested_by, reason=reason)
    return made


def decide(ask_id: UUID, *, accept: bool, decided_by: UUID, reason: str = "") -> RefundAsk:
    """Make or refuse the refund that waits, as a second person; deciding again changes nothing.

    Raises AccessDisabled if that is who asked for it, NotFound, and as `refunds.request`.
    """
    made = _decide(ask_id, accept=accept, decided_by=decided_by, reason=reason)
    if made.refund_id is not None:
        refunds.send(made.refund_id)  # Again: Stripe is asked under the same key.
    return made


@transaction.atomic
def _decide(ask_id: UUID, *, accept: bool, decided_by: UUID, reason: str) -> RefundAsk:
    made = RefundAsk.objects.select_for_update(no_key=True).filter(pk=ask_id).first()
    if made is None:
        raise NotFound("There is no such refund.")
    if made.state != State.WAITING:
        return made
    if accept and decided_by == made.requested_by:
        raise AccessDisabled(
            f"{show(made.amount_micros)} is above the limit: a second person must decide."
        )
    if not accept and not reason.strip():
        raise InvalidRequest("Refusing it needs a reason.")
    made.decided_by, made.decided_at = decided_by, timezone.now()
    if accept:
        amount = made.amount_micros
        if made.by_member:
            amount = min(amount, refunds.unspent(made.top_up_id))
        made.refund = refunds.take(
            made.top_up_id,
            amount=Micros(amount),
            reason=made.reason,
            requested_by=made.requested_by,
        )
        made.state = State.DONE
    else:
        made.state, made.decision = State.REFUSED, reason.strip()[: reasons.MOST]
    made.save()
    if made.by_member and not accept:
        mails.refund_declined(made)
    _note(f"refund.{'accepted' if accept else 'refused'}", made, by=decided_by, reason=reason)
    failpoints.reached("refund_ask.before_decided")
    return made


def _note(action: str, made: RefundAsk, *, by: UUID, reason: str) -> None:
    log.note(
        action,
        actor=by,
        workspace=made.top_up.wallet_id,
        target=made.pk,
        after={"amount_micros": made.amount_micros, "state": made.state},
        reason=reason,
    )
