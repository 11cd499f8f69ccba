"""Members buy at once while calls run, and one of two web processes is killed.

Every webhook comes twice to both of them, out of order. In the end each purchase is credited once,
and the books are proved.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from system_stack import CENT, Load, Stack, free_port

from local.up import embedded_broker
from sandbox.stripe.remote import Remote, stripe_in_thread

SECRET = "whsec_under_load"
DOLLAR = 100 * CENT
MEMBERS, PURCHASES = 4, 3


@pytest.fixture
def fake() -> Iterator[Remote]:
    with stripe_in_thread() as remote:
        yield remote


@pytest.fixture
def urls(stack: Stack, fake: Remote) -> Iterator[list[str]]:
    """Two web processes and a worker, which buy at the fake."""
    stack.environment |= {
        "STRIPE_API_KEY": "sk_test_load",
        "STRIPE_API_BASE": fake.url,
        "STRIPE_WEBHOOK_SECRETS": SECRET,
        **embedded_broker(stack.cluster.url("comfy")),
    }
    port = free_port()
    beat = str(stack.folder / "beat")
    celery = ["-m", "celery", "-A", "config.celery", "worker", "-B", "-s", beat, "-l", "WARNING"]
    quick = ["-P", "threads", "-c", "4", "--without-gossip", "--without-mingle"]
    others = [
        stack._spawn("web2", ["-m", "config.web", "--port", str(port)]),
        stack._spawn("worker", [*celery, *quick, "--without-heartbeat"]),
    ]
    try:
        stack.start_web()
        stack.await_port("web2", port)
        yield [stack.url, f"http://127.0.0.1:{port}"]
    finally:
        for process in others:
            process.terminate()
        for process in others:
            process.wait(20)


@asynccontextmanager
async def postman(fake: Remote, urls: list[str]) -> AsyncIterator[None]:
    """Carry each delivery to every web process, after a little while or a longer one.

    The sender hears 200 if any of them has taken it.
    """

    async def carry(request: web.Request) -> web.Response:
        body = await request.read()
        headers = {"Stripe-Signature": request.headers["Stripe-Signature"]}

        async def to(url: str) -> int:
            await asyncio.sleep(random.uniform(0, 0.3))
            with contextlib.suppress(aiohttp.ClientError, OSError):
                async with session.post(
                    f"{url}/webhooks/stripe", data=body, headers=headers
                ) as answer:
                    return answer.status
            return 503

        statuses = await asyncio.gather(*(to(url) for url in urls))
        assert set(statuses) <= {200, 503}, statuses
        return web.Response(status=min(statuses))

    app = web.Application()
    app.router.add_post("/", carry)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    async with aiohttp.ClientSession() as session:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        hook = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        await asyncio.to_thread(
            fake.post, "webhook", url=hook, secrets=[SECRET], duplicate=1, reorder=True
        )
        try:
            yield
        finally:
            await asyncio.to_thread(fake.post, "webhook", drop_all=True)
            await runner.cleanup()


async def ask(session: aiohttp.ClientSession, urls: list[str], path: str, **more: Any) -> Any:
    """Ask one of the web processes; if it is gone, ask again, another."""
    for _ in range(100):
        with contextlib.suppress(aiohttp.ClientError, OSError):
            how = session.post if "json" in more else session.get
            async with how(random.choice(urls) + path, **more) as answer:
                assert answer.status in (200, 201), await answer.text()
                return await answer.json()
        await asyncio.sleep(0.05)
    raise AssertionError("nobody answers")


async def shop(fake: Remote, urls: list[str], member: dict[str, str], bought: list[str]) -> None:
    """Buy a few times, five dollars each, and look at the balance as a client does."""
    headers = {"X-API-KEY": member["api_key"]}
    async with aiohttp.ClientSession(headers=headers) as session:
        for _ in range(PURCHASES):
            body = {"amount_micros": 5 * DOLLAR, "currency": "usd"}
            page = await ask(session, urls, "/customers/credit", json=body)
            name = page["checkout_url"].rsplit("/", 1)[1]
            await asyncio.to_thread(fake.post, f"sessions/{name}/pay")
            bought.append(name)
            await ask(session, urls, "/customers/balance")


async def test_each_purchase_is_credited_once_whoever_is_killed(stack, fake, urls):
    members = stack.members(MEMBERS, "1")
    bought: list[str] = []
    over, load = asyncio.Event(), Load()
    async with postman(fake, urls):
        calling = [
            asyncio.create_task(stack.press(member["api_key"], over, load))
            for member in members[:2]
        ]
        shopping = [asyncio.create_task(shop(fake, urls, member, bought)) for member in members]
        while len(bought) < MEMBERS * PURCHASES // 2:
            await asyncio.sleep(0.01)
        await asyncio.to_thread(stack.kill_web)
        await asyncio.gather(*shopping)
        await asyncio.to_thread(stack.start_web)
        await settled(stack, len(bought))
        over.set()
        await asyncio.gather(*calling)

    assert load.statuses[200] > 20
    assert len(bought) == MEMBERS * PURCHASES
    credited = stack.rows(
        "SELECT top_up.session_id, count(entry.id) AS entries, sum(entry.amount_micros) AS micros"
        "  FROM credits_topup top_up"
        "  LEFT JOIN credits_entry entry ON entry.facts->>'purchase' = top_up.id::text"
        " WHERE top_up.session_id = ANY(%s) GROUP BY 1",
        bought,
    )
    assert {row["session_id"] for row in credited} == set(bought)
    assert all((row["entries"], row["micros"]) == (1, 5 * DOLLAR) for row in credited)
    for member in members:
        spent = sum(stack.charged(member).values())
        assert stack.wallet(member)[0] == (1 + 5 * PURCHASES) * DOLLAR - spent
    stack.sweep()
    assert "DIFFERS" not in stack.reconcile()


async def settled(stack: Stack, purchases: int) -> None:
    """Wait until so many purchases are credited, and all that was told is done."""
    waiting = (
        "SELECT (SELECT count(*) FROM credits_topup WHERE state = 'credited') AS credited,"
        " (SELECT count(*) FROM credits_stripeevent WHERE processed_at IS NULL) AS waiting"
    )
    for _ in range(300):
        (now,) = await asyncio.to_thread(stack.rows, waiting)
        if now == {"credited": purchases, "waiting": 0}:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(now)
