"""What vendors said of their jobs lately, to this process."""

from __future__ import annotations

import collections
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

    from proxy.dialect import Said

SAID_LIMIT_BYTES = 256 << 10
"""What a vendor says is shared up to this size; a larger answer is asked for anew."""
REMEMBERED, REMEMBERED_BYTES = 4096, 16 << 20
"""Answers, and what they are together."""


class Recent:
    """What vendors said lately to this process, and what it is asking at this moment."""

    def __init__(self) -> None:
        self._said: collections.OrderedDict[str, tuple[float, Said]] = collections.OrderedDict()
        self._size = 0
        self.asking: dict[str, asyncio.Task[Said | None]] = {}

    def fresh(self, job: str, seconds: float) -> Said | None:
        """Return what was said of a job within so many seconds."""
        at, said = self._said.get(job, (0.0, None))
        return said if said is not None and time.monotonic() - at < seconds else None

    def note(self, job: str, said: Said) -> None:
        """Remember it; the oldest is forgotten."""
        if len(said.body) > SAID_LIMIT_BYTES:
            return
        if job in self._said:
            self._size -= len(self._said.pop(job)[1].body)
        self._said[job] = time.monotonic(), said
        self._size += len(said.body)
        while len(self._said) > REMEMBERED or self._size > REMEMBERED_BYTES:
            _, (_, oldest) = self._said.popitem(last=False)
            self._size -= len(oldest.body)
