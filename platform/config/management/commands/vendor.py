"""`manage.py vendor`: accounts with vendors, what is switched off, and how vendors serve us.

    vendor account list [VENDOR]
    vendor account add VENDOR NAME --by STAFF --reason R         its settings from standard input
    vendor account weight VENDOR NAME WEIGHT --by STAFF --reason R
    vendor account disable|enable VENDOR NAME --by STAFF --reason R
    vendor account remove VENDOR NAME [--abandon-jobs] --by STAFF --reason R
    vendor off VENDOR [--operation PATH] --by STAFF --reason R   members read the reason
    vendor on VENDOR [--operation PATH] --by STAFF --reason R
    vendor health [VENDOR] [--minutes N]

The account `default` is the environment's (VENDOR_<NAME>_...). Settings are lines like KEY=..., or
one JSON object; they are read from standard input, where no history of commands keeps them. All of
it takes effect within seconds, without a restart. Each takes --json.
"""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING, Any

from config.management import staff
from config.management.staff import Row, StaffCommand, Told
from desk.roles import Right
from proxy import health, switches, vendor_accounts

if TYPE_CHECKING:
    from django.core.management.base import CommandParser


class Command(StaffCommand):
    """Look after accounts with vendors."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the actions."""
        actions = staff.formatted(parser).add_subparsers(dest="action", required=True)
        account = actions.add_parser("account").add_subparsers(dest="what", required=True)
        staff.action(account, "list").add_argument("vendor", nargs="?", default="")
        for name in ("add", "weight", "disable", "enable", "remove"):
            change = staff.action(account, name, by=True, reason=True)
            change.add_argument("vendor")
            change.add_argument("name")
            if name == "weight":
                change.add_argument("weight", type=int)
            if name == "remove":
                change.add_argument("--abandon-jobs", action="store_true")
        for name in ("off", "on"):
            change = staff.action(actions, name, by=True, reason=True)
            change.add_argument("vendor")
            change.add_argument("--operation", default="", metavar="PATH")
        look = staff.action(actions, "health")
        look.add_argument("vendor", nargs="?", default="")
        look.add_argument("--minutes", type=int, default=health.MINUTES)

    def _account_list(self, options: dict[str, Any]) -> Told:
        found = vendor_accounts.shown(options["vendor"])
        return [dataclasses.asdict(each) for each in found], _line

    def _account_add(self, options: dict[str, Any]) -> Told:
        is_new = vendor_accounts.add(
            options["vendor"],
            options["name"],
            vendor_accounts.read_settings(sys.stdin.read()),
            **_who(options),
        )
        return _done(options, "is added" if is_new else "has its new settings")

    def _account_weight(self, options: dict[str, Any]) -> Told:
        vendor_accounts.weigh(
            options["vendor"], options["name"], options["weight"], **_who(options)
        )
        return _done(options, f"has the weight {options['weight']}")

    def _account_disable(self, options: dict[str, Any]) -> Told:
        was_on = vendor_accounts.disable(options["vendor"], options["name"], **_who(options))
        return _done(options, "gets no new calls" if was_on else "got none before")

    def _account_enable(self, options: dict[str, Any]) -> Told:
        was_off = vendor_accounts.enable(options["vendor"], options["name"], **_who(options))
        return _done(options, "gets calls again" if was_off else "was on before")

    def _account_remove(self, options: dict[str, Any]) -> Told:
        abandoned = vendor_accounts.remove(
            options["vendor"], options["name"], abandon=options["abandon_jobs"], **_who(options)
        )
        return _done(options, f"is removed; {abandoned} jobs were abandoned")

    def _off(self, options: dict[str, Any]) -> Told:
        by = staff.member_of_staff(options["by"], Right.OPERATE)
        switches.switch_off(options["vendor"], options["operation"], options["reason"], by=by)
        return _switched(options, "is off: members read the reason")

    def _on(self, options: dict[str, Any]) -> Told:
        was_off = switches.switch_on(options["vendor"], options["operation"], **_who(options))
        return _switched(options, "is on" if was_off else "was not off")

    def _health(self, options: dict[str, Any]) -> Told:
        found = health.read(vendor=options["vendor"], minutes=options["minutes"])
        return [dataclasses.asdict(each) for each in found], _healthy


def _who(options: dict[str, Any]) -> dict[str, Any]:
    return {"by": staff.member_of_staff(options["by"], Right.OPERATE), "reason": options["reason"]}


def _done(options: dict[str, Any], what: str) -> Told:
    row = {"vendor": options["vendor"], "name": options["name"], "done": what}
    return row, lambda row: f"{row['vendor']}/{row['name']} {row['done']}."


def _switched(options: dict[str, Any], what: str) -> Told:
    row = {"vendor": options["vendor"], "operation": options["operation"], "done": what}
    return row, lambda row: f"{row['operation'] or row['vendor']} {row['done']}."


def _line(row: Row) -> str:
    state = "on" if row["is_on"] else f"off: {row['off_reason']}"
    holds = ", ".join(row["settings"]) or "nothing that opens"
    jobs = f"  {row['running_jobs']} jobs" if row["running_jobs"] else ""
    return f"{row['vendor']}/{row['name']}  weight {row['weight']}  {holds}{jobs}  {state}"


def _healthy(row: Row) -> str:
    success = "-" if row["success"] is None else f"{row['success']:.1%}"
    took = [
        "-" if row[name] is None else f"{row[name]:g} s" for name in ("p50_seconds", "p90_seconds")
    ]
    counted = ", ".join(f"{n} {name}" for name, n in row["outcomes"].items())
    last = f"  last: {row['last_error']} at {row['last_error_at']}" if row["last_error"] else ""
    return (
        f"{row['vendor']}/{row['account']}  {success} served  half within {took[0]}, nine of ten "
        f"within {took[1]}  {counted}{last}"
    )
