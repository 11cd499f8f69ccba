"""The project of a press of Run, given afterwards: all its calls follow, and all sums of them.

A call says itself which project it is of (`usage_call.project`): filters, files and sums read that
alone, so it is changed there, with every sum that the call is in, in one statement under the lock
of whoever adds to sums (`usage_summed`). A call of such a run that ends later still says what its
key is for; whoever adds it to the sums turns it first (`follow`). Budgets are not judged anew: a
call was under the limits of what its key was for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.db import connection, transaction
from django.utils.translation import gettext

from common.errors import InvalidRequest
from usage import sums
from usage.models import NOBODY, CallSum, RunSum, Summed

if TYPE_CHECKING:
    from collections.abc import Collection
    from uuid import UUID

MOST_CALLS: Final = 50_000
"""Of one run: it is one statement."""
MOST_KNOWN: Final = 200

# The calls of a run that are another project's, and the rows that they leave and come to. A row
# that is left with nothing goes; none is left and come to at once, for the project is another.
_TURN: Final = f"""
    WITH due AS MATERIALIZED (
        SELECT number, settled_at, vendor, operation, project, outcome, charged_micros,
               coalesce(user_id, %(nobody)s) AS user_id, coalesce(key_id, %(nobody)s) AS key_id
          FROM usage_call
         WHERE workspace_id = %(workspace)s AND number BETWEEN %(first)s AND %(last)s
           AND settled_at BETWEEN %(began)s AND %(ended)s
           AND run_id = %(run)s AND coalesce(user_id, %(nobody)s) = %(user)s
           AND project <> %(project)s
    ), spans AS MATERIALIZED (
        SELECT span,
               date_trunc(span, settled_at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AS begins_at,
               vendor, operation, user_id, key_id, project, count(*) AS calls,
               count(*) FILTER (WHERE outcome = 'delivered') AS delivered,
               count(*) FILTER (WHERE charged_micros = 0) AS uncharged,
               sum(charged_micros) AS charged_micros
          FROM due CROSS JOIN unnest(%(spans)s::text[]) AS span GROUP BY 1, 2, 3, 4, 5, 6, 7
    ), emptied AS (
        DELETE FROM usage_callsum had USING spans
         WHERE had.workspace_id = %(workspace)s AND had.calls = spans.calls AND {{same}}
    ), left_there AS (
        UPDATE usage_callsum had
           SET calls = had.calls - spans.calls, delivered = had.delivered - spans.delivered,
               uncharged = had.uncharged - spans.uncharged,
               charged_micros = had.charged_micros - spans.charged_micros
          FROM spans
         WHERE had.workspace_id = %(workspace)s AND had.calls > spans.calls AND {{same}}
    ), come AS (
        INSERT INTO usage_callsum (workspace_id, span, begins_at, vendor, operation, user_id,
                                   key_id, project, calls, delivered, uncharged, charged_micros)
        SELECT %(workspace)s, span, begins_at, vendor, operation, user_id, key_id, %(project)s,
               sum(calls), sum(delivered), sum(uncharged), sum(charged_micros)
          FROM spans GROUP BY 2, 3, 4, 5, 6, 7
            ON CONFLICT (workspace_id, span, begins_at, vendor, operation, user_id, key_id, project)
            DO UPDATE SET calls = usage_callsum.calls + excluded.calls,
                          delivered = usage_callsum.delivered + excluded.delivered,
                          uncharged = usage_callsum.uncharged + excluded.uncharged,
                          charged_micros = usage_callsum.charged_micros + excluded.charged_micros
    ), blocks AS MATERIALIZED (
        SELECT (number - 1) / {sums.BLOCK} AS block, vendor, operation, user_id, key_id, project,
               outcome, count(*) AS calls
          FROM due GROUP BY 1, 2, 3, 4, 5, 6, 7
    ), blocks_emptied AS (
        DELETE FROM usage_callblock had USING blocks
         WHERE had.workspace_id = %(workspace)s AND had.calls = blocks.calls AND {{same_block}}
    ), blocks_left AS (
        UPDATE usage_callblock had SET calls = had.calls - blocks.calls FROM blocks
         WHERE had.workspace_id = %(workspace)s AND had.calls > blocks.calls AND {{same_block}}
    ), blocks_come AS (
        INSERT INTO usage_callblock (workspace_id, block, vendor, operation, user_id, key_id,
                                     project, outcome, calls)
        SELECT %(workspace)s, block, vendor, operation, user_id, key_id, %(project)s, outcome,
               sum(calls)
          FROM blocks GROUP BY 2, 3, 4, 5, 6, 8
            ON CONFLICT (workspace_id, block, vendor, operation, user_id, key_id, project, outcome)
            DO UPDATE SET calls = usage_callblock.calls + excluded.calls
    )
    UPDATE usage_call call SET project = %(project)s FROM due
     WHERE call.workspace_id = %(workspace)s AND call.number = due.number
       AND call.settled_at = due.settled_at
"""  # noqa: S608 - constants of our own
_SPAN: Final = ("span", "begins_at", "vendor", "operation", "user_id", "key_id", "project")
_BLOCK: Final = ("block", "vendor", "operation", "user_id", "key_id", "project", "outcome")
TURN: Final = _TURN.format(
    same=" AND ".join(f"had.{each} = spans.{each}" for each in _SPAN),
    same_block=" AND ".join(f"had.{each} = blocks.{each}" for each in _BLOCK),
)


@transaction.atomic
def give(
    workspace_id: UUID, run_ids: Collection[str], *, project: str, user_id: UUID | None = None
) -> list[RunSum]:
    """Have runs of these ids be a project's, or nobody's, and return how they were before.

    Of that person alone, if one is named. All their calls are then of it, those that end later,
    too, and every sum says so. Raises InvalidRequest for a run of more than MOST_CALLS.
    """
    sums.catch_up(workspace_id)
    Summed.objects.select_for_update().filter(pk=workspace_id).first()
    found = RunSum.objects.filter(workspace_id=workspace_id, run_id__in=list(run_ids))
    found = found if user_id is None else found.filter(user_id=user_id)
    before = list(found.order_by("pk"))
    for run in before:
        if run.calls > MOST_CALLS:
            raise InvalidRequest(
                gettext("A run of more than %(most)s calls stays as it is.") % {"most": MOST_CALLS}
            )
        _turn(run, project)
    found.update(project=project, is_tagged=True)
    return before


def _turn(run: RunSum, project: str) -> None:
    given: dict[str, Any] = {
        "workspace": run.workspace_id,
        "run": run.run_id,
        "user": run.user_id,
        "nobody": NOBODY,
        "first": run.first_number,
        "last": run.last_number,
        "began": run.began_at,
        "ended": run.ended_at,
        "project": project,
        "spans": list(sums.SPANS),
    }
    with connection.cursor() as cursor:
        cursor.execute(TURN, given)


def of(workspace_id: UUID, run_ids: Collection[str], *, user_id: UUID | None = None) -> str | None:
    """Return the project of runs of these ids, of the newest; None where there is no such run."""
    sums.catch_up(workspace_id)
    found = RunSum.objects.filter(workspace_id=workspace_id, run_id__in=list(run_ids))
    found = found if user_id is None else found.filter(user_id=user_id)
    return found.order_by("-last_number").values_list("project", flat=True).first()


def known(workspace_id: UUID, *, user_id: UUID | None = None) -> list[str]:
    """Return some of the projects that calls of a workspace, or of a person in it, are of."""
    months = CallSum.objects.filter(workspace_id=workspace_id, span=CallSum.Span.MONTH)
    own = months if user_id is None else months.filter(user_id=user_id)
    names = own.exclude(project="").values_list("project", flat=True)
    return list(names.distinct().order_by("project")[:MOST_KNOWN])
