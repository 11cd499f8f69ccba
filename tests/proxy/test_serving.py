"""A balancer asks whether a web process can take calls, by the connections that calls go by."""

from __future__ import annotations

from django.db import connections

FINE = {"serving": True, "books": True, "draining": False}


async def asked(stage, method="GET"):
    async with stage.session.request(method, f"{stage.url}/serving") as answer:
        assert answer.headers["cache-control"] == "no-store"
        return answer.status, await answer.text() and await answer.json()


async def test_what_a_balancer_asks_follows_the_connections_of_calls(stage, monkeypatch):
    """Django's own may be well, as where an option of DATABASE_URL hurts only the lanes."""
    assert await asked(stage) == (200, FINE)
    assert await asked(stage, "HEAD") == (200, "")

    with monkeypatch.context() as broken:
        broken.setitem(connections["default"].settings_dict, "HOST", "127.0.0.1")
        broken.setitem(connections["default"].settings_dict, "PORT", "9")
        pids = [lane._db.info.backend_pid for lane in stage.application._platform.books._lanes()]
        stage.do("SELECT pg_terminate_backend(unnest(%s::int[]), 5000)", pids)
        for _ in range(2):
            assert await asked(stage) == (503, {**FINE, "serving": False, "books": False})

    assert await asked(stage) == (200, FINE)


async def test_nothing_else_is_done_there(stage):
    assert (await asked(stage, "POST"))[0] == 404
