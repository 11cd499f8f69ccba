"""Bodies that come compressed: undone as they arrive, a little at a time, never further than asked.

A kilobyte can say a gigabyte. So each piece that comes out is at most a quarter of a megabyte, the
one who takes it counts it before the next is made, and other requests have their turn between two.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from common.errors import InvalidRequest, UnsupportedCoding

if TYPE_CHECKING:
    from collections.abc import Iterator

PIECE_BYTES = 256 << 10
_GZIP, _ZLIB, _RAW = 31, 15, -15
KNOWN = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": _ZLIB}


def is_plain(coding: str) -> bool:
    """Whether a Content-Encoding says that nothing is to be undone."""
    return coding.strip().lower() in ("", "identity")


def decoder(coding: str) -> Decoder | None:
    """Return what undoes a Content-Encoding, None if nothing is to be; raise UnsupportedCoding."""
    if is_plain(coding):
        return None
    bits = KNOWN.get(coding.strip().lower())
    if bits is None:
        raise UnsupportedCoding("The body's Content-Encoding must be gzip, deflate or none.")
    return Decoder(bits)


class Decoder:
    """Undoes gzip (of one or several members) or deflate (with or without zlib's frame)."""

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._waiting = b""
        self._member: zlib._Decompress | None = None
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what these bytes say, in small pieces; raise InvalidRequest if they say nothing."""
        data = self._waiting + data
        self._waiting, more = b"", False
        while data or more:
            if self._member is None:
                if len(data) < 2 and self._bits != _GZIP:
                    self._waiting = data
                    return
                self._member = self._begin(data)
            try:
                piece = self._member.decompress(data, PIECE_BYTES)
            except zlib.error as exc:
                raise InvalidRequest("The body is not what its Content-Encoding says.") from exc
            # All may have gone in and not yet all have come out.
            data, more = self._member.unconsumed_tail, len(piece) == PIECE_BYTES
            if self._member.eof:
                data, more, self._member = self._member.unused_data, False, None
            if piece:
                yield piece

    def _begin(self, data: bytes) -> zlib._Decompress:
        if self._begun and self._bits != _GZIP:
            raise InvalidRequest("The body goes on behind the end of its deflate.")
        self._begun = True
        bits = self._bits
        if bits == _ZLIB and (data[0] & 15 != 8 or (data[0] << 8 | data[1]) % 31):
            bits = _RAW
        return zlib.decompressobj(bits)

    def finish(self) -> None:
        """Raise InvalidRequest unless all that came was whole."""
        if self._member is not None or self._waiting:
            raise InvalidRequest("The body ends before its Content-Encoding does.")
