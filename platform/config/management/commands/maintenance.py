"""`manage.py maintenance`: pause all new calls, for work on the platform; what runs is settled.

    maintenance show [--json]
    maintenance begin --by STAFF --reason R [--minutes N]     members read the reason
    maintenance end --by STAFF --reason R

From the commit of `begin` on no process places a hold: calls are answered 503 with Retry-After,
before anything was sent or set aside, and runs are not begun. Again: it has the new sentence. N is
when it is thought to be over; it ends by `end` alone.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from django.utils import timezone

from config.management import staff
from config.management.staff import Row, StaffCommand, Told
from desk import maintenance
from desk.roles import Right

if TYPE_CHECKING:
    from django.core.management.base import CommandParser

MOST_MINUTES: Final = 7 * 24 * 60


class Command(StaffCommand):
    """Pause new calls, and take them again."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the actions."""
        actions = staff.formatted(parser).add_subparsers(dest="action", required=True)
        staff.action(actions, "show")
        begin = staff.action(actions, "begin", by=True, reason=True)
        begin.add_argument("--minutes", type=int, choices=range(1, MOST_MINUTES), metavar="N")
        staff.action(actions, "end", by=True, reason=True)

    def _show(self, options: dict[str, Any]) -> Told:
        return _told()

    def _begin(self, options: dict[str, Any]) -> Told:
        minutes = options["minutes"]
        until = timezone.now() + timedelta(minutes=minutes) if minutes else None
        by = staff.member_of_staff(options["by"], Right.OPERATE)
        maintenance.begin(options["reason"], until=until, by=by)
        return _told()

    def _end(self, options: dict[str, Any]) -> Told:
        by = staff.member_of_staff(options["by"], Right.OPERATE)
        maintenance.end(by=by, reason=options["reason"])
        return _told()


def _told() -> Told:
    found = maintenance.now()
    row: Row = {
        "paused": found is not None,
        "sentence": found.sentence if found else "",
        "since": found.began_at if found else None,
        "until": found.until if found else None,
    }
    return row, _line


def _line(row: Row) -> str:
    if not row["paused"]:
        return "New calls are taken."
    until = f", thought to be over at {row['until']}" if row["until"] else ""
    return f"New calls are paused since {row['since']}{until}: {row['sentence']}"
