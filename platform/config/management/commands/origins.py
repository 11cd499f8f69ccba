"""`manage.py origins`: from where people may sign in. Keys work from anywhere.

    origins list [--json]                 what is allowed, beside localhost and PUBLIC_URL
    origins refused [--all] [--json]      what was tried, newest first
    origins allow ORIGIN --by STAFF --reason R
    origins remove ORIGIN --by STAFF --reason R
    origins hide ORIGIN                   until it is tried again

ORIGIN is like https://comfy.example.org, or https://*.example.org for all below it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError

from accounts import origins
from accounts.models import AllowedOrigin, RefusedOrigin
from config.management import staff
from config.management.staff import Row, StaffCommand, Told
from desk.roles import Right

if TYPE_CHECKING:
    from django.core.management.base import CommandParser

MOST_SHOWN = 200


class Command(StaffCommand):
    """Look at origins, and allow or remove one."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the actions."""
        actions = staff.formatted(parser).add_subparsers(dest="action", required=True)
        staff.action(actions, "list")
        refused = staff.action(actions, "refused")
        refused.add_argument("--all", action="store_true", help="what was hidden, too")
        for name in ("allow", "remove"):
            staff.action(actions, name, by=True, reason=True).add_argument("origin")
        staff.action(actions, "hide").add_argument("origin")

    def _list(self, options: dict[str, Any]) -> Told:
        found = list(AllowedOrigin.objects.order_by("pattern"))
        names = staff.emails([each.added_by for each in found])
        rows: list[Row] = [
            {
                "origin": each.pattern,
                "by": names.get(each.added_by, each.added_by),
                "reason": each.reason,
                "created_at": each.created_at,
            }
            for each in found
        ]
        return rows, lambda row: f"{row['origin']}  by {row['by']}: {row['reason']}"

    def _refused(self, options: dict[str, Any]) -> Told:
        found = RefusedOrigin.objects.order_by("-last_at")
        if not options["all"]:
            found = found.filter(hidden_at=None)
        names = ("origin", "tries", "first_at", "last_at")
        rows: list[Row] = [
            {name: getattr(each, name) for name in names} for each in found[:MOST_SHOWN]
        ]
        return rows, lambda row: f"{row['last_at']:%Y-%m-%d %H:%M}  {row['tries']}  {row['origin']}"

    def _allow(self, options: dict[str, Any]) -> Told:
        by = staff.member_of_staff(options["by"], Right.ORIGINS)
        changed = origins.allow(options["origin"], by=by, reason=options["reason"])
        row = {"origin": origins.pattern(options["origin"]), "changed": changed}
        as_before = "." if changed else ", as before."
        return row, lambda _: f"People may sign in from {row['origin']}{as_before}"

    def _remove(self, options: dict[str, Any]) -> Told:
        by = staff.member_of_staff(options["by"], Right.ORIGINS)
        origins.remove(options["origin"], by=by, reason=options["reason"])
        row = {"origin": origins.pattern(options["origin"])}
        return row, lambda _: f"Nobody signs in from {row['origin']} any more."

    def _hide(self, options: dict[str, Any]) -> Told:
        if not origins.hide(options["origin"]):
            raise CommandError("It is not among the refused.")
        return {"origin": options["origin"]}, lambda row: f"{row['origin']} is hidden."
