"""`manage.py reconcile`: prove the books, or name the difference and exit with status 1.

What was proved before is not read again, unless `--deep`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError

from common.errors import Unavailable
from common.money import show
from config.management.arguments import PlainCommand
from staff import proving

if TYPE_CHECKING:
    from argparse import ArgumentParser

SHOWN = 20


class Command(PlainCommand):
    """Print each equality with what was counted; a difference is named."""

    help = "Prove that wallets, holds, entries, calls and runs agree; exit 1 and name what differs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument(
            "--deep",
            action="store_true",
            help="read everything, also what was proved before, and recompute every seal's hash",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Run every check in one snapshot."""
        try:
            proofs = proving.run(deep=options["deep"])
        except Unavailable as exc:
            raise CommandError(str(exc)) from exc
        for proof in proofs:
            mark = "DIFFERS" if proof.differences else "ok"
            counted = f"{proof.rows:,} rows" + (f", {show(proof.micros)}" if proof.micros else "")
            self.stdout.write(f"{mark:8}{proof.name} ({counted})")
            for difference in proof.differences[:SHOWN]:
                self.stdout.write(f"        {difference}")
            if len(proof.differences) > SHOWN:
                self.stdout.write(f"        and {len(proof.differences) - SHOWN:,} more")
        if any(proof.differences for proof in proofs):
            sys.exit(1)
