"""A sound is as long as a vendor would find it, whatever its file says of itself."""

from __future__ import annotations

import asyncio
import functools
import io
from fractions import Fraction

import av
import pytest

from common.errors import InvalidRequest
from proxy import listening
from proxy.forms import File, Form
from sandbox.media import Media, render


@functools.cache  # Most are asked for before there are tests, by each worker.
def encoded(kind: str, codec: str, seconds: int) -> bytes:
    """Write a sound of a kind."""
    file = io.BytesIO()
    with av.open(file, "w", format=kind) as container:
        stream = container.add_stream(codec, rate=48_000, layout="mono")
        size = stream.codec_context.frame_size or 960
        for at in range(0, seconds * 48_000, size):
            frame = av.AudioFrame(
                format=stream.codec_context.format.name, layout="mono", samples=size
            )
            frame.planes[0].update(bytes(frame.planes[0].buffer_size))
            frame.sample_rate, frame.pts = 48_000, at
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def lying(mp4: bytes) -> bytes:
    """Let an MP4 say in every place that it is a hundredth as long."""
    told = bytearray(mp4)
    for box, offset in ((b"mvhd", 20), (b"mdhd", 20), (b"tkhd", 24), (b"stts", 16)):
        at = mp4.find(box) + offset
        told[at : at + 4] = (int.from_bytes(told[at : at + 4], "big") // 100).to_bytes(4, "big")
    return bytes(told)


def measured(content: bytes, name: str = "audio") -> Fraction:
    form = Form("multipart/form-data")
    form.spool.write(b"something before" + content)
    form.add("audio", File("audio", "x.mp4", "audio/mp4", 16, len(content)))
    try:
        return asyncio.run(listening.seconds_of(form, name))
    finally:
        form.close()


@pytest.mark.parametrize(
    "content",
    [
        render(Media("wav", seconds=30)),
        render(Media("mp3", seconds=30)),
        encoded("mp4", "aac", 30),
        lying(encoded("mp4", "aac", 30)),
        encoded("ogg", "libopus", 30),
        encoded("webm", "libopus", 30),
    ],
    ids=["wav", "mp3", "mp4", "a lying mp4", "ogg", "webm"],
)
def test_a_sound_is_as_long_as_its_packets(content):
    assert 30 <= measured(content) < Fraction("30.2")


def test_a_wav_whose_head_lies_is_as_long_as_its_samples():
    told = bytearray(render(Media("wav", seconds=30)))
    told[28:32] = (8_000_000).to_bytes(4, "little")  # Bytes a second, which nobody plays by.
    assert measured(bytes(told)) == 30


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"#EXTM3U\n#EXT-X-TARGETDURATION:1\nfile:///etc/passwd\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"\x89PNG" + bytes(100),
        render(Media("mp4", width=64, height=64, seconds=5)),
        b"RIFF" + bytes(100),
        encoded("mp4", "aac", 5)[:200],
        b"ID3" + bytes(1000),
    ],
    ids=["nothing", "playlist", "list", "png", "silent film", "no wav", "cut", "no mp3"],
)
def test_what_is_no_sound_is_refused(content):
    with pytest.raises(InvalidRequest, match="audio cannot be measured"):
        measured(content)


def test_there_must_be_one_sound():
    with pytest.raises(InvalidRequest, match="other must be one file"):
        measured(render(Media("wav", seconds=1)), "other")
