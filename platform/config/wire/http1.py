r"""HTTP/1.1 requests, read strictly: bytes in, heads and bodies out. No socket, no clock.

Two programs that read the same bytes as different requests are how one member's request ends up in
another's. So what RFC 9112 lets a server repair is refused here instead: a bare line feed, a folded
line, a blank before a colon, two lengths, a length beside a coding. And what only asks for
something is ignored: an `Upgrade` (RFC 9110 7.8), a trailer.

    head -> (Content-Length) length -------------------------------.
      ^  \-> (chunked) size -> data -> size ... -> 0 -> trailer ---> done
      '-----------------------------------------------------------'
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv6Address

HEAD_LIMIT_BYTES = 64 << 10
HEADERS_LIMIT = 128
TRAILER_LIMIT_BYTES = 16 << 10
CHUNK_LINE_LIMIT_BYTES = 4 << 10
NAME_LIMIT_BYTES = 256
LENGTH_LIMIT_DIGITS = 15

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = rb"[^\x00-\x08\x0a-\x1f\x7f]*"
_REQUEST = re.compile(rb"([A-Z]{1,20}) ([!-~]+) HTTP/1\.([01])\r\n")
_LINES = re.compile(rb"(?:" + _TOKEN.pattern + rb":" + _VALUE + rb"\r\n)*")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;" + _VALUE + rb")?\r\n")
_BARE = re.compile(rb"(?<!\r)\n|\r(?=[^\n])")
_EMPTY = re.compile(rb"(?:\r\n)*")
_HOST = re.compile(rb"(?:[A-Za-z0-9._~-]+|\[([0-9A-Fa-f:.]+)\])(?::([0-9]{1,5}))?")

_CONTROLS = bytes(each for each in (*range(32), 127) if each not in b"\t\r\n")

ONCE = frozenset(
    (
        b"authorization",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"expect",
        b"host",
        b"idempotency-key",
        b"transfer-encoding",
        b"x-api-key",
    )
)
"""Of these a second one would leave it open which counts."""


class Malformed(Exception):
    """These bytes are no request; whatever follows them cannot be read either."""

    def __init__(self, sentence: str, status: int = 400) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(slots=True)
class Head:
    """The head of one request. Names are in lower case; `length` is None for a chunked body."""

    method: str
    path: bytes
    query: bytes
    version: str
    headers: list[tuple[bytes, bytes]]
    length: int | None
    keep_alive: bool
    expects_continue: bool


class Reader:
    """Takes bytes as they come, however they were cut; gives each request's head, then its body."""

    __slots__ = ("_buffer", "_left", "_scanned", "_step", "done")

    def __init__(self) -> None:
        self._buffer = b""
        self._scanned = 0
        self._left = 0
        self._step: Step | None = None
        """What a chunked body goes on with; None where the body has a length."""
        self.done = True
        """Whether the body of the last head was given whole."""

    @property
    def pending(self) -> int:
        """How many bytes wait to be read."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Take what came."""
        self._buffer = self._buffer + data if self._buffer else data

    def head(self) -> Head | None:
        """Return the next head once it is whole, else None; raise Malformed if it never will be."""
        buffer = self._buffer
        if buffer.startswith(b"\r\n"):  # Some clients end a body with an empty line.
            self._buffer = buffer = buffer[_EMPTY.match(buffer).end() :]  # type: ignore[union-attr]
            self._scanned = 0
        end = buffer.find(b"\r\n\r\n", self._scanned)
        if end < 0:
            _check_beginning(buffer, self._scanned)
            self._scanned = max(0, len(buffer) - 3)
            return None
        if end > HEAD_LIMIT_BYTES:
            raise _too_long()
        head = _parse(buffer, end + 2)
        self._buffer, self._scanned = buffer[end + 4 :], 0
        self._left = head.length or 0
        self._step = Reader._size if head.length is None else None
        self.done = head.length == 0
        return head

    def body(self) -> bytes:
        """Return what came of the body; `done` says whether that was its end."""
        if self._step is None:
            buffer, left = self._buffer, self._left
            part, self._buffer = (buffer, b"") if len(buffer) <= left else _cut(buffer, left)
            self._left = left - len(part)
            self.done = not self._left
            return part
        parts: list[bytes] = []
        at: int | None = 0
        while at is not None and not self.done:
            reached, at = at, self._step(self, at, parts)
        self._buffer = self._buffer[reached if at is None else at :]
        return b"".join(parts)

    # --- The steps of a chunked body: from where to where, or None until more has come -----------

    def _size(self, at: int, parts: list[bytes]) -> int | None:
        found = _CHUNK.match(self._buffer, at)
        if found is None:
            rest = self._buffer[at : at + CHUNK_LINE_LIMIT_BYTES]
            if b"\n" in rest or len(rest) == CHUNK_LINE_LIMIT_BYTES:
                raise Malformed("A chunk of the body does not begin with its size.")
            return None
        self._left = int(found[1], 16)
        self._step = Reader._data if self._left else Reader._trailer
        return found.end()

    def _data(self, at: int, parts: list[bytes]) -> int | None:
        part = self._buffer[at : at + self._left]
        if not part:
            return None
        parts.append(part)
        self._left -= len(part)
        if not self._left:
            self._step = Reader._gap
        return at + len(part)

    def _gap(self, at: int, parts: list[bytes]) -> int | None:
        gap = self._buffer[at : at + 2]
        if not b"\r\n".startswith(gap):
            raise Malformed("A chunk of the body is longer than its size.")
        if len(gap) < 2:
            return None
        self._step = Reader._size
        return at + 2

    def _trailer(self, at: int, parts: list[bytes]) -> int | None:
        """Skip it: whatever stands there has no say in a request whose head was acted on."""
        if self._buffer.startswith(b"\r\n", at):
            self.done = True
            return at + 2
        scanned = max(at, self._scanned)
        end = self._buffer.find(b"\r\n\r\n", scanned, at + TRAILER_LIMIT_BYTES)
        if end < 0:
            if len(self._buffer) - at >= TRAILER_LIMIT_BYTES:
                raise Malformed("The trailer of the request is too long.", 431)
            if _BARE.search(self._buffer, scanned):
                raise _bare()
            self._scanned = max(0, len(self._buffer) - at - 3)
            return None
        self._scanned = 0
        if not _LINES.fullmatch(self._buffer, at, end + 2):
            raise Malformed("The trailer of the request cannot be read.")
        self.done = True
        return end + 4


Step = Callable[[Reader, int, list[bytes]], int | None]


def _cut(data: bytes, at: int) -> tuple[bytes, bytes]:
    return data[:at], data[at:]


def _too_long() -> Malformed:
    return Malformed("The head of the request is too long.", 431)


def _bare() -> Malformed:
    return Malformed("The lines of a request end in a carriage return and a line feed.")


def _check_beginning(buffer: bytes, scanned: int) -> None:
    """Raise Malformed at once for what can never become a head: nobody waits for its end."""
    if len(buffer) > HEAD_LIMIT_BYTES:
        raise _too_long()
    if buffer[:1] not in b"ABCDEFGHIJKLMNOPQRSTUVWXYZ\r":
        raise Malformed("This is not an HTTP/1.1 request; TLS is not spoken here.")
    if _BARE.search(buffer, scanned):
        raise _bare()


def _parse(buffer: bytes, end: int) -> Head:
    """Return the head that ends at `end`, behind the line break of its last line."""
    first = _REQUEST.match(buffer, 0, end)
    if first is None:
        raise Malformed("The request's first line is not METHOD /path HTTP/1.1.")
    headers, once, keep_alive = _headers(buffer[first.end() : end])
    method, target, minor = first.groups()
    path, query = _target(method, target, once)
    is_newer = minor == b"1"
    _check_host(once, needed=is_newer)
    return Head(
        method.decode(),
        path,
        query,
        "1.1" if is_newer else "1.0",
        headers,
        _length(once, may_be_chunked=is_newer),
        keep_alive and is_newer,
        is_newer and once.get(b"expect", b"").lower() == b"100-continue",
    )


def _headers(block: bytes) -> tuple[list[tuple[bytes, bytes]], dict[bytes, bytes], bool]:
    """Return the headers, those of `ONCE` by their name, and whether the client would stay."""
    headers: list[tuple[bytes, bytes]] = []
    once: dict[bytes, bytes] = {}
    keep_alive = True
    lines = block.split(b"\r\n")
    ends = len(lines) - 1
    if block.count(b"\n") != ends or block.count(b"\r") != ends:
        raise _bare()
    if len(block.translate(None, _CONTROLS)) != len(block):
        raise Malformed("A header of the request holds a control character.")
    if ends > HEADERS_LIMIT:
        raise Malformed(f"The request has more than {HEADERS_LIMIT} headers.", 431)
    del lines[-1]
    for line in lines:
        written, colon, value = line.partition(b":")
        if not colon:
            raise Malformed("A header of the request has no colon.")
        name, kind = _name(written)
        value = value.strip(b" \t")
        if kind is not None:
            if kind is _IGNORED:
                continue
            if kind is _ONCE:
                if name in once:
                    raise Malformed(f"The header {name.decode()} came twice.")
                once[name] = value
            else:
                options = (option.strip(b" \t") for option in value.lower().split(b","))
                keep_alive = keep_alive and b"close" not in options
        headers.append((name, value))
    return headers, once, keep_alive


_ONCE, _CONNECTION, _IGNORED = "once", "connection", "ignored"


@functools.lru_cache(maxsize=1024)
def _name(written: bytes) -> tuple[bytes, str | None]:
    """Return a header's name in lower case, and what is to be done about it; clients have few."""
    if len(written) > NAME_LIMIT_BYTES or not _TOKEN.fullmatch(written):
        raise Malformed("A header of the request has a name that is none.")
    name = written.lower()
    if name in ONCE:
        return name, _ONCE
    if name == b"connection":
        return name, _CONNECTION
    if name == b"upgrade" or b"_" in name:
        # An offer that is not taken is ignored. And a header with an underscore would be another
        # one with a hyphen to whoever reads both the same, as Django does.
        return name, _IGNORED
    return name, None


def _target(method: bytes, target: bytes, once: dict[bytes, bytes]) -> tuple[bytes, bytes]:
    """Return path and query, of whichever form of a target (RFC 9112 3.2) a server must know."""
    if b"#" in target or method == b"CONNECT":
        raise Malformed("The request's first line names no path of this server.")
    if not target.startswith(b"/"):
        if target == b"*" and method == b"OPTIONS":
            return target, b""
        scheme, separator, rest = target.partition(b"://")
        host, slash, tail = rest.partition(b"/")
        if not separator or scheme.lower() not in (b"http", b"https") or b"?" in host:
            raise Malformed("The request's first line names no path of this server.")
        if host.lower() != once.get(b"host", b"").lower():
            raise Malformed("The request's first line and its Host name two servers.")
        target = slash + tail or b"/"
    path, _, query = target.partition(b"?")
    return path, query


def _check_host(once: dict[bytes, bytes], *, needed: bool) -> None:
    host = once.get(b"host")
    if host is None:
        if needed:
            raise Malformed("The request needs a Host header.")
    elif not is_host(host):
        raise Malformed("The request's Host header names no host.")


@functools.lru_cache(maxsize=256)
def is_host(text: bytes) -> bool:
    """Whether this is a name or an address, with a port or without, that a URL may hold."""
    found = _HOST.fullmatch(text)
    if found is None:
        return False
    address, port = found.groups()
    try:
        if address is not None:
            IPv6Address(address.decode())
    except AddressValueError:
        return False
    return port is None or 0 < int(port) < 1 << 16


def _length(once: dict[bytes, bytes], *, may_be_chunked: bool) -> int | None:
    """Return the body's length, None if it is chunked: never left to a guess."""
    coding, length = once.get(b"transfer-encoding"), once.get(b"content-length")
    if coding is not None:
        if length is not None:
            raise Malformed("The request has a Content-Length and a Transfer-Encoding.")
        if coding.lower() != b"chunked" or not may_be_chunked:
            raise Malformed("The only Transfer-Encoding that is understood is chunked.")
        return None
    if length is None:
        return 0
    if not length.isdigit() or len(length) > LENGTH_LIMIT_DIGITS:
        raise Malformed("The request's Content-Length is not a number.")
    return int(length)
