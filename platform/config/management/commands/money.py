"""`manage.py money`: what staff do and look at, until they have screens for it.

    money purchases EMAIL                 what a member bought, and what is unspent of it
    money refund PURCHASE --reason R --by STAFF [--amount 5]
    money give EMAIL AMOUNT --reason R --by STAFF [--gift] [--days 30]
    money take EMAIL AMOUNT --reason R --by STAFF
    money decide ADJUSTMENT accept|refuse --by STAFF
    money voucher NAME AMOUNT [--uses N] [--until DATE] [--days 30] --by STAFF
    money freeze EMAIL --reason R | money release EMAIL
    money findings [--resolve KEY]
    money catch-up                        list Stripe's events now, and act on them
    money compare                         compare with Stripe now

`--by` is the e-mail of a member of staff: each of these is somebody's.
"""

from __future__ import annotations

import argparse
import datetime
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError
from django.utils import timezone

from accounts.models import User, Workspace
from common.money import MICROS_PER_CENT, show
from config.management.arguments import PlainCommand, an_id, day, days, dollars
from credits.books import freezes
from credits.gifts import adjustments, vouchers
from credits.models import Finding, Freeze
from credits.payments import processor, purchases, refunds, tasks, webhooks

if TYPE_CHECKING:
    from uuid import UUID

    from django.core.management.base import CommandParser


class Command(PlainCommand):
    """One action of staff."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the actions."""
        parser.formatter_class = argparse.RawDescriptionHelpFormatter
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("purchases").add_argument("email")
        refund = _by(actions.add_parser("refund"), reason=True)
        refund.add_argument("purchase", type=an_id)
        refund.add_argument("--amount", type=dollars, help="dollars; without it, all unspent")
        for name in ("give", "take"):
            adjust = _by(actions.add_parser(name), reason=True)
            adjust.add_argument("email")
            adjust.add_argument("amount", type=dollars)
            if name == "give":
                adjust.add_argument("--gift", action="store_true", help="from promotion")
                adjust.add_argument("--days", type=days, help="until the credits expire")
        decide = _by(actions.add_parser("decide"))
        decide.add_argument("adjustment", type=an_id)
        decide.add_argument("verdict", choices=["accept", "refuse"])
        voucher = _by(actions.add_parser("voucher"))
        voucher.add_argument("name")
        voucher.add_argument("amount", type=dollars)
        voucher.add_argument("--uses", type=int, default=1)
        voucher.add_argument("--until", type=_end_of, help="last day to redeem it (UTC)")
        voucher.add_argument("--days", type=days, help="until the redeemed credits expire")
        freeze = actions.add_parser("freeze")
        freeze.add_argument("email")
        freeze.add_argument("--reason", required=True)
        actions.add_parser("release").add_argument("email")
        actions.add_parser("findings").add_argument("--resolve", metavar="KEY")
        actions.add_parser("catch-up")
        actions.add_parser("compare")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it, and print what came of it."""
        act = getattr(self, "_" + options["action"].replace("-", "_"))
        for line in act(options):
            self.stdout.write(line)

    def _purchases(self, options: dict[str, Any]) -> list[str]:
        found = purchases.page_of(_workspace(options["email"]), page=1, limit=100)
        return [
            f"{each.id}  {each.created_at:%Y-%m-%d %H:%M}  {each.state:<11}"
            f"{show(each.amount):>12}  unspent {show(each.unspent)}  refunded {show(each.refunded)}"
            for each in found.purchases
        ]

    def _refund(self, options: dict[str, Any]) -> list[str]:
        made = refunds.request(
            options["purchase"],
            amount=options["amount"],
            reason=options["reason"],
            requested_by=_staff(options["by"]),
        )
        return [
            f"refund {made.pk}: {show(made.cents * MICROS_PER_CENT)}, {made.state} {made.failure}"
        ]

    def _give(self, options: dict[str, Any], sign: int = 1) -> list[str]:
        lasting = options.get("days")
        made = adjustments.request(
            _workspace(options["email"]),
            amount=sign * options["amount"],
            reason=options["reason"],
            requested_by=_staff(options["by"]),
            is_gift=options.get("gift", False),
            expires_at=timezone.now() + datetime.timedelta(days=lasting) if lasting else None,
        )
        waits = ": a second person must decide" if made.state == made.State.WAITING else ""
        return [f"adjustment {made.pk}: {made.state}{waits}"]

    def _take(self, options: dict[str, Any]) -> list[str]:
        return self._give(options, sign=-1)

    def _decide(self, options: dict[str, Any]) -> list[str]:
        made = adjustments.decide(
            options["adjustment"],
            accept=options["verdict"] == "accept",
            decided_by=_staff(options["by"]),
        )
        return [f"adjustment {made.pk}: {made.state}"]

    def _voucher(self, options: dict[str, Any]) -> list[str]:
        code, made = vouchers.make(
            name=options["name"],
            amount=options["amount"],
            uses=options["uses"],
            redeem_until=options["until"],
            credits_last_days=options["days"],
            made_by=_staff(options["by"]),
        )
        return [f"{code}  (shown only now; {show(made.amount_micros)}, {made.uses} uses)"]

    def _freeze(self, options: dict[str, Any]) -> list[str]:
        freezes.freeze(_workspace(options["email"]), Freeze.Cause.STAFF, options["reason"])
        return ["New calls are refused, with that sentence."]

    def _release(self, options: dict[str, Any]) -> list[str]:
        freezes.lift(_workspace(options["email"]), Freeze.Cause.STAFF)
        return ["Staff no longer keeps calls from it."]

    def _findings(self, options: dict[str, Any]) -> list[str]:
        open_ones = Finding.objects.filter(resolved_at=None).order_by("created_at")
        if options["resolve"]:
            done = open_ones.filter(key=options["resolve"]).update(resolved_at=timezone.now())
            if not done:
                raise CommandError("There is no open finding of that key.")
        return [f"{each.created_at:%Y-%m-%d}  {each.key}: {each.sentence}" for each in open_ones]

    def _catch_up(self, options: dict[str, Any]) -> list[str]:
        missed = webhooks.catch_up()
        tasks.each(webhooks.process, webhooks.due())
        return [f"{missed} events were new."]

    def _compare(self, options: dict[str, Any]) -> list[str]:
        found = processor.compare(settling=datetime.timedelta(0))
        lines = [
            f"{found.payments} payments, {show(found.cents * MICROS_PER_CENT)} compared with Stripe"
        ]
        return [*lines, *(f"DIFFERS {each}" for each in found.differences.values())]


def _by(parser: argparse.ArgumentParser, *, reason: bool = False) -> argparse.ArgumentParser:
    parser.add_argument("--by", required=True, metavar="STAFF", help="e-mail of who does it")
    if reason:
        parser.add_argument("--reason", required=True)
    return parser


def _user(email: str) -> User:
    found = User.objects.filter(email=email.strip().lower()).first()
    if found is None:
        raise CommandError(f"There is no {email}.")
    return found


def _workspace(email: str) -> UUID:
    user = _user(email)
    try:
        workspace: UUID = user.personal_workspace.pk
    except Workspace.DoesNotExist as exc:
        raise CommandError(f"{email} has no workspace.") from exc
    return workspace


def _staff(email: str) -> UUID:
    found = _user(email)
    if not (found.is_staff and found.is_active):
        raise CommandError(f"{email} is not of our staff (manage.py member add --staff).")
    return found.pk


def _end_of(text: str) -> datetime.datetime:
    """Read a day, and return its last moment."""
    return datetime.datetime.combine(day(text), datetime.time.max, tzinfo=datetime.UTC)
