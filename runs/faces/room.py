"""Room for what takes much memory: so much at once in a process, and a short line before it.

Who finds none waits a few seconds, first come first served; who finds the line full, or waits in
vain, is told to come again. So pictures take neither all memory nor all threads of a process.

What was taken goes back to the system: glibc would keep blocks as large as Pillow's for each thread
that ever had one, several times of what is used at once.
"""

from __future__ import annotations

import ctypes
import threading
from collections import deque
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from common.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

AGAIN_SECONDS: Final = 5
MMAP_THRESHOLD: Final = -3
"""M_MMAP_THRESHOLD of malloc.h: from that size on a block is the system's own once it is freed."""
LARGE: Final = 1 << 20


class Room:
    """A room of a size, in whatever is counted; nobody needs more than all of it."""

    def __init__(self, *, size: int, places: int, waiting: int, seconds: float) -> None:
        self._size, self._places = size, places
        self._most_waiting, self._seconds = waiting, seconds
        self._changed = threading.Condition()
        self._used = self._inside = 0
        self._line: deque[object] = deque()
        with suppress(AttributeError, OSError, TypeError):  # It is not glibc.
            ctypes.CDLL(None).mallopt(MMAP_THRESHOLD, LARGE)

    @contextmanager
    def taken(self, size: int) -> Iterator[None]:
        """Have so much of it meanwhile. Raises Unavailable where it is not to be had soon."""
        size = min(size, self._size)
        with self._changed:
            if self._line or not self._has(size):
                self._wait_for(size)
            self._used += size
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._used -= size
                self._inside -= 1
                self._changed.notify_all()

    def _wait_for(self, size: int) -> None:
        if len(self._line) >= self._most_waiting:
            raise _busy()
        mine = object()
        self._line.append(mine)
        try:
            if not self._changed.wait_for(
                lambda: self._line[0] is mine and self._has(size), self._seconds
            ):
                raise _busy()
        finally:
            self._line.remove(mine)
            self._changed.notify_all()  # Perhaps there is room for the next one, too.

    def _has(self, size: int) -> bool:
        return self._inside < self._places and self._used + size <= self._size


def _busy() -> Unavailable:
    return Unavailable(
        "Too many pictures are made at this moment. Ask again in a few seconds.",
        headers={"Retry-After": str(AGAIN_SECONDS)},
    )
