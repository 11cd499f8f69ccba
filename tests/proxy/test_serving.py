"""A balancer asks whether a web process can take calls, by the connections that calls go by."""

from __future__ import annotations

import asyncio

import pytest
from django.db import connections

from credits.books import processes
from proxy import alive


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    """What takes ten seconds takes half of one."""
    monkeypatch.setattr(processes, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(alive, "FRESH_SECONDS", 0.5)


async def asked(stage, *, until):
    """Ask until it answers that status, for at most five seconds; return the last answer."""
    for _ in range(100):
        async with stage.session.get(f"{stage.url}/serving") as answer:
            said = answer.status, await answer.json()
        if said[0] == until:
            break
        await asyncio.sleep(0.05)
    return said


async def test_what_a_balancer_asks_follows_the_connections_of_calls(stage, monkeypatch):
    """Django's own may be well, as where an option of DATABASE_URL hurts only the lanes."""
    assert await asked(stage, until=200) == (200, {"serving": True})

    with monkeypatch.context() as broken:
        broken.setitem(connections["default"].settings_dict, "PORT", "9")
        stage.do(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE query LIKE '%%INTO credits_process%%' AND pid <> pg_backend_pid()"
        )
        assert await asked(stage, until=503) == (503, {"serving": False})

    assert await asked(stage, until=200) == (200, {"serving": True})
