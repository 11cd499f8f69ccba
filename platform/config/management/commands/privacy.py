"""`manage.py privacy`: who asked to be deleted, and what is kept for how long.

    privacy ask EMAIL --by STAFF --reason R      somebody wrote a mail; they confirm it by link
    privacy list [--all] [--json]                who waits, and what is in the way
    privacy show ID [--json]                     one of them, with what went so far
    privacy cancel ID --by STAFF --reason R      they stay after all
    privacy run [--json]                         go on with what is due, as the worker does
    privacy forget [--json]                      take away what need not be kept (RETENTION_DAYS)
    privacy archive EMAIL FILE                   all that is known of somebody, as they would get it

Nobody is deleted without the link in the mail to their address: who only has its sender's name may
be anybody. PUBLIC_URL must be set, for that link.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.management.base import CommandError

from accounts import leaving
from config.management import staff
from config.management.arguments import an_id
from config.management.staff import Row, StaffCommand, Told
from desk.roles import Right
from privacy import archive, deletion, retention, steps
from privacy.models import Deletion

if TYPE_CHECKING:
    from django.core.management.base import CommandParser

MOST_SHOWN = 500


class Command(StaffCommand):
    """Look after who goes."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the actions."""
        actions = staff.formatted(parser).add_subparsers(dest="action", required=True)
        staff.action(actions, "ask", by=True, reason=True).add_argument("email")
        listing = staff.action(actions, "list")
        listing.add_argument("--all", action="store_true", help="what ended, too")
        staff.action(actions, "show").add_argument("id", type=an_id)
        staff.action(actions, "cancel", by=True, reason=True).add_argument("id", type=an_id)
        staff.action(actions, "run")
        staff.action(actions, "forget")
        taken = staff.action(actions, "archive")
        taken.add_argument("email")
        taken.add_argument("file", type=Path)

    def _ask(self, options: dict[str, Any]) -> Told:
        if not settings.PUBLIC_URL:
            raise CommandError("PUBLIC_URL is not set: the mail would have no link to confirm by.")
        made = deletion.ask(
            staff.user(options["email"]),
            base_url=settings.PUBLIC_URL,
            by=staff.member_of_staff(options["by"], Right.HELP),
            reason=options["reason"],
        )
        return _row(made), lambda row: f"{row['id']}  {options['email']} is asked to confirm it."

    def _list(self, options: dict[str, Any]) -> Told:
        found = Deletion.objects.order_by("deadline_at")
        if not options["all"]:
            found = found.filter(state__in=Deletion.OPEN)
        return [_row(each) for each in found[:MOST_SHOWN]], _line

    def _show(self, options: dict[str, Any]) -> Told:
        found = deletion.one(options["id"])
        more = {"done": found.done, "report": found.report, "error": found.error}
        return {**_row(found), **more}, _lines

    def _cancel(self, options: dict[str, Any]) -> Told:
        by = staff.member_of_staff(options["by"], Right.HELP)
        found = deletion.cancel(options["id"], by=by, reason=options["reason"])
        return _row(found), _line

    def _run(self, options: dict[str, Any]) -> Told:
        return {"looked_at": steps.run_due()}, _lines

    def _forget(self, options: dict[str, Any]) -> Told:
        return dict(retention.sweep()), _lines

    def _archive(self, options: dict[str, Any]) -> Told:
        person = leaving.gather(staff.user(options["email"]))
        try:
            with options["file"].open("xb") as file:
                archive.write(person, file)
        except OSError as exc:
            raise CommandError(f"{options['file']}: {exc.strerror}") from exc
        return {"file": str(options["file"])}, _lines


def _row(found: Deletion) -> Row:
    return {
        "id": found.pk,
        "state": found.state,
        "user_id": found.user_id,
        "asked_at": found.asked_at,
        "due_at": found.due_at,
        "deadline_at": found.deadline_at,
        "blocked": deletion.in_the_way(found),
    }


def _line(row: Row) -> str:
    until = f"{row['deadline_at']:%Y-%m-%d}"
    return "  ".join([str(row["id"]), row["state"], f"by {until}", *row["blocked"].values()])


def _lines(row: Row) -> str:
    return "\n".join(f"{name}: {value}" for name, value in row.items())
