"""How often an address may poll without a credential: so many at once, then so many a second.

The token in a polling URL is all that such a poll shows, and each costs a look into the books, the
wrong ones too. The limit is far above what a studio behind one address needs: a client of October
2025 gives its job up when it meets it.
"""

from __future__ import annotations

import time
from collections import OrderedDict

from common.errors import RateLimited

AT_ONCE, PER_SECOND = 1000, 100
REMEMBERED = 10_000
"""Addresses; the one that asked longest ago is forgotten, and has all of it again."""


class Pollers:
    """What each address may still ask now."""

    def __init__(self) -> None:
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def check(self, address: str) -> None:
        """Count a poll; raise RateLimited if it is one too many."""
        now = time.monotonic()
        left, at = self._left.pop(address, (AT_ONCE, now))
        left = min(AT_ONCE, left + (now - at) * PER_SECOND)
        self._left[address] = (left - 1 if left >= 1 else left), now
        if len(self._left) > REMEMBERED:
            self._left.popitem(last=False)
        if left < 1:
            sentence = "Your address polls too often. Please poll less often."
            raise RateLimited(sentence, headers={"Retry-After": "1"})


by_token = Pollers()
"""The process's."""
