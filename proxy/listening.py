"""How long a sound is that came with a form: what a vendor would find when it plays it.

What a file says of itself is its client's word. So the packets are counted, whose lengths follow
from the coding, and the longer of all is believed. Only containers that hold everything themselves
are opened (a playlist would have other addresses read), by their first bytes, and in bounded time.
"""

from __future__ import annotations

import asyncio
import io
import time
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
from av.error import FFmpegError

from common.errors import InvalidRequest

if TYPE_CHECKING:
    from proxy.forms import File, Form

MOST_SECONDS = 10
"""Of our own time."""
BLOCK_BYTES = 64 << 10
FORMATS = (
    (0, b"ID3", "mp3"),
    (0, b"\xff\xfb", "mp3"),
    (0, b"\xff\xf3", "mp3"),
    (0, b"\xff\xf2", "mp3"),
    (0, b"\xff\xfa", "mp3"),
    (4, b"ftyp", "mp4"),
    (0, b"RIFF", "wav"),
    (0, b"fLaC", "flac"),
    (0, b"OggS", "ogg"),
    (0, b"\x1aE\xdf\xa3", "matroska"),
)
"""Where a file has which bytes, and what it is then."""
SAMPLES = {"aac": 1024, "mp3": 1152, "mp3float": 1152}
"""Of a packet, where the coding says so."""


async def seconds_of(form: Form, name: str) -> Fraction:
    """Return the length of the one sound of that field; raise InvalidRequest where it has none."""
    files = [file for file in form.files if file.name == name]
    if len(files) != 1:
        raise InvalidRequest(f"{name} must be one file: a sound.")
    found = await asyncio.to_thread(_seconds, form, files[0])
    if found is None:
        known = "MP3, MP4, WAV, FLAC, Ogg or WebM"
        raise InvalidRequest(f"{name} cannot be measured: it must be a sound in {known}.")
    return found


def _seconds(form: Form, file: File) -> Fraction | None:
    part = _Part(form, file)
    head = part.read(16)
    part.seek(0)
    kind = next((kind for at, mark, kind in FORMATS if head[at:].startswith(mark)), None)
    if kind is None:
        return None
    try:
        with av.open(part, format=kind) as container:
            return _counted(container)
    except (FFmpegError, ValueError, OSError):
        return None


def _counted(container: Any) -> Fraction | None:
    """Return the longest that the container, a stream's head or its packets come to."""
    streams = container.streams.audio
    if not streams:
        return None
    packets: dict[int, int] = {}
    lengths: dict[int, Fraction] = {}
    end = time.monotonic() + MOST_SECONDS
    for packet in container.demux(streams):
        index = packet.stream_index
        if packet.size:
            packets[index] = packets.get(index, 0) + 1
        if packet.duration and packet.time_base:
            lengths[index] = lengths.get(index, Fraction(0)) + packet.duration * packet.time_base
        if time.monotonic() > end:
            return None
    found = [Fraction(container.duration or 0, av.time_base), *lengths.values()]
    for stream in streams:
        samples, rate = SAMPLES.get(stream.codec_context.name), stream.codec_context.sample_rate
        if samples and rate:
            found.append(Fraction(packets.get(stream.index, 0) * samples, rate))
        if stream.duration and stream.time_base:
            found.append(stream.duration * stream.time_base)
    return max(found) or None


class _Part(io.RawIOBase):
    """A file of a form as a file of its own."""

    def __init__(self, form: Form, file: File) -> None:
        self._form, self._file, self._at = form, file, 0

    def readable(self) -> bool:
        """Whether it can be read."""
        return True

    def seekable(self) -> bool:
        """Whether it can be read from anywhere."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what fits."""
        size = min(len(buffer), BLOCK_BYTES, self._file.size - self._at)
        if size <= 0:
            return 0
        content = self._form.part_of(self._file, self._at, size)
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go on from elsewhere."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._file.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        """Return where it is."""
        return self._at
