"""One request and its answer, as ASGI has them: the application reads the one, writes the other.

The head of an answer waits for the first part of its body, at most until the current turn of the
loop is over: one write, one packet, one awakening of the client. A part is handed to the transport
at once, and `send` returns when the client has taken nearly all: so what an application counts for
an answer's memory is what it takes.
"""

from __future__ import annotations

import asyncio
import http
import logging
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from config.wire.connection import Connection
    from config.wire.http1 import Head

    Message = MutableMapping[str, Any]
    Application = Callable[..., Awaitable[None]]

log = logging.getLogger("config.wire")
HIGH_WATER_BYTES = 64 << 10
"""So much of a body waits for the application; then its client waits."""
JOINED_BYTES = 64 << 10
"""Up to this a part is copied behind its head."""
_GOOD = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+: [^\x00-\x08\x0a-\x1f\x7f]*\r\n")
_CONTROLS = bytes(each for each in (*range(32), 127) if each not in b"\t\r\n")
_OURS = frozenset((b"connection", b"keep-alive", b"transfer-encoding", b"upgrade", b"trailer"))
"""How an answer is framed is decided here."""
STATUS = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode()
    for status in http.HTTPStatus
}


class Exchange:
    """One request and its answer."""

    __slots__ = (
        "_bodiless",
        "_body",
        "_chunked",
        "_connection",
        "_expects_continue",
        "_head",
        "_left",
        "_told",
        "_waiting",
        "asking_since",
        "begun",
        "complete",
        "forwarded_for",
        "gone",
        "keep_alive",
        "received",
        "scope",
        "task",
        "waited",
        "whole",
    )

    def __init__(self, connection: Connection, head: Head, scope: Message) -> None:
        self.scope = scope
        self.whole = head.length == 0
        """Whether the body came to its end."""
        self.received = 0
        self.waited = 0.0
        """Seconds that the application waited for the body so far, and since when it does now."""
        self.asking_since = 0.0
        self.gone = False
        """Whether there is nobody any more to answer."""
        self.begun = False
        self.complete = False
        """Whether the answer was given whole."""
        self.keep_alive = head.keep_alive
        self.task: asyncio.Task[None] = None  # type: ignore[assignment]  # Known once it runs.
        self.forwarded_for = ""
        """The address that counts it, if it came through a reverse proxy of ours."""
        self._connection = connection
        self._expects_continue = head.expects_continue
        self._body: list[bytes] = []
        self._told = False
        """Whether the application was told of the body's end."""
        self._waiting: list[asyncio.Future[None]] = []
        """Several may: the one who reads the body, the one who watches for the end."""
        self._head = b""
        self._left: int | None = None
        """Bytes of the answer that its length leaves; None where it has none."""
        self._chunked = False
        self._bodiless = scope["method"] == "HEAD"

    async def run(self, application: Application) -> None:
        """Let the application answer; what it leaves undone ends the connection."""
        try:
            await application(self.scope, self.receive, self.send)
        except Exception:
            log.exception("the application failed")
        finally:
            self._connection.finished(self.task)
        if self.complete or self.gone:
            return
        if self.begun:
            self._connection.break_off()
        else:
            log.error("the application gave no answer")
            sentence = "Something went wrong here. Nothing is charged for it."
            self._connection.refuse(500, "internal", sentence, counted="internal")

    # --- the request ----------------------------------------------------------------------------

    def take(self, part: bytes, *, whole: bool) -> bool:
        """Take what came of the body; False if no more of it can be kept at the moment."""
        self.received += len(part)
        self.whole = whole
        if self.complete or self.gone:
            return True
        if part:
            self._body.append(part)
        self._wake()
        return whole or not self._body or sum(map(len, self._body)) <= HIGH_WATER_BYTES

    def leave(self) -> None:
        """Note that nobody waits for the answer any more."""
        self.gone = True
        self._wake()

    def _wake(self) -> None:
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for each in waiting:
                if not each.done():
                    each.set_result(None)

    async def receive(self) -> Message:
        """Give the application what came since, or wait; at last, that the client left.

        Behind the body it waits until the answer is complete, or the client left.
        """
        while True:
            if self.gone or self.complete:
                return {"type": "http.disconnect"}
            if self._body or (self.whole and not self._told):
                parts, self._body = self._body, []
                self._told = self.whole
                body = parts[0] if len(parts) == 1 else b"".join(parts)
                self._connection.read_on()
                return {"type": "http.request", "body": body, "more_body": not self.whole}
            await self._next()

    async def _next(self) -> None:
        """Wait for a part, the end of the answer, or of the connection."""
        connection = self._connection
        if self._expects_continue and not self.whole and not self.begun:
            connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._expects_continue = False
        connection.read_on()
        future = connection.loop.create_future()
        self._waiting.append(future)
        if self.whole:
            await future
            return
        self.asking_since = connection.loop.time()
        try:
            await future
        finally:
            self.waited += connection.loop.time() - self.asking_since
            self.asking_since = 0.0

    @property
    def ends_with_connection(self) -> bool:
        """Whether only the connection's end says that the answer is whole: for HTTP/1.0."""
        return self.begun and not (self._bodiless or self._chunked or self._left is not None)

    # --- the answer -----------------------------------------------------------------------------

    async def send(self, message: Message) -> None:
        """Write a part of the answer; returns when the client has taken nearly all of it."""
        if self.gone:
            return
        if message["type"] == "http.response.start":
            assert not self.begun, "an answer has one head"
            self.begun = True
            self._head = self._make_head(message["status"], message.get("headers", ()))
            self._connection.loop.call_soon(self._send_head)
            return
        assert self.begun, "an answer begins with its head"
        assert not self.complete, "an answer ends once"
        more = message.get("more_body", False)
        self._write(message.get("body", b""), last=not more)
        if self._connection.is_full:
            await self._connection.drained()
        if not more and not self.gone:
            self._end()

    def _end(self) -> None:
        if self._left:
            log.error("an answer was shorter than its Content-Length")
            self._connection.break_off()
            return
        self.complete = True
        self._wake()
        self._connection.answered()

    def _make_head(self, status: int, headers: Any) -> bytes:
        """Return the head, framed as the client's version understands it."""
        lines = [STATUS.get(status) or b"HTTP/1.1 %d \r\n" % status]
        length: int | None = None
        for name, value in headers:
            name = name.lower()
            if name == b"content-length":
                if status == 204 or not value.isdigit():
                    continue
                length = int(value)
            elif name in _OURS:
                self.keep_alive = self.keep_alive and value.lower() != b"close"
                continue
            lines.append(name + b": " + value + b"\r\n")
        if framing := self._frame(status, length):
            lines.append(framing)
        head = b"".join(lines)
        if head.count(b"\n") != len(lines) or len(head.translate(None, _CONTROLS)) != len(head):
            head = b"".join([lines[0], *filter(_GOOD.fullmatch, lines[1:])])
            log.error("a header of an answer cannot be sent, and was left out")
        return head + (b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n")

    def _frame(self, status: int, length: int | None) -> bytes:
        """Decide how the answer's end is told; return the header that says it, if one does."""
        if not self.whole or self._connection.is_last:
            self.keep_alive = False  # What is left of the body is not what follows.
        if self._bodiless or status in (204, 304):
            self._bodiless = True
        elif length is not None:
            self._left = length
        elif self.scope["http_version"] == "1.1":
            self._chunked = True
            return b"transfer-encoding: chunked\r\n"
        else:
            self.keep_alive = False
        return b""

    def _send_head(self) -> None:
        if self._head and not self.gone:
            head, self._head = self._head, b""
            self._connection.write(head)

    def _write(self, body: bytes, *, last: bool) -> None:
        size = len(body)
        head, self._head = self._head, b""
        if self._bodiless:
            body = b""
        elif self._chunked:
            if size > JOINED_BYTES:
                self._connection.write(head + b"%x\r\n" % size)
                self._connection.write(body)
                head, body = b"", b"\r\n"
            elif size:
                body = b"%x\r\n%b\r\n" % (size, body)
            if last:
                body += b"0\r\n\r\n"
        elif self._left is not None:
            self._left -= size
            assert self._left >= 0, "an answer is not longer than its Content-Length"
        if head and len(body) > JOINED_BYTES:
            self._connection.write(head)
            head = b""
        if head or body:
            self._connection.write(head + body)
