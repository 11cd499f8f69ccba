"""`manage.py doctor`: is this installation in order, and if not, what is to be done.

    doctor [--json]

It looks at the settings, the database, what answers at PUBLIC_URL, the broker, beat and every
queue, Stripe and its webhook endpoint, the vendors' credentials, mail and disk; it changes nothing
and prints no secret. Status 1 if something failed; a warning is something to know.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from config.doctor import rounds
from config.doctor.verdicts import State, Verdict
from config.management.arguments import PlainCommand

if TYPE_CHECKING:
    from argparse import ArgumentParser

WORDS = {State.OK: "ok", State.WARNING: "warning", State.FAILED: "FAILED"}


class Command(PlainCommand):
    """Look at everything, and say what is to be done."""

    help = __doc__
    requires_system_checks = ()  # It makes them itself, and goes on.

    def needs_database(self, options: dict[str, Any]) -> bool:
        """Return False: it tells what is wrong with that, too."""
        return False

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("--json", action="store_true", help="one JSON document, for programs")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print each verdict as it comes; end with status 1 if one is that something failed."""
        found = []
        for verdict in rounds.examine():
            found.append(verdict)
            if not options["json"]:
                self._show(verdict)
        counts = Counter(verdict.state for verdict in found)
        if options["json"]:
            checks = [{**asdict(each), "state": each.state.value} for each in found]
            totals = {state.value: counts[state] for state in State}
            self.stdout.write(json.dumps({**totals, "checks": checks}))
        else:
            self.stdout.write(
                f"{counts[State.FAILED]} failed, {counts[State.WARNING]} to know,"
                f" {counts[State.OK]} in order."
            )
        if counts[State.FAILED]:
            sys.exit(1)

    def _show(self, verdict: Verdict) -> None:
        self.stdout.write(f"{WORDS[verdict.state]:<9}{verdict.check}: {verdict.sentence}")
        if verdict.do:
            self.stdout.write(f"{'':9}-> {verdict.do}")
