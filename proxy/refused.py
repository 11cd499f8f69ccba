"""Which calls a limit refused, for their owner to read: gathered in memory, written now and then.

Whose programs listen are told of a budget that is used up, once for each of its periods.

A refusal costs an addition to a dictionary. Alike ones of an hour are one row of `usage.Refusal`,
and there are only so many rows: whoever knocks in a loop raises a count. What a process has not
written yet when it dies is not known any more; nothing follows from these rows.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from common import metrics
from common.errors import Unavailable
from common.ids import uuid7
from usage import refusals
from usage.models import NOBODY
from webhooks import events

if TYPE_CHECKING:
    from common.errors import PlatformError
    from credits.books.turns import Answer
    from proxy.books import Books
    from proxy.phases import Place

MOST_AT_ONCE: Final = 50
"""Of a workspace, between two times of writing."""
MOST_AN_HOUR: Final = 200
"""Rows of a workspace: whatever else is refused in that hour is counted where it is alike."""
MOST_WORKSPACES: Final = 1000
LIMITS: Final = {
    "short": "balance",
    "busy": "concurrency",
    "budget": "budget",
    "call_limit": "per_call",
    "pace": "requests_per_minute",
    "frozen": "paused",
    "vendor": "vendor",
    "vendor_here": "vendor_here",
    "network": "network",
    "scope": "scope",
    "maintained": "maintenance",
}
"""What an owner reads for the books' words; a caller that is nobody's has no owner to read it."""

WRITE = f"""
    WITH given AS (
        SELECT given.*, date_trunc('hour', to_timestamp(last_at) AT TIME ZONE 'UTC')
                        AT TIME ZONE 'UTC' AS hour,
               coalesce(key.user_id, signin.user_id, '{NOBODY}') AS user_id,
               coalesce(key.id, '{NOBODY}') AS key_id, coalesce(key.project, '') AS project
          FROM json_to_recordset(%s::json)
               AS given(id uuid, workspace uuid, key uuid, sid uuid, vendor text, operation text,
                        run text, code text, "limit" text, whose text, needed bigint,
                        left_micros bigint, most_micros bigint, "left" int, most int,
                        resets_at timestamptz, message text, times int, first_at float8,
                        last_at float8)
          LEFT JOIN apikeys_apikey key ON key.id = given.key
          LEFT JOIN accounts_signin signin ON signin.id = given.sid
    ), alike AS (
        SELECT DISTINCT ON (workspace, hour, user_id, vendor, code, "limit", whose) *,
               sum(times) OVER same AS all_times, min(first_at) OVER same AS began
          FROM given
        WINDOW same AS (PARTITION BY workspace, hour, user_id, vendor, code, "limit", whose)
         ORDER BY workspace, hour, user_id, vendor, code, "limit", whose, last_at DESC
    )
    INSERT INTO usage_refusal (id, workspace_id, hour, user_id, key_id, project, vendor, operation,
                               run_id, code, "limit", whose, needed_micros, left_micros,
                               most_micros, "left", most, resets_at, message, times, first_at,
                               last_at)
    SELECT id, workspace, hour, user_id, key_id, project, vendor, operation, run, code, "limit",
           whose, needed, left_micros, most_micros, "left", most, resets_at, message, all_times,
           to_timestamp(began), to_timestamp(last_at)
      FROM alike
     WHERE (SELECT count(*) FROM usage_refusal had
             WHERE had.workspace_id = alike.workspace AND had.hour = alike.hour) < {MOST_AN_HOUR}
        OR EXISTS (SELECT FROM usage_refusal had
                    WHERE had.workspace_id = alike.workspace AND had.hour = alike.hour
                      AND had.user_id = alike.user_id AND had.vendor = alike.vendor
                      AND had.code = alike.code AND had."limit" = alike."limit"
                      AND had.whose = alike.whose)
     ORDER BY workspace, hour, user_id, vendor, code, "limit", whose
        ON CONFLICT (workspace_id, hour, user_id, vendor, code, "limit", whose) DO UPDATE
       SET times = usage_refusal.times + excluded.times, last_at = excluded.last_at,
           key_id = excluded.key_id, project = excluded.project, operation = excluded.operation,
           run_id = excluded.run_id, needed_micros = excluded.needed_micros,
           left_micros = excluded.left_micros, most_micros = excluded.most_micros,
           "left" = excluded."left", most = excluded.most, resets_at = excluded.resets_at,
           message = excluded.message
"""  # noqa: S608 - constants of our own


@dataclass(slots=True)
class Alike:
    """What refused somebody the same way, since it was last written; the figures are the last's."""

    workspace: str
    key: str | None
    sid: str | None
    vendor: str
    code: str
    limit: str
    whose: str
    operation: str
    run: str
    needed: int
    left_micros: int | None
    most_micros: int | None
    left: int | None
    most: int | None
    resets_at: str | None
    budget: int | None
    message: str
    id: str
    first_at: float
    last_at: float
    times: int = 1


class Refused:
    """What one process refused and has not written yet."""

    def __init__(self) -> None:
        self._of: dict[str, dict[tuple[Any, ...], Alike]] = {}

    def note(self, ask: Place, refusal: PlatformError) -> None:
        """Count a refusal that the books told of; what says nothing of an owner is not counted."""
        answer: Answer | None = refusal.told
        if answer is None or not answer.wallet or answer.verdict not in LIMITS:
            return
        if answer.wallet not in self._of and len(self._of) >= MOST_WORKSPACES:
            metrics.REFUSALS.labels("not_noted").inc()
            return
        made = _alike(ask, answer, refusal)
        some = self._of.setdefault(answer.wallet, {})
        name = made.key, made.sid, made.vendor, made.code, made.limit, made.whose
        before = some.get(name)
        if before is not None:
            made.id, made.first_at, made.times = before.id, before.first_at, before.times + 1
        elif len(some) >= MOST_AT_ONCE:
            metrics.REFUSALS.labels("not_noted").inc()
            return
        some[name] = made

    async def write(self, books: Books) -> None:
        """Add what was counted to the rows of all; what cannot be written now is forgotten."""
        if not self._of:
            return
        rows = [asdict(each) for some in self._of.values() for each in some.values()]
        self._of = {}
        with contextlib.suppress(Unavailable):
            await books.query(WRITE, orjson.dumps(rows).decode().replace("\\u0000", "\\ufffd"))
            for told in _budgets(rows):
                await books.query(events.EMIT, *told)


def _budgets(rows: list[dict[str, Any]]) -> list[tuple[str, str, str, str]]:
    """Return what `EMIT` takes for each budget that refused: each is told once while it runs."""
    found = {}
    for row in rows:
        if row["budget"] is None or row["whose"] == "run":  # A run says itself why it ended.
            continue
        name, data, key = refusals.used_up(
            row["budget"],
            whose=row["whose"],
            key_id=row["key"],
            most=row["most_micros"],
            left=row["left_micros"],
            needed=row["needed"],
            resets_at=row["resets_at"],
        )
        found[key] = events.asked(row["workspace"], name, data, key=key)
    return list(found.values())


def _alike(ask: Place, answer: Answer, refusal: PlatformError) -> Alike:
    told: dict[str, Any] = answer.told or {}
    is_counted = "open" in told or answer.verdict == "pace"
    most = told.get("most")
    left = max(most - told["open"], 0) if "open" in told and most is not None else told.get("left")
    now = time.time()
    return Alike(
        workspace=answer.wallet,
        key=answer.facts or None,
        sid=ask.sid,
        vendor=ask.vendor,
        code=refusal.code,
        limit=LIMITS[answer.verdict],
        whose=told.get("kind", ""),
        operation=str(ask.memo.get("operation", "")),
        run=str(ask.memo.get("run", "")),
        needed=ask.amount,
        left_micros=None if is_counted or left is None else max(left, 0),
        most_micros=None if is_counted else most,
        left=left if is_counted else None,
        most=most if is_counted else None,
        resets_at=told.get("resets_at"),
        budget=told.get("budget"),
        message=str(refusal)[:500],
        id=uuid7(),
        first_at=now,
        last_at=now,
    )
