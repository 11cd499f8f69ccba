"""Prove the books: what came since the last proof, or (`deep`) everything.

All checks see one snapshot. Where those that believe the mark find nothing, it moves on in the same
commit, so the next proof begins where this one ended; where one finds something, it stays, and the
next finds it again. A deep run reads everything, of a standby if one is set (STANDBY_URL): then it
tells what it found, and the mark stays.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.db import OperationalError, connection, connections, transaction
from psycopg.errors import LockNotAvailable

from common import logs
from common.errors import Unavailable
from credits.books import complete
from credits.proofs import marks, reconciliation
from runs import reconciliation as runs_reconciliation
from usage import reconciliation as usage_reconciliation
from usage import since as usage_since

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from credits.proofs.reconciliation import Proof

STANDBY: Final = "standby"
WAIT_SECONDS: Final = 600
AT_ONCE_SECONDS: Final = 5
"""An autovacuum of the table makes way after a second."""
CHECKS: Final = (
    *reconciliation.CHECKS,
    *reconciliation.MONEY,
    *reconciliation.SEALS,
    *reconciliation.DAYS,
    *usage_reconciliation.CHECKS,
    *runs_reconciliation.CHECKS,
)


def run(*, deep: bool = False, wait: bool = True) -> list[Proof]:
    """Prove the books once; return what each check found. It is written down, too.

    One at a time: `wait` for another that is under way, ten minutes at most, or raise Unavailable.
    """
    aside = deep and STANDBY in settings.DATABASES
    proofs = _prove_aside() if aside else _prove(deep=deep, wait=wait)
    if differing := [proof.name for proof in proofs if proof.differences]:
        logs.line(level="error", event="books_differ", deep=deep, checks=differing)
    return proofs


def _prove_aside() -> list[Proof]:
    """Read everything, as the standby has it."""
    began_at = marks.clock()
    with _through(STANDBY), _one_snapshot():
        proofs, _ = _proofs(marks.START, deep=True)
    marks.note(proofs, deep=True, began_at=began_at)
    return proofs


def _prove(*, deep: bool, wait: bool) -> list[Proof]:
    """Prove, write it down, and move the mark if nothing stands against that."""
    # Before the snapshot, so that it has all up to there; while no other proof is waited for.
    until, began_at = complete.settled_entry(), marks.clock()
    with _one_snapshot(_alone(wait=wait)):
        mark = marks.newest()
        proofs, holds_good = _proofs(mark, deep=deep)
        moved = None
        if until is not None and holds_good:
            moved = max(until, mark.entry)  # Another proof may have gone further meanwhile.
            marks.carry(mark, until=moved, anew=deep)
            usage_since.carry()
        marks.note(proofs, deep=deep, began_at=began_at, until=moved)
    return proofs


def _proofs(mark: marks.Mark, *, deep: bool) -> tuple[list[Proof], bool]:
    """Return what each check found, and whether none that believes the mark found anything."""
    if deep:
        proofs = reconciliation.prove(CHECKS)
        chains = [reconciliation.prove_chains(deep=True)]
        carried = reconciliation.prove((marks.CARRIED,))
    else:
        given: dict[str, Any] = mark.parameters
        given |= usage_since.bounds(given) | runs_reconciliation.bounds(given)
        proofs = reconciliation.prove(CHECKS, given)
        chains = [reconciliation.prove_new_seals(), reconciliation.prove_chains()]
        carried = []
    marked = {check.name for check in CHECKS if check.since is not None}
    good = not any(each.differences for each in proofs if each.name in marked)
    good = good and not any(each.differences for each in chains)
    return [*proofs, *chains, *carried], good


@contextmanager
def _one_snapshot(first: Sequence[str] = ()) -> Iterator[None]:
    """Have one snapshot meanwhile; some statements come `first` that take none.

    Within a transaction of somebody else, as of a test, it is that one's snapshot.
    """
    nested = connection.in_atomic_block
    with transaction.atomic(), connection.cursor() as cursor:
        if not nested:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        try:
            for statement in first:
                cursor.execute(statement)
        except OperationalError as exc:
            if isinstance(exc.__cause__, LockNotAvailable):
                raise Unavailable("The books are being proved already.") from exc
            raise
        yield


def _alone(*, wait: bool) -> tuple[str, ...]:
    """Return the statements after which no other proof is under way that moves the mark."""
    seconds = WAIT_SECONDS if wait else AT_ONCE_SECONDS
    return (
        f"SET LOCAL lock_timeout = '{seconds}s'",
        "LOCK TABLE credits_carried IN SHARE ROW EXCLUSIVE MODE",
    )


@contextmanager
def _through(alias: str) -> Iterator[None]:
    """Have every query of this thread go to another server meanwhile."""
    usual = connections["default"]
    connections["default"] = connections[alias]
    try:
        yield
    finally:
        connections["default"].close()
        connections["default"] = usual
