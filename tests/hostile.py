"""A server on a bare socket that answers as its test says, also as no honest server would."""

from __future__ import annotations

import contextlib
import select
import socket
import socketserver
import threading
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Asked:
    """A request as it came."""

    line: str
    headers: dict[str, str]
    body: bytes
    names: list[str] = field(default_factory=list)


Script = Callable[[socket.socket, Asked], None]


class Server(socketserver.ThreadingTCPServer):
    """Answers each request by the script; remembers what was asked."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, script: Script) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script, self.asked = script, []
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request, client_address):
        """Who hangs up on us is right to."""

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()
        self._thread.join(10)


class _Handler(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.settimeout(30)
        with contextlib.suppress(OSError):
            if (asked := _read(self.request)) is not None:
                self.server.asked.append(asked)
                self.server.script(self.request, asked)


def _read(sock: socket.socket) -> Asked | None:
    got = b""
    while b"\r\n\r\n" not in got:
        if not (more := sock.recv(65536)):
            return None
        got += more
    head, _, body = got.partition(b"\r\n\r\n")
    line, *lines = head.decode("latin-1").split("\r\n")
    pairs = [each.split(": ", 1) for each in lines]
    headers = {name.lower(): value for name, value in pairs}
    while len(body) < int(headers.get("content-length", 0)):
        body += sock.recv(65536)
    return Asked(line, headers, body, [name for name, _ in pairs])


def answer(body: bytes = b"", status: str = "200 OK", **headers: str) -> Script:
    """Answer so, whole."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    named = {"Content-Length": str(len(body)), "Connection": "close", **named}
    head = "".join(f"{name}: {value}\r\n" for name, value in named.items())

    def script(sock, asked):
        sock.sendall(f"HTTP/1.1 {status}\r\n{head}\r\n".encode("latin-1") + body)

    return script


def raw(*parts: bytes, pause: float = 0) -> Script:
    """Send these bytes, with pauses, and hang up."""

    def script(sock, asked):
        for part in parts:
            sock.sendall(part)
            wait_for_end(sock, pause)

    return script


def wait_for_end(sock: socket.socket, seconds: float) -> bool:
    """Wait so long, or until the other side hangs up; True if it did."""
    if seconds <= 0:
        return False
    if select.select([sock], [], [], seconds)[0]:
        if not sock.recv(4096):
            raise ConnectionAbortedError
        return True
    return False


def endless(head: bytes, part: bytes, *, pause: float = 0, most: int = 1 << 31) -> Script:
    """Send a head, and then the same bytes until somebody hangs up."""

    def script(sock, asked):
        sock.sendall(head)
        sent = 0
        while sent < most:
            sock.sendall(part)
            sent += len(part)
            wait_for_end(sock, pause)

    return script


def silent(seconds: float = 30) -> Script:
    """Say nothing until the other side hangs up."""

    def script(sock, asked):
        wait_for_end(sock, seconds)

    return script
