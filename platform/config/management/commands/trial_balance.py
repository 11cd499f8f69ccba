"""`manage.py trial_balance --from YYYY-MM-DD`: the books by day, as an accountant reads them."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from config.management.arguments import PlainCommand, day
from credits.proofs import accounting
from credits.proofs.accounting import MEANING, Day

WIDTH = 20


class Command(PlainCommand):
    """Print a trial balance for each day, revenue beside the credits outstanding."""

    help = (
        "Print each day's trial balance. A balance is credits less debits; all are zero together."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("--from", dest="first", type=day, required=True, metavar="YYYY-MM-DD")
        parser.add_argument(
            "--to", dest="until", type=day, metavar="YYYY-MM-DD",
            help="the first day that is not in it any more; until now without it",
        )  # fmt: skip
        parser.add_argument("--json", action="store_true", help="for programs, in micro-USD")

    def handle(self, *args: Any, **options: Any) -> None:
        """Read all days at one moment, and print them."""
        days = accounting.days(options["first"], options["until"])
        if options["json"]:
            self.stdout.write(json.dumps([_plain(each) for each in days], indent=1))
            return
        self.stdout.write(
            "UTC days; USD. Balances are credits less debits: assets and expenses are negative.\n"
        )
        for each in days:
            self.stdout.write("\n".join(_table(each)))
        used = {movement.kind for each in days for movement in each.accounts}
        for kind, (name, meaning) in MEANING.items():
            if kind in used:
                self.stdout.write(f"{name}: {meaning}")


def _table(day: Day) -> Iterator[str]:
    yield f"{day.day.isoformat():{WIDTH}}" + _cells("opening", "debits", "credits", "closing")
    for each in day.accounts:
        amounts = (each.opening, each.debits, each.credits, each.closing)
        yield f"{MEANING[each.kind][0]:{WIDTH}}" + _cells(*(_usd(amount) for amount in amounts))
    total = (
        sum(each.opening for each in day.accounts),
        sum(each.debits for each in day.accounts),
        sum(each.credits for each in day.accounts),
        sum(each.closing for each in day.accounts),
    )
    yield f"{'Total':{WIDTH}}" + _cells(*(_usd(amount) for amount in total))
    yield (
        f"Revenue recognised {_usd(day.revenue)}; credits outstanding {_usd(day.outstanding)}: "
        f"paid {_usd(day.paid)}, granted {_usd(day.granted)}\n"
    )


def _cells(*texts: str) -> str:
    return "".join(f"{text:>20}" for text in texts)


def _usd(micros: int) -> str:
    """Return micros as dollars with all six decimals, so that columns align."""
    sign = "-" if micros < 0 else ""
    return f"{sign}{abs(micros) // 1_000_000:,}.{abs(micros) % 1_000_000:06d}"


def _plain(day: Day) -> dict[str, Any]:
    return {
        "day": day.day.isoformat(),
        "accounts": [
            {
                "account": each.kind,
                "opening_micros": each.opening,
                "debits_micros": each.debits,
                "credits_micros": each.credits,
                "closing_micros": each.closing,
            }
            for each in day.accounts
        ],
        "revenue_micros": day.revenue,
        "outstanding_micros": day.outstanding,
        "outstanding_paid_micros": day.paid,
        "outstanding_granted_micros": day.granted,
    }
