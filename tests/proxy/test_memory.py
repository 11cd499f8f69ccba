"""Memory that strangers take is counted to the byte, in somebody's share, and given back."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from common.errors import RateLimited, Unavailable
from proxy.memory import Memory

OWNERS = st.sampled_from(["key a", "key b", "address c"])


def test_one_owner_has_a_quarter_and_all_have_the_whole():
    memory = Memory(lambda: 100)
    held = [memory.reserve(f"owner {n}", 25) for n in range(4)]

    with pytest.raises(RateLimited):
        held[0].add(1)
    with pytest.raises(Unavailable):
        memory.reserve("owner 5", 1)
    held[0].release()
    assert memory.reserve("owner 5", 25).size == 25
    assert memory.taken == 100


def test_what_was_refused_is_not_held():
    memory = Memory(lambda: 100)
    with pytest.raises(RateLimited), memory.reserve("a", 20) as taken:
        taken.add(6)

    assert (memory.taken, memory.of) == (0, {})


async def test_whoever_is_cancelled_holds_nothing():
    memory = Memory(lambda: 100)

    async def gather() -> None:
        with memory.reserve("a", 20):
            await asyncio.Event().wait()

    task = asyncio.create_task(gather())
    await asyncio.sleep(0)
    assert memory.taken == 20
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert (memory.taken, memory.of) == (0, {})


def test_it_moves_to_another_owner_even_beyond_that_ones_share():
    """What is held already is held: whoever turns out to pay for it sends nothing more."""
    memory = Memory(lambda: 100)
    first, second = memory.reserve("address", 20), memory.reserve("key", 20)
    first.owner = "key"

    assert memory.of == {"key": 40}
    with pytest.raises(RateLimited):
        second.add(1)
    first.release()
    first.release()
    second.release()
    assert (memory.taken, memory.of) == (0, {})


class Holding(RuleBasedStateMachine):
    """Whatever is taken, moved, refused and given back in whichever order."""

    reservations = Bundle("reservations")

    def __init__(self) -> None:
        super().__init__()
        self.memory = Memory(lambda: 1000)
        self.all: list = []

    @rule(target=reservations, owner=OWNERS)
    def reserve(self, owner):
        self.all.append(self.memory.reserve(owner))
        return self.all[-1]

    @rule(one=reservations, size=st.integers(0, 300))
    def add(self, one, size):
        before = one.size
        try:
            one.add(size)
        except (RateLimited, Unavailable):
            assert one.size == before

    @rule(one=reservations, owner=OWNERS)
    def move(self, one, owner):
        one.owner = owner

    @rule(one=reservations)
    def release(self, one):
        one.release()

    @invariant()
    def it_is_the_sum_of_all(self):
        assert self.memory.taken == sum(one.size for one in self.all) <= 1000
        for owner in {one.owner for one in self.all}:
            sizes = sum(one.size for one in self.all if one.owner == owner)
            assert self.memory.of.get(owner, 0) == sizes
        assert all(self.memory.of.values()), "nobody with nothing is remembered"


TestHolding = Holding.TestCase
