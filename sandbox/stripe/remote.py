"""The fake from outside: in a thread of its own, or anywhere, controlled over HTTP.

For tests without a loop; one that has a loop may use `server.running_stripe` and its desk.
"""

import asyncio
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sandbox.stripe.desk import Settings
from sandbox.stripe.server import running_stripe


class ControlRefusedError(Exception):
    """The control API said no."""


class Remote:
    """A fake at an address: `remote.post("disputes", charge=charge.id)["status"]`."""

    def __init__(self, url: str) -> None:
        self.url = url

    def post(self, path: str, /, **asked: Any) -> Any:
        """Tell the control API to do something."""
        return self._ask(path, json.dumps(asked).encode())

    def get(self, path: str) -> Any:
        """Read from the control API: state, requests, deliveries, webhook, switches."""
        return self._ask(path, None)

    def _ask(self, path: str, data: bytes | None) -> Any:
        request = urllib.request.Request(f"{self.url}/control/{path}", data=data)  # noqa: S310
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as refused:
            with refused:
                raise ControlRefusedError(refused.read().decode()) from None


@contextmanager
def stripe_in_thread(settings: Settings | None = None) -> Iterator[Remote]:
    """Serve from a thread, on any free port, for as long as the block lasts."""
    serving: list[tuple[str, asyncio.AbstractEventLoop]] = []
    begun, stop = threading.Event(), asyncio.Event()

    async def serve() -> None:
        async with running_stripe(settings) as desk:
            serving.append((desk.url, asyncio.get_running_loop()))
            begun.set()
            await stop.wait()

    def work() -> None:
        try:
            asyncio.run(serve())
        finally:
            begun.set()

    thread = threading.Thread(target=work, name="fake-stripe", daemon=True)
    thread.start()
    begun.wait(60)
    if not serving:
        raise RuntimeError("The fake Stripe did not start.")
    url, loop = serving[0]
    try:
        yield Remote(url)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
