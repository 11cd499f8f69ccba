"""What is unspent of a purchase, wanted back by who bought it: where the operator allows it.

    waiting --> done        by staff, or at once where MEMBER_REFUNDS says so: as any other refund
          '---> refused     by staff with a reason, or taken back by who asked

MEMBER_REFUNDS is `off`, `asked` (staff decide on each) or `at_once` (up to ADJUSTMENT_LIMIT_USD of
a purchase, in however many parts; what is above it waits for staff). A purchase is given back
within MEMBER_REFUND_DAYS of its credit.
Nothing is set aside while one waits: what is given back is at most what is unspent then.

Each wish is a row under a key that its page made: posted twice, it is one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Sum
from django.utils import timezone
from django.utils.translation import gettext, gettext_noop

from audit import log
from common import failpoints
from common.errors import AccessDisabled, InsufficientCredits, InvalidRequest, NotFound
from common.money import MICROS_PER_CENT, Micros, show
from credits.books import ledger, reasons
from credits.models import Account, AutoTopUp, Dispute, Refund, RefundAsk, TopUp
from credits.payments import refunds

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from credits.payments.purchases import Purchase

OFF, ASKED, AT_ONCE = "off", "asked", "at_once"
UNSAID: Final = gettext_noop("Its member said no reason.")
TAKEN_BACK: Final = gettext_noop("Taken back by who asked.")
State = RefundAsk.State


@dataclass(frozen=True, slots=True)
class Standing:
    """What a member may ask back of a purchase, and what became of what was asked."""

    most: Micros
    """Unspent, in whole cents; 0 where it may not be asked."""
    asks: list[RefundAsk]
    """What waits or was refused, the newest first."""
    refunds: list[Refund]
    """The newest first."""

    @property
    def waits(self) -> bool:
        """Whether one waits for staff."""
        return any(each.state == State.WAITING for each in self.asks)


def request(
    workspace_id: UUID, top_up_id: UUID, *, amount: Micros, key: UUID, reason: str = "", by: UUID
) -> RefundAsk:
    """Want `amount` of a purchase back; the row says whether it was given, or waits for staff.

    The same key is the same wish, and a purchase has one that waits: another returns that one.
    Raises NotFound; AccessDisabled where it is not allowed (any more), the payment is disputed, or
    automatic top-up would buy again at once; InsufficientCredits, if less is unspent and available.
    """
    made = _request(workspace_id, top_up_id, amount, key, reason, by)
    failpoints.reached("wanted_back.made")
    if made.refund_id is not None:
        refunds.send(made.refund_id)  # Again: Stripe is asked under the same key.
        made.refresh_from_db()
    return made


@transaction.atomic
def _request(
    workspace_id: UUID, top_up_id: UUID, amount: Micros, key: UUID, reason: str, by: UUID
) -> RefundAsk:
    top_up = _of(workspace_id, top_up_id)
    wallet = ledger.lock(workspace_id)  # Of two who ask at once, one is the first.
    before = RefundAsk.objects.filter(pk=key).first()
    before = before or RefundAsk.objects.filter(top_up=top_up, state=State.WAITING).first()
    if before is not None:
        if before.top_up_id != top_up.pk:
            raise InvalidRequest(gettext("This form was sent for another purchase. Open it anew."))
        return before
    _require_allowed(top_up)
    left = _unspent(top_up_id)
    if not 0 < amount <= left or amount % MICROS_PER_CENT:
        raise InsufficientCredits(
            gettext("%(left)s of this purchase are unspent now; ask for that much, in whole cents.")
            % {"left": show(left)}
        )
    _require_not_bought_again(wallet, amount)
    said = reason.strip()[: reasons.MOST] or UNSAID
    made = RefundAsk(
        pk=key,
        top_up=top_up,
        amount_micros=amount,
        reason=said,
        requested_by=by,
        by_member=True,
    )
    together = amount + _given_at_once(top_up)
    if settings.MEMBER_REFUNDS == AT_ONCE and together <= settings.ADJUSTMENT_LIMIT_MICROS:
        made.refund = refunds.take(top_up_id, amount=amount, reason=said, requested_by=by)
        made.state, made.decided_at = State.DONE, timezone.now()
    _save(made)
    log.note(
        "refund.wanted_back",
        actor=by,
        workspace=workspace_id,
        target=made.pk,
        after={"purchase": str(top_up_id), "amount_micros": amount, "state": made.state},
    )
    failpoints.reached("wanted_back.before_made")
    return made


def _require_not_bought_again(wallet: Account, amount: Micros) -> None:
    """Raise AccessDisabled where automatic top-up would buy what is given back at once anew."""
    short = wallet.available_micros - amount
    if AutoTopUp.objects.filter(pk=wallet.pk, enabled=True, threshold_micros__gt=short).exists():
        raise AccessDisabled(
            gettext("Automatic top-up would buy credits again at once. Turn it off first.")
        )


def _given_at_once(top_up: TopUp) -> int:
    """Return what went back of a purchase without staff; the wallet is locked."""
    alone = RefundAsk.objects.filter(top_up=top_up, state=State.DONE, decided_by=None)
    given = alone.exclude(refund__state=Refund.State.FAILED)
    return int(given.aggregate(micros=Sum("amount_micros", default=0))["micros"])


def _save(made: RefundAsk) -> None:
    """Write a wish; raise InvalidRequest where its key is another workspace's already."""
    try:
        with transaction.atomic():
            made.save(force_insert=True)
    except IntegrityError as exc:
        raise InvalidRequest(gettext("This form was sent already. Open it anew.")) from exc


@transaction.atomic
def take_back(workspace_id: UUID, ask_id: UUID, *, by: UUID) -> RefundAsk:
    """Want it no more, while it waits; what was decided meanwhile stays, and is returned."""
    asked = RefundAsk.objects.select_for_update(no_key=True).filter(
        pk=ask_id, top_up__wallet=workspace_id, by_member=True
    )
    if (made := asked.first()) is None:
        raise NotFound(gettext("There is no such refund."))
    if made.state == State.WAITING:
        made.state, made.decision = State.REFUSED, TAKEN_BACK
        made.decided_by, made.decided_at = by, timezone.now()
        made.save()
        log.note("refund.taken_back", actor=by, workspace=workspace_id, target=made.pk)
    return made


def most(workspace_id: UUID, top_up_id: UUID) -> Micros:
    """Return what may be asked back of a purchase now; raise as `request` does."""
    top_up = _of(workspace_id, top_up_id)
    _require_allowed(top_up)
    return _unspent(top_up_id)


def standing(workspace_id: UUID, some: Sequence[Purchase]) -> dict[UUID, Standing]:
    """Return how it stands with each of some purchases, as they were read (purchases.py)."""
    known = [each.id for each in some]
    own = {"top_up__in": known, "top_up__wallet": workspace_id}
    wished = RefundAsk.objects.filter(**own, by_member=True).exclude(state=State.DONE)
    asks = list(wished.order_by("-created_at"))
    back = list(Refund.objects.filter(**own).order_by("-created_at"))
    offered = {each.id: _offered(each) for each in some}
    if any(offered.values()):
        contested = Dispute.objects.filter(**own).exclude(phase=Dispute.Phase.RETURNED)
        for top_up_id in contested.values_list("top_up_id", flat=True):
            offered[top_up_id] = Micros(0)
    return {
        each.id: Standing(
            offered[each.id],
            [ask for ask in asks if ask.top_up_id == each.id],
            [refund for refund in back if refund.top_up_id == each.id],
        )
        for each in some
    }


def _offered(purchase: Purchase) -> Micros:
    if not _is_in_time(purchase.credited_at):
        return Micros(0)
    return Micros(purchase.unspent // MICROS_PER_CENT * MICROS_PER_CENT)


def _unspent(top_up_id: UUID) -> Micros:
    """Return what is unspent; in the reader's words where the bank has a say."""
    if Dispute.objects.filter(top_up=top_up_id).exclude(phase=Dispute.Phase.RETURNED).exists():
        raise AccessDisabled(
            gettext("This payment is disputed: the bank decides where the money goes.")
        )
    return refunds.unspent(top_up_id)


def _of(workspace_id: UUID, top_up_id: UUID) -> TopUp:
    found = TopUp.objects.filter(pk=top_up_id, wallet=workspace_id).first()
    if found is None:
        raise NotFound(gettext("There is no such purchase."))
    return found


def _require_allowed(top_up: TopUp) -> None:
    if settings.MEMBER_REFUNDS == OFF:
        raise AccessDisabled(gettext("Purchases are not given back here. Write to us."))
    if not _is_in_time(top_up.credited_at):
        raise AccessDisabled(
            gettext("A purchase is given back within %(days)s days. Write to us.")
            % {"days": settings.MEMBER_REFUND_DAYS}
        )


def _is_in_time(credited_at: datetime | None) -> bool:
    if settings.MEMBER_REFUNDS == OFF or credited_at is None:
        return False
    return credited_at > timezone.now() - timedelta(days=settings.MEMBER_REFUND_DAYS)
