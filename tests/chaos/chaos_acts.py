"""What breaks: each act leaves everything as it should be again, but for what is on its way."""

from __future__ import annotations

import asyncio
import contextlib
import json
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg

from sandbox.stripe.remote import ControlRefusedError
from tests.chaos.chaos_clients import Member
from tests.chaos.chaos_house import House
from tests.chaos.small_disk import SmallDisk


class LeftOut(Exception):
    """It cannot be done on this machine; the message says why."""


class Troubles:
    def __init__(self, house: House, members: list[Member]) -> None:
        self._house, self._members = house, members
        self._missing = dict(line.split(": ", 1) for line in house.left_out())

    async def do(self, act: str, values: dict[str, Any]) -> None:
        """Break it for as long as it says, and mend it; raise LeftOut."""
        work: Callable[..., Awaitable[None]] = getattr(self, f"_{act}")
        await work(**values)

    async def _kill(self, program: str, down: float) -> None:
        self._require(program)
        await asyncio.to_thread(self._house.kill, program)
        await asyncio.sleep(down)
        await asyncio.to_thread(self._house.begin, program)

    async def _freeze(self, program: str, seconds: float) -> None:
        self._require(program)
        self._house.freeze(program)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._house.freeze(program, thawed=True)

    async def _redeploy(self, program: str) -> None:
        await asyncio.to_thread(self._house.terminate, program)
        await asyncio.to_thread(self._house.begin, program)

    async def _fill_disk_of_books(self, seconds: float) -> None:
        await self._full(self._house.books_disk, seconds)

    async def _fill_disk_of_files(self, seconds: float) -> None:
        await self._full(self._house.files_disk, seconds)

    async def _full(self, disk: SmallDisk, seconds: float) -> None:
        if not disk.is_real:
            raise LeftOut(self._missing["full disks"])
        disk.fill()
        try:
            await asyncio.sleep(seconds)
        finally:
            disk.empty()

    async def _exhaust_connections(self, seconds: float) -> None:
        taken: list[psycopg.AsyncConnection[Any]] = []
        try:
            for _ in range(300):
                taken.append(await psycopg.AsyncConnection.connect(self._dsn, connect_timeout=5))
        except psycopg.OperationalError:
            await asyncio.sleep(seconds)
        finally:
            for each in taken:
                await each.close()

    async def _cut_connections(self) -> None:
        """Have the server hang up on everybody, as when a standby takes over."""
        with contextlib.suppress(psycopg.OperationalError):
            await self._query(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = 'comfy' AND pid <> pg_backend_pid()"
            )

    async def _lock_wallet(self, member: int, seconds: float) -> None:
        wallet = self._members[member].workspace_id
        with contextlib.suppress(psycopg.OperationalError):
            async with await psycopg.AsyncConnection.connect(self._dsn) as db:
                lock = "SELECT 1 FROM credits_account WHERE id = %s FOR UPDATE"
                await db.execute(lock, [wallet])
                await asyncio.sleep(seconds)

    async def _step_clock(self, step: int, seconds: float) -> None:
        if "clock steps" in self._missing:
            raise LeftOut(self._missing["clock steps"])
        self._house.step_clock(step)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._house.step_clock(0)

    async def _vendor_lies(self, lie: str, times: int) -> None:
        for vendor in ("sandbox", "bfl"):
            url = f"http://127.0.0.1:{self._house.sandbox_port}/control/{vendor}/next"
            await asyncio.to_thread(_post, url, {"failures": [lie], "times": times})
        await asyncio.sleep(1)

    _vendor_is_slow = _vendor_lies

    async def _stripe_fails(self, failure: str, times: int, method: str) -> None:
        await self._tell_stripe("next", failure=failure, times=times, method=method)
        await asyncio.sleep(1)

    async def _scramble_events(self, seconds: float, **how: Any) -> None:
        await asyncio.to_thread(self._house.scramble, **how)
        await asyncio.sleep(seconds)
        await asyncio.to_thread(self._house.scramble, duplicate=0, reorder=False, drop_next=0)
        await self._tell_stripe("webhook/resend")

    async def _tell_stripe(self, path: str, **asked: Any) -> None:
        await asyncio.to_thread(lambda: self._house.stripe.post(path, **asked))

    async def _query(self, sql: str) -> None:
        async with await psycopg.AsyncConnection.connect(self._dsn, autocommit=True) as db:
            await db.execute(sql)

    @property
    def _dsn(self) -> str:
        return self._house.cluster.dsn("comfy")

    def _require(self, program: str) -> None:
        if program != "postgres" and program not in self._house.programs:
            raise LeftOut(self._missing["kills of Redis"])


AWAY = (OSError, ControlRefusedError)
"""What is met where the far side's program was killed a moment ago."""


def _post(url: str, asked: dict[str, Any]) -> None:
    request = urllib.request.Request(url, json.dumps(asked).encode())
    request.add_header("Content-Type", "application/json")
    with contextlib.suppress(urllib.error.HTTPError):  # A vendor that has no such failure.
        urllib.request.urlopen(request, timeout=10).close()
