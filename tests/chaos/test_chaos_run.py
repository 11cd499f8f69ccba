"""A minute of chaos: what is broken and who moves money is of one seed, and all must hold."""

from __future__ import annotations

import asyncio

import pytest

from tests.chaos.chaos_run import Chaos
from tests.chaos.draws import draw

SEED = 1503
"""It ends PostgreSQL, a web process and a worker by force, brings a version twice, takes all
connections and locks a wallet, while members buy, redeem, refund, run, and staff give and take."""
SECONDS = 60
REST_SECONDS = 420
"""Only for what hangs: others work on this machine, too."""
LEAST = 50
"""So many calls must have been answered for the proof to say anything."""


@pytest.mark.system
@pytest.mark.slow
def test_in_a_minute_of_chaos_nothing_is_lost_made_or_charged_twice(tmp_path):
    draws = draw(SEED, seconds=SECONDS)
    said: list[str] = []
    chaos = Chaos(
        tmp_path, SEED, draws, callers=3, say=said.append, seconds=None, pause=0.2,
        rest=REST_SECONDS,
    )  # fmt: skip

    result = asyncio.run(chaos.run())

    assert result.wrong == [], "\n".join(said)
    assert result.account
    assert [each for each in result.account if each.books != each.outside] == []
    assert result.answered > LEAST, "\n".join(result.told)
