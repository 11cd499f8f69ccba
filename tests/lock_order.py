"""A check beside every test: a transaction locks wallets in the order of their ids.

A call locks all the wallets of its batch in that order (credits/books/holds.py): a transaction that
took two the other way round would stand in a circle with it, and calls would fail now and then. No
test would see that without two sessions that meet in the right moment, so each is watched here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest


@dataclass(frozen=True)
class _Locked:
    """What a transaction remembers of a wallet that it locked, for as long as it has the lock.

    It is a hook of the commit, because Django forgets these with the transaction, and with the
    savepoint whose rollback gives the lock back.
    """

    wallet_id: UUID

    def __call__(self) -> None:
        """Do nothing: the lock is over."""


def _note(wallet_ids: Iterable[UUID]) -> None:
    """State that wallets are locked after all that this transaction has locked so far."""
    from django.db import connection, transaction

    if not connection.in_atomic_block:
        return
    # The one transaction of a test stands for many: there, each is the savepoint that it is in.
    in_test = any(getattr(block, "_from_testcase", False) for block in connection.atomic_blocks)
    own = set(connection.savepoint_ids)
    locked = {
        hook.wallet_id
        for savepoints, hook, *_ in connection.run_on_commit
        if isinstance(hook, _Locked) and (not in_test or savepoints & own)
    }
    for wallet_id in sorted(set(wallet_ids) - locked):
        assert all(wallet_id > other for other in locked), (
            "wallets are locked in order of their ids"
        )
        transaction.on_commit(_Locked(wallet_id))
        locked.add(wallet_id)


def watch(patch: pytest.MonkeyPatch) -> None:
    """Look at what `ledger` locks from now on."""
    from credits.books import ledger
    from credits.models import LAST_HOUSE

    lock: Callable[..., Any] = ledger.lock
    post: Callable[..., Any] = ledger.post

    def watched_lock(wallet_id: UUID, *, leaving: bool = False) -> Any:
        _note([wallet_id])
        return lock(wallet_id, leaving=leaving)

    def watched_post(**asked: Any) -> Any:
        _note(side.pk for side in (asked["debit"], asked["credit"]) if side.pk > LAST_HOUSE)
        return post(**asked)

    patch.setattr(ledger, "lock", watched_lock)
    patch.setattr(ledger, "post", watched_post)
