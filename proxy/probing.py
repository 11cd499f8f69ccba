"""Have files measured: each by a program of its own (proxy/probe.py), few at a time.

A program that takes too long is ended, and a file that cannot be measured measures nothing: then a
price is held at its maximum. Who has many files waiting is told to wait before others are.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import os
import sys
import tempfile
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import IO, TYPE_CHECKING
from weakref import WeakKeyDictionary

import orjson

from proxy import memory

if TYPE_CHECKING:
    from collections.abc import Mapping

PROGRAM = str(Path(__file__).with_name("probe.py"))
AT_ONCE = 2
WAITING = 64
WALL_SECONDS = 25
"""A little longer than the program gives itself."""
OUTPUT_BYTES = 4096
TEXT_BLOCK = 4 << 20
"""A multiple of four: so many characters of base64 are undone at a time."""

waiting = memory.Memory(lambda: WAITING)
"""The files of this process that are being measured, or wait for it."""


_rooms: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


async def of_file(
    content: IO[bytes], *, owner: str, start: int = 0, size: int | None = None
) -> Mapping[str, Fraction]:
    """Return the `seconds`, `frames` or `pixels` of an open file, or of a part of it.

    `heard` are the seconds of one with a sound.

    Raises RateLimited or Unavailable where too many wait.
    """
    with waiting.reserve(owner, 1):
        return await _measured(content, start, size)


async def of_base64(text: str, *, owner: str) -> Mapping[str, Fraction]:
    """Return the same of base64, after a `data:` prefix if it has one."""
    with waiting.reserve(owner, 1):
        content = await asyncio.to_thread(_undone, text)
        if content is None:
            return {}
        with content:
            return await _measured(content, 0, None)


async def _measured(content: IO[bytes], start: int, size: int | None) -> Mapping[str, Fraction]:
    number = content.fileno()
    length = os.fstat(number).st_size - start if size is None else size
    room = _rooms.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(AT_ONCE))
    async with room:
        return _read(await _run(number, start, length))


async def _run(number: int, start: int, size: int) -> bytes:
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", PROGRAM, f"{number}", f"{start}", f"{size}"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        pass_fds=(number,),
        env={},
    )
    assert program.stdout is not None, "it was asked for"
    try:
        async with asyncio.timeout(WALL_SECONDS):
            said = await program.stdout.read(OUTPUT_BYTES)
            return said if await program.wait() == 0 else b""
    except TimeoutError:
        return b""
    finally:
        with suppress(ProcessLookupError):
            program.kill()
        await program.wait()


def _read(said: bytes) -> Mapping[str, Fraction]:
    try:
        return {name: Fraction(value) for name, value in orjson.loads(said).items()}
    except ValueError:
        return {}


def _undone(text: str) -> IO[bytes] | None:
    """Return a file of what base64 stands for; None where it is none."""
    at = text.index(",") + 1 if text.startswith("data:") and "," in text[:200] else 0
    content = tempfile.TemporaryFile()  # noqa: SIM115 - who asked for it closes it
    try:
        for begin in range(at, len(text), TEXT_BLOCK):
            content.write(base64.b64decode(text[begin : begin + TEXT_BLOCK], validate=True))
        content.flush()
    except (binascii.Error, ValueError, OSError):
        content.close()
        return None
    return content
