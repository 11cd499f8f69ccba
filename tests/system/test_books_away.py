"""The disk is full, the server takes no writes, or there is none: come again, and nothing is lost.

What was given is paid for, what was paid for is given to the next try, and no answer is a 500.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from system_stack import Load, Stack, prove

BALANCE, REDEEM = "/customers/balance", "/v1/vouchers/redeem"
READY, SERVING = "/ready", "/serving"
TABLES_MIB = 48
CODE = json.dumps({"code": "AAAAA-BBBBB-CCCCC-DDDDD"}).encode()


class Disk:
    """A small disk that the database's tables are on, and a file that takes what is left of it."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self._stack = stack
        self._folder = folder
        self._ballast = folder / "ballast"

    def mount(self) -> None:
        self._folder.mkdir()
        size = f"size={TABLES_MIB}m"
        words = ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(self._folder)]
        if os.geteuid() or subprocess.run(words, check=False, capture_output=True).returncode:
            pytest.skip("a disk of its own needs the right to mount one")
        tables = self._folder / "tables"
        tables.mkdir()
        self._stack.cluster._hand_over(tables)
        with psycopg.connect(self._stack.cluster.dsn("postgres"), autocommit=True) as db:
            db.execute(f"CREATE TABLESPACE small LOCATION '{tables}'")
            db.execute("ALTER DATABASE comfy SET TABLESPACE small")

    def fill(self) -> None:
        with self._ballast.open("ab", buffering=0) as file:
            for size in (1 << 20, 1 << 12):
                with contextlib.suppress(OSError):
                    while file.write(b"\0" * size) == size:
                        pass

    def empty(self) -> None:
        self._ballast.unlink(missing_ok=True)

    def unmount(self) -> None:
        subprocess.run(["umount", "-l", str(self._folder)], check=False, capture_output=True)


@pytest.fixture(scope="module")
def disk(stack: Stack) -> Iterator[Disk]:
    made = Disk(stack, stack.folder / "disk")
    try:
        made.mount()
        yield made
    finally:
        stack.cluster.stop()
        made.unmount()


@pytest.fixture
def web(stack: Stack) -> Iterator[None]:
    stack.start_web(workers=2)
    try:
        yield
    finally:
        assert stack.stop_web() == 0


def ask(stack: Stack, path: str, key: str, body: bytes | None = None) -> int:
    """Return the status, soon; a 503 says when to come again, in the contract's shape."""
    headers = {"X-API-KEY": key, "Content-Type": "application/json"}
    request = urllib.request.Request(stack.url + path, body, headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        answer = refused
        told = json.load(answer)
    if answer.status == 503 and path not in (READY, SERVING):
        assert answer.headers["Retry-After"].isdigit()
        assert told["error"] == "service_unavailable"
        assert told["message"].endswith("Please try again.")
    return int(answer.status)


async def look_on(stack: Stack, key: str, over: asyncio.Event, seen: Counter[tuple[str, int]]):
    """Ask Django's views one after the other, until it is over."""
    while not over.is_set():
        for path, body in ((BALANCE, None), (REDEEM, CODE), (READY, None), (SERVING, None)):
            seen[path, await asyncio.to_thread(ask, stack, path, key, body)] += 1
        await asyncio.sleep(0.1)


async def more(load: Load, status: int) -> None:
    """Wait for some more answers of that status."""
    enough = load.statuses[status] + 20
    for _ in range(600):
        if load.statuses[status] >= enough:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(load.statuses)


async def until_seen(seen: Counter[tuple[str, int]], path: str, status: int) -> None:
    """Wait until a view was seen to answer with that status."""
    for _ in range(600):
        if seen[path, status]:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(seen)


async def until_written(stack: Stack) -> None:
    """Wait until what was owed to the books in that time is in them: that is done behind."""
    for _ in range(300):
        if not stack.holds():
            return
        await asyncio.sleep(0.1)
    raise AssertionError("holds are open, of which nobody knows")


@contextmanager
def no_room(stack: Stack, disk: Disk) -> Iterator[None]:
    disk.fill()
    try:
        yield
    finally:
        disk.empty()


@contextmanager
def no_writes(stack: Stack, disk: Disk) -> Iterator[None]:
    """As a server that was the primary before a failover."""

    def read_only(value: str) -> None:
        with psycopg.connect(stack.cluster.dsn("postgres"), autocommit=True) as db:
            db.execute("SET default_transaction_read_only = off")
            db.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
            db.execute("SELECT pg_reload_conf()")

    read_only("on")
    try:
        yield
    finally:
        read_only("off")


@contextmanager
def no_server(stack: Stack, disk: Disk) -> Iterator[None]:
    stack.cluster.kill_immediately()
    try:
        yield
    finally:
        stack.cluster.start()


@pytest.mark.parametrize(
    ("trouble", "seconds", "words"),
    [
        (no_room, 4, "No space left on device"),
        (no_writes, 3, "in a read-only transaction"),
        (no_server, 11, "was not properly shut down"),
    ],
)
async def test_a_bad_time_of_the_database_is_a_503_and_loses_nothing(
    stack, disk, web, trouble, seconds, words
):
    member, onlooker = stack.member("500"), stack.member("1")
    load, seen, over = Load(), Counter(), asyncio.Event()
    pressing = asyncio.create_task(stack.press(member["api_key"], over, load))
    looking = asyncio.create_task(look_on(stack, onlooker["api_key"], over, seen))
    await more(load, 200)
    with trouble(stack, disk):
        await asyncio.sleep(seconds)
        await more(load, 503)
        if trouble is not no_room:  # Where there is no room, a small row may still find some.
            await until_seen(seen, REDEEM, 503)
        if trouble is no_server:
            await until_seen(seen, SERVING, 503)
    await more(load, 200)  # It goes on by itself.
    over.set()
    await asyncio.gather(pressing, looking)

    assert words in stack.cluster.log.read_text()
    assert set(load.statuses) == {200, 503}, load.statuses
    assert {status for path, status in seen if path == BALANCE} <= {200, 503}, seen
    assert {status for path, status in seen if path == REDEEM} <= {400, 429, 503}, seen
    assert {status for path, status in seen if path == READY} <= {200, 503}, seen
    assert seen[SERVING, 200], "before, and after"
    assert await asyncio.to_thread(ask, stack, SERVING, "") == 200
    again = await stack.fire(member["api_key"], 20)
    assert again.statuses == {200: 20}
    load.delivered += again.delivered
    await until_written(stack)
    prove(stack, member, load)
    assert "Traceback" not in (stack.folder / "web.log").read_text()
