"""What the worker does: its rounds by day, and what it keeps for the night."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local.halfyear.stage import Play


def round_of_worker(made: Play) -> None:
    """Do what a worker does every few seconds: jobs, holds that are over, purchases, webhooks."""
    from credits.payments import tasks as payments
    from proxy import tasks as calls
    from usage import tasks as usage
    from webhooks import tasks as webhooks

    calls.follow_jobs()
    payments.follow_money()
    usage.catch_up_sums()
    webhooks.send_webhooks()
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

    usage.make_partitions()
    round_of_worker(made)
    calls.sweep_holds()
    calls.heartbeat()
    books.expire_lots()
    payments.tend_wallets()
    payments.listen_again()
    proofs.sum_days()
    statements.seal_books()
    calls.forget()
    books.forget_budgets()
    runs.tidy_cache()
    runs.forget_budgets()
    accounts.tend_accounts()
    accounts.tend_sign_ins()
    accounts.tell_of_webhooks()
    privacy.tend()
    privacy.forget()
    with _mails(made.clock.file.parent):
        outbox.send_mails()


@contextlib.contextmanager
def _mails(folder: Path) -> Iterator[None]:
    """Have mails go to a file, as a worker's go to its log."""
    with (folder / "mails.log").open("a") as kept, contextlib.redirect_stdout(kept):
        yield
