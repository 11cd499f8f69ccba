"""`manage.py money`: what staff do and look at, until they have screens for it.

    money purchases EMAIL                 what a member bought, and what is unspent of it
    money refund PURCHASE --reason R --by STAFF [--amount 5]
    money give EMAIL AMOUNT --reason R --by STAFF [--gift] [--days 30]
    money take EMAIL AMOUNT --reason R --by STAFF
    money pending                         what waits for a second person
    money approve ID --by STAFF | money refuse ID --by STAFF --reason R
    money voucher make NAME AMOUNT [--uses N] [--until DATE] [--days 30] --reason R --by STAFF
    money voucher list | money voucher stop VOUCHER --reason R --by STAFF
    money freeze EMAIL --reason R --by STAFF | money release EMAIL --reason R --by STAFF
    money findings [--resolve KEY --reason R --by STAFF]
    money catch-up                        list Stripe's events now, and act on them
    money compare                         compare with Stripe now

`--by` is the e-mail of a member of staff: each of these is somebody's. What gives or takes more
than ADJUSTMENT_LIMIT_USD waits for another's approval. `--json`, behind an action, is for programs.
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.core.management.base import CommandError
from django.utils import timezone

from common.money import MICROS_PER_CENT, Micros, show
from config.management import staff
from config.management.arguments import an_id, day, days, dollars
from config.management.staff import Row, StaffCommand, Told
from credits.books import findings, freezes
from credits.gifts import adjustments, vouchers
from credits.models import Adjustment, Finding, Freeze, Refund, RefundAsk, Voucher
from credits.payments import processor, purchases, refund_asks, tasks, webhooks
from desk.roles import Right

if TYPE_CHECKING:
    from django.core.management.base import CommandParser


class Command(StaffCommand):
    """One action of staff."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the actions."""
        actions = staff.formatted(parser).add_subparsers(dest="action", required=True)
        staff.action(actions, "purchases").add_argument("email")
        refund = staff.action(actions, "refund", by=True, reason=True)
        refund.add_argument("purchase", type=an_id)
        refund.add_argument("--amount", type=dollars, help="dollars; without it, all unspent")
        for name in ("give", "take"):
            adjust = staff.action(actions, name, by=True, reason=True)
            adjust.add_argument("email")
            adjust.add_argument("amount", type=dollars)
            if name == "give":
                adjust.add_argument("--gift", action="store_true", help="from promotion")
                adjust.add_argument("--days", type=days, help="until the credits expire")
        staff.action(actions, "pending")
        staff.action(actions, "approve", by=True).add_argument("id", type=an_id)
        staff.action(actions, "refuse", by=True, reason=True).add_argument("id", type=an_id)
        _declare_vouchers(actions.add_parser("voucher").add_subparsers(dest="what", required=True))
        for name in ("freeze", "release"):
            staff.action(actions, name, by=True, reason=True).add_argument("email")
        found = staff.action(actions, "findings")
        found.add_argument("--resolve", metavar="KEY")
        found.add_argument("--by", metavar="STAFF")
        found.add_argument("--reason", default="")
        staff.action(actions, "catch-up")
        staff.action(actions, "compare")

    def _purchases(self, options: dict[str, Any]) -> Told:
        found = purchases.page_of(staff.workspace(options["email"]), page=1, limit=100)
        return [_purchase(each) for each in found.purchases], _line_of_purchase

    def _refund(self, options: dict[str, Any]) -> Told:
        made = refund_asks.request(
            options["purchase"],
            amount=options["amount"],
            reason=options["reason"],
            requested_by=staff.member_of_staff(options["by"], Right.ADJUST),
        )
        return _refunded(made)

    def _give(self, options: dict[str, Any], sign: int = 1) -> Told:
        lasting = options.get("days")
        made = adjustments.request(
            staff.workspace(options["email"]),
            amount=sign * options["amount"],
            reason=options["reason"],
            requested_by=staff.member_of_staff(options["by"], Right.ADJUST),
            is_gift=options.get("gift", False),
            expires_at=timezone.now() + datetime.timedelta(days=lasting) if lasting else None,
        )
        return _adjusted(made)

    def _take(self, options: dict[str, Any]) -> Told:
        return self._give(options, sign=-1)

    def _pending(self, options: dict[str, Any]) -> Told:
        waiting = Adjustment.objects.filter(state=Adjustment.State.WAITING)
        waiting = waiting.select_related("wallet__workspace__personal_of").order_by("created_at")
        rows: list[Row] = [
            {"id": each.pk, "kind": "adjustment", "amount_micros": each.amount_micros,
             "for": _owner(each), "by": each.requested_by, "reason": each.reason}
            for each in waiting
        ]  # fmt: skip
        rows += [
            {"id": each.pk, "kind": "voucher", "amount_micros": each.amount_micros * each.uses,
             "for": f"{each.name}, {each.uses} uses", "by": each.made_by, "reason": each.reason}
            for each in Voucher.objects.filter(vouchers.WAITING).order_by("created_at")
        ]  # fmt: skip
        asked = RefundAsk.objects.filter(state=RefundAsk.State.WAITING).order_by("created_at")
        rows += [
            {"id": each.pk, "kind": "refund", "amount_micros": each.amount_micros,
             "for": f"purchase {each.top_up_id}", "by": each.requested_by, "reason": each.reason}
            for each in asked
        ]  # fmt: skip
        names = staff.emails([row["by"] for row in rows])
        rows = [{**row, "by": names.get(row["by"], row["by"])} for row in rows]
        return rows, _line_of_pending

    def _approve(self, options: dict[str, Any]) -> Told:
        by = staff.member_of_staff(options["by"], Right.DECIDE)
        if Voucher.objects.filter(pk=options["id"]).exists():
            changed = vouchers.approve(options["id"], by=by)
            return _voucher_told(options["id"], "can be redeemed", changed=changed)
        if RefundAsk.objects.filter(pk=options["id"]).exists():
            return _refunded(refund_asks.decide(options["id"], accept=True, decided_by=by))
        return _adjusted(adjustments.decide(options["id"], accept=True, decided_by=by))

    def _refuse(self, options: dict[str, Any]) -> Told:
        by = staff.member_of_staff(options["by"], Right.DECIDE)
        if Voucher.objects.filter(pk=options["id"]).exists():
            return self._voucher_stop({**options, "voucher": str(options["id"])})
        if RefundAsk.objects.filter(pk=options["id"]).exists():
            asked = refund_asks.decide(
                options["id"], accept=False, decided_by=by, reason=options["reason"]
            )
            return _refunded(asked)
        made = adjustments.decide(
            options["id"], accept=False, decided_by=by, reason=options["reason"]
        )
        return _adjusted(made)

    def _voucher_make(self, options: dict[str, Any]) -> Told:
        code, made = vouchers.make(
            name=options["name"],
            amount=options["amount"],
            uses=options["uses"],
            redeem_until=options["until"],
            credits_last_days=options["days"],
            made_by=staff.member_of_staff(options["by"], Right.DECIDE),
            reason=options["reason"],
        )
        row = {"id": made.pk, "code": code, "waits": made.needs_second}
        waits = "; a second person must approve it" if made.needs_second else ""
        gives = f"{show(Micros(made.amount_micros))}, {made.uses} uses"
        return row, lambda _: f"{code}  (shown only now; {gives}{waits})"

    def _voucher_list(self, options: dict[str, Any]) -> Told:
        found = Voucher.objects.order_by("-created_at", "id")[:500]
        names = staff.emails([each.made_by for each in found])
        rows = [
            {"id": each.pk, "name": each.name, "hint": each.hint, "state": vouchers.told(each),
             "amount_micros": each.amount_micros, "used": each.used, "uses": each.uses,
             "made_by": names.get(each.made_by, each.made_by), "created_at": each.created_at}
            for each in found
        ]  # fmt: skip
        return (
            rows,
            lambda row: (
                f"{row['id']}  ...{row['hint']}  {row['state']:<9}{show(row['amount_micros']):>10}"
                f"  {row['used']} of {row['uses']} used  {row['name']}"
            ),
        )

    def _voucher_stop(self, options: dict[str, Any]) -> Told:
        by = staff.member_of_staff(options["by"], Right.DECIDE)
        voucher = _voucher_named(options["voucher"])
        changed = vouchers.stop(voucher, by=by, reason=options["reason"])
        return _voucher_told(voucher, "is redeemed no more", changed=changed)

    def _freeze(self, options: dict[str, Any]) -> Told:
        by = staff.member_of_staff(options["by"], Right.HELP)
        wallet = staff.workspace(options["email"])
        freezes.freeze(wallet, Freeze.Cause.STAFF, options["reason"], by=by)
        row = {"email": options["email"], "paused": True}
        return row, lambda _: "New calls are refused, with that sentence."

    def _release(self, options: dict[str, Any]) -> Told:
        by = staff.member_of_staff(options["by"], Right.HELP)
        wallet = staff.workspace(options["email"])
        changed = freezes.lift(wallet, Freeze.Cause.STAFF, by=by, reason=options["reason"])
        row = {"email": options["email"], "paused": False, "changed": changed}
        said = "Staff no longer keeps calls from it." if changed else "Staff kept no calls from it."
        return row, lambda _: said

    def _findings(self, options: dict[str, Any]) -> Told:
        if key := options["resolve"]:
            if not options["by"]:
                raise CommandError("--resolve needs --by and --reason: it is somebody's.")
            by = staff.member_of_staff(options["by"], Right.DECIDE)
            if not findings.settle(key, by=by, reason=options["reason"]):
                raise CommandError("There is no open finding of that key.")
        found = Finding.objects.filter(resolved_at=None).order_by("created_at")
        names = ("key", "kind", "sentence", "wallet_id", "created_at")
        rows: list[Row] = [{name: getattr(each, name) for name in names} for each in found]
        return rows, lambda row: f"{row['created_at']:%Y-%m-%d}  {row['key']}: {row['sentence']}"

    def _catch_up(self, options: dict[str, Any]) -> Told:
        missed = webhooks.catch_up()
        tasks.each(webhooks.process, webhooks.due())
        return {"new": missed}, lambda _: f"{missed} events were new."

    def _compare(self, options: dict[str, Any]) -> Told:
        found = processor.compare(settling=datetime.timedelta(0))
        compared = f"{found.payments} payments, {show(Micros(found.cents * MICROS_PER_CENT))}"
        differences = list(found.differences.values())
        row = {"payments": found.payments, "cents": found.cents, "differences": differences}
        lines = [f"{compared} compared with Stripe", *(f"DIFFERS {each}" for each in differences)]
        return row, lambda _: "\n".join(lines)


def _declare_vouchers(actions: Any) -> None:
    make = staff.action(actions, "make", by=True, reason=True)
    make.add_argument("name")
    make.add_argument("amount", type=dollars)
    make.add_argument("--uses", type=int, default=1)
    make.add_argument("--until", type=_end_of, help="last day to redeem it (UTC)")
    make.add_argument("--days", type=days, help="until the redeemed credits expire")
    staff.action(actions, "list")
    stop = staff.action(actions, "stop", by=True, reason=True)
    stop.add_argument("voucher", help="its id, or its name where only one has that")


def _purchase(each: purchases.Purchase) -> Row:
    return {
        "id": each.id,
        "state": each.state,
        "is_automatic": each.is_automatic,
        "amount_micros": each.amount,
        "tax_micros": each.tax,
        "refunded_micros": each.refunded,
        "unspent_micros": each.unspent,
        "failure": each.failure,
        "created_at": each.created_at,
        "credited_at": each.credited_at,
    }


def _line_of_purchase(row: Row) -> str:
    return (
        f"{row['id']}  {row['created_at']:%Y-%m-%d %H:%M}  {row['state']:<11}"
        f"{show(row['amount_micros']):>12}  unspent {show(row['unspent_micros'])}"
        f"  refunded {show(row['refunded_micros'])}"
    )


def _adjusted(made: Adjustment) -> Told:
    waits = ": a second person must decide" if made.state == made.State.WAITING else ""
    row = {"id": made.pk, "state": made.state, "amount_micros": made.amount_micros}
    return row, lambda _: f"adjustment {made.pk}: {made.state}{waits}"


def _refunded(made: Refund | RefundAsk) -> Told:
    """Tell of a refund, or of one that waits or was decided on."""
    if isinstance(made, RefundAsk) and made.refund is not None:
        made = made.refund
    if isinstance(made, RefundAsk):
        waits = ": a second person must decide" if made.state == made.State.WAITING else ""
        amount, failure = Micros(made.amount_micros), made.decision
    else:
        amount, waits, failure = Micros(made.cents * MICROS_PER_CENT), "", made.failure
    row = {"id": made.pk, "state": made.state, "failure": failure, "amount_micros": amount}
    return row, lambda _: f"refund {made.pk}: {show(amount)}, {made.state} {failure}{waits}"


def _line_of_pending(row: Row) -> str:
    start = f"{row['id']}  {row['kind']:<11}{_signed(row['amount_micros']):>14}"
    return f"{start}  for {row['for']}  by {row['by']}: {row['reason']}"


def _owner(made: Adjustment) -> str:
    workspace = made.wallet.workspace
    return workspace.personal_of.email if workspace.personal_of else workspace.name


def _signed(micros: int) -> str:
    return ("-" if micros < 0 else "") + show(Micros(abs(micros)))


def _voucher_named(text: str) -> UUID:
    found = list(Voucher.objects.filter(name=text).values_list("pk", flat=True)[:2])
    if len(found) > 1:
        raise CommandError(f"More than one voucher is called {text}: give the id of one.")
    if found:
        return found[0]
    try:
        return UUID(text)
    except ValueError as exc:
        raise CommandError(f"There is no voucher {text}.") from exc


def _voucher_told(voucher: UUID, now: str, *, changed: bool) -> Told:
    row = {"id": voucher, "state": vouchers.told(Voucher.objects.get(pk=voucher))}
    as_before = "." if changed else ", as before."
    return {**row, "changed": changed}, lambda _: f"voucher {voucher} {now}{as_before}"


def _end_of(text: str) -> datetime.datetime:
    """Read a day, and return its last moment."""
    return datetime.datetime.combine(day(text), datetime.time.max, tzinfo=datetime.UTC)
