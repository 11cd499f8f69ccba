"""Undo the codings of an answer's body as it comes: gzip and deflate, two at most, and no bomb.

We ask for none (`accept-encoding: identity`), and understand what comes all the same. What we do
not understand is never taken off the headers: it is passed on as it is, or not read at all.
"""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING

from proxy.wire.reading import ANSWER_LIMIT_BYTES, Broken

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

STACK_LIMIT = 2
NAMES_LIMIT = 10
PIECE_BYTES = 64 << 10
SLACK_BYTES = 16 << 20
MOST_TIMES = 100
"""Beyond the slack, what comes out may be so many times what went in; text comes to 20."""

_NAME = re.compile(rb"[a-z0-9!#$%&'*+.^_`|~-]{1,40}")
_GZIP = (b"gzip", b"x-gzip")
_WITH_HEADER, _ZLIB, _RAW = 31, 15, -15
"""How zlib is told gzip, zlib, and deflate without either's header."""


def understood(codings: Sequence[bytes]) -> bool:
    """Whether all of them can be undone."""
    return len(codings) <= STACK_LIMIT and all(
        coding in _GZIP or coding == b"deflate" for coding in codings
    )


def named(codings: Sequence[bytes]) -> bool:
    """Whether they can be told to somebody else: a few words, not a heap of bytes."""
    return len(codings) <= NAMES_LIMIT and all(_NAME.fullmatch(coding) for coding in codings)


class Undoing:
    """Undoes codings, given in the order in which they were applied."""

    def __init__(self, codings: Sequence[bytes]) -> None:
        self._layers = [_Inflate(gzip=coding in _GZIP) for coding in reversed(codings)]
        self._taken = 0
        self._most = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what comes out, in pieces. Raises Broken for a bomb, or what is not so coded."""
        self._taken += len(data)
        self._most = min(ANSWER_LIMIT_BYTES, SLACK_BYTES + MOST_TIMES * self._taken)
        return self._through(0, data)

    def end(self) -> None:
        """Let all have come. Raises Broken if something is missing."""
        for layer in self._layers:
            layer.end()

    def _through(self, depth: int, data: bytes) -> Iterator[bytes]:
        if depth == len(self._layers):
            yield data
            return
        for piece in self._layers[depth].feed(data, self._most):
            yield from self._through(depth + 1, piece)


class _Inflate:
    """One layer: gzip (of one or more members), or deflate with or without zlib's header."""

    def __init__(self, *, gzip: bool) -> None:
        self._gzip = gzip
        self._held = b""
        self._over = False
        self._engine: zlib._Decompress | None = None
        self._made = 0

    def feed(self, data: bytes, most: int) -> Iterator[bytes]:
        """Yield what comes out, `most` bytes in all."""
        data, self._held = self._held + data, b""
        more = False
        while data or more:
            if self._engine is None:
                data = self._begin(data)
                if self._engine is None:
                    return
            try:
                piece = self._engine.decompress(data, PIECE_BYTES)
            except zlib.error as exc:
                raise Broken("the answer is not coded as it says") from exc
            self._made += len(piece)
            if self._made > most:
                raise Broken("the answer grows beyond all measure when its coding is undone")
            if piece:
                yield piece
            more = len(piece) == PIECE_BYTES and not self._engine.eof
            data = self._engine.unconsumed_tail
            if self._engine.eof:
                data, self._engine, self._over = self._engine.unused_data, None, True

    def _begin(self, data: bytes) -> bytes:
        """Begin a member; return what it begins with. It may be nothing, or too little to tell."""
        if self._gzip:
            data = data.lstrip(b"\0") if self._over else data  # Padding, as tapes have it.
            if data:
                self._engine = zlib.decompressobj(_WITH_HEADER)
        elif self._over:
            raise Broken("something follows the coded answer")
        elif len(data) < 2:
            self._held = data
        else:
            with_header = data[0] & 0x0F == 8 and int.from_bytes(data[:2], "big") % 31 == 0
            self._engine = zlib.decompressobj(_ZLIB if with_header else _RAW)
        return data

    def end(self) -> None:
        """See `Undoing`. An answer without a body is whole."""
        if self._engine is not None or self._held:
            raise Broken("the coded answer breaks off")
