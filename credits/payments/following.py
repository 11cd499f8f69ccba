"""What became of a purchase: whoever hears something about one asks here.

A webhook, a page, a balance that is read and the sweep all only say *which* purchase; it is asked
about at Stripe and moved forward, whether its buyer paid it (topups.py) or we did (automatic.py).
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.db.models import F, Q
from django.utils import timezone

from credits.models import TopUp
from credits.payments import automatic, stripe_api, topups

if TYPE_CHECKING:
    from uuid import UUID

State = TopUp.State
LAST_CHECK_SECONDS = 3600
WATCHED_SECONDS, WATCHED_EVERY_SECONDS = 3600, 2


def check(top_up: TopUp) -> None:
    """Ask what became of a purchase that is due for it."""
    if top_up.state == State.CREDITED:
        return
    if top_up.source == TopUp.Source.AUTOMATIC:
        automatic.charge(top_up)
    else:
        topups.refresh(top_up.pk)


def of_payment(payment_intent: str) -> TopUp | None:
    """Return the purchase of a payment, credited if its money came; None if it is not ours.

    News of a refund or a dispute may come before the news of the payment itself.
    """
    if not payment_intent:
        return None
    top_up = TopUp.objects.filter(payment_intent_id=payment_intent).first()
    top_up = top_up or _named_by(payment_intent)
    if top_up is None:
        return None
    if top_up.state != State.CREDITED:
        check(top_up)
        top_up.refresh_from_db()
    return top_up if top_up.payment_intent_id == payment_intent else None


def _named_by(payment_intent: str) -> TopUp | None:
    """Return the purchase that a payment of which we did not hear before names as ours."""
    top_up = topups.by_our_id(stripe_api.payment(payment_intent).top_up)
    if top_up is None:
        return None
    known = TopUp.objects.filter(pk=top_up.pk)
    if top_up.source == TopUp.Source.AUTOMATIC:
        known.filter(payment_intent_id=None).update(payment_intent_id=payment_intent)
    elif top_up.session_id is None and (page := stripe_api.session_of(payment_intent)):
        known.filter(session_id=None).update(session_id=page)
    top_up.refresh_from_db()
    return top_up


def watched(wallet_id: UUID) -> bool:
    """Have the purchases that are open asked about at once: their buyer looks at the balance.

    Clients read the balance when their window has the focus again (contract 4.4). Not more often
    than every two seconds, for an hour. True if there is something to ask.
    """
    now = timezone.now()
    waiting = TopUp.objects.filter(
        Q(checked_at=None) | Q(checked_at__lt=now - timedelta(seconds=WATCHED_EVERY_SECONDS)),
        wallet_id=wallet_id,
        state__in=[State.OPEN, State.PROCESSING],
        source=TopUp.Source.CHECKOUT,
        created_at__gt=now - timedelta(seconds=WATCHED_SECONDS),
        next_check_at__gt=now,
    )
    return bool(waiting.update(next_check_at=now))


def claim_due(*, limit: int = 50) -> list[TopUp]:
    """Return purchases that we should ask about now; each is someone's for a while, and rarer."""
    now, claimed = timezone.now(), []
    for top_up in TopUp.objects.filter(next_check_at__lte=now).order_by("next_check_at")[:limit]:
        wait = min(LAST_CHECK_SECONDS, topups.FIRST_CHECK_SECONDS * 2 ** min(top_up.checks, 12))
        mine = TopUp.objects.filter(pk=top_up.pk, next_check_at=top_up.next_check_at)
        later = now + timedelta(seconds=wait)
        if mine.update(next_check_at=later, checked_at=now, checks=F("checks") + 1):
            claimed.append(top_up)
    return claimed
