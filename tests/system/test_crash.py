"""The web process or PostgreSQL dies under load: what was answered is paid, and nothing twice."""

from __future__ import annotations

import asyncio
import time

from system_stack import Load, prove


async def test_the_web_process_is_killed(stack):
    member = stack.member("200")
    for _ in range(2):
        stack.start_web()
        over = asyncio.Event()
        pressing = asyncio.create_task(stack.press(member["api_key"], over))
        await asyncio.sleep(1.5)
        await asyncio.to_thread(stack.kill_web)
        over.set()
        load = await pressing
        assert load.statuses[200] > 20
        assert load.statuses[0] > 0, "some were cut off"
        assert set(load.statuses) <= {0, 200}
    stack.start_web()
    try:
        again = await stack.fire(member["api_key"], 20)
        assert again.statuses == {200: 20}
        load.delivered += again.delivered
        prove(stack, member, load)
    finally:
        assert stack.stop_web() == 0


async def test_postgres_stops_at_once_and_comes_back(stack):
    member = stack.member("200")
    stack.start_web()
    try:
        over = asyncio.Event()
        load_so_far = Load()
        pressing = asyncio.create_task(stack.press(member["api_key"], over, load_so_far))
        await asyncio.sleep(1.2)
        await asyncio.to_thread(stack.cluster.kill_immediately)
        assert not stack.cluster.ready()
        await asyncio.sleep(0.7)  # What was committed before the end may still be under way to us.
        delivered = load_so_far.statuses[200]
        await asyncio.sleep(1.5)
        assert load_so_far.statuses[200] == delivered, "nothing is given that cannot be written"
        stack.cluster.start()  # Not in a thread: the server dies with the thread that started it.
        back = time.monotonic()
        await asyncio.sleep(2.5)
        over.set()
        load = await pressing

        assert load.statuses[200] > 40, load.statuses
        assert set(load.statuses) <= {200, 503}, load.statuses
        log = stack.cluster.log.read_text()
        assert "was not properly shut down" in log, "it had to recover"
        recovered = await stack.fire(member["api_key"], 50)
        assert recovered.statuses == {200: 50}, "by itself"
        assert time.monotonic() - back < 30
        load.delivered += recovered.delivered
        prove(stack, member, load)
    finally:
        if not stack.cluster.ready():
            stack.cluster.start()  # For the tests that come after a failure here.
        assert stack.stop_web() == 0
