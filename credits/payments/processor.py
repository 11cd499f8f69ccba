"""Prove that our purchases are Stripe's payments: every night, over the last days.

What moved at Stripe (its balance transactions) is set against what our rows say should have moved,
payment by payment, refund by refund, dispute by dispute. A difference is a finding that staff see;
it is closed when a later comparison does not find it again.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db.models import Min
from django.utils import timezone

from credits.books import findings
from credits.models import Dispute, Finding, Move, Refund, TopUp
from credits.payments import stripe_api

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from credits.payments.stripe_objects import Movement

DAYS = 8
REFUNDS = ("refund", "payment_refund", "refund_failure", "payment_refund_failure")
SETTLING = timedelta(minutes=5)
"""Younger rows are left out: news of them may still be on its way."""
PREFIX = "processor:"


@dataclass(slots=True)
class Comparison:
    """How much was compared, and every difference: its key, and a sentence."""

    payments: int = 0
    cents: int = 0
    differences: dict[str, str] = field(default_factory=dict)

    def differs(self, kind: str, name: str, *, ours: int, theirs: int, what: str) -> None:
        """Note a difference, if it is one."""
        if ours != theirs:
            self.differences[f"{PREFIX}{kind}:{name}"] = (
                f"{what}: {ours} cents in our books, {theirs} cents at the processor."
            )


def compare(*, days: int = DAYS, settling: timedelta = SETTLING) -> Comparison:
    """Compare the last days, write the findings, and return what was compared."""
    now = timezone.now()
    since, until = _oldest_open(now) - timedelta(days=days), now - settling
    moved = list(stripe_api.movements_since(since))
    result = Comparison()
    _payments(result, moved, since, until)
    _refunds(result, moved, since, until)
    _disputes(result, moved, since, until)
    for key, sentence in result.differences.items():
        findings.report(key, kind=Finding.Kind.PROCESSOR, sentence=sentence)
    findings.resolve_others(PREFIX, result.differences.keys())
    return result


def _oldest_open(now: datetime) -> datetime:
    """Return when the oldest open difference was found: it must not only fall out of sight."""
    ours = Finding.objects.filter(key__startswith=PREFIX, resolved_at=None)
    return ours.aggregate(at=Min("created_at"))["at"] or now


def _sums(moved: Iterable[Movement], *types: str, by_payment: bool) -> dict[str, int]:
    sums: dict[str, int] = defaultdict(int)
    for each in moved:
        if each.type in types:
            sums[each.payment_intent if by_payment else each.source] += each.cents
    return sums


def _payments(result: Comparison, moved: list[Movement], since: datetime, until: datetime) -> None:
    theirs = _sums(moved, "charge", "payment", by_payment=True)
    given_back = _sums(moved, *REFUNDS, "adjustment", by_payment=True)
    ours = {each.payment_intent_id: each for each in TopUp.objects.filter(
        payment_intent_id__in=theirs)}  # fmt: skip
    recent = TopUp.objects.filter(credited_at__gte=since + timedelta(days=1), credited_at__lt=until)
    ours |= {each.payment_intent_id: each for each in recent}
    young = {each.payment_intent for each in moved if each.happened_at >= until}
    for intent, top_up in ours.items():
        credited = top_up.state == TopUp.State.CREDITED
        cents = top_up.total_cents if credited else 0
        # What was never credited has no refunds and disputes here: it is mended once it is back.
        back = 0 if credited else given_back.get(str(intent), 0)
        result.payments += 1
        result.cents += cents
        if intent not in young:
            what = f"Payment {intent} of purchase {top_up.pk}"
            paid = theirs.get(str(intent), 0) + back
            result.differs("payment", str(intent), ours=cents, theirs=paid, what=what)
    for intent in theirs.keys() - ours.keys() - young - {""}:
        if stripe_api.payment(intent).top_up:
            result.differs(
                "payment", intent, ours=0, theirs=theirs[intent],
                what=f"Payment {intent}, which says it is for us",
            )  # fmt: skip


def _refunds(result: Comparison, moved: list[Movement], since: datetime, until: datetime) -> None:
    theirs = _sums(moved, *REFUNDS, by_payment=False)
    in_sight = Refund.objects.filter(stripe_id__in=theirs) | Refund.objects.filter(
        created_at__gte=since + timedelta(days=1), stripe_id__isnull=False
    )
    young = {each.source for each in moved if each.happened_at >= until}
    for refund in in_sight:
        name = str(refund.stripe_id)
        # The balance moves when a refund is made, for some methods only when it has succeeded.
        if name in young or refund.created_at >= until or refund.state == Refund.State.PENDING:
            continue
        ours = 0 if refund.state == Refund.State.FAILED else -refund.cents
        what = f"Refund {name} of purchase {refund.top_up_id}"
        found = _all_moved(name, ours, theirs.get(name, 0), ask=stripe_api.moved_by_refund)
        result.differs("refund", name, ours=ours, theirs=found, what=what)
    known = set(in_sight.values_list("stripe_id", flat=True))
    for each in moved:
        unknown = each.type in REFUNDS and each.source not in known and each.source not in young
        if unknown and _is_credited(each.payment_intent):
            what = f"Refund {each.source}, of a payment of ours"
            result.differs("refund", each.source, ours=0, theirs=theirs[each.source], what=what)


def _disputes(result: Comparison, moved: list[Movement], since: datetime, until: datetime) -> None:
    theirs = _sums(moved, "adjustment", by_payment=False)
    in_sight = Dispute.objects.filter(pk__in=theirs) | Dispute.objects.filter(
        created_at__gte=since + timedelta(days=1), created_at__lt=until
    )
    young = {each.source for each in moved if each.happened_at >= until}
    known = {each.pk: each for each in in_sight}
    for name, dispute in known.items():
        taken = dispute.phase in (Dispute.Phase.WITHDRAWN, Dispute.Phase.LOST)
        ours = dispute.returned_cents - dispute.cents if taken else 0
        what = f"Dispute {name} of purchase {dispute.top_up_id}"
        if name not in young:
            found = _all_moved(name, ours, theirs.get(name, 0), ask=stripe_api.moved_by_dispute)
            result.differs("dispute", name, ours=ours, theirs=found, what=what)
    for each in moved:
        unknown = each.type == "adjustment" and each.source not in known.keys() | young
        if unknown and _is_credited(each.payment_intent):
            what = f"Dispute {each.source}, of a payment of ours"
            result.differs("dispute", each.source, ours=0, theirs=theirs[each.source], what=what)


def _all_moved(name: str, ours: int, in_sight: int, *, ask: Callable[[str], int]) -> int:
    """Return all that a refund or a dispute moved at Stripe, of which the days in sight differ.

    Its money may have gone months before it came back: then only the one half is in sight.
    """
    if ours == in_sight:
        return in_sight
    try:
        return ask(name)
    except stripe_api.Missing:
        return in_sight


def _is_credited(payment_intent: str) -> bool:
    paid = TopUp.objects.filter(payment_intent_id=payment_intent, state=TopUp.State.CREDITED)
    # What becomes of a purchase whose wallet has moved is booked in its new cell.
    gone = Move.objects.filter(state=Move.State.GONE).values("wallet_id")
    return paid.exclude(wallet_id__in=gone).exists()
