"""The stage of the proxy's tests: our application on a real port, the sandbox behind it, members.

Everything is committed and nothing is cleaned: each test makes its own members. When a member
leaves the stage, their books are proved.
"""

from __future__ import annotations

import asyncio
import re
import socket
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import aiohttp
import orjson
import psycopg
import uvicorn
from aiohttp import web
from django.db import connections, transaction
from psycopg.rows import dict_row
from yarl import URL

from sandbox.far_side import FarSide

T = TypeVar("T")
VENDOR_KEY = "vendor-secret-4711"
ULTRA = "/proxy/bfl/flux-pro-1.1-ultra/generate"
IMAGE = "/proxy/sandbox/v1/image"
ECHO = "/proxy/sandbox/v1/echo"
STREAM = "/proxy/sandbox/v1/stream"
CENT = 10_000
PATIENCE_SECONDS = 60
"""Only what hangs takes so long: others work on the machine of a test, too."""
ULTRA_MICROS = 60_000
NEVER_IN_A_BODY = re.compile(
    rf"{VENDOR_KEY}|x-key|account to|Insufficient credits|Invalid authentication|"
    r"Not authenticated|Too many active|comfyui-[0-9a-f]{64}|Traceback",
    re.I,
)


@dataclass(frozen=True)
class Member:
    key: str
    workspace: str
    user: str
    key_id: str

    @property
    def headers(self) -> dict[str, str]:
        return {"X-API-KEY": self.key}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        parsed: dict[str, Any] = orjson.loads(self.body)
        return parsed

    @property
    def type(self) -> str:
        return str(self.json()["error"]["type"])


@dataclass
class Stage:
    """What a test sees."""

    host: str
    port: int
    vendor: FarSide
    db: psycopg.Connection[dict[str, Any]]
    session: aiohttp.ClientSession
    application: Any
    members: list[Member] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    # --- people -------------------------------------------------------------------------------

    async def member(self, micros: int = 5_000_000, **options: Any) -> Member:
        member = await in_thread(lambda: _sign_up(micros, options))
        self.members.append(member)
        return member

    def wallet(self, member: Member) -> tuple[int, int]:
        """Return balance and held micros."""
        row = self.row(
            "SELECT balance_micros, held_micros FROM credits_account WHERE id = %s",
            member.workspace,
        )
        return row["balance_micros"], row["held_micros"]

    def spent(self, member: Member) -> int:
        rows = self.rows(
            "SELECT coalesce(sum(amount_micros), 0)::bigint AS sum FROM credits_entry"
            " WHERE debit_id = %s AND kind = 'call'",
            member.workspace,
        )
        return int(rows[0]["sum"])

    def calls(self, member: Member) -> list[dict[str, Any]]:
        return self.rows(
            "SELECT * FROM usage_call WHERE workspace_id = %s ORDER BY number", member.workspace
        )

    def holds(self, member: Member) -> list[dict[str, Any]]:
        return self.rows("SELECT * FROM credits_hold WHERE account_id = %s", member.workspace)

    # --- SQL ----------------------------------------------------------------------------------

    def rows(self, sql: str, *parameters: Any) -> list[dict[str, Any]]:
        return self.db.execute(sql, parameters).fetchall()

    def row(self, sql: str, *parameters: Any) -> dict[str, Any]:
        (row,) = self.rows(sql, *parameters)
        return row

    def do(self, sql: str, *parameters: Any) -> None:
        self.db.execute(sql, parameters)

    def over(self, member: Member) -> None:
        """Let the time of all that this member has running be over."""
        self.do(
            "UPDATE credits_hold SET placed_at = now() - interval '2 days',"
            " expires_at = now() - interval '1 minute' WHERE account_id = %s",
            member.workspace,
        )
        self.do(
            "UPDATE proxy_job SET deadline_at = now() - interval '1 minute', next_poll_at = now()"
            " WHERE workspace_id = %s AND ended_at IS NULL",
            member.workspace,
        )

    def due(self, member: Member) -> None:
        self.do(
            "UPDATE proxy_job SET next_poll_at = now() - interval '1 day' WHERE workspace_id = %s",
            member.workspace,
        )

    def aged(self, member: Member, minutes: int = 2) -> None:
        """Let a member's jobs be so many minutes old, and not asked for lately."""
        self.do(
            "UPDATE proxy_job SET created_at = now() - %s * interval '1 minute', asked_at = NULL"
            " WHERE workspace_id = %s",
            minutes,
            member.workspace,
        )

    # --- HTTP ---------------------------------------------------------------------------------

    async def ask(
        self,
        method: str,
        path: str,
        *,
        by: Member | None = None,
        json: Any = None,
        data: Any = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        url = URL(path if path.startswith("http") else self.url + path, encoded=True)
        given = {**(by.headers if by else {}), **(headers or {})}
        async with self.session.request(
            method, url, json=json, data=data, headers=given
        ) as response:
            body = await response.read()
            if str(url).startswith(self.url):
                assert response.headers["X-Content-Type-Options"] == "nosniff"
            return Answer(
                response.status, {k.lower(): v for k, v in response.headers.items()}, body
            )

    async def post(self, path: str, by: Member | None = None, **rest: Any) -> Answer:
        return await self.ask("POST", path, by=by, **rest)

    async def get(self, path: str, by: Member | None = None, **rest: Any) -> Answer:
        return await self.ask("GET", path, by=by, **rest)

    async def poll_until_end(self, url: str, by: Member | None = None) -> Answer:
        end = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while asyncio.get_running_loop().time() < end:
            answer = await self.get(url, by)
            if answer.status != 200 or answer.json()["status"] != "Pending":
                return answer
            await asyncio.sleep(0.05)
        raise AssertionError("the job did not end")

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self.host, self.port)

    async def raw(
        self, sent: bytes, *, seconds: float = PATIENCE_SECONDS
    ) -> tuple[int, dict[str, str], bytes]:
        """Send these bytes and nothing else; return the parts of the first answer."""
        reader, writer = await self.open()
        try:
            writer.write(sent)
            return await asyncio.wait_for(read_answer(reader), seconds)
        finally:
            writer.close()

    async def leave(self, sent: bytes, *, after: float) -> None:
        """Send these bytes, and hang up without reading anything."""
        _, writer = await self.open()
        writer.write(sent)
        await writer.drain()
        await asyncio.sleep(after)
        writer.transport.abort()

    def request(self, path: str, body: bytes, member: Member, *more: str) -> bytes:
        """Return the bytes of a POST of JSON."""
        lines = [
            f"POST {path} HTTP/1.1",
            f"Host: {self.host}:{self.port}",
            f"X-API-KEY: {member.key}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            *more,
        ]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    async def settled(self, member: Member, calls: int = 1) -> list[dict[str, Any]]:
        """Wait until so many calls of a member are written."""
        return await eventually(
            lambda: found if len(found := self.calls(member)) >= calls else None
        )

    # --- proof --------------------------------------------------------------------------------

    def prove(self, member: Member) -> None:
        """The wallet is the sum of its entries and of its holds; calls say the same."""
        with self.db.transaction():
            # One moment: what failed may still be written meanwhile.
            self.db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            self._prove(member)

    def _prove(self, member: Member) -> None:
        balance, held = self.wallet(member)
        moved = self.row(
            "SELECT coalesce(sum(CASE WHEN credit_id = %s THEN amount_micros"
            " ELSE -amount_micros END), 0)::bigint AS sum FROM credits_entry"
            " WHERE credit_id = %s OR debit_id = %s",
            *([member.workspace] * 3),
        )["sum"]
        assert balance == moved
        assert held == sum(hold["amount_micros"] for hold in self.holds(member))
        assert 0 <= held <= balance
        calls = self.calls(member)
        assert sum(call["charged_micros"] for call in calls) == self.spent(member)
        assert len({call["id"] for call in calls}) == len(calls)


async def eventually(look: Callable[[], T | None], *, seconds: float = PATIENCE_SECONDS) -> T:
    end = asyncio.get_running_loop().time() + seconds
    while True:
        if (found := look()) is not None:
            return found
        assert asyncio.get_running_loop().time() < end, "it did not come about"
        await asyncio.sleep(0.02)


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {}
    for line in head[1:]:
        if line:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
    if "content-length" in headers:
        body = await reader.readexactly(int(headers["content-length"]))
    elif headers.get("transfer-encoding") == "chunked":
        body = b""
        while size := int(await reader.readline(), 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readexactly(2)
    else:
        body = await reader.read()
    return int(head[0].split()[1]), headers, body


async def in_thread(work: Callable[[], T]) -> T:
    """Run Django's synchronous code, and leave no connection behind in the thread."""

    def run() -> T:
        try:
            return work()
        finally:
            connections.close_all()

    return await asyncio.to_thread(run)


def _sign_up(micros: int, options: dict[str, Any]) -> Member:
    from accounts.signup import sign_up
    from apikeys import keys
    from credits.gifts import grants
    from credits.models import Account

    with transaction.atomic():
        user = sign_up(email=f"{uuid.uuid4().hex}@example.org")
        workspace = user.personal_workspace
        if micros:
            wallet = Account.objects.get(pk=workspace.pk)
            grants.grant(wallet=wallet, amount=micros, key=str(uuid.uuid4()), reason="a test")
        key, record = keys.issue(workspace_id=workspace.pk, user_id=user.pk, name="test")
        for name, value in options.items():
            setattr(record, name, value)
        if options:
            record.save()
    return Member(key, str(workspace.pk), str(user.pk), str(record.pk))


@asynccontextmanager
async def serving(application: Any) -> AsyncIterator[tuple[str, int]]:
    """Serve an ASGI application as config.web does, in this loop, on a free port."""
    from config.wire.connection import Connection

    config = uvicorn.Config(
        application,
        http=Connection,
        lifespan="on",
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        proxy_headers=False,
    )
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    door = socket.create_server(("127.0.0.1", 0), backlog=1024)
    await server.startup(sockets=[door])
    try:
        yield door.getsockname()
    finally:
        for listener in server.servers:
            listener.close()
        for connection in list(server.server_state.connections):
            connection.shutdown()
        end = asyncio.get_running_loop().time() + 15
        while server.server_state.tasks and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.005)
        for connection in list(server.server_state.connections):
            connection.transport.close()
        await server.lifespan.shutdown()


@asynccontextmanager
async def answering(handler: Callable[[web.Request], Any]) -> AsyncIterator[str]:
    """Be a vendor that answers whatever `handler` says; yields its base URL."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def connect() -> psycopg.Connection[dict[str, Any]]:
    settings = connections["default"].settings_dict
    options = {k: v for k, v in settings["OPTIONS"].items() if k not in ("pool", "context")}
    named = {
        "dbname": settings["NAME"],
        "user": settings["USER"],
        "password": settings["PASSWORD"],
        "host": settings["HOST"],
        "port": settings["PORT"],
    }
    given = {name: value for name, value in named.items() if value}
    return psycopg.connect(**given, **options, autocommit=True, row_factory=dict_row)


def check_refusal(answer: Answer) -> None:
    """Every refusal has the combined body, and says nothing that is not the member's."""
    body = answer.json()
    sentence = body["message"]
    assert isinstance(sentence, str)
    assert sentence
    assert body["error"]["message"] == sentence
    assert body["detail"] == {"message": sentence}
    assert "message" not in body["error"]["type"]
    assert answer.headers["content-type"] == "application/json"
    assert not NEVER_IN_A_BODY.search(answer.body.decode())
    for name in ("set-cookie", "server", "x-key", "authorization"):
        assert name not in answer.headers
    challenge = "ApiKey" if answer.status == 401 else None
    assert answer.headers.get("www-authenticate") == challenge
    assert answer.headers["access-control-allow-origin"] == "*"
