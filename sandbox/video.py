"""The smallest honest MP4: one track of Motion JPEG, every frame the same picture.

ISO/IEC 14496-12 for the boxes; the codec is announced as MPEG-4 systems does (14496-1): object type
0x6C, JPEG. The picture is stored once, and every frame points to it.
"""

import struct

TIMESCALE = 1000
FRAMES_PER_SECOND = 8
JPEG_OBJECT = 0x6C
VISUAL_STREAM = 0x11
UNITY = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
DPI_72 = 72 << 16


def write(
    picture: bytes, *, extent: tuple[int, int], seconds: float, rate: int = FRAMES_PER_SECOND
) -> bytes:
    """Make a file that shows a JPEG for so many seconds, so many times in each."""
    kind = _box(b"ftyp", b"isom" + struct.pack(">I", 0x200) + b"isomiso2mp41")
    data = _box(b"mdat", picture)
    picture_at = len(kind) + len(data) - len(picture)
    length = round(seconds * TIMESCALE)
    track = _track(picture_at, len(picture), extent, length, rate)
    return kind + data + _box(b"moov", _movie_header(length) + track)


def _box(name: bytes, *content: bytes) -> bytes:
    whole = b"".join(content)
    return struct.pack(">I", 8 + len(whole)) + name + whole


def _full_box(name: bytes, *content: bytes, flags: int = 0) -> bytes:
    return _box(name, struct.pack(">I", flags), *content)


def _movie_header(length: int) -> bytes:
    times = struct.pack(">4I", 0, 0, TIMESCALE, length)
    return _full_box(
        b"mvhd",
        times,
        struct.pack(">IH10x", 0x10000, 0x100),
        UNITY,
        bytes(24),
        struct.pack(">I", 2),
    )


def _track(at: int, size: int, extent: tuple[int, int], length: int, rate: int) -> bytes:
    width, height = extent
    header = _full_box(
        b"tkhd",
        struct.pack(">5I", 0, 0, 1, 0, length),
        bytes(16),
        UNITY,
        struct.pack(">2I", width << 16, height << 16),
        flags=3,  # It is enabled, and part of the presentation.
    )
    times = struct.pack(">4I2H", 0, 0, TIMESCALE, length, 0x55C4, 0)  # "und", undetermined.
    handler = _full_box(b"hdlr", bytes(4), b"vide", bytes(12), b"Video\0")
    here = _box(b"dinf", _full_box(b"dref", struct.pack(">I", 1), _full_box(b"url ", flags=1)))
    media = _box(
        b"minf",
        _full_box(b"vmhd", bytes(8), flags=1),
        here,
        _samples(at, size, extent, length, rate),
    )
    return _box(b"trak", header, _box(b"mdia", _full_box(b"mdhd", times), handler, media))


def _samples(at: int, size: int, extent: tuple[int, int], length: int, rate: int) -> bytes:
    """Say where the frames are: in as many chunks, all at the same place."""
    frames = max(1, length * rate // TIMESCALE)
    each = length // frames
    last = length - each * (frames - 1)
    return _box(
        b"stbl",
        _full_box(b"stsd", struct.pack(">I", 1), _sample_entry(extent)),
        _full_box(b"stts", struct.pack(">5I", 2, frames - 1, each, 1, last)),
        _full_box(b"stsc", struct.pack(">4I", 1, 1, 1, 1)),
        _full_box(b"stsz", struct.pack(">2I", size, frames)),
        _full_box(b"stco", struct.pack(">I", frames), struct.pack(">I", at) * frames),
    )


def _sample_entry(extent: tuple[int, int]) -> bytes:
    codec = struct.pack(">2B3xII", JPEG_OBJECT, VISUAL_STREAM << 2 | 1, 0, 0)
    stream = _tagged(3, struct.pack(">HB", 1, 0) + _tagged(4, codec) + _tagged(6, b"\x02"))
    picture = struct.pack(">2H2I4xH32xHh", *extent, DPI_72, DPI_72, 1, 24, -1)
    return _box(
        b"mp4v", bytes(6), struct.pack(">H", 1), bytes(16), picture, _full_box(b"esds", stream)
    )


def _tagged(tag: int, content: bytes) -> bytes:
    return bytes((tag, len(content))) + content
