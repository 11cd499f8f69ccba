"""What the commands of staff share: who acts, on whom, and how it is told.

`--by` is the e-mail of a member of staff: each action is somebody's, and has a reason. `--json` is
for programs: one JSON document on standard output, with the same facts.
"""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.core.management.base import CommandError

from accounts.models import User, Workspace
from audit import log
from config.management.arguments import PlainCommand
from desk import roles

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from django.core.management.base import CommandParser

    from desk.roles import Right

Row = dict[str, Any]


class StaffCommand(PlainCommand):
    """Actions of one program, each a method `_<action>` that returns what came of it."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it, and print what came of it."""
        names = [options[name] for name in ("action", "what") if options.get(name)]
        act = getattr(self, "_" + "_".join(names).replace("-", "_"))
        with log.coming_from(log.Source("command")):
            rows, line = act(options)
        if options.get("json"):
            self.stdout.write(json.dumps(rows, default=str))
            return
        for row in rows if isinstance(rows, list) else [rows]:
            self.stdout.write(line(row))


Told = tuple[Row | list[Row], "Callable[[Row], str]"]
"""What came of an action, and how one row of it is shown to a person."""


def action(
    actions: Any, name: str, *, by: bool = False, reason: bool = False
) -> argparse.ArgumentParser:
    """Add an action, with `--json`, and with who does it and why where it changes something."""
    parser: argparse.ArgumentParser = actions.add_parser(name)
    parser.add_argument("--json", action="store_true", help="one JSON document, for programs")
    if by:
        parser.add_argument("--by", required=True, metavar="STAFF", help="e-mail of who does it")
    if reason:
        parser.add_argument("--reason", required=True, help="why, for whoever asks later")
    return parser


def formatted(parser: CommandParser) -> CommandParser:
    """Show the help as it is written."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    return parser


def user(email: str) -> User:
    """Return the person with that address, or raise CommandError."""
    found = User.objects.filter(email=email.strip().lower()).first()
    if found is None:
        raise CommandError(f"There is no {email}.")
    return found


def workspace(email: str) -> UUID:
    """Return the id of somebody's personal workspace, or raise CommandError."""
    owner = user(email)
    try:
        found: UUID = owner.personal_workspace.pk
    except Workspace.DoesNotExist as exc:
        raise CommandError(f"{email} has no workspace.") from exc
    return found


def workspace_by_id(text: str) -> UUID:
    """Return the id of a workspace that is there, or raise CommandError."""
    try:
        found: UUID | None = UUID(text)
    except ValueError:
        found = None
    if found is None or not Workspace.objects.filter(pk=found).exists():
        raise CommandError(
            f"There is no workspace {text!r}: name it by its id, or a member's e-mail."
        )
    return found


def member_of_staff(email: str, *wanted: Right) -> UUID:
    """Return the id of somebody of staff who may do that, as at the pages, or raise CommandError.

    Whoever has a shell can name anybody: what is written down is then at least what they may.
    """
    found = user(email)
    if not (found.is_staff and found.is_active):
        raise CommandError(f"{email} is not of our staff (manage.py member add --staff).")
    for right in wanted:
        if right not in roles.rights(found):
            having = " or ".join(roles.having(right))
            now = ", ".join(roles.of(found)) or "none"
            raise CommandError(f"This is for {having}. Roles of {email}: {now}.")
    return found.pk


def emails(ids: Sequence[Any]) -> dict[Any, str]:
    """Return the addresses of people by their ids."""
    return dict(
        User.objects.filter(pk__in=[each for each in ids if each]).values_list("pk", "email")
    )
