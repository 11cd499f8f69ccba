"""What becomes of money in the half year: bought, disputed, declined, given, given back."""

from __future__ import annotations

from datetime import timedelta

from local.halfyear import buying, calling, nights
from local.halfyear.calling import Press
from local.halfyear.cast import LUMEN, SCHOOL
from local.halfyear.stage import Play, usd


def money_comes_back(made: Play) -> None:
    """Give back what Nadia has not spent, make an adjustment, and note why."""
    from credits.gifts import adjustments
    from desk import notes

    made.things["nadia's"].refresh_from_db()
    buying.refund(
        made.programs, made.things["nadia's"], by=made.cast.staff["support"], amount="5",
        reason="bought one package too many",
    )  # fmt: skip
    notes.write(
        made.wallet(LUMEN),
        "Talks to Fay about an invoice with the number of their order on it. Reads mail in the "
        "evening only; the phone is faster.",
        by=made.by("support"),
    )
    adjustments.request(
        made.wallet(LUMEN), amount=usd("12.5"), requested_by=made.by("support"),
        reason="frames that came out black; the vendor confirms it",
    )  # fmt: skip


def payment_is_disputed(made: Play) -> None:
    """Have a bank take Lumen Yard's first payment back."""
    made.things["dispute"] = buying.dispute(made.programs, made.things["first purchase"])


def dispute_is_won(made: Play) -> None:
    """Have the bank lose, and the credits be there again."""
    buying.dispute_ends(made.programs, made.things["dispute"], "won")


def spent_money_is_taken_back(made: Play) -> None:
    """Otto pays, spends it, and has it taken back: it is owed, and new calls wait for it."""
    otto = made.cast["otto"]
    bought = buying.buy(made.programs, otto.home, otto.user, "10", card="mastercard")
    sample = calling.one("/proxy/recraft/images/creativeUpscale")
    for _ in range(11):
        made.callers.press([Press(otto.keys["Home"], [sample] * 6)])
    name = buying.dispute(made.programs, bought)
    buying.dispute_ends(made.programs, name, "lost")
    made.callers.press([Press(otto.keys["Home"], [sample])])


def card_is_declined(made: Play) -> None:
    """Have the saved card be declined while credits run low; then it is good again."""
    team = made.wallet(LUMEN)
    buying.card_declines(made.programs, team, declines=True)
    buying.runs_low(team, more="25", amount="150", cap="1200")
    nights.round_of_worker(made)
    made.clock.set(made.clock.now() + timedelta(days=2))
    buying.card_declines(made.programs, team, declines=False)
    nights.round_of_worker(made)
    buying.automatic_again(team, threshold="60", amount="150", cap="1200")


def studio_buys(made: Play) -> None:
    """Have Lumen Yard buy by hand; what it owes, if anything, is settled first."""
    buying.buy(made.programs, made.wallet(LUMEN), made.cast["jonas"].user, "400")


def school_is_given(made: Play) -> None:
    """Have the class try its code again, and give it what a second person agreed to."""
    from credits.gifts import adjustments, vouchers

    team = made.wallet(SCHOOL)
    vouchers.redeem(team, made.things["code"])  # A code is good once for each: nothing is added.
    asked = adjustments.request(
        team, amount=usd("300"), requested_by=made.by("support"), is_gift=True,
        reason="a grant for the diploma films, by the owners' letter of the third",
    )  # fmt: skip
    adjustments.decide(asked.pk, accept=True, decided_by=made.by("finance"))
