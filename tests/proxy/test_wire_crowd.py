"""Strangers who send nothing, little, slowly, or too much at once, are nobody else's trouble."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

import orjson
import pytest
from config.wire import crowd
from proxy_stage import CENT, ECHO, IMAGE, check_refusal, eventually, read_answer

from apikeys import keys
from proxy import memory

pytestmark = pytest.mark.slow

UPLOAD = "/proxy/sandbox/v1/upload"
DOORS = [ECHO, "/v1/vouchers/redeem"]
HEALTH = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def invented() -> str:
    head = "comfyui-" + "5" * 56
    return head + keys.checksum(head)


def post(path: str, key: str, *lines: str) -> bytes:
    top = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"X-API-KEY: {key}"]
    return "\r\n".join([*top, *lines, "", ""]).encode()


async def rest(reader: asyncio.StreamReader, seconds: float = 5) -> bytes:
    """Return what still comes until the connection ends, however it ends."""
    raw = b""
    async with asyncio.timeout(seconds):
        with suppress(ConnectionError):
            while part := await reader.read(1 << 20):
                raw += part
    return raw


def is_408(raw: bytes) -> bool:
    head, _, body = raw.partition(b"\r\n\r\n")
    return head.startswith(b"HTTP/1.1 408 ") and b'"message"' in body


# --- Times --------------------------------------------------------------------------------------


async def test_a_head_that_does_not_become_whole_ends(stage, settings):
    settings.HEAD_SECONDS = 0.3
    reader, writer = await stage.open()
    for _ in range(4):
        writer.write(b"GET /hea")  # Something comes all the time: that is no excuse.
        await asyncio.sleep(0.1)

    assert is_408(await rest(reader, 2.5))
    writer.close()


async def test_a_connection_that_says_nothing_ends_without_a_word(stage, settings):
    settings.HEAD_SECONDS = 0.3
    reader, writer = await stage.open()

    assert await rest(reader, 2.5) == b""
    writer.close()


async def test_a_connection_may_rest_between_requests_for_its_time(stage, settings):
    settings.HEAD_SECONDS, settings.KEEP_ALIVE_SECONDS = 0.3, 2
    reader, writer = await stage.open()
    for pause in (1.5, 0):
        writer.write(HEALTH)
        assert (await asyncio.wait_for(read_answer(reader), 5))[0] == 200
        await asyncio.sleep(pause)

    assert await rest(reader, 4.5) == b""
    writer.close()


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("length", ["Content-Length: 100000", "Transfer-Encoding: chunked"])
async def test_a_body_that_comes_too_slowly_ends(stage, settings, door, length):
    settings.BODY_GRACE_SECONDS, settings.BODY_BYTES_PER_SECOND = 0.3, 10_000
    member = await stage.member()
    reader, writer = await stage.open()
    writer.write(post(door, member.key, length))
    slow = asyncio.create_task(_drip(writer, b"1\r\nx\r\n"))

    assert is_408(await rest(reader, 5))
    slow.cancel()
    writer.close()
    await eventually(lambda: memory.held.taken == 0 or None)
    assert stage.wallet(member) == (5_000_000, 0)


async def _drip(writer: asyncio.StreamWriter, part: bytes) -> None:
    while True:
        writer.write(part)
        await asyncio.sleep(0.05)


async def test_a_body_that_comes_at_a_fair_pace_has_its_time(stage, settings):
    settings.BODY_GRACE_SECONDS, settings.BODY_BYTES_PER_SECOND = 0.2, 1000
    member = await stage.member()
    reader, writer = await stage.open()
    writer.write(post(IMAGE, member.key, "Content-Length: 30002"))
    for _ in range(30):
        writer.write(b" " * 1000)
        await asyncio.sleep(0.1)
    writer.write(b"{}")

    assert (await asyncio.wait_for(read_answer(reader), 5))[0] == 200
    writer.close()


async def test_an_upload_that_comes_too_slowly_costs_nothing(stage, settings):
    settings.BODY_GRACE_SECONDS, settings.BODY_BYTES_PER_SECOND = 0.3, 100_000
    member = await stage.member()
    reader, writer = await stage.open()
    writer.write(post(UPLOAD, member.key, "Content-Length: 1000000") + b"x" * 1000)

    assert is_408(await rest(reader, 5))
    writer.close()
    (call,) = await stage.settled(member)
    assert (call["outcome"], call["charged_micros"]) == ("refused", 0)
    assert stage.wallet(member) == (5_000_000, 0)


async def test_a_client_that_does_not_read_its_answer_is_left(stage, settings):
    settings.ANSWER_STALL_SECONDS = 1
    member = await stage.member()
    small = socket.socket()
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    small.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(small, (stage.host, stage.port))
    path = "/proxy/sandbox/v1/stream?bytes=30000000&seconds=0"
    await loop.sock_sendall(small, post(path, member.key, "Content-Length: 2") + b"{}")

    await stage.settled(member)
    got = 0
    with suppress(ConnectionError):
        while part := await asyncio.wait_for(loop.sock_recv(small, 1 << 16), 5):
            got += len(part)
    small.close()
    assert got < 30_000_000


async def test_a_client_that_reads_slowly_but_reads_is_served(stage, settings):
    settings.ANSWER_STALL_SECONDS = 0.5
    member = await stage.member()
    small = socket.socket()
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    small.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(small, (stage.host, stage.port))
    path = "/proxy/sandbox/v1/stream?bytes=8000000&seconds=0"
    await loop.sock_sendall(small, post(path, member.key, "Content-Length: 2") + b"{}")

    got = 0
    while got < 8_000_000:
        part = await asyncio.wait_for(loop.sock_recv(small, 1 << 18), 5)
        assert part, f"it was broken off at {got}"
        got += len(part)
        await asyncio.sleep(0.05)
    small.close()


# --- Numbers ------------------------------------------------------------------------------------


class Peers:
    """Connections of one address of this machine's own network."""

    def __init__(self, stage, address: str = "127.0.0.1") -> None:
        self._stage, self._address = stage, address
        self.all: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def open(self, count: int = 1) -> None:
        for _ in range(count):
            pair = await asyncio.open_connection(
                self._stage.host, self._stage.port, local_addr=(self._address, 0)
            )
            self.all.append(pair)
            await asyncio.sleep(0.005)

    async def ask(self, number: int, sent: bytes = HEALTH) -> int:
        """Ask on one of them; return the status, 0 if it has ended."""
        reader, writer = self.all[number]
        try:
            writer.write(sent)
            return (await asyncio.wait_for(read_answer(reader), 5))[0]
        except (ConnectionError, asyncio.IncompleteReadError):
            return 0

    def close(self) -> None:
        for _, writer in self.all:
            writer.transport.abort()


async def test_where_an_address_has_no_room_its_newest_idle_one_goes(stage, settings, monkeypatch):
    monkeypatch.setattr(crowd, "NEW_SECONDS", 0)
    settings.CONNECTIONS_PER_ADDRESS = 5
    peers, others = Peers(stage, "127.0.0.2"), Peers(stage, "127.0.0.3")
    await others.open()
    await peers.open(5)
    assert await peers.ask(0) == 200

    await peers.open(3)

    assert await peers.ask(7) == 200, "whoever comes is let in"
    assert [await peers.ask(n) for n in range(4)] == [200] * 4, "those that were there stay"
    assert [await peers.ask(n) for n in (4, 5, 6)] == [0] * 3
    assert await others.ask(0) == 200, "no other address pays for it"
    peers.close()
    others.close()


async def test_where_all_are_new_the_one_that_is_idle_the_longest_goes(stage, settings):
    """Else a crowd that comes fast would end whoever was just let in, before it said a word."""
    settings.CONNECTIONS_PER_ADDRESS = 5
    peers = Peers(stage, "127.0.0.2")
    await peers.open(5)
    assert await peers.ask(0) == 200

    await peers.open(3)

    assert [await peers.ask(n) for n in range(8)] == [200, 0, 0, 0, 200, 200, 200, 200]
    peers.close()


async def test_who_is_being_answered_stays(stage, settings):
    settings.CONNECTIONS_PER_ADDRESS = 2
    member = await stage.member()
    peers = Peers(stage, "127.0.0.2")
    await peers.open(2)
    stage.vendor.fail_next("sandbox", "slow=0.8")
    stage.vendor.fail_next("sandbox", "slow=0.8")
    sent = post(IMAGE, member.key, "Content-Length: 2") + b"{}"
    asked = [asyncio.create_task(peers.ask(n, sent)) for n in (0, 1)]
    await asyncio.sleep(0.3)

    await peers.open()
    raw = await rest(peers.all[2][0])

    assert raw.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: " in raw
    assert orjson.loads(raw.partition(b"\r\n\r\n")[2])["error"]["type"] == "service_unavailable"
    assert await asyncio.gather(*asked) == [200, 200]
    assert stage.spent(member) == 2 * CENT
    peers.close()


async def test_where_there_is_no_room_at_all_the_newest_idle_one_goes(stage, settings, monkeypatch):
    monkeypatch.setattr(crowd, "NEW_SECONDS", 0)
    settings.CONNECTIONS = 6
    first, second = Peers(stage, "127.0.0.2"), Peers(stage, "127.0.0.3")
    await first.open(3)
    await second.open(5)

    assert await second.ask(4) == 200
    assert [await first.ask(n) for n in range(3)] == [200] * 3
    first.close()
    second.close()


async def test_room_is_given_back(stage, settings):
    settings.CONNECTIONS_PER_ADDRESS = 3
    for _ in range(5):
        peers = Peers(stage, "127.0.0.2")
        await peers.open(3)
        assert [await peers.ask(n) for n in range(3)] == [200] * 3
        peers.close()
        await asyncio.sleep(0.02)


async def test_a_reverse_proxy_of_ours_has_room_and_its_clients_are_counted(stage, settings):
    settings.CONNECTIONS_PER_ADDRESS = 2
    settings.TRUSTED_PROXIES = ["127.0.0.0/30"]
    member = await stage.member()
    proxy = Peers(stage, "127.0.0.2")
    await proxy.open(5)
    for _ in range(3):
        stage.vendor.fail_next("sandbox", "slow=0.8")

    def asked(address: str) -> bytes:
        lines = [f"X-Forwarded-For: evil, {address}, 127.0.0.1", "Content-Length: 2"]
        return post(IMAGE, member.key, *lines) + b"{}"

    slow = [asyncio.create_task(proxy.ask(n, asked("203.0.113.9"))) for n in (0, 1)]
    await asyncio.sleep(0.3)
    assert await proxy.ask(2, asked("203.0.113.9")) == 429
    assert await proxy.ask(3, asked("203.0.113.8")) == 200
    assert await asyncio.gather(*slow) == [200, 200]
    assert await proxy.ask(4, asked("203.0.113.9")) == 200
    proxy.close()


# --- Memory -------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", ["Content-Length: 20000000", "Transfer-Encoding: chunked"])
async def test_a_large_body_is_not_read_for_an_invented_key(stage, length):
    """Its checksum is right; that it is unknown is said before a byte of the body is asked for."""
    reader, writer = await stage.open()
    writer.write(post(ECHO, invented(), length, "Expect: 100-continue"))

    status, _, raw = await asyncio.wait_for(read_answer(reader), 5)

    assert (status, orjson.loads(raw)["error"]["type"]) == (401, "unauthorized")
    assert memory.held.taken == 0
    writer.close()


async def test_slow_uploads_of_strangers_are_nobody_elses_trouble(stage, settings):
    """18 of them once filled the memory for bodies, and whoever came was told to wait."""
    settings.BODY_MEMORY_BYTES = 4 << 20
    member = await stage.member()
    strangers = [await stage.open() for _ in range(18)]
    for n, (_, writer) in enumerate(strangers):
        length = "Content-Length: 30000000" if n % 2 else "Content-Length: 250000"
        writer.write(post(ECHO, invented(), length) + b" " * 240_000)
    await asyncio.sleep(0.3)

    assert memory.held.taken <= 1 << 20, "a quarter is for any one address"
    body = b'{"prompt": "' + b"x" * 400_000 + b'"}'
    for path in (ECHO, IMAGE):
        answer = await stage.post(path, member, data=body)
        assert answer.status == 200
    refusal = await stage.post(ECHO, headers={"X-API-KEY": invented()}, data=body)
    assert refusal.status == 401
    check_refusal(refusal)
    for _, writer in strangers:
        writer.transport.abort()
    await eventually(lambda: (memory.held.taken, memory.held.of) == (0, {}) or None)
