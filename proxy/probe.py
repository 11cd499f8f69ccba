"""A program of its own: what a file measures that a stranger made.

It is started for one file, with that file open and nothing else: no settings, no secrets, little
memory, little time, and no right to write. Whatever a broken or hostile file does to the libraries
that read it, it does here. It says what it found as one line of JSON, or nothing.

What a file says of itself is its maker's word, so the longest of all that can be found is told: its
head, its streams' heads, their packets counted, with its list of edits and without. Only containers
that hold everything themselves are opened: a playlist would have other addresses read.
"""

from __future__ import annotations

import io
import json
import os
import resource
import sys
from fractions import Fraction
from typing import Any, cast

SECONDS = 20
MEMORY_BYTES = 1 << 30
LONGEST_SECONDS = 24 * 3600
BLOCK_BYTES = 1 << 20
FORMATS = (
    (0, b"ID3", "mp3"),
    (0, b"\xff\xfb", "mp3"),
    (0, b"\xff\xf3", "mp3"),
    (0, b"\xff\xf2", "mp3"),
    (0, b"\xff\xfa", "mp3"),
    (4, b"ftyp", "mp4"),
    (8, b"WAVE", "wav"),
    (8, b"AVI ", "avi"),
    (0, b"fLaC", "flac"),
    (0, b"OggS", "ogg"),
    (0, b"\x1aE\xdf\xa3", "matroska"),
    (0, b"\x89PNG", "PNG"),
    (0, b"\xff\xd8\xff", "JPEG"),
    (8, b"WEBP", "WEBP"),
    (0, b"GIF8", "GIF"),
)
"""Where a file has which bytes, and what it is then."""
PICTURES = ("PNG", "JPEG", "WEBP", "GIF")
MOST_RATE = 120
"""Pictures a second: a film that claims more is longer than it says, to whoever plays it."""
SAMPLES = {"aac": 1024, "mp3": 1152, "mp3float": 1152}
"""Of a packet, where the coding says so."""


def main() -> None:
    """Measure the bytes of an open file, from one place on, so many of them."""
    number, start, size = map(int, sys.argv[1:4])
    for what, most in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_CPU, SECONDS),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))
    os.write(1, json.dumps(measured(Part(number, start, size))).encode())


def measured(part: Part) -> dict[str, str]:
    """Return what can be found, as fractions; empty where it is nothing that we know."""
    head = part.read(16)
    part.seek(0)
    kind = next((kind for at, mark, kind in FORMATS if head[at:].startswith(mark)), None)
    if kind is None:
        return {}
    if kind in PICTURES:
        return {"pixels": f"{pixels(part, kind)}"}
    found: dict[str, Fraction] = {}
    for options in ({}, {"ignore_editlist": "1"}) if kind == "mp4" else ({},):
        part.seek(0)
        for name, value in counted(part, kind, options).items():
            found[name] = max(value, found.get(name, value))
    if kind == "mp4" and found:
        found["seconds"] = max(found["seconds"], head_of_mp4(part))
    return {
        name: f"{value}"
        for name, value in found.items()
        if value > 0 and (name == "frames" or value <= LONGEST_SECONDS)
    }


def pixels(part: Part, kind: str) -> int:
    """Return the pixels that a picture's head states; none is decoded."""
    from PIL import Image

    with Image.open(cast("Any", part), formats=[kind]) as image:
        return image.width * image.height


def head_of_mp4(part: Part) -> Fraction:
    """Return the seconds that an MP4's `mvhd` box states, which the library does not believe."""
    at, moov = 0, b""
    while not moov:
        part.seek(at)
        head = part.read(16)
        size = int.from_bytes(head[:4], "big")
        if size == 1:
            size = int.from_bytes(head[8:16], "big")
        if len(head) < 16 or size < 8:
            return Fraction(0)
        if head[4:8] == b"moov":
            part.seek(at)
            moov = part.read(min(size, BLOCK_BYTES))
        at += size
    body = moov.partition(b"mvhd")[2]
    wide = 8 if body[:1] == b"\x01" else 4  # Version 1: 64-bit times.
    scale = int.from_bytes(body[4 + 2 * wide : 8 + 2 * wide], "big")
    length = int.from_bytes(body[8 + 2 * wide : 8 + 3 * wide], "big")
    unknown = length == (1 << 8 * wide) - 1
    return Fraction(length, scale) if scale and not unknown else Fraction(0)


def counted(part: Part, kind: str, options: dict[str, str]) -> dict[str, Fraction]:
    """Return the longest that the container, a stream's head or its packets come to."""
    import av

    opened: Any = av.open(part, format=kind, options=options, buffer_size=BLOCK_BYTES)
    with opened as container:
        streams = [each for each in container.streams if each.type in ("audio", "video")]
        tallies = {each.index: Tally(each) for each in streams}
        for packet in container.demux(streams):
            if packet.size:
                tallies[packet.stream_index].add(packet)
        kinds = {each.type for each in streams}  # Nothing of them may be read once it is closed.
        told = Fraction(container.duration or 0, av.time_base)
        lengths = [length for each in tallies.values() for length in each.lengths()]
        frames = [each.frames() for each in tallies.values() if each.stream.type == "video"]
    if not kinds:
        return {}
    seconds = max([told, *lengths])
    return {
        "seconds": seconds,
        "heard": seconds if "audio" in kinds else Fraction(0),
        "frames": Fraction(max(frames, default=0)),
    }


class Tally:
    """What the packets of a stream come to."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.packets = 0
        self.ticks = 0
        self.first: int | None = None
        self.last = 0

    def add(self, packet: Any) -> None:
        """Count a packet."""
        self.packets += 1
        self.ticks += packet.duration or 0
        at = packet.pts if packet.pts is not None else packet.dts
        if at is not None:
            self.first = at if self.first is None else min(self.first, at)
            self.last = max(self.last, at + (packet.duration or 0))

    def frames(self) -> int:
        """Return how many pictures there are, by the head or by the packets."""
        return max(self.packets, self.stream.frames or 0)

    def lengths(self) -> list[Fraction]:
        """Return the seconds by each way to tell them."""
        base, context = self.stream.time_base, self.stream.codec_context
        found = []
        if base:
            span = self.last - (self.first or 0)
            found = [base * each for each in (self.stream.duration or 0, self.ticks, span)]
        if self.stream.type == "video":
            found.append(Fraction(self.packets, MOST_RATE))
        samples = SAMPLES.get(context.name) if self.stream.type == "audio" else None
        if samples and context.sample_rate:
            found.append(Fraction(self.packets * samples, context.sample_rate))
        return found


class Part(io.RawIOBase):
    """A part of an open file, as a file of its own; where others read of it changes nothing."""

    def __init__(self, number: int, start: int, size: int) -> None:
        self._number, self._start, self._size, self._at = number, start, size, 0

    def readable(self) -> bool:
        """Whether it can be read."""
        return True

    def seekable(self) -> bool:
        """Whether it can be read from anywhere."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what fits."""
        size = min(len(buffer), BLOCK_BYTES, self._size - self._at)
        if size <= 0:
            return 0
        content = os.pread(self._number, size, self._start + self._at)
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go on from elsewhere."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        """Return where it is."""
        return self._at


if __name__ == "__main__":
    main()
