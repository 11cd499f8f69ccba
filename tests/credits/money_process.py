"""One piece of money's work in a process of its own, which may be killed at a named place.

    FAIL_POINT=refund.sent python money_process.py '{"work": "sweep", "database": "..."}'

Without an argument it does so for each line that asks (tests/forks.py).
"""

import json
import sys
import uuid

import django

django.setup()

from django.conf import settings  # noqa: E402 - Django first
from django.db import connection  # noqa: E402

from common.money import usd  # noqa: E402
from credits.books import expiry  # noqa: E402
from credits.books import tasks as books  # noqa: E402
from credits.gifts import adjustments, vouchers  # noqa: E402
from credits.payments import (  # noqa: E402
    automatic,
    refund_asks,
    refunds,
    tasks,
    topups,
    wanted_back,
)
from tests import forks  # noqa: E402

STAFF, SECOND = uuid.UUID(int=1), uuid.UUID(int=2)


def begin(wallet: str) -> None:
    """Wish to buy."""
    topups.start(
        uuid.UUID(wallet), amount=usd("25"), email="a@example.org", user_id=None, base_url=""
    )


def give_back(purchase: str) -> None:
    """Give five dollars of a purchase back."""
    refunds.request(uuid.UUID(purchase), amount=usd("5"), reason="x", requested_by=STAFF)


def decide(ask: str) -> None:
    """Let a refund be that somebody else asked for."""
    refund_asks.decide(uuid.UUID(ask), accept=True, decided_by=SECOND)


def want_back(wallet: str, purchase: str, key: str) -> None:
    """Want five dollars of a purchase back, by one form."""
    settings.MEMBER_REFUNDS = "at_once"
    wanted_back.request(
        uuid.UUID(wallet), uuid.UUID(purchase), amount=usd("5"), key=uuid.UUID(key), by=STAFF
    )


def adjust(wallet: str) -> None:
    """Give two dollars by hand."""
    adjustments.request(uuid.UUID(wallet), amount=usd("2"), reason="x", requested_by=STAFF)


def sweep() -> None:
    """Do one round of all that the worker does."""
    tasks.listen_again()
    tasks.follow_money()
    tasks.tend_wallets()
    books.expire_lots()


WORKS = {
    "begin": begin,
    "come_back": lambda purchase: topups.refresh(uuid.UUID(purchase)),
    "give_back": give_back,
    "decide": decide,
    "want_back": want_back,
    "buy_automatically": lambda wallet: automatic.buy(uuid.UUID(wallet)),
    "redeem": lambda wallet, code: vouchers.redeem(uuid.UUID(wallet), code),
    "adjust": adjust,
    "expire": lambda: expiry.expire_due(),
    "sweep": sweep,
}


def do(asked):
    """Do it in this process."""
    connection.settings_dict["NAME"] = asked["database"]
    settings.STRIPE_API_BASE = asked["stripe"]
    settings.STRIPE_AUTOMATIC_TAX = asked["tax"]
    WORKS[asked["work"]](**asked.get("with", {}))


def main():
    """Do the one thing that was asked, or serve."""
    if len(sys.argv) > 1:
        do(json.loads(sys.argv[1]))
        return
    forks.serve(do)


if __name__ == "__main__":
    main()
