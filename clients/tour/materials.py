"""The small files that nodes are given: a picture, a sound, a video and a model.

They are made here and by the ComfyUI itself, so nothing has to be brought along. Each run has its
own: a ComfyUI answers what it has seen before from its cache, and asks nobody.
"""

from __future__ import annotations

import io
import json
import math
import struct
import wave
import zlib

SECONDS = 5
FRAMES_PER_SECOND = 24
WIDTH, HEIGHT = 1280, 720
SOUND_RATE, SOUND_SECONDS = 24_000, 8
FBX = b"Kaydara FBX Binary  \0\x1a\0" + struct.pack("<I", 7400) + bytes(144)
"""An FBX without anything in it: nodes look at its name only, and vendors may refuse it."""


def picture(run: int) -> bytes:
    """Return a PNG with a hole in it, which is the mask of nodes that want one."""
    rows = bytearray()
    for y in range(HEIGHT):
        rows.append(0)
        for x in range(0, WIDTH, 8):
            hole = WIDTH // 3 < x < WIDTH // 2 and HEIGHT // 3 < y < HEIGHT // 2
            pixel = (x * 255 // WIDTH, y * 255 // HEIGHT, run % 256, 0 if hole else 255)
            rows += bytes(pixel) * 8
    head = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 6, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(bytes(rows), 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, content) for name, content in parts)


def _chunk(name: bytes, content: bytes) -> bytes:
    sealed = name + content
    return struct.pack(">I", len(content)) + sealed + struct.pack(">I", zlib.crc32(sealed))


def sound(run: int) -> bytes:
    """Return a WAV of one tone."""
    pitch = 220 + run % 220
    tone = (
        math.sin(2 * math.pi * pitch * n / SOUND_RATE) for n in range(SOUND_SECONDS * SOUND_RATE)
    )
    kept = io.BytesIO()
    with wave.open(kept, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SOUND_RATE)
        file.writeframes(b"".join(struct.pack("<h", int(8000 * each)) for each in tone))
    return kept.getvalue()


def model(run: int) -> bytes:
    """Return a GLB of one triangle."""
    points = struct.pack("<9f", 0, 0, 0, 1 + run % 100 / 100, 0, 0, 0, 1, 0)
    told = {
        "asset": {"version": "2.0"},
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}],
        "accessors": [
            {
                "bufferView": 0,
                "componentType": 5126,
                "count": 3,
                "type": "VEC3",
                "min": [0, 0, 0],
                "max": [2, 1, 0],
            }
        ],
        "bufferViews": [{"buffer": 0, "byteLength": len(points)}],
        "buffers": [{"byteLength": len(points)}],
    }
    text = json.dumps(told).encode()
    text += b" " * (-len(text) % 4)
    length = 12 + 8 + len(text) + 8 + len(points)
    head = struct.pack("<4sII", b"glTF", 2, length)
    head += struct.pack("<I4s", len(text), b"JSON") + text
    return head + struct.pack("<I4s", len(points), b"BIN\0") + points


def video(picture_name: str, sound_name: str) -> dict[str, dict]:
    """Return the workflow by which a ComfyUI makes the video: of the picture and the sound."""
    frames = SECONDS * FRAMES_PER_SECOND
    return {
        "1": {"class_type": "LoadImage", "inputs": {"image": picture_name}},
        "2": {"class_type": "LoadAudio", "inputs": {"audio": sound_name}},
        "3": {"class_type": "RepeatImageBatch", "inputs": {"image": ["1", 0], "amount": frames}},
        "4": {
            "class_type": "CreateVideo",
            "inputs": {"images": ["3", 0], "fps": float(FRAMES_PER_SECOND), "audio": ["2", 0]},
        },
        "5": {
            "class_type": "SaveVideo",
            "inputs": {
                "video": ["4", 0],
                "filename_prefix": "tour",
                "format": "mp4",
                "codec": "h264",
                "format.codec": "h264",
            },
        },
    }
