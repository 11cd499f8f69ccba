"""Money back: by our staff, or in Stripe's own dashboard.

    requested --> pending --> succeeded
        '------------'-----------'--> failed (the credits are put back)

A refund of ours takes the credits first, in the transaction that makes its row; then Stripe is
asked, under the row's key, again and again until the answer is known. So it can be resumed
wherever the process died, and never gives money for credits that are still there. What waits for
more than an hour is a finding.

A refund that was made at Stripe has happened: its unspent part is taken (what an inquiry set aside
of it, too), the rest is owed.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Sum
from django.utils import timezone

from audit import log
from common import failpoints
from common.errors import AccessDisabled, InsufficientCredits, InvalidRequest, NotFound
from common.money import MICROS_PER_CENT, Micros, show
from credits.books import findings, ledger, reasons
from credits.models import Account, Dispute, Entry, Finding, Lot, Refund, TopUp
from credits.payments import disputes, following, mails, receivables, stripe_api, taxes

if TYPE_CHECKING:
    from uuid import UUID

    from credits.payments.stripe_objects import RefundSeen

State = Refund.State
WORDS = {
    "pending": State.PENDING,
    "requires_action": State.PENDING,
    "succeeded": State.SUCCEEDED,
    "failed": State.FAILED,
    "canceled": State.FAILED,
}
"""Stripe's words; any other means that its end is not known yet: credits are not put back on it."""
BEFORE = {
    State.PENDING: [State.REQUESTED],
    State.SUCCEEDED: [State.REQUESTED, State.PENDING],
    State.FAILED: [State.REQUESTED, State.PENDING, State.SUCCEEDED],
}
RETRY_SECONDS = 30
FINDING = "refund:"
LONG = timedelta(hours=1)
"""After which a refund that Stripe did not take is for staff; reconciliation says the same."""


def request(
    top_up_id: UUID, *, amount: Micros | None = None, reason: str, requested_by: UUID
) -> Refund:
    """Give back what is unspent of a purchase (all of it, or `amount`), and its share of the tax.

    Afterwards the credits are gone and Stripe was asked; if it could not be reached, the sweep
    asks on. Raises InsufficientCredits if less is unspent or available, InvalidRequest, NotFound.
    """
    reason = reasons.given(reason, to="A refund")
    refund = take(top_up_id, amount=amount, reason=reason, requested_by=requested_by)
    failpoints.reached("refund.taken")
    send(refund.pk)
    refund.refresh_from_db()
    return refund


def unspent(top_up_id: UUID) -> Micros:
    """Return what could go back of a purchase now, in whole cents; raise as `request` does."""
    with transaction.atomic():
        return _refundable(top_up_id)[2]


def require(top_up_id: UUID, amount: int) -> None:
    """Raise what `request` would, if that much could not go back now; changes nothing."""
    with transaction.atomic():
        _require_within(amount, _refundable(top_up_id)[2])


def _refundable(top_up_id: UUID) -> tuple[TopUp, Account, Micros]:
    """Lock the wallet of a purchase; return both, and what of it is unspent and available."""
    top_up = TopUp.objects.select_related("entry").filter(pk=top_up_id).first()
    if top_up is None:
        raise NotFound("There is no such purchase.")
    if top_up.entry is None:
        raise InvalidRequest(f"This purchase is {top_up.state}: there is nothing to give back.")
    wallet = ledger.lock(top_up.wallet_id)
    if top_up.disputes.exclude(phase=Dispute.Phase.RETURNED).exists():
        raise AccessDisabled("This payment is disputed: the bank decides where the money goes.")
    left = min(top_up.lot.left_micros, wallet.available_micros)
    return top_up, wallet, Micros(left // MICROS_PER_CENT * MICROS_PER_CENT)


def _require_within(wanted: int, left: int) -> None:
    if wanted % MICROS_PER_CENT or wanted < 0:
        raise InvalidRequest(f"{show(wanted)} is not a whole number of cents.")
    if not 0 < wanted <= left:
        raise InsufficientCredits(
            f"{show(left)} of this purchase are unspent and available, {show(wanted)} were asked."
        )


@transaction.atomic
def take(top_up_id: UUID, *, amount: Micros | None, reason: str, requested_by: UUID) -> Refund:
    """Take the credits, and have the row that is sent next; for who calls `send` afterwards.

    Where nobody does, the sweep does. Raises as `request`.
    """
    top_up, wallet, left = _refundable(top_up_id)
    lot = top_up.lot
    wanted = left if amount is None else amount
    _require_within(wanted, left)
    tax = tax_share(top_up, wanted)
    refund = Refund.objects.create(
        top_up=top_up,
        source=Refund.Source.STAFF,
        cents=wanted // MICROS_PER_CENT + tax,
        tax_cents=tax,
        taken_micros=wanted,
        reason=reason,
        requested_by=requested_by,
        next_try_at=timezone.now() + timedelta(seconds=RETRY_SECONDS),
    )
    _post(refund, wallet, lot)
    log.note(
        "refund.asked",
        actor=requested_by,
        workspace=top_up.wallet_id,
        target=refund.pk,
        after={"taken_micros": wanted, "cents": refund.cents},
        reason=reason,
    )
    failpoints.reached("refund.before_taken")
    return refund


def tax_share(top_up: TopUp, micros: int) -> int:
    """Return the cents of tax that go back with so many micros of a purchase's credits.

    Counted over all refunds of the purchase, so that their parts add up to all of its tax.
    """
    cents, tax = _refunded(top_up)
    together = min((cents - tax) * MICROS_PER_CENT + micros, top_up.amount_micros)
    return max(0, top_up.tax_cents * together // top_up.amount_micros - tax)


def tax_within(top_up: TopUp, cents: int) -> int:
    """Return how many of so many cents that go back are tax; counted in the same way."""
    before, tax = _refunded(top_up)
    together = min(before + cents, top_up.total_cents)
    return min(cents, max(0, top_up.tax_cents * together // top_up.total_cents - tax))


def _refunded(top_up: TopUp) -> tuple[int, int]:
    """Return the cents that went back so far, and how many of them were tax."""
    done = top_up.refunds.exclude(state=State.FAILED).aggregate(
        cents=Sum("cents", default=0), tax=Sum("tax_cents", default=0)
    )
    return done["cents"], done["tax"]


def _post(refund: Refund, wallet: Account, lot: Lot) -> None:
    """Move what a new refund moves, in the transaction that made it."""
    stripe, key = ledger.house(Account.Kind.STRIPE), f"refund:{refund.pk}"
    if refund.taken_micros:
        ledger.post(
            kind=Entry.Kind.REFUND,
            debit=wallet,
            credit=stripe,
            amount=Micros(refund.taken_micros),
            key=key,
            facts={"purchase": str(refund.top_up_id)},
            lot=lot,
        )
    taxes.pay_back(refund.tax_cents, key=f"{key}:tax")
    if refund.owed_micros:
        receivables.owe(key, top_up=refund.top_up, amount=Micros(refund.owed_micros))


def send(refund_id: UUID) -> None:
    """Ask Stripe for a refund whose credits were taken, or learn what came of asking before.

    While Stripe cannot be reached the row stays, and the sweep tries again. If it refuses, the
    credits are put back, and whoever sends it again asks for nothing: Stripe forgets keys.
    """
    refund = Refund.objects.select_related("top_up").get(pk=refund_id)
    if refund.state == State.FAILED:
        return
    intent = refund.top_up.payment_intent_id
    assert intent is not None, "a credited purchase was paid by a payment"
    try:
        if refund.stripe_id is not None:
            learn(stripe_api.refund(refund.stripe_id))
            return
        # Keys are forgotten after a day: what an earlier try made is found by its metadata.
        for seen in stripe_api.refunds_of(intent):
            if seen.refund == str(refund.pk):
                learn(seen)
                return
        made = stripe_api.create_refund(
            payment_intent=intent,
            cents=refund.cents,
            refund=str(refund.pk),
            key=f"refund:{refund.pk}",
        )
    except stripe_api.PaymentsUnavailable:
        return
    except stripe_api.Refused as exc:
        fail(refund.pk, str(exc))
        return
    failpoints.reached("refund.sent")
    learn(made)


def learn(seen: RefundSeen) -> None:
    """Move a refund as far as it has come at Stripe; make its row if it was made there."""
    refund = Refund.objects.filter(stripe_id=seen.id).first() or _by_our_id(seen)
    if refund is None:
        top_up = following.of_payment(seen.payment_intent)
        if top_up is None or top_up.entry_id is None:
            return  # A payment of something else that this Stripe account sells.
        refund = _adopt(top_up, seen)
    Refund.objects.filter(pk=refund.pk, stripe_id=None).update(stripe_id=seen.id)
    failpoints.reached("refund.known")
    state = WORDS.get(seen.status, State.PENDING)
    if state == State.FAILED:
        fail(refund.pk, seen.failure or "The bank did not take it.")
        return
    fields: dict[str, Any] = {"next_try_at": None} if state == State.SUCCEEDED else {}
    with transaction.atomic():
        moved = Refund.objects.filter(pk=refund.pk, state__in=BEFORE[state])
        if moved.update(state=state, **fields):
            mails.refunded(refund)
            findings.resolve(f"{FINDING}{refund.pk}")
        failpoints.reached("refund.before_moved")


def _by_our_id(seen: RefundSeen) -> Refund | None:
    try:
        return Refund.objects.filter(pk=seen.refund).first() if seen.refund else None
    except (ValidationError, ValueError):
        return None


@transaction.atomic
def _adopt(top_up: TopUp, seen: RefundSeen) -> Refund:
    """Make the row of a refund that was made at Stripe: take what is unspent, note the rest."""
    wallet = ledger.lock(top_up.wallet_id)
    if (known := Refund.objects.filter(stripe_id=seen.id).first()) is not None:
        return known
    tax = tax_within(top_up, seen.cents)
    credits_micros = (seen.cents - tax) * MICROS_PER_CENT
    missing = credits_micros - min(credits_micros, top_up.lot.left_micros, wallet.available_micros)
    disputes.release(top_up, amount=Micros(missing), refund=seen.id)
    wallet, lot = ledger.lock(top_up.wallet_id), top_up.lot
    taken = min(credits_micros, lot.left_micros, wallet.available_micros)
    refund = Refund.objects.create(
        top_up=top_up,
        source=Refund.Source.STRIPE,
        cents=seen.cents,
        tax_cents=tax,
        taken_micros=taken,
        owed_micros=credits_micros - taken,
        stripe_id=seen.id,
        next_try_at=timezone.now() + timedelta(seconds=RETRY_SECONDS),
    )
    _post(refund, wallet, lot)
    failpoints.reached("refund.before_adopted")
    return refund


@transaction.atomic
def fail(refund_id: UUID, why: str) -> None:
    """Put everything back as it was, once: the money stays here."""
    refund = Refund.objects.select_related("top_up__entry").get(pk=refund_id)
    ledger.lock(refund.top_up.wallet_id)
    before = Refund.objects.select_for_update().values_list("state", flat=True).get(pk=refund_id)
    if before not in BEFORE[State.FAILED]:
        return
    Refund.objects.filter(pk=refund_id).update(
        state=State.FAILED, failure=why[:300], next_try_at=None
    )
    findings.resolve(f"{FINDING}{refund.pk}")
    stripe, key = ledger.house(Account.Kind.STRIPE), f"refund:{refund.pk}"
    if refund.taken_micros:
        receivables.give_back(
            refund.top_up,
            kind=Entry.Kind.REFUND,
            debit=stripe,
            amount=Micros(refund.taken_micros),
            key=f"{key}:failed",
        )
    taxes.receive(refund.tax_cents, key=f"{key}:tax:failed")
    receivables.undo(key)
    receivables.collect(ledger.lock(refund.top_up.wallet_id))
    if before != State.REQUESTED:  # Its owner was told that it comes.
        mails.refund_failed(refund)
    failpoints.reached("refund.before_failed")


def claim_due(*, limit: int = 50) -> list[UUID]:
    """Return the refunds to go on with now; each is somebody's for a while."""
    now, claimed = timezone.now(), []
    for refund in Refund.objects.filter(next_try_at__lte=now).order_by("next_try_at")[:limit]:
        wait = RETRY_SECONDS if refund.state == State.REQUESTED else 3600
        mine = Refund.objects.filter(pk=refund.pk, next_try_at=refund.next_try_at)
        if mine.update(next_try_at=now + timedelta(seconds=wait)):
            claimed.append(refund.pk)
    return claimed


def report_waiting(*, limit: int = 100) -> None:
    """Have staff see the refunds that Stripe still did not take, as long as it does not.

    Their credits are gone, and the money is not there: a key that may make no refunds is nothing
    that ends by itself.
    """
    long_ago = timezone.now() - LONG
    waiting = Refund.objects.filter(state=State.REQUESTED, created_at__lte=long_ago)
    found = []
    for refund in waiting.select_related("top_up").order_by("created_at")[:limit]:
        found.append(f"{FINDING}{refund.pk}")
        findings.report(
            found[-1],
            kind=Finding.Kind.PAYMENT,
            wallet_id=refund.top_up.wallet_id,
            sentence=(
                f"Refund {refund.pk} of purchase {refund.top_up_id}, "
                f"{show(refund.cents * MICROS_PER_CENT)}, waits since "
                f"{refund.created_at:%Y-%m-%d %H:%M} UTC: the processor did not take it. See that "
                "it can be reached, and that our key may make refunds."
            ),
        )
    findings.resolve_others(FINDING, found)
