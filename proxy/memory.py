"""What strangers may have this process hold in memory: bodies of requests, answers of vendors.

One budget for all of them, and of it a quarter for any one: the key that pays, or, until that is
known, the address that asks. So who sends much is told to wait before others are.

    with memory.held.reserve(owner) as taken:
        taken.add(len(part))

What was reserved is given back at the end of the block, however it ends. All of it happens in the
one thread of the event loop, and nothing here waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings

from common.cached import from_settings
from common.errors import RateLimited, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

SHARES = 4


class Memory:
    """A number of bytes, and who has how many of them."""

    def __init__(self, limit: Callable[[], int]) -> None:
        self._limit = limit
        self.taken = 0
        self.of: dict[str, int] = {}

    def reserve(self, owner: str, size: int = 0) -> Reservation:
        """Return a reservation of so many bytes, to be released; raises what `add` does."""
        made = Reservation(self, owner)
        made.add(size)
        return made

    @property
    def share(self) -> int:
        """What any one owner may have."""
        return self._limit() // SHARES

    def take(self, owner: str, size: int) -> None:
        """Note that these bytes are held now, however many there are already."""
        self.taken += size
        left = self.of.get(owner, 0) + size
        if left:
            self.of[owner] = left
        else:
            self.of.pop(owner, None)

    def check(self, owner: str, size: int) -> None:
        """Raise RateLimited where an owner has its share, Unavailable where all have the whole."""
        if self.of.get(owner, 0) + size > self.share:
            sentence = "You are sending too much at once. Please try again in a moment."
            raise RateLimited(sentence, headers={"Retry-After": "2"})
        if self.taken + size > self._limit():
            raise Unavailable("The platform is reading too much at once. Please try again.")


class Reservation:
    """Bytes that one owner holds; they are given back once, at `release` or the block's end."""

    __slots__ = ("_memory", "_owner", "size")

    def __init__(self, memory: Memory, owner: str) -> None:
        self._memory = memory
        self._owner = owner
        self.size = 0

    def add(self, size: int) -> None:
        """Hold so many bytes more; raise RateLimited or Unavailable and hold no more."""
        if size:
            self._memory.check(self._owner, size)
            self._memory.take(self._owner, size)
            self.size += size

    @property
    def owner(self) -> str:
        """Whose share it counts in."""
        return self._owner

    @owner.setter
    def owner(self, owner: str) -> None:
        self._memory.take(self._owner, -self.size)
        self._owner = owner
        self._memory.take(owner, self.size)

    def release(self) -> None:
        """Give all back; a second time changes nothing."""
        size, self.size = self.size, 0
        self._memory.take(self._owner, -size)

    def __enter__(self) -> Reservation:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


@from_settings
def _limit() -> int:
    return int(settings.BODY_MEMORY_BYTES)


held = Memory(_limit)
"""The process's."""
