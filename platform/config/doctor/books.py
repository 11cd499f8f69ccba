"""Whether the books are proved again and again, and whether kept answers go when they are over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from config.doctor.verdicts import Verdict, failed, ok, warning
from credits.models import Proof
from credits.proofs import marks
from proxy import days

if TYPE_CHECKING:
    from collections.abc import Iterator

HOUR = 3600
LATE_SECONDS = 3 * HOUR
DEEP_LATE_SECONDS = 9 * 24 * HOUR
RECONCILE = "See that beat runs, and whether the books agree: manage.py reconcile"


def look() -> Iterator[Verdict]:
    """Look at the last proofs, and at what they found."""
    newest = Proof.objects.order_by("-pk").first()
    if newest is not None and newest.differences:
        sentence = f"The last proof found {newest.differences}: {'; '.join(newest.differing)}."
        yield failed("proof", sentence, "docs/runbook.md, BooksDiffer: manage.py reconcile --deep")
        return
    proved, deep = marks.ages()
    if proved > LATE_SECONDS:
        yield warning("proof", f"Nobody proved the books for {proved / HOUR:.0f} h.", RECONCILE)
    elif deep > DEEP_LATE_SECONDS:
        sentence = f"What was proved once was not read again for {deep / HOUR / 24:.0f} days."
        yield warning("proof", sentence, f"{RECONCILE} --deep")
    else:
        yield ok("proof", f"The books were proved {proved / HOUR:.1f} h ago.")


def look_at_answers() -> Iterator[Verdict]:
    """Look for kept answers that are over and that nobody emptied."""
    left = days.overdue_bytes()
    if left:
        sentence = f"{left >> 20} MiB of kept answers are over, and are still there."
        do = "See that beat runs; a backup or psql that reads proxy_kept hinders it meanwhile."
        yield warning("answers", sentence, do)
    else:
        yield ok("answers", "None is kept beyond its time.")
