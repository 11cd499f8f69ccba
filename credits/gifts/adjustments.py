"""What staff give and take by hand: with a reason, and with a second person above a limit.

waiting --> posted
'-----> refused
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
from credits.models import Account, Adjustment, Entry

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

State = Adjustment.State


@transaction.atomic
def request(
    wallet_id: UUID,
    *,
    amount: int,
    reason: str,
    requested_by: UUID,
    is_gift: bool = False,
    expires_at: datetime | None = None,
) -> Adjustment:
    """Give (or, below zero, take) an amount of micros; a gift comes from the house's promotion.

    Up to the limit (ADJUSTMENT_LIMIT_USD) it is posted at once; above, it waits for `decide` by
    somebody else. Raises InsufficientCredits if more would be taken than is available.
    """
    reason = reasons.given(reason, to="An adjustment")
    if not amount:
        raise InvalidRequest("An adjustment needs an amount.")
    if is_gift and amount < 0:
        raise InvalidRequest("A gift is given, not taken.")
    made = Adjustment.objects.create(
        wallet_id=wallet_id,
        amount_micros=amount,
        is_gift=is_gift,
        expires_at=expires_at,
        reason=reason,
        requested_by=requested_by,
        needs_second=abs(amount) > settings.ADJUSTMENT_LIMIT_MICROS,
    )
    if not made.needs_second:
        _post(made)
    _note("adjustment.asked", made, by=requested_by, reason=reason)
    return made


@transaction.atomic
def decide(adjustment_id: UUID, *, accept: bool, decided_by: UUID, reason: str = "") -> Adjustment:
    """Post or refuse what waits, as a second person; deciding again changes nothing.

    Raises AccessDisabled if that is the person who asked for it, and NotFound.
    """
    made = Adjustment.objects.select_for_update().filter(pk=adjustment_id).first()
    if made is None:
        raise NotFound("There is no such adjustment.")
    if made.state != State.WAITING:
        return made
    if decided_by == made.requested_by:
        raise AccessDisabled(
            f"{show(abs(made.amount_micros))} is above the limit: a second person must decide."
        )
    made.decided_by, made.decided_at = decided_by, timezone.now()
    if accept:
        _post(made)
    else:
        made.state = State.REFUSED
        made.decision = reason[: reasons.MOST]
        made.save()
    _note(f"adjustment.{made.state}", made, by=decided_by, reason=reason)
    return made


def _note(action: str, made: Adjustment, *, by: UUID, reason: str) -> None:
    log.note(
        action,
        actor=by,
        workspace=made.wallet_id,
        target=made.pk,
        after={"amount_micros": made.amount_micros, "state": made.state},
        reason=reason,
    )


def _post(made: Adjustment) -> None:
    wallet = ledger.lock(made.wallet_id)
    source = Account.Kind.PROMOTION if made.is_gift else Account.Kind.ADJUSTMENT
    other = ledger.house(source)
    gives = made.amount_micros > 0
    made.entry = ledger.post(
        kind=Entry.Kind.GRANT if made.is_gift else Entry.Kind.ADJUSTMENT,
        debit=other if gives else wallet,
        credit=wallet if gives else other,
        amount=Micros(abs(made.amount_micros)),
        key=f"adjustment:{made.pk}",
        facts={"reason": made.reason},
        expires_at=made.expires_at if gives else None,
    )
    made.state = State.POSTED
    made.save()
    failpoints.reached("adjustment.before_commit")
