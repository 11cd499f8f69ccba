"""Credits for exactly K calls, and 4K at once: K succeed, and the books agree to the unit."""

from __future__ import annotations

import pytest
from system_stack import CENT

K = 100


@pytest.mark.parametrize("workers", [1, 2])
async def test_exactly_as_many_as_were_paid_for(stack, workers):
    stack.start_web(workers=workers)
    try:
        member = stack.member("1.00")
        before = stack.accepted()

        load = await stack.fire(member["api_key"], 4 * K)

        assert load.statuses == {200: K, 402: 3 * K}
        assert stack.accepted() - before == K
        assert stack.wallet(member) == (0, 0)
        calls = stack.calls(member)
        assert [call["number"] for call in calls] == list(range(2, K + 2)), "1 is the grant"
        assert {call["outcome"] for call in calls} == {"delivered"}
        assert sorted(load.delivered) == sorted(call["id"] for call in calls)
        assert stack.charged(member) == dict.fromkeys(load.delivered, CENT)
        assert stack.holds() == 0
        assert "DIFFERS" not in stack.reconcile()
    finally:
        assert stack.stop_web() == 0


async def test_members_do_not_stand_in_each_others_way(stack):
    stack.start_web(workers=2)
    try:
        import asyncio

        members = stack.members(4, "0.20")
        loads = await asyncio.gather(
            *(stack.fire(member["api_key"], 60, connections=16) for member in members)
        )
        assert all(load.statuses == {200: 20, 402: 40} for load in loads)
        assert [stack.wallet(member) for member in members] == [(0, 0)] * 4
        assert "DIFFERS" not in stack.reconcile()
    finally:
        assert stack.stop_web() == 0
