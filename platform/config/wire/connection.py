"""One client's connection: its requests, one after the other, and the times it has for them.

    silent -> head -> body -> answer -> silent ...   what is sent ahead waits for its turn
       |        |       |        |
       |        |       |        '- the client reads nothing:   broken off
       |        |       '---------- it comes too slowly:        408, the end
       |        '------------------ it does not become whole:   408, the end
       '--------------------------- for long, or in the way:    the end

An answer that comes before the request is whole ends the connection: what is left of the body is
read and thrown away, for a while, so that the answer arrives.
"""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import sys
import termios
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import orjson
from uvicorn.protocols.utils import get_local_addr, get_remote_addr

from common import metrics
from common.addresses import household
from common.errors import combined
from config.wire import forwarded, sockets
from config.wire.crowd import Crowd, limits
from config.wire.exchange import HIGH_WATER_BYTES, STATUS, Exchange
from config.wire.http1 import Malformed, Reader

if TYPE_CHECKING:
    from uvicorn.config import Config
    from uvicorn.server import ServerState

    from config.wire.exchange import Message
    from config.wire.http1 import Head

_crowds: weakref.WeakKeyDictionary[ServerState, Crowd] = weakref.WeakKeyDictionary()
_ASGI = {"version": "3.0", "spec_version": "2.3"}
RESET = struct.pack("ii", 1, 0)
LEFT_OF_A_BODY_BYTES = 1 << 30
LEFT_OF_ANYTHING_BYTES = 256 << 10


class Connection(asyncio.Protocol):
    """What uvicorn makes for each client."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.loop = _loop or asyncio.get_running_loop()
        self.is_last = False
        """Whether the server stops: no request follows the current one."""
        self.since = 0.0
        """When it became silent, or its next head began."""
        self.address: str | None = None
        """Which address it counts for; None for a reverse proxy of ours."""
        self._application = config.loaded_app
        self._state = server_state
        self._crowd = _crowds.setdefault(server_state, Crowd())
        self._reader = Reader()
        self._exchange: Exchange | None = None
        self._is_first = True
        self._head_began = False
        self._is_paused = False
        self._drained: asyncio.Future[None] | None = None
        self._unsent: tuple[float, int] = (0.0, 0)
        self._closing_since = 0.0
        self._skippable = 0
        self._inner: asyncio.Protocol | None = None
        """What speaks a websocket with the client, once it asked for one."""
        self._inner_for = ""

    # --- what the transport says ----------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        """Let it in, if there is room."""
        self.transport = transport
        self._peer = get_remote_addr(transport)
        self._local = get_local_addr(transport)
        self._is_ours = self._peer is not None and forwarded.is_ours(self._peer[0])
        if not self._is_ours:
            self.address = household(self._peer[0]) if self._peer else ""
        self.since = self.loop.time()
        self._state.connections.add(self)  # type: ignore[arg-type]
        if not self._crowd.enter(self):
            sentence = "There are too many connections. Please try again."
            self.write(_refusal(503, "service_unavailable", sentence))
            self.give_way()
            metrics.REFUSALS.labels("connections").inc()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever answers, or waits to write."""
        self._state.connections.discard(self)
        self._crowd.leave(self)
        self.resume_writing()
        self._let_go()
        if self._inner is not None:
            self._inner.connection_lost(exc)
        if self._inner_for:
            self._crowd.end(self._inner_for)

    def data_received(self, data: bytes) -> None:
        """Read on."""
        if self._inner is not None:
            self._inner.data_received(data)
            return
        if self._closing_since:
            self._skip(len(data))
            return
        self._reader.feed(data)
        try:
            self._advance()
        except Malformed as exc:
            self.refuse(exc.status, "invalid_request", str(exc), counted="malformed")

    def _skip(self, size: int) -> None:
        """Read past what is left of a body; past what is no request only a little."""
        self._skippable -= size
        if self._skippable < 0:
            self.transport.abort()

    def eof_received(self) -> None:
        """Close: a client that has said all is one that left, whether or not it reads on."""

    def pause_writing(self) -> None:
        """Note that the client does not read as fast as it is written to."""
        if self._inner is not None:
            self._inner.pause_writing()
        self._drained = self.loop.create_future()
        self._unsent = (self.loop.time(), self._count_unsent())

    def resume_writing(self) -> None:
        """Wake who waits for it."""
        if self._inner is not None and self._drained is not None:
            self._inner.resume_writing()
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        self._drained = None

    # --- its requests ---------------------------------------------------------------------------

    def _advance(self) -> None:
        reader = self._reader
        while True:
            exchange = self._exchange
            if exchange is None:
                head = reader.head()
                if head is None:
                    if reader.pending and not self._head_began:
                        self._head_began, self.since = True, self.loop.time()
                    return
                self._begin(head)
                if self._exchange is None:
                    return  # It was refused, or is a websocket from here on.
            elif not exchange.whole:
                part = reader.body()
                if not exchange.take(part, whole=reader.done):
                    self._pause()
                if not reader.done:
                    return
            else:
                if reader.pending > HIGH_WATER_BYTES:
                    self._pause()
                return

    def _begin(self, head: Head) -> None:
        self._head_began = self._is_first = False
        path = head.path.decode("ascii")
        scope: Message = {
            "type": "http",
            "asgi": _ASGI,
            "http_version": head.version,
            "method": head.method,
            "scheme": "http",
            "path": unquote(path) if "%" in path else path,
            "raw_path": head.path,
            "query_string": head.query,
            "root_path": "",
            "headers": head.headers,
            "client": self._peer,
            "server": self._local,
        }
        if sockets.is_wanted(head) and not self._reader.pending:
            self._hand_over(head, scope)
            return
        exchange = self._exchange = Exchange(self, head, scope)
        if self._is_ours:
            if not (address := self._let_in(scope)):
                return
            exchange.forwarded_for = address
        exchange.task = self.loop.create_task(exchange.run(self._application))
        self._state.tasks.add(exchange.task)

    def _hand_over(self, head: Head, scope: Message) -> None:
        """Have a websocket be spoken from here on."""
        if self._is_ours:
            if not (address := self._let_in(scope)):
                return
            self._inner_for = address
        client = scope["client"][0] if scope["client"] else ""
        self._inner = sockets.protocol(head, client)
        self._inner.connection_made(self.transport)
        self._inner.data_received(sockets.written(head))

    def _let_in(self, scope: Message) -> str:
        """Believe a proxy of ours; return for which address it asks, empty if that was refused."""
        forwarded.believe(scope)
        scope["forwarded"] = True
        address = household(scope["client"][0])
        if self._crowd.begin(address):
            return address
        sentence = "There are too many requests from your address at once."
        self.refuse(429, "rate_limited", sentence, counted="connections")
        return ""

    def finished(self, task: asyncio.Task[None]) -> None:
        """Forget the task of a request: a server that stops does not wait for it any more."""
        self._state.tasks.discard(task)

    def answered(self) -> None:
        """Go on behind an answer that is complete."""
        exchange = self._exchange
        assert exchange is not None, "an answer has a request"
        self._state.total_requests += 1
        self._let_go()
        self.since = self.loop.time()
        if not exchange.keep_alive or self.is_last:
            rest = not exchange.whole or self._reader.pending
            self._end(linger=LEFT_OF_A_BODY_BYTES if rest else 0)
            return
        self.read_on()
        if self._reader.pending:
            self.data_received(b"")

    def _let_go(self) -> None:
        """Have no request any more; one that is not answered yet has nobody to answer."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            if not exchange.complete:
                exchange.leave()
            if exchange.forwarded_for:
                self._crowd.end(exchange.forwarded_for)

    # --- reading and writing --------------------------------------------------------------------

    def read_on(self) -> None:
        """Read from the client again."""
        if self._is_paused:
            self._is_paused = False
            self.transport.resume_reading()

    def _pause(self) -> None:
        if not self._is_paused:
            self._is_paused = True
            self.transport.pause_reading()

    def write(self, data: bytes) -> None:
        """Give the transport something to send."""
        self.transport.write(data)

    @property
    def is_full(self) -> bool:
        """Whether what was written waits for the client to read."""
        return self._drained is not None

    async def drained(self) -> None:
        """Return when it has read nearly all, or is gone."""
        if self._drained is not None:
            await asyncio.shield(self._drained)

    # --- its end --------------------------------------------------------------------------------

    def refuse(self, status: int, code: str, sentence: str, *, counted: str) -> None:
        """Answer in the application's place, in the shape that every client reads, and end."""
        metrics.REFUSALS.labels(counted).inc()
        if self._exchange is not None and self._exchange.begun:
            self.break_off()
            return
        self._let_go()
        self.write(_refusal(status, code, sentence))
        self._end(linger=LEFT_OF_ANYTHING_BYTES)

    def break_off(self) -> None:
        """End in the middle of an answer, so that the client sees that it is not whole."""
        if self._exchange is not None and self._exchange.ends_with_connection:
            if (own := self.transport.get_extra_info("socket")) is not None:
                own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self.transport.abort()
        self._let_go()
        self._end(linger=0)

    def shutdown(self) -> None:
        """Let what is being answered be the last: the server stops."""
        self.is_last = True
        if self._inner is not None:
            self.transport.close()
        elif self._exchange is None:
            self._end(linger=0)

    def give_way(self) -> None:
        """End at once: the place is needed."""
        self._crowd.leave(self)
        self._end(linger=0)

    def _end(self, *, linger: int) -> None:
        """Send what was written, and close, having read so many bytes more.

        Closing on bytes that were not read would reset the connection, and the client would lose
        the answer: so one lingers, until the client closes too, or for as long as `check` says.
        """
        self._closing_since, self._skippable = self.loop.time(), linger
        if linger and self.transport.can_write_eof() and not self.transport.is_closing():
            self.read_on()
            self.transport.write_eof()
        else:
            self.transport.close()

    # --- its times ------------------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """Whether it could end without anybody's loss."""
        return self._exchange is None and self._inner is None and not self._closing_since

    def check(self, now: float) -> None:
        """End it if its time is over; looked at once a second."""
        exchange = self._exchange
        if self.is_full:
            self._check_stall(now)
        elif self._inner is not None:
            return  # It asks its client for a sign of life by itself.
        elif self._closing_since:
            unsent = self.transport.get_write_buffer_size()
            most = limits().stall_seconds if unsent else limits().drain_seconds
            if now - self._closing_since > most:
                self.transport.abort()
        elif exchange is None:
            self._check_silence(now - self.since)
        elif exchange.asking_since:
            self._check_pace(exchange, exchange.waited + now - exchange.asking_since)

    def _check_silence(self, seconds: float) -> None:
        if self._head_began and seconds > limits().head_seconds:
            sentence = "The request's head did not become whole in time."
            self.refuse(408, "request_timeout", sentence, counted="slow")
        elif seconds > (limits().head_seconds if self._is_first else limits().keep_alive_seconds):
            self._end(linger=0)

    def _check_pace(self, exchange: Exchange, waited: float) -> None:
        """End a request whose body comes more slowly than it may, by the time one waited for it."""
        most = limits()
        due = (waited - most.body_grace_seconds) * most.body_bytes_per_second
        if due > exchange.received:
            sentence = "The request's body comes too slowly."
            self.refuse(408, "request_timeout", sentence, counted="slow")

    def _count_unsent(self) -> int:
        """Return how many bytes the client has not taken yet, the system's own buffer included.

        That can hold megabytes, and takes more only once much of it is gone.
        """
        size: int = self.transport.get_write_buffer_size()
        own = self.transport.get_extra_info("socket")
        with suppress(OSError, ValueError):  # Not every system tells, and nobody who is gone.
            answer = fcntl.ioctl(own.fileno(), termios.TIOCOUTQ, bytes(4))
            size += int.from_bytes(answer, sys.byteorder)
        return size

    def _check_stall(self, now: float) -> None:
        """Break off if the client takes nothing of its answer, or next to nothing."""
        since, unsent = self._unsent
        if now - since > limits().stall_seconds:
            left = self._count_unsent()
            if unsent - left < limits().stall_bytes:
                metrics.REFUSALS.labels("stalled").inc()
                self.transport.abort()
            self._unsent = (now, left)


def _refusal(status: int, code: str, sentence: str) -> bytes:
    body = orjson.dumps(combined(sentence, code))
    retry = b"retry-after: 2\r\n" if status in (429, 503) else b""
    return (
        STATUS[status]
        + b"content-type: application/json\r\nx-content-type-options: nosniff\r\n"
        + b"access-control-allow-origin: *\r\n"
        + b"content-length: %d\r\n" % len(body)
        + retry
        + b"connection: close\r\n\r\n"
        + body
    )
