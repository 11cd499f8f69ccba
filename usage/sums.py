"""Sums of a workspace's calls that always equal the calls: by time, by run, by number.

They are made apart from any call. A call takes its number from its wallet's row, in the commit that
writes it, so whoever sees a number sees all calls below it: the sums are whole up to one number
(`Summed`), and catching up is to add what stands above it, once, under that row's lock. The worker
does so every minute, and whoever reads does it first: what is read is never behind. A call that
ends late, or is charged anew, is another number, and falls into the hour in which it was settled.

`reconcile` proves it (reconciliation.py).
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from django.db import connection, transaction

from common.rows import values
from credits.models import Account
from usage.models import NOBODY, CallSum, RunSum, Summed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from uuid import UUID

BLOCK: Final = 2048
"""So many numbers are one block (models.CallBlock): no more calls are read where one is cut.
Of more, fewer rows say the same; of fewer, a page of rare calls is found among less."""
AT_ONCE: Final = 20_000
"""So many calls are added in one transaction."""
TOGETHER: Final = 200
"""Of so many workspaces: one statement is planned for all months there are, which costs as much
as to add hundreds of calls."""
MOST_NAMED: Final = 100
"""Of the vendors, operations and nodes of a run, beyond which a list is no help."""
SPANS: Final = tuple(CallSum.Span.values)

_BEHIND = """
    SELECT wallet.events > coalesce(summed.number, 0)
      FROM credits_account wallet LEFT JOIN usage_summed summed ON summed.workspace_id = wallet.id
     WHERE wallet.id = %s AND wallet.kind = 'wallet'
"""
_ALL_BEHIND = """
    SELECT wallet.id
      FROM credits_account wallet LEFT JOIN usage_summed summed ON summed.workspace_id = wallet.id
     WHERE wallet.kind = 'wallet' AND wallet.events > coalesce(summed.number, 0)
"""

_NAMED = """ARRAY(SELECT each FROM unnest(usage_runsum.{0} || excluded.{0}) WITH ORDINALITY
                       AS named(each, place) GROUP BY each ORDER BY min(place) LIMIT {1})"""
# What agrees is added in the order of its unique key, so that no two who add wait in a circle.
ADD = f"""
    WITH due AS MATERIALIZED (
        SELECT workspace_id, number, vendor, operation, project, outcome, charged_micros, run_id,
               coalesce(user_id, %(nobody)s) AS user_id, coalesce(key_id, %(nobody)s) AS key_id,
               coalesce(nullif(facts->>'title', ''), operation) AS node, started_at, settled_at
          FROM unnest(%(workspaces)s::uuid[], %(after)s::bigint[], %(upto)s::bigint[])
               AS asked(workspace, behind, upto)
          CROSS JOIN LATERAL (
              SELECT * FROM usage_call
               WHERE workspace_id = workspace AND number > behind AND number <= upto
              OFFSET 0) call  -- By the index, whatever the planner makes of so many.
    ), spans AS (
        INSERT INTO usage_callsum (workspace_id, span, begins_at, vendor, operation, user_id,
                                   key_id, project, calls, delivered, uncharged, charged_micros)
        SELECT workspace_id, span,
               date_trunc(span, settled_at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AS begins_at,
               vendor, operation, user_id, key_id, project, count(*),
               count(*) FILTER (WHERE outcome = 'delivered'),
               count(*) FILTER (WHERE charged_micros = 0), sum(charged_micros)
          FROM due CROSS JOIN unnest(%(spans)s::text[]) AS span
         GROUP BY workspace_id, span, begins_at, vendor, operation, user_id, key_id, project
         ORDER BY workspace_id, span, begins_at, vendor, operation, user_id, key_id, project
            ON CONFLICT (workspace_id, span, begins_at, vendor, operation, user_id, key_id, project)
            DO UPDATE SET calls = usage_callsum.calls + excluded.calls,
                          delivered = usage_callsum.delivered + excluded.delivered,
                          uncharged = usage_callsum.uncharged + excluded.uncharged,
                          charged_micros = usage_callsum.charged_micros + excluded.charged_micros
    ), blocks AS (
        INSERT INTO usage_callblock (workspace_id, block, vendor, operation, user_id, key_id,
                                     project, outcome, calls)
        SELECT workspace_id, (number - 1) / {BLOCK} AS block, vendor, operation, user_id, key_id,
               project, outcome, count(*)
          FROM due
         GROUP BY workspace_id, block, vendor, operation, user_id, key_id, project, outcome
            ON CONFLICT (workspace_id, block, vendor, operation, user_id, key_id, project, outcome)
            DO UPDATE SET calls = usage_callblock.calls + excluded.calls
    )
    INSERT INTO usage_runsum (workspace_id, run_id, user_id, key_id, project, first_number,
                              last_number, calls, delivered, charged_micros, vendors, operations,
                              nodes, began_at, ended_at)
    SELECT workspace_id, run_id, user_id, (array_agg(key_id ORDER BY number DESC))[1],
           (array_agg(project ORDER BY number DESC))[1], min(number), max(number), count(*),
           count(*) FILTER (WHERE outcome = 'delivered'), sum(charged_micros),
           (array_agg(DISTINCT vendor))[:{MOST_NAMED}],
           (array_agg(DISTINCT operation))[:{MOST_NAMED}],
           (array_agg(DISTINCT left(node, 200)))[:{MOST_NAMED}], min(started_at), max(settled_at)
      FROM due WHERE run_id <> ''
     GROUP BY workspace_id, run_id, user_id
        ON CONFLICT (workspace_id, run_id, user_id)
        DO UPDATE SET key_id = excluded.key_id, project = excluded.project,
                      last_number = excluded.last_number,
                      calls = usage_runsum.calls + excluded.calls,
                      delivered = usage_runsum.delivered + excluded.delivered,
                      charged_micros = usage_runsum.charged_micros + excluded.charged_micros,
                      vendors = {_NAMED.format("vendors", MOST_NAMED)},
                      operations = {_NAMED.format("operations", MOST_NAMED)},
                      nodes = {_NAMED.format("nodes", MOST_NAMED)},
                      began_at = least(usage_runsum.began_at, excluded.began_at),
                      ended_at = greatest(usage_runsum.ended_at, excluded.ended_at)
"""  # noqa: S608 - constants of our own

FOLLOW: Final = """
    UPDATE usage_call call SET project = run.project
      FROM unnest(%(workspaces)s::uuid[], %(after)s::bigint[], %(upto)s::bigint[])
           AS asked(workspace, behind, upto)
      JOIN usage_runsum run ON run.workspace_id = workspace AND run.is_tagged
     WHERE call.workspace_id = workspace AND call.number > behind AND call.number <= upto
       AND call.run_id = run.run_id AND coalesce(call.user_id, %(nobody)s) = run.user_id
       AND call.project <> run.project
"""
"""What came of a run that was given a project is of that one, whatever its key was for."""
MOVE: Final = """
    UPDATE usage_summed SET number = upto
      FROM unnest(%(workspaces)s::uuid[], %(upto)s::bigint[]) AS asked(workspace, upto)
     WHERE workspace_id = workspace
"""

_still: ContextVar[bool] = ContextVar("sums_as_they_are", default=False)


@contextmanager
def as_they_are() -> Iterator[None]:
    """Have sums be read meanwhile as they are: for whoever may write nothing."""
    token = _still.set(True)
    try:
        yield
    finally:
        _still.reset(token)


def catch_up(workspace_id: UUID) -> None:
    """Have the sums of a workspace be those of all its calls; nothing if they are."""
    if _still.get():
        return
    if any(values(_BEHIND, [workspace_id])):
        _add([workspace_id])


def catch_up_all() -> int:
    """Do so for each workspace that is behind; return how many were."""
    behind = values(_ALL_BEHIND)
    for at in range(0, len(behind), TOGETHER):
        _add(behind[at : at + TOGETHER])
    return len(behind)


def _add(workspaces: Sequence[UUID]) -> None:
    while workspaces:
        workspaces = _add_some(workspaces)


@transaction.atomic
def _add_some(workspaces: Sequence[UUID]) -> list[UUID]:
    """Add the calls of some that come next, an equal share of each; return who may have more."""
    share = AT_ONCE // len(workspaces)
    workspaces = sorted(workspaces)  # Who locks several does so in one order.
    Summed.objects.bulk_create([Summed(pk=each) for each in workspaces], ignore_conflicts=True)
    locked = Summed.objects.select_for_update().filter(pk__in=workspaces).order_by("pk")
    summed = dict(locked.values_list("pk", "number"))
    # Asked after the lock: all calls of these numbers are there, whoever wrote them.
    wallets = Account.objects.filter(pk__in=workspaces, kind=Account.Kind.WALLET)
    events = dict(wallets.values_list("pk", "events"))
    due = [each for each in events if events[each] > summed[each]]
    given: dict[str, Any] = {
        "workspaces": due,
        "after": [summed[each] for each in due],
        "upto": [min(events[each], summed[each] + share) for each in due],
    }
    tagged = RunSum.objects.filter(workspace_id__in=due, is_tagged=True)
    with connection.cursor() as cursor:
        if tagged.exists():
            cursor.execute(FOLLOW, {**given, "nobody": NOBODY})
        cursor.execute(ADD, {**given, "nobody": NOBODY, "spans": list(SPANS)})
        cursor.execute(MOVE, given)
    return [each for each in due if events[each] > summed[each] + share]
