"""Taking workflows out of files that a ComfyUI made, and nothing else: no pixel is encoded anew.

A ComfyUI writes the graph that it ran, and what its page sent with that, into what it saves:

    PNG        text chunks, `comf` of an animated one      cut out
    WebP       EXIF                                        cut out
    JPEG       EXIF, XMP and comments                      cut out
    MP4, MOV   user data, metadata                         made free space, zeroed
    WebM, MKV  tags                                        made a void, zeroed
    FLAC       comments                                    made padding, zeroed
    MP3        ID3                                         made padding, zeroed
    Ogg, Opus  comments                                    made none, zeroed, sums anew
    latents    the header's metadata, also GLB's extras    blanked
    SVG        its metadata                                cut out

Only blocks that tell of one are touched: orientation and profiles stay. A file is what its first
bytes say. What is of none of these kinds is left as it is, and so is what follows where one is
broken.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEYS: Final = ("prompt", "workflow", "parameters")
"""Under these words they are written; what a page sends along (`extra_pnginfo`) has its own."""
MOST_BLOCK: Final = 64 << 20
"""More of one block is not read: it tells, whatever is in it."""
MOST_BLOCKS: Final = 100_000
MOST_KEYS, LONGEST_KEY = 100, 79
BLOCK: Final = 1 << 20
BROKEN: Final = (ValueError, IndexError, KeyError, TypeError, AttributeError, struct.error)


class Odd(ValueError):
    """A file is not as its first bytes say."""


class Words:
    """By what a block is known to tell of a workflow."""

    def __init__(self, keys: Collection[str]) -> None:
        own = [each.lower() for each in keys if 0 < len(each) <= LONGEST_KEY]
        self.keys = {*KEYS, *own[:MOST_KEYS]}
        encoded = (
            each.encode(code, "replace") for each in self.keys for code in ("utf-8", "utf-16-le")
        )
        self._said = re.compile(b"|".join(re.escape(each) for each in encoded), re.IGNORECASE)

    def are_in(self, file: IO[bytes], begin: int, size: int) -> bool:
        """Whether a part of the file tells; a block that is too large to be read does."""
        if size > MOST_BLOCK:
            return True
        file.seek(begin)
        return self.are_said(file.read(size))

    def are_said(self, block: bytes) -> bool:
        """Whether these bytes tell."""
        return self._said.search(block) is not None


def strip(path: Path, *, keys: Collection[str] = ()) -> bool:
    """Leave no workflow in a file; False where nothing was changed.

    `keys` are further words under which something was written with it.
    """
    words = Words(keys)
    with path.open("r+b") as file:
        kind = _kind(file.read(64))
        if kind is None:
            return False
        try:
            size = os.fstat(file.fileno()).st_size
            if (blank := BLANKED.get(kind)) is not None:
                return blank(file, size, words)
        except BROKEN:  # Perhaps a part of it was blanked before that was seen.
            return True
        cut: list[tuple[int, int]] = []
        with suppress(*BROKEN):  # What was found before it breaks is cut out all the same.
            cut.extend(CUT[kind](file, size, words))
        if not cut:
            return False
        _copy_without(file, size, cut, path)
    if kind == "webp":
        with suppress(*BROKEN):
            _set_webp_header(path)
    return True


def _kind(head: bytes) -> str | None:
    for kind, form in MAGIC.items():
        if form.match(head):
            return kind
    return None


def _copy_without(file: IO[bytes], size: int, cut: list[tuple[int, int]], path: Path) -> None:
    """Have the file be the same without some parts of it (begin, end), in order."""
    left = path.with_name(f"{path.name}.cut")
    try:
        with left.open("wb") as made:
            at = 0
            for begin, end in [*cut, (size, size)]:
                _copy(file, at, begin, made)
                at = end
        left.replace(path)
    finally:
        left.unlink(missing_ok=True)


def _copy(file: IO[bytes], begin: int, end: int, into: IO[bytes]) -> None:
    file.seek(begin)
    while begin < end and (block := file.read(min(BLOCK, end - begin))):
        into.write(block)
        begin += len(block)


def _zero(file: IO[bytes], begin: int, end: int) -> None:
    file.seek(begin)
    while begin < end:
        begin += file.write(bytes(min(BLOCK, end - begin)))


def _exactly(file: IO[bytes], at: int, size: int) -> bytes:
    file.seek(at)
    found = file.read(size)
    if len(found) < size:
        raise Odd
    return found


# --- Pictures -----------------------------------------------------------------------------------


def _png(file: IO[bytes], size: int, words: Words) -> Iterator[tuple[int, int]]:
    at = 8
    for _ in range(MOST_BLOCKS):
        if at + 12 > size:
            return
        length, kind = struct.unpack(">I4s", _exactly(file, at, 8))
        end = at + 12 + length
        if kind in (b"tEXt", b"zTXt", b"iTXt"):
            file.seek(at + 8)
            word = file.read(min(80, length)).partition(b"\0")[0].decode("latin-1")
            told = word.lower() in words.keys
        else:
            told = kind in (b"comf", b"eXIf") and words.are_in(file, at + 8, length)
        if told:
            yield at, min(end, size)
        at = end  # Behind its end, too: some readers look there.
    raise Odd


def _webp(file: IO[bytes], size: int, words: Words) -> Iterator[tuple[int, int]]:
    at = 12
    for _ in range(MOST_BLOCKS):
        if at + 8 > size:
            return
        kind, length = struct.unpack("<4sI", _exactly(file, at, 8))
        end = at + 8 + length + length % 2
        if kind in (b"EXIF", b"XMP ") and words.are_in(file, at + 8, length):
            yield at, min(end, size)
        at = end
    raise Odd


def _set_webp_header(path: Path) -> None:
    """Have a WebP say how long it is, and which of its parts are there still."""
    with path.open("r+b") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(4)
        file.write(struct.pack("<I", size - 8))
        kinds, at, extended = set(), 12, None
        while at + 8 <= size:
            kind, length = struct.unpack("<4sI", _exactly(file, at, 8))
            kinds.add(kind)
            extended = at + 8 if kind == b"VP8X" else extended
            at += 8 + length + length % 2
        if extended is not None:
            flags = _exactly(file, extended, 1)[0]
            for kind, bit in ((b"EXIF", 0x08), (b"XMP ", 0x04)):
                if kind not in kinds:
                    flags &= ~bit
            file.seek(extended)
            file.write(bytes([flags]))


def _jpeg(file: IO[bytes], size: int, words: Words) -> Iterator[tuple[int, int]]:
    at = 2
    for _ in range(MOST_BLOCKS):
        mark, kind, length = struct.unpack(">BBH", _exactly(file, at, 4))
        if mark != 0xFF:
            raise Odd
        if kind == 0xFF:  # What only fills.
            at += 1
            continue
        if kind in (0xDA, 0xD9):
            return
        end = at + 2 + length
        if end > size:
            raise Odd
        if kind in (0xE1, 0xED, 0xFE) and words.are_in(file, at + 4, length - 2):
            yield at, end
        at = end
    raise Odd


def _svg(file: IO[bytes], size: int, words: Words) -> Iterator[tuple[int, int]]:
    if size > MOST_BLOCK:
        return
    file.seek(0)
    whole = file.read(size)
    for found in re.finditer(rb"<metadata\b[^>]*>.*?</metadata\s*>", whole, re.DOTALL):
        if words.are_in(file, found.start(), found.end() - found.start()):
            yield found.span()


# --- Films and sounds ---------------------------------------------------------------------------


def _mp4(file: IO[bytes], size: int, words: Words) -> bool:
    # Of a picture (AVIF) `meta` is the outermost box that says where everything is.
    return _freed(file, _boxes(file, 0, size), words, (b"udta", b"uuid"))


def _freed(
    file: IO[bytes],
    boxes: Iterable[tuple[int, int]],
    words: Words,
    kinds: Collection[bytes],
    holder: bytes = b"moov",
) -> bool:
    changed = False
    for begin, end in boxes:
        changed |= _free(file, begin, end, words, kinds, holder)
    return changed


HOLDS: Final = {b"moov": b"trak", b"trak": b""}
"""Which boxes hold others, and which of these may do so, too: no box holds itself."""


def _free(
    file: IO[bytes],
    begin: int,
    end: int,
    words: Words,
    kinds: Collection[bytes],
    holder: bytes,
) -> bool:
    """Make the boxes of these kinds that tell of a workflow free space."""
    head = 16 if _exactly(file, begin, 4) == b"\0\0\0\1" else 8
    kind = _exactly(file, begin + 4, 4)
    if kind == holder:
        inside = _boxes(file, begin + head, end)
        return _freed(file, inside, words, {*kinds, b"meta"}, HOLDS[kind])
    if kind not in kinds or not words.are_in(file, begin, end - begin):
        return False
    file.seek(begin + 4)
    file.write(b"free")
    _zero(file, begin + head, end)
    return True


def _boxes(file: IO[bytes], at: int, end: int) -> Iterator[tuple[int, int]]:
    for _ in range(MOST_BLOCKS):
        if at + 8 > end:
            return
        length = int.from_bytes(_exactly(file, at, 4))
        if length == 1:
            length = int.from_bytes(_exactly(file, at + 8, 8))
        length = length or end - at
        if length < 8 or at + length > end:
            raise Odd
        yield at, at + length
        at += length


SEGMENT, TAGS, VOID = b"\x18\x53\x80\x67", b"\x12\x54\xc3\x67", b"\xec"


def _matroska(file: IO[bytes], size: int, words: Words) -> bool:
    changed = False
    for kind, _, body, end in _elements(file, 0, size):
        if kind != SEGMENT:
            continue
        for part, begin, _, last in list(_elements(file, body, end)):
            if part == TAGS and words.are_in(file, begin, last - begin):
                # As long as before: a void says its length in as few bytes as there is room for.
                room = last - begin
                wide = 8 if room >= 9 else 1
                length = (room - 1 - wide) | 1 << 7 * wide
                file.seek(begin)
                file.write(VOID + length.to_bytes(wide))
                _zero(file, begin + 1 + wide, last)
                changed = True
    return changed


def _elements(file: IO[bytes], at: int, end: int) -> Iterator[tuple[bytes, int, int, int]]:
    """Yield the ids of elements, where each begins, where its content does, and where it ends."""
    for _ in range(MOST_BLOCKS):
        if at >= end:
            return
        file.seek(at)
        head = file.read(12)
        wide = 9 - head[0].bit_length()
        kind, rest = head[:wide], head[wide:]
        long = 9 - rest[0].bit_length()
        if not 1 <= wide <= 4 or long > 8 or len(rest) < long:
            raise Odd
        length = int.from_bytes(rest[:long]) & (1 << 7 * long) - 1
        body = at + wide + long
        unknown = length == (1 << 7 * long) - 1
        if unknown and kind != SEGMENT:
            raise Odd  # Of a stream that went on while it was written.
        last = end if unknown else body + length
        if last > end:
            raise Odd
        yield kind, at, body, last
        at = last
    raise Odd


def _flac(file: IO[bytes], size: int, words: Words) -> bool:
    at, changed = 4, False
    for _ in range(MOST_BLOCKS):
        head = _exactly(file, at, 4)
        kind, length = head[0] & 0x7F, int.from_bytes(head[1:])
        if at + 4 + length > size:
            raise Odd
        if kind == 4 and words.are_in(file, at + 4, length):
            file.seek(at)
            file.write(bytes([head[0] & 0x80 | 1]))
            _zero(file, at + 4, at + 4 + length)
            changed = True
        if head[0] & 0x80:
            return changed
        at += 4 + length
    raise Odd


def _mp3(file: IO[bytes], size: int, words: Words) -> bool:
    head = _exactly(file, 0, 10)
    length = sum((each & 0x7F) << 7 * place for place, each in enumerate(head[:5:-1]))
    if 10 + length > size or not words.are_in(file, 10, length):
        return False
    file.seek(5)
    file.write(b"\0")  # No further header, and nothing at its end.
    _zero(file, 10, 10 + length)
    return True


def _ogg(file: IO[bytes], size: int, words: Words) -> bool:
    """Have the second packet, with the comments, name none; its pages' sums are worked out anew."""
    pages: list[tuple[int, int]] = []
    packet, places, at = bytearray(), [], 0
    for _ in range(MOST_BLOCKS):
        head = _exactly(file, at, 27)
        if head[:4] != b"OggS":
            raise Odd
        laces = _exactly(file, at + 27, head[26])
        body = at + 27 + len(laces)
        if at:
            pages.append((at, body + sum(laces)))
            for each in laces:
                places.append((body, each))
                packet += _exactly(file, body, each)
                body += each
                if each < 255:
                    return _without_comments(file, bytes(packet), places, pages, words)
        if len(packet) > MOST_BLOCK:
            raise Odd
        at += 27 + len(laces) + sum(laces)
    raise Odd


def _without_comments(
    file: IO[bytes],
    packet: bytes,
    places: list[tuple[int, int]],
    pages: list[tuple[int, int]],
    words: Words,
) -> bool:
    kinds = (b"OpusTags", b"\x03vorbis")
    head = next((each for each in kinds if packet.startswith(each)), b"")
    if not head:
        raise Odd
    at = len(head)
    at += 4 + int.from_bytes(packet[at : at + 4], "little")
    said = packet[at:]
    if len(said) < 5 or not words.are_said(said):
        return False
    # None are counted; a Vorbis has its one bit of an end after that, an Opus may have zeros.
    end = b"\1" if head == b"\x03vorbis" else b""
    packet = packet[:at] + (bytes(4) + end).ljust(len(said), b"\0")
    done = 0
    for begin, length in places:
        file.seek(begin)
        file.write(packet[done : done + length])
        done += length
    for begin, last in pages:
        file.seek(begin + 22)
        file.write(bytes(4))
        whole = _exactly(file, begin, last - begin)
        file.seek(begin + 22)
        file.write(_ogg_sum(whole).to_bytes(4, "little"))
    return True


def _ogg_table() -> list[int]:
    table = []
    for each in range(256):
        value = each << 24
        for _ in range(8):
            value = (value << 1 ^ 0x04C11DB7 if value & 0x80000000 else value << 1) & 0xFFFFFFFF
        table.append(value)
    return table


_SUMS: Final = _ogg_table()


def _ogg_sum(page: bytes) -> int:
    found = 0
    for each in page:
        found = (found << 8 & 0xFFFFFFFF) ^ _SUMS[found >> 24 ^ each]
    return found


# --- Headers of JSON ----------------------------------------------------------------------------


def _safetensors(file: IO[bytes], size: int, words: Words) -> bool:
    length = int.from_bytes(_exactly(file, 0, 8), "little")
    if length > min(MOST_BLOCK, size - 8):
        raise Odd
    return _without_keys(file, 8, length, words, "__metadata__")


def _glb(file: IO[bytes], size: int, words: Words) -> bool:
    length, kind = struct.unpack("<I4s", _exactly(file, 12, 8))
    if kind != b"JSON" or length > min(MOST_BLOCK, size - 20):
        raise Odd
    return _without_keys(file, 20, length, words, "asset", "extras")


def _without_keys(file: IO[bytes], at: int, length: int, words: Words, *way: str) -> bool:
    """Take keys out of an object within a header of JSON, which stays as long, with spaces."""
    said: Any = orjson.loads(_exactly(file, at, length))
    inside: Any = said
    for name in way:
        inside = inside.get(name) or {}
    found = [name for name in inside if name.lower() in words.keys]
    for name in found:
        del inside[name]
    made = orjson.dumps(said)
    if not found or len(made) > length:
        return False
    file.seek(at)
    file.write(made.ljust(length))
    return True


MAGIC: Final = {
    "png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "webp": re.compile(rb"RIFF....WEBP", re.DOTALL),
    "jpeg": re.compile(rb"\xff\xd8\xff"),
    "mp4": re.compile(rb"....ftyp", re.DOTALL),
    "matroska": re.compile(rb"\x1a\x45\xdf\xa3"),
    "flac": re.compile(rb"fLaC"),
    "mp3": re.compile(rb"ID3"),
    "ogg": re.compile(rb"OggS"),
    "glb": re.compile(rb"glTF"),
    "svg": re.compile(rb"\s*<(\?xml|!--|!DOCTYPE|svg)"),
    "safetensors": re.compile(rb"........\s*\{", re.DOTALL),
}
Cut = Callable[[IO[bytes], int, Words], "Iterator[tuple[int, int]]"]
Blank = Callable[[IO[bytes], int, Words], bool]
CUT: Final[dict[str, Cut]] = {"png": _png, "webp": _webp, "jpeg": _jpeg, "svg": _svg}
BLANKED: Final[dict[str, Blank]] = {
    "mp4": _mp4, "matroska": _matroska, "flac": _flac, "mp3": _mp3, "ogg": _ogg, "glb": _glb,
    "safetensors": _safetensors,
}  # fmt: skip
