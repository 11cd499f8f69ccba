r"""Read one HTTP/1.1 answer (RFC 9112), however its bytes are cut; no socket, no clock.

    head ---> sized ----------------------------> over
     |  \---> until the connection's end --------> over
     |   \--> chunk size <-> part, break
     1xx            \-----> trailers (dropped) ---> over

Where an answer ends is known for certain, or it is `Broken`: two lengths, a length beside chunks,
or a line that is no header are refused, because whoever reads them otherwise reads another answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HEAD_LIMIT_BYTES = 64 << 10
"""Of one exchange: what comes before the answer (100, 103) counts too."""
FIELDS_LIMIT = 100
CHUNK_LINE_LIMIT_BYTES = 4 << 10
ANSWER_LIMIT_BYTES = 5 << 30
"""No answer is larger, as it comes over the wire or as it is once its codings are undone."""

_BEGIN = b"HTTP/1."
_STATUS = re.compile(rb"HTTP/1\.([0-9]) ([1-9][0-9]{2})(?: [^\r\n]*)?\r?\n")
_TOKEN = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
_FOLD = re.compile(rb"\n[ \t]+")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r\n")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_LISTS = (b"content-length", b"transfer-encoding", b"content-encoding", b"connection")
"""A length is in none: twice is once too often."""
_KEPT_FOR = re.compile(rb"timeout=([0-9]{1,9})")
_MORE = -1
"""What a step returns that cannot go on before more came."""

Fields = Mapping[bytes, bytes]
"""Names in lower case, values as they came."""


class Broken(Exception):
    """What came, or did not come, is no answer that can be relied on."""


class Ended(Broken):
    """The connection ended before the answer did."""


class Reader:
    """Takes the bytes of one answer; its body gathers in `parts` until somebody takes it."""

    status = 0
    """Of the answer itself, 0 until its head is whole."""
    fields: Fields = MappingProxyType({})
    codings: Sequence[bytes] = ()
    """Transfer codings around the body, beside chunks."""
    content_codings: Sequence[bytes] = ()
    """Those of the body itself, in the order in which they were applied."""
    size = 0
    """Bytes in `parts`."""
    received = 0
    begun = False
    ended = False
    surplus = False
    """Whether something came behind the answer."""
    reusable = False
    """Whether the vendor will take another request on this connection."""
    kept_for: int | None = None
    """For how many seconds it says that it keeps an idle connection."""
    _held = b""
    _left = 0
    _head_bytes = 0

    def __init__(self, method: str) -> None:
        self.parts: list[bytes] = []
        self._method = method
        self._step: Callable[[Reader, bytes, int], int] = Reader._head

    def feed(self, data: bytes) -> None:
        """Read on. Raises Broken, and is of no use then."""
        self.begun = True
        self.received += len(data)
        if self.received > ANSWER_LIMIT_BYTES:
            raise Broken("the answer is larger than any that is passed on")
        if self._held:
            data, self._held = self._held + data, b""
        at, end = 0, len(data)
        while at < end and not self.ended:
            step = self._step(self, data, at)
            if step == _MORE:
                self._held = data[at:]
                return
            at = step
        self.surplus = self.surplus or at < end

    def end(self) -> None:
        """Let the connection have ended. Raises Ended if the answer needed more of it."""
        if self._step is Reader._until_end:
            self.ended = True
        if not self.ended:
            raise Ended("the connection ended before the answer did")

    def take(self) -> bytes:
        """Return what is there of the body, and forget it."""
        block = self.parts[0] if len(self.parts) == 1 else b"".join(self.parts)
        self.parts.clear()
        self.size = 0
        return block

    # --- the head ---------------------------------------------------------------------------

    def _head(self, data: bytes, at: int) -> int:
        if not data.startswith(_BEGIN[: len(data) - at], at):
            raise Broken("what came is not HTTP/1.1")
        end = _head_end(data, at)
        size = (len(data) if end == _MORE else end) - at
        if self._head_bytes + size > HEAD_LIMIT_BYTES:
            raise Broken("the head of the answer is too long")
        if end == _MORE:
            return _MORE
        self._head_bytes += size
        line = _STATUS.match(data, at, end)
        if line is None:
            raise Broken("the status line cannot be read")
        status = int(line[2])
        if status == 101:
            raise Broken("the vendor changes to a protocol that nobody asked for")
        fields = _fields(data[line.end() : end])
        if status >= 200:
            self.fields = fields
            self._frame(status, minor=int(line[1]))
            self.status = status
        return end

    def _frame(self, status: int, *, minor: int) -> None:
        """Find out where the body ends, and what may follow it."""
        fields = self.fields
        length, codings = fields.get(b"content-length"), fields.get(b"transfer-encoding")
        if length is not None and codings is not None:
            raise Broken("the answer has more than one length")
        options = fields.get(b"connection", b"").lower()
        closing = b"close" in options and b"close" in _tokens(options)
        self.reusable = minor >= 1 and not closing
        if b"content-encoding" in fields:
            self.content_codings = _tokens(fields[b"content-encoding"])
        if b"keep-alive" in fields and (kept := _KEPT_FOR.search(fields[b"keep-alive"])):
            self.kept_for = int(kept[1])
        transferred = _tokens(codings) if codings is not None else []
        if self._method == "HEAD" or status in (204, 304):
            self.reusable = self.reusable and length is None and codings is None
            self.ended = True
        elif transferred:
            self._frame_codings(transferred)
        elif length is not None:
            self._frame_length(length)
        else:
            self._step, self.reusable = Reader._until_end, False

    def _frame_codings(self, codings: list[bytes]) -> None:
        chunked = codings[-1] == b"chunked"
        self._step = Reader._chunk if chunked else Reader._until_end
        self.reusable = self.reusable and chunked
        self.codings = codings[:-1] if chunked else codings
        if b"chunked" in self.codings:
            raise Broken("the body is in chunks of chunks")

    def _frame_length(self, text: bytes) -> None:
        if not _LENGTH.fullmatch(text):
            raise Broken("the length of the answer is not one number")
        self._left = int(text)
        if self._left > ANSWER_LIMIT_BYTES:
            raise Broken("the answer is larger than any that is passed on")
        self._step = Reader._sized
        self.ended = not self._left

    # --- the body ---------------------------------------------------------------------------

    def _sized(self, data: bytes, at: int) -> int:
        at = self._part(data, at)
        self.ended = not self._left
        return at

    def _until_end(self, data: bytes, at: int) -> int:
        self._left = len(data) - at
        return self._part(data, at)

    def _part(self, data: bytes, at: int) -> int:
        part = data[at : at + self._left]
        self.parts.append(part)
        self.size += len(part)
        self._left -= len(part)
        return at + len(part)

    def _chunk(self, data: bytes, at: int) -> int:
        line = _CHUNK.match(data, at)
        end = len(data) if line is None else line.end()
        if end - at > CHUNK_LINE_LIMIT_BYTES or (line is None and data.find(b"\n", at) >= 0):
            raise Broken("the size of a chunk cannot be read")
        if line is None:
            return _MORE
        self._left = int(line[1], 16)
        self._step = Reader._chunk_part if self._left else Reader._trailers
        return end

    def _chunk_part(self, data: bytes, at: int) -> int:
        at = self._part(data, at)
        if not self._left:
            self._step = Reader._chunk_break
        return at

    def _chunk_break(self, data: bytes, at: int) -> int:
        if data.startswith(b"\r\n", at):
            self._step = Reader._chunk
            return at + 2
        if data[at:] != b"\r":
            raise Broken("a chunk does not end where it said")
        return _MORE

    def _trailers(self, data: bytes, at: int) -> int:
        """Pass over what follows the last chunk: it came too late to be believed."""
        end = at + 2 if data.startswith(b"\r\n", at) else _head_end(data, at)
        if (len(data) if end == _MORE else end) - at > HEAD_LIMIT_BYTES:
            raise Broken("the trailers of the answer are too long")
        self.ended = end != _MORE
        return end


def _tokens(value: bytes) -> list[bytes]:
    """Return the members of a list in a header, in lower case; `identity` says nothing."""
    found = (each.strip(b" \t") for each in value.lower().split(b","))
    return [each for each in found if each and each != b"identity"]


def _head_end(data: bytes, at: int) -> int:
    """Return where the lines up to an empty one end. A lone LF ends a line, too (RFC 9112 2.2)."""
    end = data.find(b"\n\r\n", at)
    bare = data.find(b"\n\n", at, end if end >= 0 else len(data))
    if bare >= 0:
        return bare + 2
    return end + 3 if end >= 0 else _MORE


def _fields(block: bytes) -> Fields:
    """Return the headers in the lines of a head; raise Broken if one is none.

    Of equal names the first counts, but where they make a list.
    """
    block = block.replace(b"\r\n", b"\n")
    if b"\n " in block or b"\n\t" in block:  # Folded lines, which RFC 9112 5.2 has us read.
        block = _FOLD.sub(b" ", block)
    lines = block.split(b"\n")[:-2]  # Behind them is an empty one, and nothing.
    if len(lines) > FIELDS_LIMIT:
        raise Broken("the answer has too many headers")
    fields: dict[bytes, bytes] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        name, value = name.lower() if colon else b"", value.strip(b" \t")
        if name not in fields:
            fields[name] = value
        elif name in _LISTS:
            fields[name] += b"," + value
    if b"" in fields or b"\r" in block or b"".join(fields).translate(None, _TOKEN):
        raise Broken("a header cannot be read")
    return fields
