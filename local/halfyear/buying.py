"""Members' money: bought, saved, disputed and given back, at Stripe's look-alike.

Each step is what a person does on a page, followed by what the worker does when it hears of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from common.money import Micros, usd

if TYPE_CHECKING:
    from uuid import UUID

    from local.halfyear.programs import Programs


def hear(programs: Programs) -> None:
    """Have all news of Stripe's arrive, and the worker act on it."""
    from credits.payments import tasks

    programs.at_stripe("webhook/flush", seconds=10)
    tasks.follow_money()


def buy(
    programs: Programs, wallet: UUID, user: Any, dollars: str, *, ends: str = "pay", card: str = ""
) -> Any:
    """Have somebody buy credits, and end at Stripe's page so: pay, later, decline, or walk away."""
    from credits.payments import topups

    top_up = topups.start(
        wallet, amount=usd(dollars), email=user.email, user_id=user.pk, base_url=programs.base_url
    )
    if ends != "walk away":
        more = {"card": card} if card else {}
        programs.at_stripe(f"sessions/{top_up.session_id}/{ends}", email=user.email, **more)
    hear(programs)
    top_up.refresh_from_db()
    return top_up


def automatic(
    programs: Programs, wallet: UUID, user: Any, *, threshold: str, amount: str, cap: str
) -> None:
    """Have a card saved, and credits bought whenever few are left."""
    from credits.payments import automatic as wishes
    from credits.payments import methods

    page = methods.start_setup(
        wallet, email=user.email, user_id=user.pk, base_url=programs.base_url
    )
    programs.at_stripe(f"sessions/{page.id}/save", email=user.email, card="visa")
    hear(programs)
    methods.refresh_setup(wallet, session_id=page.id)
    wishes.configure(
        wallet, enabled=True, threshold=usd(threshold), amount=usd(amount), monthly_cap=usd(cap)
    )


def runs_low(wallet: UUID, *, more: str, amount: str, cap: str) -> None:
    """Have credits be bought from so much more than there is on, which is at once, or later."""
    from credits.models import Account
    from credits.payments import automatic as wishes

    there = Account.objects.get(pk=wallet).available_micros
    threshold = Micros(max(there + usd(more), usd("20")))
    wishes.configure(
        wallet, enabled=True, threshold=threshold, amount=usd(amount), monthly_cap=usd(cap)
    )


def automatic_again(wallet: UUID, *, threshold: str, amount: str, cap: str) -> None:
    """Have credits be bought below a threshold again, as at first."""
    from credits.payments import automatic as wishes

    wishes.configure(
        wallet, enabled=True, threshold=usd(threshold), amount=usd(amount), monthly_cap=usd(cap)
    )


def card_declines(programs: Programs, wallet: UUID, *, declines: bool) -> None:
    """Have the saved card be declined from now on, or be good again."""
    from credits.models import AutoTopUp

    method = AutoTopUp.objects.get(pk=wallet).payment_method_id
    behaviour = "declined_later" if declines else "ok"
    programs.at_stripe(f"payment_methods/{method}", behaviour=behaviour)


def dispute(programs: Programs, top_up: Any) -> str:
    """Have the payer's bank take a payment back; return what the dispute is called."""
    found = programs.at_stripe(
        "disputes", payment_intent=top_up.payment_intent_id, reason="fraudulent"
    )
    hear(programs)
    return str(found["id"])


def dispute_ends(programs: Programs, name: str, how: str) -> None:
    """Have the bank decide: won or lost."""
    programs.at_stripe(f"disputes/{name}/{how}")
    hear(programs)


def refund(programs: Programs, top_up: Any, *, by: Any, reason: str, amount: str = "") -> Any:
    """Have staff give back what is unspent of a purchase, or so much of it."""
    from credits.payments import refund_asks

    wanted: Micros | None = usd(amount) if amount else None
    made = refund_asks.request(top_up.pk, amount=wanted, reason=reason, requested_by=by.pk)
    hear(programs)
    return made
