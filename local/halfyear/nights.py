"""What the worker does: its rounds by day, and what it keeps for the night."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local.halfyear.stage import Play


TRIES = 5


def do(*tasks: Callable[[], object]) -> None:
    """Do them in their order; one that cannot reach the books just now is begun again, as by beat.

    Raises Unavailable where that is so again and again.
    """
    from common.errors import Unavailable

    for task in tasks:
        for left in reversed(range(TRIES)):
            try:
                task()
                break
            except Unavailable:
                if not left:
                    raise


def round_of_worker(made: Play) -> None:
    """Do what a worker does every few seconds: jobs, holds that are over, purchases, webhooks."""
    from credits.payments import tasks as payments
    from proxy import tasks as calls
    from usage import tasks as usage
    from webhooks import tasks as webhooks

    do(calls.follow_jobs, payments.follow_money, usage.catch_up_sums, webhooks.send_webhooks)
    made.programs.at_stripe("webhook/flush", seconds=10)


def night(made: Play) -> None:
    """Do the rest, in the order of the night: sweep, send, sum, seal, forget."""
    from accounts import tasks as accounts
    from credits.books import tasks as books
    from credits.payments import tasks as payments
    from credits.proofs import tasks as proofs
    from credits.statements import tasks as statements
    from outbox import tasks as outbox
    from privacy import tasks as privacy
    from proxy import tasks as calls
    from runs import tasks as runs
    from usage import tasks as usage

    do(usage.make_partitions)
    round_of_worker(made)
    do(calls.sweep_holds, calls.heartbeat, books.expire_lots, payments.tend_wallets)
    do(payments.listen_again, proofs.sum_days, statements.seal_books, calls.forget)
    do(books.forget_budgets, runs.tidy_cache, runs.forget_budgets)
    do(accounts.tend_accounts, accounts.tend_sign_ins, accounts.tell_of_webhooks)
    do(privacy.tend, privacy.forget)
    with _mails(made.clock.file.parent):
        outbox.send_mails()


@contextlib.contextmanager
def _mails(folder: Path) -> Iterator[None]:
    """Have mails go to a file, as a worker's go to its log."""
    with (folder / "mails.log").open("a") as kept, contextlib.redirect_stdout(kept):
        yield
