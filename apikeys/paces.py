"""How many calls a key may begin in a minute, counted for all web processes together.

A count of its own for each call would be a write more for each call. So a process takes a part of
the minute's calls at once (`TAKE`: an eighth of what is left, at least one), and gives them out
from memory. What all give out is never more than the limit, however many there are; a few that one
process took, and nobody asked it for, may be left over. A key without a limit costs nothing: the
statement that places a hold says `pace` of a call that comes without one where it needs one, and
only then is anything taken. So a limit holds from the next call on (one that is raised, from the
next minute), and a repeat is never refused.

The minute is the database's. The table is UNLOGGED: after its crash a minute begins anew.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.conf import settings

from apikeys import callers
from common.errors import RateLimited
from common.told import kept

NONE_LEFT = kept(
    "This key may begin %(most)s calls in a minute, and 0 are left. The next minute begins in "
    "%(wait)s s."
)
MOST_KEPT = 10_000
HALF_A_MINUTE = 30

PACE = f"coalesce(caller.requests_per_minute, nullif({int(settings.REQUESTS_PER_MINUTE)}, 0))"
"""How many calls the row `caller` may begin in a minute; null is any number."""

NEEDED = f"(NOT coalesce(asked.paced, false) AND {PACE} IS NOT NULL)"
"""Whether an ask needs one of the calls of this minute, and comes without."""

_SOME = "greatest(((SELECT most FROM mine) - pace.taken + 7) / 8, 0)"
TAKE = f"""
    WITH mine AS (
        SELECT caller.family, {PACE} AS most, date_trunc('minute', statement_timestamp()) AS minute
          FROM json_to_record(%s::json) AS asked ({callers.COLUMNS}) {callers.FIND}
         WHERE {PACE} IS NOT NULL
    )
    INSERT INTO apikeys_pace AS pace (family, minute, taken, given)
    SELECT family, minute, (most + 7) / 8, (most + 7) / 8 FROM mine
        ON CONFLICT (family) DO UPDATE
       SET minute = greatest(pace.minute, excluded.minute),
           taken = CASE WHEN pace.minute < excluded.minute THEN excluded.taken
                        ELSE pace.taken + {_SOME}
                   END,
           given = CASE WHEN pace.minute < excluded.minute THEN excluded.taken
                        ELSE {_SOME} END
 RETURNING given, greatest((SELECT most FROM mine) - taken, 0), (SELECT most FROM mine),
           extract(epoch FROM minute + interval '1 minute' - statement_timestamp())::float8
"""  # noqa: S608 - constants of our own
"""Take some of this minute's calls: how many, how many are left, of how many, for how long yet.

No row: there is no limit any more.
"""

FORGET = """
    DELETE FROM apikeys_pace WHERE family IN (
        SELECT family FROM apikeys_pace WHERE minute < now() - interval '1 hour'
         LIMIT %(batch)s FOR UPDATE SKIP LOCKED)
       AND minute < now() - interval '1 hour'
"""

LEFT = """
    SELECT taken, minute + interval '1 minute'
      FROM apikeys_pace WHERE family = %s AND minute = date_trunc('minute', now())
"""


@dataclass(slots=True)
class Share:
    """What a process took of a key's minute."""

    left: int
    others: int
    """What nobody has taken yet."""
    most: int
    until: float

    @property
    def has_some(self) -> bool:
        """Whether one is here to be used, and its minute is not over."""
        return self.left > 0 and time.monotonic() < self.until

    def take(self) -> bool:
        """Use one up; False if there is none."""
        if not self.has_some:
            return False
        self.left -= 1
        return True

    @property
    def is_used_up(self) -> bool:
        """Whether this minute's calls are all taken, by whomever, and none of them is here."""
        return self.left <= 0 and self.others <= 0 and time.monotonic() < self.until

    @property
    def resets_at(self) -> str:
        """When the next minute begins."""
        wait = max(self.until - time.monotonic(), 0)
        return datetime.fromtimestamp(time.time() + wait, UTC).isoformat()

    def headers(self) -> dict[str, str]:
        """Return how the minute stands, as RateLimit fields have it."""
        wait = max(int(self.until - time.monotonic()) + 1, 1)
        return {
            "RateLimit-Policy": f'"key";q={self.most};w=60',
            "RateLimit": f'"key";r={max(self.left, 0) + self.others};t={wait}',
        }

    def refusal(self) -> RateLimited:
        """Return what is told when all are used up."""
        wait = max(int(self.until - time.monotonic()) + 1, 1)
        return RateLimited(
            NONE_LEFT % {"most": self.most, "wait": wait},
            headers={"Retry-After": str(wait), **self.headers()},
        )


class Shares:
    """Those of one process, by caller; the ones used last are kept."""

    def __init__(self) -> None:
        self._shares: OrderedDict[bytes, Share] = OrderedDict()

    def of(self, caller: bytes) -> Share | None:
        """Return what was taken for a caller lately."""
        return self._shares.get(caller)

    def note(self, caller: bytes, rows: list[tuple[Any, ...]], asked_at: float) -> Share | None:
        """Note what `TAKE` answered; None if there is no limit. Until when is reckoned early."""
        if not rows:
            self._shares.pop(caller, None)
            return None
        ((given, others, most, seconds),) = rows
        before, until = self._shares.get(caller), asked_at + seconds
        if before is not None and abs(before.until - until) < HALF_A_MINUTE:
            given += before.left  # Of the same minute: who asked beside this one took them.
        share = self._shares[caller] = Share(given, others, most, until)
        self._shares.move_to_end(caller)
        if len(self._shares) > MOST_KEPT:
            self._shares.popitem(last=False)
        return share
