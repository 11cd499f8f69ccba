"""uvicorn's HTTP protocol, with an answer's head and body in one write.

uvicorn writes the head at once, and uvloop sends each write at once: two system calls, two packets
and two awakenings of the client for each call of a node. What is written in one turn of the loop
is joined here. Flow control stays the transport's own: it is given the joined bytes in the same
turn.

And a head has an end: uvicorn gathers one of any length, in memory, from anybody.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_LIMIT_BYTES = 64 << 10


class Gathered(HttpToolsProtocol):
    """One write for each turn of the loop; at most so many bytes of a head, or behind a body."""

    _bare = 0
    """Bytes that came since there was a part of a body, or a request was whole."""

    def connection_made(self, transport: Any) -> None:
        """Stand between uvicorn and its transport."""
        super().connection_made(Gathering(transport))  # type: ignore[arg-type]

    def data_received(self, data: bytes) -> None:
        """Read on; hang up on what is neither a body nor ever a whole head."""
        self._bare += len(data)
        super().data_received(data)
        if self._bare > HEAD_LIMIT_BYTES and not self.transport.is_closing():
            if self.cycle is None or self.cycle.response_complete:
                self.send_400_response("The head of the request is too long.")
            else:
                self.transport.abort()

    def on_body(self, body: bytes) -> None:
        """See uvicorn's."""
        self._bare = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """See uvicorn's."""
        self._bare = 0
        super().on_message_complete()


class Gathering:
    """A transport that writes what it was given once the current turn is over."""

    __slots__ = ("_call_soon", "_parts", "_transport", "get_extra_info", "is_closing",
                 "pause_reading", "resume_reading", "set_protocol")  # fmt: skip

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._parts: list[bytes] = []
        self._call_soon = asyncio.get_running_loop().call_soon
        self.get_extra_info = transport.get_extra_info
        self.is_closing = transport.is_closing
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading
        self.set_protocol = transport.set_protocol

    def write(self, data: bytes) -> None:
        """Have it sent at the end of this turn, behind what was given before."""
        if not self._parts:
            self._call_soon(self._send)
        self._parts.append(data)

    def close(self) -> None:
        """Close once everything was sent."""
        self._send()
        self._transport.close()

    def abort(self) -> None:
        """Close now."""
        self._parts.clear()
        self._transport.abort()

    def _send(self) -> None:
        if self._parts:
            joined, self._parts = b"".join(self._parts), []
            self._transport.write(joined)
