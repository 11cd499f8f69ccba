"""What runs must have in common with the books and the history (run with credits' own checks).

After a proof only the runs are read again that had not ended a day before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from common.rows import values
from credits.proofs.reconciliation import Check
from credits.proofs.since import Since

if TYPE_CHECKING:
    from datetime import datetime

_ENDED: Final = "run.ended_at IS NOT NULL"
_COUNTED: Final = (
    "SELECT count(*) AS rows, coalesce(sum(charged_micros), 0) AS micros FROM runs_run run"
    " WHERE {of}"
)
_INSIDE: Final = """
    SELECT key_id, workspace_id, sum(charged_micros)::bigint AS micros
      FROM usage_call WHERE key_id IN (SELECT run_key_id FROM runs_run) GROUP BY 1, 2
"""
"""What the calls by each run's key came to."""
_NEW: Final = "(run.ended_at IS NULL OR run.ended_at > %(recent)s)"
_INSIDE_NEW: Final = f"""
    SELECT key_id, workspace_id, sum(charged_micros)::bigint AS micros
      FROM usage_call
     WHERE settled_at >= %(runs_since)s
       AND key_id IN (SELECT run_key_id FROM runs_run run WHERE {_NEW}) GROUP BY 1, 2
"""  # noqa: S608 - of our own
_EVERY: Final = {"ended": _ENDED, "inside": _INSIDE, "of": "true"}
_OF_NEW: Final = {"ended": _ENDED, "inside": _INSIDE_NEW, "of": _NEW}


def _check(name: str, counted: str, differences: str) -> Check:
    """Return a check of all runs, and the same of those of after a mark alone."""
    every, new = (
        (counted.format(**which), differences.format(**which)) for which in (_EVERY, _OF_NEW)
    )
    return Check(name, *every, Since(*new))


def bounds(mark: dict[str, Any]) -> dict[str, datetime]:
    """Return the parameters that these checks need beside a mark's: when the first run began."""
    (since,) = values(
        f"SELECT least(min(created_at), %(recent)s) FROM runs_run run WHERE {_NEW}",  # noqa: S608
        mark,
    )
    return {"runs_since": since}


CHECKS = (
    _check(
        "each ended run is charged what its entry and its call say, and no other is",
        _COUNTED,
        """
        SELECT 'run ' || run.id || ' (' || run.state || '): charged ' || run.charged_micros
               || ', entry ' || coalesce(entry.amount_micros, 0)
               || ', call ' || coalesce(call.charged_micros::text, 'missing')
          FROM runs_run run
          LEFT JOIN credits_entry entry ON entry.key = 'call:' || run.hold_id
          LEFT JOIN usage_call call ON call.id = run.hold_id
         WHERE (coalesce(entry.amount_micros, 0) <> run.charged_micros
                OR ({ended} AND (call.charged_micros, call.workspace_id, call.run_id)
                        IS DISTINCT FROM (run.charged_micros, run.workspace_id, run.id::text)))
           AND {of}
        """,
    ),
    _check(
        "each ended run is charged by its machine's clock and its price",
        _COUNTED,
        """
        SELECT 'run ' || run.id || ' (' || run.state || '): charged ' || run.charged_micros
               || ', by its clock ' || due.micros || ', held ' || run.held_micros
          FROM runs_run run
          JOIN usage_call call ON call.id = run.hold_id
          CROSS JOIN LATERAL (SELECT greatest(run.gpu_ms - run.forgiven_ms, 0) AS ms) paid
          CROSS JOIN LATERAL (
              SELECT CASE WHEN paid.ms = 0 THEN 0
                          ELSE greatest((paid.ms * run.micros_per_second + 999) / 1000,
                                        run.minimum_micros) END
                     + run.paid_outputs * run.micros_per_output AS micros) due
         -- A hold that nobody renewed in time was given back before: nothing is charged then.
         WHERE {ended} AND NOT (call.outcome = 'expired' AND run.charged_micros = 0)
           AND run.charged_micros <> least(due.micros, run.held_micros)
           AND {of}
        """,
    ),
    Check(
        "each open hold of a run is of one that has not ended, and as large as it says",
        "SELECT count(*) AS rows, coalesce(sum(amount_micros), 0) AS micros FROM credits_hold"
        " WHERE apart",
        f"""
        SELECT 'hold ' || hold.id || ' of ' || hold.amount_micros || ': run '
               || coalesce(run.id || ' (' || run.state || '), ' || run.held_micros, 'is none')
          FROM credits_hold hold LEFT JOIN runs_run run ON run.hold_id = hold.id
         WHERE hold.apart AND hold.memo->>'vendor' = 'runs'
           AND (run.id IS NULL OR {_ENDED} OR run.workspace_id <> hold.account_id
                OR run.held_micros <> hold.amount_micros)
        """,  # noqa: S608 - of our own
    ),
    Check(
        "each key of a run is of one that is at work",
        "SELECT count(*) AS rows, 0 AS micros FROM apikeys_apikey WHERE run_id IS NOT NULL",
        f"""
        SELECT 'key ' || key.id || ' lives, and run ' || key.run_id || ' '
               || coalesce('is ' || run.state, 'is none')
          FROM apikeys_apikey key LEFT JOIN runs_run run ON run.id = key.run_id
         WHERE key.run_id IS NOT NULL AND key.revoked_at IS NULL
           AND (run.id IS NULL OR {_ENDED} OR run.state = 'queued' OR run.run_key_id <> key.id)
        """,  # noqa: S608 - of our own
    ),
    _check(
        "each run and the calls inside it together cost at most its maximum",
        "SELECT count(*) AS rows, coalesce(sum(micros), 0) AS micros FROM ({inside}) inside",
        """
        SELECT 'run ' || run.id || ': charged ' || run.charged_micros || ', inside '
               || inside.micros || ', at most ' || run.max_micros
          FROM runs_run run
          JOIN ({inside}) inside
            ON inside.key_id = run.run_key_id AND inside.workspace_id = run.workspace_id
         WHERE run.charged_micros + inside.micros > run.max_micros
           AND {of}
        """,
    ),
    _check(
        "each run's budget has taken what is held and what was called inside",
        "SELECT count(*) AS rows, coalesce(sum(taken_micros), 0) AS micros FROM credits_budget"
        " WHERE owner_kind = 'run'",
        """
        WITH open AS (
            SELECT budget, sum(amount_micros)::bigint AS micros
              FROM credits_hold CROSS JOIN LATERAL unnest(budgets) AS budget GROUP BY budget)
        SELECT 'run ' || run.id || ': budget has taken ' || budget.taken_micros || ', open are '
               || coalesce(open.micros, 0) || ', called inside ' || coalesce(inside.micros, 0)
          FROM runs_run run
          JOIN credits_budget budget ON budget.id = run.budget_id
          LEFT JOIN open ON open.budget = budget.id
          LEFT JOIN ({inside}) inside
            ON inside.key_id = run.run_key_id AND inside.workspace_id = run.workspace_id
         WHERE NOT ({ended})
           AND budget.taken_micros <> coalesce(open.micros, 0) + coalesce(inside.micros, 0)
           AND {of}
        """,
    ),
)
"""A row for each run that breaks one; runs of people who are gone are in the history alone."""
