"""What a balancer asks: whether this process can take a call."""

from __future__ import annotations

import asyncio

import pytest
from config import asgi

from common import db


async def test_a_process_that_takes_calls_says_so(stage):
    answer = await stage.get("/serving")
    assert (answer.status, answer.json()) == (200, {"serving": True})
    assert answer.headers["cache-control"] == "no-store"
    assert (await stage.ask("HEAD", "/serving")).body == b""
    assert (await stage.post("/serving")).status == 404


@pytest.mark.parametrize("how", ["refused", "silent"])
async def test_a_process_without_its_books_says_so_in_time(stage, monkeypatch, how):
    async def connect():
        if how == "silent":
            await asyncio.sleep(3)
        raise OSError("no way there")

    monkeypatch.setattr(asgi, "SERVING_SECONDS", 0.3)
    assert (await stage.get("/serving")).status == 200
    lane = stage.application._platform.books._other
    await lane._db.close()
    with monkeypatch.context() as away:
        away.setattr(db, "connect", connect)
        answer = await asyncio.wait_for(stage.get("/serving"), 5)
        assert (answer.status, answer.json()) == (503, {"serving": False})
