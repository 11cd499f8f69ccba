"""SIGTERM: nobody new comes in, everybody inside is finished, and then it ends well."""

from __future__ import annotations

import asyncio
import json
import signal
import time
import urllib.request

import aiohttp
import pytest
from system_stack import CENT, Load, call


def slow(stack, seconds: float, times: int) -> None:
    request = urllib.request.Request(
        f"http://127.0.0.1:{stack.sandbox_port}/control/sandbox/next",
        data=json.dumps({"failures": [f"slow={seconds}"], "times": times}).encode(),
    )
    urllib.request.urlopen(request, timeout=60).close()


@pytest.mark.parametrize("workers", [1, 2])
async def test_what_is_in_flight_is_finished(stack, workers):
    stack.start_web(workers=workers)
    member = stack.member("1.00")
    slow(stack, 3, 12)
    load, refused = Load(), Load()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        calls = [
            asyncio.create_task(
                call(session, stack.url, member["api_key"], {"prompt": f"{n}"}, load)
            )
            for n in range(12)
        ]
        await asyncio.sleep(0.8)
        assert stack.wallet(member) == (1_000_000, 12 * CENT)
        stack.web.send_signal(signal.SIGTERM)
        await asyncio.sleep(1.2)
        async with aiohttp.ClientSession() as late:
            # One process refuses; the parent of several leaves it waiting until it ends.
            await asyncio.gather(call(late, stack.url, member["api_key"], {}, refused), *calls)
    assert refused.statuses == {0: 1}, "nobody new"
    assert load.statuses == {200: 12}
    assert await asyncio.to_thread(stack.web.wait, 20) == 0
    stack.web = None
    assert stack.wallet(member) == (1_000_000 - 12 * CENT, 0)
    assert stack.charged(member) == dict.fromkeys(load.delivered, CENT)
    assert stack.holds() == 0
    assert "DIFFERS" not in stack.reconcile()


async def test_processes_whose_first_was_killed_finish_and_leave_the_port(stack):
    stack.start_web(workers=2)
    member = stack.member("1.00")
    slow(stack, 3, 4)
    into = asyncio.create_task(stack.fire(member["api_key"], 4))
    while stack.wallet(member)[1] < 4 * CENT:
        await asyncio.sleep(0.05)

    stack.web.kill()

    assert (await into).statuses == {200: 4}
    await asyncio.to_thread(stack.web.wait, 10)
    stack.web = None
    async with asyncio.timeout(20):
        while stack.listens():
            await asyncio.sleep(0.1)
    stack.start_web()
    assert (await stack.fire(member["api_key"], 1)).statuses == {200: 1}
    assert stack.stop_web() == 0
    assert "DIFFERS" not in stack.reconcile()


async def test_what_outlasts_the_grace_costs_nothing(stack):
    stack.start_web(grace=1)
    member = stack.member("1.00")
    slow(stack, 8, 3)
    load = Load()
    async with aiohttp.ClientSession() as session:
        calls = [
            asyncio.create_task(
                call(session, stack.url, member["api_key"], {"prompt": f"{n}"}, load)
            )
            for n in range(3)
        ]
        await asyncio.sleep(0.8)
        status = await asyncio.to_thread(stack.stop_web)
        await asyncio.gather(*calls)
    assert status == 0
    assert 200 not in load.statuses
    assert stack.holds() == 3, "whether the vendor did it is not known"
    stack.sweep()
    assert stack.wallet(member) == (1_000_000, 0)
    assert [each["outcome"] for each in stack.calls(member)] == ["expired"] * 3
    assert "DIFFERS" not in stack.reconcile()


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_balancer_is_told_before_nobody_listens(stack, workers):
    stack.start_web(workers=workers, drain=3)
    member = stack.member("1.00")
    load = Load()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:

        async def serving():
            async with session.get(f"{stack.url}/serving") as answer:
                assert answer.headers["cache-control"] == "no-store"
                return answer.status, await answer.json()

        assert await serving() == (200, {"serving": True, "books": True, "draining": False})
        began = time.monotonic()
        stack.web.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.5)

        assert await serving() == (503, {"serving": False, "books": True, "draining": True})
        await call(session, stack.url, member["api_key"], {"prompt": "late"}, load)
    assert load.statuses == {200: 1}, "who has not seen it yet is served"
    assert await asyncio.to_thread(stack.web.wait, 20) == 0
    assert time.monotonic() - began >= 3
    stack.web = None


async def test_a_second_signal_ends_the_draining(stack):
    stack.start_web(drain=60)
    stack.web.send_signal(signal.SIGTERM)
    await asyncio.sleep(0.5)
    stack.web.send_signal(signal.SIGTERM)

    assert await asyncio.to_thread(stack.web.wait, 20) == 0
    stack.web = None
