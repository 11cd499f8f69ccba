"""`manage.py grants ROLE`: give the programs' role of the database its rights, and no others.

    grants ROLE [--print]       as the owner of the tables: after the first migrate, and each one
    grants ROLE --check         status 1 unless the role has exactly these

ROLE is what DATABASE_URL of web, workers and beat names; migrations are run by another, the owner
of the tables. Entries, seals and published prices can then be added to, and never changed.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError

from config import grants, preflight
from config.management import staff
from config.management.arguments import PlainCommand

if TYPE_CHECKING:
    from django.core.management.base import CommandParser


class Command(PlainCommand):
    """Grant, show what would be granted, or compare."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the arguments."""
        staff.formatted(parser).add_argument("role")
        how = parser.add_mutually_exclusive_group()
        how.add_argument("--print", action="store_true", help="show the SQL, and do nothing")
        how.add_argument("--check", action="store_true", help="compare, and change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it in one transaction: at no moment are programs without a right that they need."""
        role = options["role"]
        with preflight.connect() as db:
            try:
                grants.require_fit(db, role)
            except grants.Unfit as exc:
                raise CommandError(str(exc)) from exc
            if options["check"]:
                return self._compare(list(grants.differences(db, role)), role)
            for statement in list(grants.statements(db, role)):
                if options["print"]:
                    self.stdout.write(statement.as_string(db) + ";")
                else:
                    db.execute(statement)
        if not options["print"]:
            self.stdout.write(f"{role} may do what programs do, and nothing else.")
        return None

    def _compare(self, differences: list[str], role: str) -> None:
        for each in differences:
            self.stdout.write(f"{role} {each}")
        if differences:
            sys.exit(1)
        self.stdout.write(f"{role} may do what programs do, and nothing else.")
