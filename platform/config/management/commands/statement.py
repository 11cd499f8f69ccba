"""`manage.py statement make WORKSPACE`, `manage.py statement verify FILE` (docs/statements.md)."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from config.management.arguments import PlainCommand, an_id, day
from credits.statements import chain, files


class Command(PlainCommand):
    """Make a workspace's statement, or prove one."""

    help = "Make the statement of a workspace for a period, or verify one that was downloaded."

    def needs_database(self, options: dict[str, Any]) -> bool:
        """Return False where a file alone is verified, which can be done anywhere."""
        return options["action"] != "verify" or bool(options["against_books"])

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        actions = parser.add_subparsers(dest="action", required=True)
        make = actions.add_parser("make")
        make.add_argument("workspace", type=an_id)
        make.add_argument("--from", dest="first", type=day, required=True, metavar="YYYY-MM-DD")
        make.add_argument(
            "--to", dest="until", type=day, metavar="YYYY-MM-DD",
            help="the first day that is not in it any more; until now without it",
        )  # fmt: skip
        make.add_argument("--format", choices=list(files.FORMS), default="csv")
        make.add_argument("--out", default="-", help="a file; without it, the standard output")
        verify = actions.add_parser("verify")
        verify.add_argument("file", type=Path)
        verify.add_argument(
            "--against-books",
            action="store_true",
            help="see, too, that the books of this installation say the same",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Do the one or the other; a file that is not genuine is exit status 1."""
        if options["action"] == "make":
            self._make(options)
        elif not self._verify(options["file"], against_books=options["against_books"]):
            sys.exit(1)

    def _make(self, options: dict[str, Any]) -> None:
        statement = files.cut(options["workspace"], first=options["first"], until=options["until"])
        form, _ = files.FORMS[options["format"]]
        pages = files.pages(statement, form())
        if options["out"] == "-":
            for page in pages:
                self.stdout.write(page, ending="")
            return
        try:
            with Path(options["out"]).open("w", encoding="utf-8", newline="") as out:
                out.writelines(pages)
        except OSError as exc:
            raise CommandError(f"{options['out']}: {exc.strerror}") from exc
        self.stdout.write(f"{options['out']}: written")

    def _verify(self, file: Path, *, against_books: bool) -> bool:
        try:
            with file.open(encoding="utf-8-sig", newline="") as source:
                look = files.compare if against_books else chain.verify
                verdict = look(source)
        except OSError as exc:
            raise CommandError(f"{file}: {exc.strerror}") from exc
        self.stdout.write(verdict.text())
        if verdict.is_good and against_books:
            self.stdout.write("The books of this installation say the same.")
        return verdict.is_good
