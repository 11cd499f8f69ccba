"""How often somebody may try something: counted for all web processes together, in the cache.

A window begins at the same moment for everybody; a refusal says when the next one does. If the
count cannot be made, the error goes up and the try is not heard: a limit that can be switched off
by an overload is none.
"""

from __future__ import annotations

import contextlib
import hashlib
import time

from django.core.cache import cache
from django.utils.translation import gettext

from common.errors import RateLimited


def take(what: str, who: str, *, most: int, seconds: int) -> None:
    """Count one try; raise RateLimited if it is one too many in this window.

    `what` names the door, `who` the one who knocks: an address (`common.addresses.household`), a
    person, an e-mail. A `who` of any text is fine: it is part of a digest.
    """
    key, gone = _window(what, who, seconds)
    cache.add(key, 0, timeout=2 * seconds)  # It outlives its window, so it is there to count.
    if cache.incr(key) > most:
        wait = max(1, int(seconds - gone) + 1)
        raise RateLimited(
            gettext("Too many tries. The next one is heard in %(wait)s s.") % {"wait": wait},
            headers={"Retry-After": str(wait)},
        )


def give_back(what: str, who: str, *, seconds: int) -> None:
    """Count one try less: it was a good one, where only others are to be counted.

    In a window that has just begun there is none to give back.
    """
    with contextlib.suppress(ValueError):
        cache.decr(_window(what, who, seconds)[0])


def _window(what: str, who: str, seconds: int) -> tuple[str, float]:
    """Return under what is counted now, and how many seconds of the window are gone."""
    window, gone = divmod(time.time(), seconds)
    return f"tries:{what}:{seconds}:{int(window)}:{_digest(who)}", gone


def _digest(who: str) -> str:
    return hashlib.sha256(who.encode("utf-8", "surrogatepass")).hexdigest()[:32]
