"""What tests of vendors have in common: samples, and jobs asked for until they end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from proxy_stage import Answer, Member, Stage, in_thread

from proxy import tasks

RICH = 500_000_000


def micros(usd: str) -> int:
    return int(Decimal(usd) * 1_000_000)


async def until(
    ask: Callable[[], Any], ended: Callable[[Answer], bool], *, tries: int = 100
) -> Answer:
    """Ask until an answer satisfies."""
    for _ in range(tries):
        answer: Answer = await ask()
        if ended(answer):
            return answer
        await asyncio.sleep(0.02)
    raise AssertionError(f"it did not end: {answer.body[:300]!r}")


async def followed(stage: Stage, member: Member) -> None:
    """Let our own follower look at what this member has running."""
    stage.due(member)
    await in_thread(tasks.follow_jobs)


def spent(stage: Stage, member: Member, usd: str, *, of: int = RICH) -> None:
    """See that exactly so much left the wallet and that nothing is held any more."""
    assert stage.wallet(member) == (of - micros(usd), 0)
    assert stage.spent(member) == micros(usd)
