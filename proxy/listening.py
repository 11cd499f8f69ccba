"""How long a sound is that came with a form: what a vendor would find when it plays it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from common.errors import InvalidRequest
from proxy import probing

if TYPE_CHECKING:
    from fractions import Fraction

    from proxy.forms import Form


async def seconds_of(form: Form, name: str) -> Fraction:
    """Return the length of the one sound of that field; raise InvalidRequest where it has none."""
    files = [file for file in form.files if file.name == name]
    if len(files) != 1:
        raise InvalidRequest(f"{name} must be one file: a sound.")
    content = await asyncio.to_thread(form.on_the_disk)
    found = await probing.of_file(
        content, owner=form.in_memory.owner, start=files[0].start, size=files[0].size
    )
    if "heard" not in found:
        known = "MP3, MP4, WAV, FLAC, Ogg or WebM"
        raise InvalidRequest(f"{name} cannot be measured: it must be a sound in {known}.")
    return found["heard"]
