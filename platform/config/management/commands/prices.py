"""`manage.py prices`: what is asked beyond the published prices, from an instant on.

    prices list [--json]                          versions, the newest first, and open drafts
    prices draft --by STAFF --reason R CHANGES    the newest version's terms, with these changes:
        --markup ABOUT=PERCENT                    on the published price; below zero: a discount
        --fixed ABOUT=DOLLARS                     for each call
        --each ABOUT=UNIT:DOLLARS                 by an input of the price, like seconds or n
        --without ABOUT                           take this term out
        --to-lists                                raise what vendors list above the published price
    prices lists [--json]                         what vendors list as high or higher, what holds
    prices preview DRAFT [--days N] [--json]      beside the calls of the last week
    prices publish DRAFT (--at INSTANT | --in SECONDS) --by STAFF --reason R
    prices import VENDOR FILE --by STAFF --reason R [--json]      a vendor's usage export, as CSV
        [--request COLUMN] [--cost COLUMN] [--time COLUMN] [--dollars RATE]
    prices margin [--days N] [--vendor VENDOR] [--json]           charged against vendors' cost

ABOUT is * for everything, a vendor (kling), or an operation (kling/v1/videos/text2video): the
nearest term holds alone. INSTANT is like 2026-12-01T00:00:00+00:00. A draft is published once it
was looked at beside the last week's calls.

An export is matched with our calls by request id, and brought in whole or not at all. RATE is what
one unit of its column of costs is worth in dollars: 0.01 for cents.
"""

from __future__ import annotations

from argparse import ArgumentTypeError
from dataclasses import asdict
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from common.errors import InvalidRequest
from common.money import show
from config.management import staff
from config.management.arguments import days, dollars_or_none
from config.management.staff import Row, StaffCommand, Told
from desk.roles import Right
from prices import bills, comparing, drafts, exports, margins, terms
from prices.models import Draft, Version
from prices.terms import Term
from proxy import listed, price_book, vendor_accounts

if TYPE_CHECKING:
    from django.core.management.base import CommandParser

MOST_SHOWN = 200
PARTS_IN_A_PERCENT = 10_000
MOST_SECONDS = 366 * 24 * 3600
MOST_RATE = 1000


class Command(StaffCommand):
    """Draft, compare and publish prices."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the actions."""
        actions = staff.formatted(parser).add_subparsers(dest="action", required=True)
        staff.action(actions, "list")
        draft = staff.action(actions, "draft", by=True, reason=True)
        draft.add_argument("--markup", action="append", type=markup, default=[])
        draft.add_argument("--fixed", action="append", type=fixed, default=[])
        draft.add_argument("--each", action="append", type=each, default=[])
        draft.add_argument("--without", action="append", default=[])
        draft.add_argument("--to-lists", action="store_true")
        staff.action(actions, "lists")
        preview = staff.action(actions, "preview")
        preview.add_argument("draft", type=int)
        preview.add_argument("--days", type=days, default=comparing.DAYS)
        publish = staff.action(actions, "publish", by=True, reason=True)
        publish.add_argument("draft", type=int)
        when = publish.add_mutually_exclusive_group(required=True)
        when.add_argument("--at", type=instant)
        when.add_argument("--in", type=seconds, dest="in_seconds", metavar="SECONDS")
        bring = staff.action(actions, "import", by=True, reason=True)
        bring.add_argument("vendor")
        bring.add_argument("file", type=Path)
        for column in ("--request", "--cost", "--time"):
            bring.add_argument(column, default="", metavar="COLUMN")
        bring.add_argument("--dollars", type=rate, default=Decimal(1), metavar="RATE")
        margin = staff.action(actions, "margin")
        margin.add_argument("--days", type=days, default=comparing.DAYS)
        margin.add_argument("--vendor", default="")

    def _list(self, options: dict[str, Any]) -> Told:
        now = drafts.in_force().number
        rows: list[Row] = [
            {"draft": each.pk, "terms": each.terms, "by": each.by, "reason": each.reason,
             "compared": each.compared_at is not None}
            for each in Draft.objects.filter(version=None).order_by("-pk")[:MOST_SHOWN]
        ]  # fmt: skip
        rows += [
            {"version": each.number, "effective_at": each.effective_at, "terms": each.terms,
             "by": each.by, "reason": each.reason, "in_force": each.number == now}
            for each in Version.objects.order_by("-number")[:MOST_SHOWN]
        ]  # fmt: skip
        return rows, _line

    def _draft(self, options: dict[str, Any]) -> Told:
        raised = listed.raising(drafts.newest()) if options["to_lists"] else []
        made = drafts.draft(
            changes=[*raised, *options["markup"], *options["fixed"], *options["each"]],
            without=options["without"],
            known=price_book.names(),
            by=staff.member_of_staff(options["by"], Right.PRICES),
            reason=options["reason"],
        )
        row = {"draft": made.pk, "based_on": made.based_on, "terms": made.terms}
        return (
            row,
            lambda row: (
                f"Draft {row['draft']}, from version {row['based_on']}:\n{_terms(row['terms'])}\n"
                f"Next: manage.py prices preview {row['draft']}"
            ),
        )

    def _lists(self, options: dict[str, Any]) -> Told:
        rows: list[Row] = [
            {"operation": each.listed.operation, "standing": each.standing.value,
             "percent": str(each.listed.percent), "when": each.listed.when,
             "source": each.listed.source, "term": each.term.written() if each.term else None}
            for each in listed.standing(drafts.in_force())
        ]  # fmt: skip
        return (
            rows,
            lambda row: (
                f"{row['standing']:<7} {row['operation']}, {row['percent']} % to the list: "
                f"{row['when']} ({row['source']})"
            ),
        )

    def _preview(self, options: dict[str, Any]) -> Told:
        compared = comparing.compare(options["draft"], days=options["days"])
        rows: list[Row] = [
            {"operation": each.operation, "calls": each.calls, "charged": each.charged,
             "would_be": each.would_be, "difference": each.difference}
            for each in [*compared, comparing.total(compared)]
        ]  # fmt: skip
        return (
            rows,
            lambda row: (
                f"{row['calls']:>9}  {show(row['charged']):>14}  {show(row['would_be']):>14}"
                f"  {show(row['difference']):>14}  {row['operation']}"
            ),
        )

    def _publish(self, options: dict[str, Any]) -> Told:
        at = options["at"]
        if at is None:
            at = timezone.now() + timedelta(seconds=options["in_seconds"])
        by = staff.member_of_staff(options["by"], Right.PRICES)
        made = drafts.publish(options["draft"], at=at, by=by, reason=options["reason"])
        row = {"version": made.number, "effective_at": made.effective_at}
        return row, lambda row: f"Version {row['version']} holds from {row['effective_at']} on."

    def _import(self, options: dict[str, Any]) -> Told:
        vendor = vendor_accounts.vendor_of(options["vendor"]).name
        form = exports.Form(*(options[name] for name in ("request", "cost", "time", "dollars")))
        by = staff.member_of_staff(options["by"], Right.PRICES)
        try:
            with options["file"].open("rb") as file:
                made = bills.bring_in(
                    file, vendor=vendor, filename=options["file"].name, form=form, by=by,
                    reason=options["reason"],
                )  # fmt: skip
        except OSError as exc:
            raise InvalidRequest(f"The file cannot be read: {exc.strerror}.") from exc
        found = {verdict: count for verdict, (count, _) in bills.sums(made).items()}
        row = {"export": made.pk, "lines": made.lines, "verdicts": found}
        return row, lambda row: f"Export {row['export']}: {row['lines']} lines, {found}."

    def _margin(self, options: dict[str, Any]) -> Told:
        last = timezone.now().date()
        first = last - timedelta(days=options["days"] - 1)
        found = margins.by_day(first, last, vendor=options["vendor"])
        rows: list[Row] = [{**asdict(each), "margin": each.margin} for each in found]
        return rows, _margin_line


def _margin_line(row: Row) -> str:
    cost, margin = ("-" if row[name] is None else show(row[name]) for name in ("cost", "margin"))
    return f"{row['day']}  {row['vendor']:<16}{show(row['charged']):>14}{cost:>14}{margin:>14}"


def _line(row: Row) -> str:
    if "draft" in row:
        compared = "compared" if row["compared"] else "not compared"
        head = f"draft {row['draft']}, {compared}: {row['reason']}"
    else:
        mark = "  <- holds now" if row["in_force"] else ""
        head = f"{row['version']}  from {row['effective_at']}: {row['reason']}{mark}"
    return f"{head}\n{_terms(row['terms'])}"


def _terms(written: list[dict[str, Any]]) -> str:
    found = [terms.read(each) for each in written]
    return "\n".join(f"    {each.about}: {each.words}" for each in found) or "    published prices"


def _parts(text: str) -> tuple[str, str]:
    about, equals, rest = text.rpartition("=")
    if not equals or not about or not rest:
        raise ArgumentTypeError(f"{text!r} is not like kling=...")
    return about, rest


def _term(about: str, kind: str, amount: int, unit: str = "") -> Term:
    try:
        return Term(about, kind, amount, unit)
    except InvalidRequest as exc:
        raise ArgumentTypeError(str(exc)) from exc


def markup(text: str) -> Term:
    """Read a mark-up in percent, with up to four decimals."""
    about, percent = _parts(text)
    try:
        amount = Decimal(percent)
        # Compared first: a number of a million digits is never made whole.
        if abs(amount) <= terms.MOST_MARKUP and amount * PARTS_IN_A_PERCENT % 1 == 0:
            return _term(about, terms.MARKUP, int(amount * PARTS_IN_A_PERCENT))
    except InvalidOperation:
        pass
    raise ArgumentTypeError(f"{percent!r} is not a number of percent, like 12.5")


def fixed(text: str) -> Term:
    """Read an amount for each call."""
    about, amount = _parts(text)
    return _term(about, terms.FIXED, dollars_or_none(amount))


def each(text: str) -> Term:
    """Read an amount by a unit."""
    about, rest = _parts(text)
    unit, _, amount = rest.partition(":")
    return _term(about, terms.BY, dollars_or_none(amount), unit)


def instant(text: str) -> datetime:
    """Read an instant, with its offset from UTC."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise ArgumentTypeError(f"{text!r} is no instant, like 2026-12-01T00:00:00+00:00")
    return found


def rate(text: str) -> Decimal:
    """Read what one unit is worth in dollars."""
    try:
        found = Decimal(text)
        if found.is_finite() and 0 < found <= MOST_RATE:
            return found
    except InvalidOperation:
        pass
    raise ArgumentTypeError(f"{text!r} is not a number of dollars up to {MOST_RATE}, like 0.01")


def seconds(text: str) -> int:
    """Read a number of seconds from now."""
    if text.isdecimal() and 0 < int(text[:9]) < MOST_SECONDS:
        return int(text)
    raise ArgumentTypeError(f"{text!r} is not a number of seconds")
