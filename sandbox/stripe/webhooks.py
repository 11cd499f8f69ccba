"""Signed deliveries, and what may go wrong with them: twice, late, out of order, or never.

outbox -> delay -> (reversed) -> (dropped) -> posted, and copies -> again if not answered 2xx
"""

import asyncio
import hashlib
import hmac
import time
from datetime import UTC, datetime

import orjson
from aiohttp import ClientError, ClientSession, ClientTimeout

from sandbox.stripe.desk import Desk
from sandbox.stripe.wire import Json

REORDER_WINDOW = 0.05


def signature(payload: bytes, secrets: list[str], at: int) -> str:
    """Sign as Stripe does; two secrets give two signatures, as while one is being rolled."""
    signed = str(at).encode() + b"." + payload
    parts = [hmac.new(each.encode(), signed, hashlib.sha256).hexdigest() for each in secrets]
    return ",".join([f"t={at}", *(f"v1={each}" for each in parts)])


def thin(event: Json) -> Json:
    """Tell of an event in the second API's way: which object, not what it is like."""
    about = event["data"]["object"]
    name = about["object"].replace(".", "/")
    return {
        "id": event["id"], "object": "v2.core.event", "context": None,
        "created": datetime.fromtimestamp(event["created"], UTC).isoformat(),
        "livemode": False, "reason": None, "type": f"v1.{event['type']}",
        "related_object": {
            "id": about["id"], "type": about["object"], "url": f"/v1/{name}s/{about['id']}"
        },
    }  # fmt: skip


class Courier:
    """Carries the desk's outbox to its webhook, one event after the other."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.busy = False
        self.retries: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        desk.posted = self._wake.set

    async def run(self) -> None:
        """Deliver until cancelled."""
        try:
            async with ClientSession() as session:
                while True:
                    await self._wake.wait()
                    self.busy = True
                    self._wake.clear()
                    await self._carry(session)
                    self.busy = bool(self.desk.outbox)
        finally:
            for each in self.retries:
                each.cancel()
            await asyncio.gather(*self.retries, return_exceptions=True)

    async def idle(self, seconds: float) -> bool:
        """Wait until nothing is left to deliver or to retry; tell whether that came in time."""
        until = time.monotonic() + seconds
        while self.busy or self.retries or self.desk.outbox:
            if time.monotonic() > until:
                return False
            await asyncio.sleep(0.01)
        return True

    async def _carry(self, session: ClientSession) -> None:
        hook = self.desk.webhook
        if wait := max(hook.delay_seconds, REORDER_WINDOW if hook.reorder else 0):
            await asyncio.sleep(wait)
        batch, self.desk.outbox = self.desk.outbox, []
        if hook.reorder:
            batch.reverse()
        for event in batch:
            if hook.drop_all or hook.drop_next > 0:
                hook.drop_next = max(0, hook.drop_next - 1)
                self._note(event, attempt=0, outcome="dropped")
                continue
            for _ in range(1 + hook.duplicate):
                if not await self._post(session, event, attempt=1):
                    retry = asyncio.create_task(self._retry(session, event))
                    self.retries.add(retry)
                    retry.add_done_callback(self.retries.discard)

    async def _retry(self, session: ClientSession, event: Json) -> None:
        waits = list(self.desk.webhook.retry_seconds)
        for attempt, wait in enumerate(waits, start=2):
            await asyncio.sleep(wait)
            forgotten = event["id"] not in self.desk.objects
            if forgotten or await self._post(session, event, attempt=attempt):
                return

    async def _post(self, session: ClientSession, event: Json, *, attempt: int) -> bool:
        """Post once; true when there is nothing more to do."""
        hook = self.desk.webhook
        if hook.url is None:
            return True
        payload = orjson.dumps(thin(event) if hook.thin else {**event, "pending_webhooks": 1})
        at = int(time.time()) + hook.signed_ahead_seconds
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            "Stripe-Signature": signature(payload, hook.secrets, at),
        }
        limit = ClientTimeout(total=hook.timeout_seconds)
        try:
            async with session.post(
                hook.url, data=payload, headers=headers, timeout=limit, allow_redirects=False
            ) as answer:
                outcome: int | str = answer.status
        except (ClientError, TimeoutError, ValueError) as problem:
            outcome = type(problem).__name__
        self._note(event, attempt=attempt, outcome=outcome)
        delivered = isinstance(outcome, int) and 200 <= outcome < 300
        if delivered:
            event["pending_webhooks"] = 0
        return delivered

    def _note(self, event: Json, *, attempt: int, outcome: int | str) -> None:
        self.desk.deliveries.append(
            {
                "event": event["id"],
                "type": event["type"],
                "object": event["data"]["object"].get("id"),
                "attempt": attempt,
                "outcome": outcome,
            }
        )
