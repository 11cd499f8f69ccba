"""What every command of ours shares: how its arguments are read, and how a mistake is told.

Whoever mistypes an id, a day or an amount reads one line, `CommandError: ...`, and gets status 1,
from a shell as from `call_command`.
"""

from __future__ import annotations

import sys
from argparse import ArgumentTypeError
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from common.errors import PlatformError
from common.money import MICROS_PER_USD, Micros
from config import preflight
from credits.books import limits

if TYPE_CHECKING:
    from django.core.management.base import CommandParser

MOST_DOLLARS = 1_000_000
MOST_DAYS = 36_500
"""A hundred years: beyond, calendars end."""


class PlainCommand(BaseCommand):
    """A command that says what is wrong in one line."""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Return a parser that raises CommandError, where argparse would print its usage."""
        self._called_from_command_line = False
        return super().create_parser(prog_name, subcommand, **kwargs)

    _is_of_a_shell = False

    def needs_database(self, options: dict[str, Any]) -> bool:
        """Whether it cannot do what it is asked for without one."""
        return True

    def run_from_argv(self, argv: list[str]) -> None:
        """Do as Django does; it would show a trace for what is refused while parsing."""
        self._is_of_a_shell = True
        try:
            super().run_from_argv(argv)
        except CommandError as exc:
            if "--traceback" in argv:
                raise
            self.stderr.write(f"CommandError: {str(exc).removeprefix('Error: ')}")
            sys.exit(exc.returncode)

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Do it; a refusal that we meant is a sentence here, too."""
        if self._is_of_a_shell and self.needs_database(options) and (why := preflight.obstacle()):
            raise CommandError(why)
        try:
            return super().execute(*args, **options)
        except PlatformError as exc:
            raise CommandError(str(exc)) from exc
        except DatabaseError as exc:
            if not (reason := preflight.reason(exc)):
                raise
            raise CommandError(reason) from exc


def an_id(text: str) -> UUID:
    """Read a UUID."""
    try:
        return UUID(text)
    except ValueError as exc:
        raise ArgumentTypeError(f"{text!r} is not an id") from exc


def day(text: str) -> date:
    """Read a day."""
    try:
        return date.fromisoformat(text)
    except ValueError as exc:
        raise ArgumentTypeError(f"{text!r} is not a day, like 2026-03-01") from exc


def days(text: str) -> int:
    """Read a number of days, at least one."""
    if text.isdecimal() and 0 < int(text[:9]) <= MOST_DAYS:
        return int(text)
    raise ArgumentTypeError(f"{text!r} is not a number of days, 1 to {MOST_DAYS}")


def calls_at_once(text: str) -> int | None:
    """Read how many calls may run at once: -1 is any number, None as many as were paid for."""
    if text in ("any", "paid"):
        return -1 if text == "any" else None
    if text.isdecimal() and int(text[:9]) <= limits.MOST_SLOTS:
        return int(text)
    raise ArgumentTypeError(
        f"{text!r} is not a number of calls up to {limits.MOST_SLOTS}, any, paid"
    )


def dollars(text: str) -> Micros:
    """Read an amount above zero."""
    if amount := dollars_or_none(text):
        return amount
    raise ArgumentTypeError(f"{text!r} is not an amount of dollars above 0, like 5.25")


def dollars_or_none(text: str) -> Micros:
    """Read an amount that may be zero."""
    try:
        amount = Decimal(text)
        # Compared first: a number of a million digits is never made whole.
        if 0 <= amount <= MOST_DOLLARS and amount * MICROS_PER_USD % 1 == 0:
            return Micros(int(amount * MICROS_PER_USD))
    except InvalidOperation:
        pass
    raise ArgumentTypeError(
        f"{text!r} is not an amount of dollars, like 5 or 0.06, up to {MOST_DOLLARS:,}"
    )
