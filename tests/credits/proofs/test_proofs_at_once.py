"""Books are proved while members call, while workers sum and seal, and twice at one moment."""

from __future__ import annotations

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from django.db import connections

from accounts.signup import sign_up
from common.money import usd
from credits.gifts import grants
from staff import proving
from tests.proved_calls import call, tend

pytestmark = pytest.mark.usefixtures("own_books")
SECONDS = 4


def a_member():
    user = sign_up(email=f"{uuid.uuid4().hex}@example.org")
    workspace = user.personal_workspace
    grants.grant(wallet=workspace.wallet, amount=usd("9"), key=uuid.uuid4().hex, reason="test")
    return SimpleNamespace(user=user, workspace_id=workspace.pk)


def found(*, deep=False):
    return [line for proof in proving.run(deep=deep) for line in proof.differences]


def test_proofs_that_run_while_all_else_does_find_nothing_and_lose_nothing():
    members = [a_member() for _ in range(3)]
    until = time.monotonic() + SECONDS

    def again(work):
        times = 0
        try:
            while time.monotonic() < until:
                assert not work()
                times += 1
        finally:
            connections.close_all()
        return times

    works = [
        *((lambda member=member: call(member) and None) for member in members),
        tend, tend, found, found, lambda: found(deep=True),
    ]  # fmt: skip
    with ThreadPoolExecutor(len(works)) as pool:
        assert all(list(pool.map(again, works)))

    tend()
    assert found() == []
    assert found(deep=True) == []
